"""An exported model as a predictor: asked through its signatures, as a server asks it.

Whatever this knows of a model comes from the SavedModel itself, so that a version that was pushed
long ago can be judged like the one that was trained a minute ago.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.errors import ComponentError
from tunesmith.components.records.eval_windows import Tokens
from tunesmith.components.runtime import load_tensorflow
from tunesmith.music import CorpusSettings, Grid, MusicError, TrackChoice, Vocabulary, parse_frame

if TYPE_CHECKING:
    import tensorflow as tf

Signature = Callable[..., dict[str, "tf.Tensor"]]


@dataclass(frozen=True)
class SavedPredictor:
    """A loaded SavedModel; make it with :meth:`load`.

    Args:
        window: tokens that it looks back.
        vocabulary: the frame of each token, and how its corpus was read.
        program: General MIDI program 0..127 that its songs are written with.
        serving_default: the signature.
    """

    window: int
    vocabulary: Vocabulary
    program: int
    serving_default: Signature

    @classmethod
    def load(cls, directory: Path) -> SavedPredictor:
        """Load the SavedModel in the folder `directory`.

        Raises:
            ComponentError: it is none, or has not the signatures of the contract.
        """
        tf = load_tensorflow()
        try:
            signatures = tf.saved_model.load(str(directory)).signatures
            default, names, settings = (
                signatures[name] for name in ("serving_default", "vocabulary", "settings")
            )
        except (OSError, KeyError) as error:
            reason = str(error).splitlines()[0]
            raise ComponentError(f"{directory} is no model of ours ({reason})") from error
        window = default.structured_input_signature[1]["tokens"].shape[1]
        size = default.structured_outputs["probabilities"].shape[1]
        answered = {
            name: value[0]
            for name, value in _ask(settings, token_ids=np.zeros(1, np.int32)).items()
        }
        frames = _ask(names, token_ids=np.arange(size, dtype=np.int32))["frames"]
        try:
            vocabulary = Vocabulary(
                tuple(parse_frame(name.decode("ascii")) for name in frames.tolist()),
                float(answered["frames_per_second"]),
                _corpus(answered),
            )
        except (KeyError, MusicError) as error:
            raise ComponentError(
                f"{directory} does not say how its corpus was read ({error})"
            ) from error
        return cls(window, vocabulary, int(answered["program"]), default)

    def probabilities(self, windows: Tokens) -> NDArray[np.float32]:
        """Return float32 [n, V] for windows int32 [n, window]."""
        return _ask(self.serving_default, tokens=windows)["probabilities"]


def _ask(signature: Signature, **inputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
    import tensorflow as tf

    given = {name: tf.constant(value) for name, value in inputs.items()}
    return {name: value.numpy() for name, value in signature(**given).items()}


def _corpus(answered: dict[str, Any]) -> CorpusSettings:
    """Return what the ``settings`` signature says of the corpus."""
    grid = Grid(
        frames_per_second=float(answered["frames_per_second"]),
        frames_per_beat=int(answered["frames_per_beat"]),
        keep_short_notes=bool(answered["keep_short_notes"]),
        lowest=int(answered["lowest_pitch"]),
        highest=int(answered["highest_pitch"]),
    )
    transpose = int(answered["transpose_from"]), int(answered["transpose_to"])
    return CorpusSettings(TrackChoice.parse(answered["track"].decode("utf-8")), grid, transpose)
