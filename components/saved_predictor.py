"""An exported model as a predictor: called through its signatures, as a server calls it.

All data come from the SavedModel, so that an old published version is evaluated like a new one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.component import ParameterError
from tunesmith.components.encodings.encoding import TokenVocabulary, load_encoding
from tunesmith.components.errors import ComponentError
from tunesmith.components.records.eval_windows import Tokens
from tunesmith.components.runtime import load_tensorflow
from tunesmith.components.sampling import RecommendedSampling
from tunesmith.music import CorpusSettings, MusicError

Signature = Any
"""A signature of a loaded SavedModel, which TensorFlow does not type."""


@dataclass(frozen=True)
class SavedPredictor:
    """A loaded SavedModel; make it with :meth:`load`.

    Args:
        window: tokens in its input.
        vocabulary: its tokens and corpus settings.
        program: General MIDI program 0..127 of its songs.
        serving_default: the signature.
        sampling: the recommended sampling.
        parts_signature: the signature of the parts alone; None without a mixture.
    """

    window: int
    vocabulary: TokenVocabulary
    program: int
    serving_default: Signature
    sampling: RecommendedSampling
    parts_signature: Signature | None = None

    @classmethod
    def load(cls, directory: Path) -> SavedPredictor:
        """Load the SavedModel in the folder `directory`.

        Raises:
            ComponentError: it is not a SavedModel, or lacks signatures of the contract.
        """
        tf = load_tensorflow()
        try:
            signatures = tf.saved_model.load(str(directory)).signatures
            default, names, settings = (
                signatures[name] for name in ("serving_default", "vocabulary", "settings")
            )
        except (OSError, KeyError) as error:
            reason = str(error).splitlines()[0]
            raise ComponentError(f"{directory} is not a tunesmith model ({reason})") from error
        window = default.structured_input_signature[1]["tokens"].shape[1]
        size = default.structured_outputs["probabilities"].shape[1]
        answered = _settings(settings)
        frames = _ask(names, token_ids=np.arange(size, dtype=np.int32))["frames"]
        try:
            # The shortest number that is this float32: 3.3, not 3.299999952316284.
            speed = float(str(answered["frames_per_second"]))
            corpus = CorpusSettings.from_served(answered, speed)
            names = [name.decode("ascii") for name in frames.tolist()]
            vocabulary = load_encoding(corpus.encoding).from_names(names, speed, corpus)
            sampling = RecommendedSampling.from_served(answered)
        except (KeyError, ValueError, MusicError, ParameterError) as error:
            raise ComponentError(
                f"the corpus settings of {directory} cannot be read ({error})"
            ) from error
        return cls(
            window,
            vocabulary,
            int(answered["program"]),
            default,
            sampling,
            signatures.get("parts"),
        )

    def probabilities(self, windows: Tokens) -> NDArray[np.float32]:
        """Return float32 [n, V] for windows int32 [n, window]."""
        return _ask(self.serving_default, tokens=windows)["probabilities"]

    def parts(self) -> dict[str, Part]:
        """Return the parts of the mixture by name; empty without a mixture."""
        signature = self.parts_signature
        if signature is None:
            return {}
        return {name: Part(signature, name) for name in signature.structured_outputs}


@dataclass(frozen=True)
class Part:
    """A part of a mixture as a predictor.

    Args:
        signature: ``parts`` of the model.
        name: of its output.
    """

    signature: Signature
    name: str

    def probabilities(self, windows: Tokens) -> NDArray[np.float32]:
        """Return float32 [n, V] for windows int32 [n, window]."""
        return _ask(self.signature, tokens=windows)[self.name]


def _settings(signature: Signature) -> dict[str, Any]:
    """Return the answer of the ``settings`` signature, with strings as text."""
    answered = _ask(signature, token_ids=np.zeros(1, np.int32))
    values = {name: value[0] for name, value in answered.items()}
    return {
        name: value.decode("utf-8") if isinstance(value, bytes) else value
        for name, value in values.items()
    }


def _ask(signature: Signature, **inputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
    import tensorflow as tf

    given = {name: tf.constant(value) for name, value in inputs.items()}
    return {name: value.numpy() for name, value in signature(**given).items()}
