"""The protocol of encodings, and the encodings there are: one folder each, found by its name.

A folder ``encodings/<name>/`` is an encoding if it holds ``encoding.py`` with an object
``ENCODING`` that implements :class:`Encoding`. Nothing else lists it: the choices of the parameter
``transform.encoding`` are the names of the folders. The name is stored with the corpus, in
``vocabulary.json`` and in the ``settings`` of an exported model, for every reader of tokens.
Finding encodings imports no numpy.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from tunesmith.components import encodings
from tunesmith.components.component import ParameterError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tunesmith.music import CorpusSettings, Frame
    from tunesmith.music.frames import PackedFrames


class TokenVocabulary(Protocol):
    """The tokens of a model and their frames, fitted to a training split."""

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each token, as the exported model answers it."""

    @property
    def rests(self) -> tuple[int, ...]:
        """The token of each part's rest, in the order of the parts in a frame."""

    @property
    def ranges(self) -> tuple[range, ...]:
        """The tokens of each part, which have no token in common."""

    @property
    def frames_per_second(self) -> float:
        """Frames per second of the songs; the mean if the grid follows the tempo."""

    @property
    def corpus(self) -> CorpusSettings:
        """Track, grid, transposition and encoding of the songs."""

    def __len__(self) -> int:
        """Return the number of tokens, V."""

    def encode_song(
        self, distinct: PackedFrames, ids: NDArray[np.signedinteger]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return a song as tokens.

        Args:
            distinct: uint8 [k, 16], its distinct frames; uint8 [k, 32] where the encoding needs
                onsets, see :func:`tunesmith.music.struck.pack_struck`.
            ids: integers [frames], the row of `distinct` of each of its frames.

        Returns:
            int64 [frames x parts], each frame's tokens in the order of the parts; and bool
            [frames], which frames were not in the vocabulary and were mapped to others.
        """

    def decode(self, tokens: Sequence[int] | NDArray[np.integer[Any]]) -> list[Frame]:
        """Return the frames of `tokens`.

        Raises:
            MusicError: a token is out of range.
        """


class Encoding(Protocol):
    """A mapping of frames to tokens."""

    @property
    def needs_onsets(self) -> bool:
        """True if its frames have onsets (struck pitches), so that songs are read with them."""

    def fit(
        self,
        counts: Mapping[bytes, int],
        frames_per_second: float,
        corpus: CorpusSettings,
        *,
        maximum_frames: int,
        minimum_count: int,
    ) -> TokenVocabulary:
        """Return the vocabulary of a training split.

        Args:
            counts: occurrences of each frame, by its bits (see
                :func:`tunesmith.music.frames.packed_keys`); the rest may be among them.
            frames_per_second: of the songs.
            corpus: settings of the songs.
            maximum_frames: maximum number of sounding frames in the vocabulary.
            minimum_count: minimum number of occurrences of a frame in the vocabulary.
        """

    def from_names(
        self, names: Sequence[str], frames_per_second: float, corpus: CorpusSettings
    ) -> TokenVocabulary:
        """Return the vocabulary whose tokens have these names.

        Raises:
            MusicError: the names are not those of such a vocabulary.
        """


def encoding_names() -> tuple[str, ...]:
    """Return the names of all encodings, sorted."""
    folders = [folder for path in encodings.__path__ for folder in Path(path).iterdir()]
    return tuple(sorted({each.name for each in folders if (each / "encoding.py").is_file()}))


def load_encoding(name: str) -> Encoding:
    """Import the encoding `name`.

    Raises:
        ParameterError: there is none of this name.
    """
    (module,) = encoding_modules(name)
    return cast("Encoding", importlib.import_module(module).ENCODING)


def encoding_modules(name: str) -> tuple[str, ...]:
    """Return the module that defines the encoding `name`; its imports count as its code, too.

    Raises:
        ParameterError: there is none of this name.
    """
    if name not in encoding_names():
        known = ", ".join(encoding_names())
        raise ParameterError("encoding", f"must be one of {known}, not {name!r}")
    return (f"{encodings.__name__}.{name}.encoding",)


def sounding_numbers(vocabulary: TokenVocabulary) -> NDArray[np.int32]:
    """Return the number of each token's sounding pitches, int32 [V].

    Tokens with the same pitches share a number; in the paper's encoding each token has its own.
    """
    import numpy as np

    numbers: dict[Frame, int] = {}
    frames = vocabulary.decode(range(len(vocabulary)))
    return np.array([numbers.setdefault(frame, len(numbers)) for frame in frames], dtype=np.int32)


def vocabulary_json(vocabulary: TokenVocabulary) -> str:
    """Return ``{"frames_per_second": 5.0, "frames": ["e", "60", …], "corpus": {…}}``.

    A name's position is its token.
    """
    content = {
        "frames_per_second": vocabulary.frames_per_second,
        "frames": list(vocabulary.names),
        "corpus": vocabulary.corpus.to_dict(),
    }
    return json.dumps(content, indent=0)


def read_vocabulary(text: str) -> TokenVocabulary:
    """Parse the text that :func:`vocabulary_json` returns, with its encoding.

    Raises:
        MusicError: the text is not a vocabulary.
        ParameterError: there is no such encoding.
    """
    from tunesmith.music import CorpusSettings, MusicError

    try:
        content = json.loads(text)
        names, speed = tuple(content["frames"]), float(content["frames_per_second"])
        corpus = CorpusSettings.from_dict(content["corpus"])
    except (KeyError, TypeError, ValueError) as error:
        raise MusicError(f"not a vocabulary file: {error}") from error
    return load_encoding(corpus.encoding).from_names(names, speed, corpus)
