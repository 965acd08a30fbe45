"""A served composing model: its window, vocabulary, settings and probabilities.

Everything is read from the server, so a client needs only an address and a model name. The version
is fixed when the model is read: a song stays on it even if a newer version is published.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.client import calls
from tunesmith.client.errors import (
    BadOption,
    BadResponse,
    MessageTooLarge,
    ModelNotFound,
    NotAComposer,
    ServerError,
    VersionGone,
)
from tunesmith.client.exchange import Exchange, ModelVersion
from tunesmith.client.protos import tunesmith_wire_pb2 as wire
from tunesmith.client.sampling import Rows, Sampling, Windows
from tunesmith.music import Grid, MusicError, TrackChoice, Vocabulary, parse_frame
from tunesmith.music.corpus import FRAMES, STRUCK
from tunesmith.music.degeneration import SongLimits
from tunesmith.music.frames import PITCHES
from tunesmith.music.struck_vocabulary import StruckVocabulary

VOCABULARY_CHUNK = 256
"""Number of frames read in one call, well below the usual maximum batch size of 1,000."""

ROW_SUM_TOLERANCE = 1e-3
"""Tolerance of the sum of a row; float32 sums over thousands of frames are within 1e-4."""

FIRST_TRACK = TrackChoice("first")
"""The paper's track choice, for models without this setting."""

_REQUIRED = frozenset({"serving_default", "vocabulary", "settings"})


@dataclass(frozen=True)
class Settings:
    """Settings of a model, from its ``settings`` signature.

    Args:
        frames_per_second: a frame lasts ``1 / frames_per_second`` seconds.
        track: track choice of the corpus; ``first`` if the model has no such setting.
        program: General MIDI program 0..127; 0 (grand piano) if the model has no such setting.
        grid: grid of the frames; plain frames of fixed duration if the model has no such setting.
        sampling: recommended sampling; the model's own distribution if it recommends none.
        limits: limits beyond which a song is degenerate; None if the model has none.
        encoding: encoding of frames as tokens, ``frames`` (the default) or ``struck``.
    """

    frames_per_second: float
    track: TrackChoice = FIRST_TRACK
    program: int = 0
    grid: Grid = field(default_factory=Grid)
    sampling: Sampling = field(default_factory=Sampling)
    limits: SongLimits | None = None
    encoding: str = FRAMES


@dataclass(frozen=True)
class ServedModel:
    """One version of a served model, read by :class:`ModelReader`.

    Attributes:
        servable: name and version, used in all calls.
        window: context length in tokens, from the shape of the signature.
        vocabulary: frame of each token.
        settings: settings of the model.
        signatures: names of its signatures.
        kept: cache of data that is read later, by name.
    """

    servable: ModelVersion
    window: int
    vocabulary: Vocabulary | StruckVocabulary
    settings: Settings
    signatures: frozenset[str] = _REQUIRED
    kept: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def read(
        cls, servable: ModelVersion, signatures: dict[str, wire.SignatureDef]
    ) -> Exchange[ServedModel]:
        """Read settings and vocabulary of a model whose version and signatures are known.

        Raises:
            NotAComposer: a signature of the contract is missing.
            BadResponse: a response is invalid.
            ComposerError: a call failed.
        """
        missing = _REQUIRED - signatures.keys()
        if missing:
            raise NotAComposer(
                f"{servable} has no signature {min(missing)}, so it is not a composing model: "
                "check the model name"
            )
        default = signatures["serving_default"]
        window = _width(servable, "tokens", default.inputs)
        size = _width(servable, "probabilities", default.outputs)
        settings = yield from _read_settings(servable)
        vocabulary = yield from _read_vocabulary(servable, size, settings)
        return cls(servable, window, vocabulary, settings, frozenset(signatures))

    def probabilities(self, windows: NDArray[np.integer[Any]]) -> Exchange[Rows]:
        """Return the probabilities of the next frame, float64 [n, V].

        Rows sum to one within float32 precision; sampling normalises them in float64.

        Args:
            windows: tokens, int [n, window], oldest first.

        Raises:
            BadResponse: the response has another shape, NaN, a negative value or a row that does
                not sum to one.
            VersionGone: this version is no longer served.
            ComposerError: the call failed.
        """
        answer = yield from self.ask("serving_default", {"tokens": windows})
        rows = output(answer, "probabilities", "f", (len(windows), len(self.vocabulary)))
        rows = rows.astype(np.float64)
        invalid = ~np.isfinite(rows).all(axis=1)
        if invalid.any():
            raise BadResponse(
                f"{self.servable} answered NaN for {int(invalid.sum())} of {len(rows)} windows: "
                "check the model"
            )
        sums = rows.sum(axis=1)
        if (rows < 0).any() or (np.abs(sums - 1) > ROW_SUM_TOLERANCE).any():
            worst = sums[np.argmax(np.abs(sums - 1))]
            raise BadResponse(
                f"{self.servable} answered invalid probabilities (smallest value {rows.min():.3g}, "
                f"sum of a row {worst:.6g}): check the model"
            )
        return rows

    def ask(
        self, signature: str, inputs: calls.Inputs, deadlines: float = 1.0
    ) -> Exchange[dict[str, NDArray[Any]]]:
        """Run a signature of this version; for the arguments see :func:`calls.predict`.

        Raises:
            VersionGone: this version is no longer served.
            ComposerError: the call failed.
        """
        try:
            return (yield from calls.predict(self.servable, signature, inputs, deadlines))
        except ModelNotFound as error:
            raise VersionGone(
                f"{self.servable} is no longer served: begin the song again with another version"
            ) from error


class ModelReader:
    """Reads a model and keeps the last version that it read."""

    def __init__(self, wanted: ModelVersion) -> None:
        self.wanted = wanted
        self._read: ServedModel | None = None

    def current(self, version: int | None = None) -> Exchange[ServedModel]:
        """Return the served model: one call, and a few more if the version was not read before.

        Args:
            version: version to read; None for that of `wanted`, which may be the latest.
        """
        wanted = self.wanted if version is None else ModelVersion(self.wanted.name, version)
        servable, signatures = yield from calls.signatures(wanted)
        if self._read is None or self._read.servable != servable:
            self._read = yield from ServedModel.read(servable, signatures)
        return self._read


class BatchSplitter:
    """Scores many windows with as few calls as the server allows.

    It makes one call until the server refuses it as too large; from then on, the maximum number of
    windows per call is halved.
    """

    def __init__(self) -> None:
        self._largest: int | None = None

    def probabilities(self, model: ServedModel, windows: Windows) -> Exchange[Rows]:
        """Return the rows of `windows`, see :meth:`ServedModel.probabilities`."""
        rows: list[Rows] = []
        start = 0
        while start < len(windows):
            part = windows[start : start + (self._largest or len(windows))]
            try:
                rows.append((yield from model.probabilities(part)))
            except (ServerError, MessageTooLarge) as error:
                if len(part) == 1 or not _may_be_too_many(error):
                    raise
                self._largest = len(part) // 2
            else:
                start += len(part)
        return rows[0] if len(rows) == 1 else np.concatenate(rows)


def _may_be_too_many(error: ServerError | MessageTooLarge) -> bool:
    """Return whether the error may be due to the number of windows.

    TensorFlow Serving answers INVALID_ARGUMENT to more rows than max_batch_size, and to other
    invalid requests; those are refused again after the split.
    """
    return isinstance(error, MessageTooLarge) or error.status == "INVALID_ARGUMENT"


def _width(servable: ModelVersion, name: str, tensors: Any) -> int:
    """Return the second dimension of a [batch, width] tensor of a signature."""
    dims = tensors[name].tensor_shape.dim if name in tensors else []
    if len(dims) != 2 or dims[1].size <= 0:
        raise NotAComposer(
            f"{servable} has no tensor {name} of shape [batch, width]: re-export the model"
        )
    return int(dims[1].size)


def output(
    answer: dict[str, NDArray[Any]], name: str, kind: str, shape: tuple[int, ...]
) -> NDArray[Any]:
    """Return output `name` after checking its numpy kind (``f``, ``i`` or ``O``) and shape."""
    if name not in answer:
        raise BadResponse(f"the response has no output {name}: check the model")
    values = answer[name]
    if values.dtype.kind != kind or values.shape != shape:
        raise BadResponse(
            f"output {name} has dtype {values.dtype} and shape {list(values.shape)} instead of "
            f"shape {list(shape)}: check the model"
        )
    return values


def _read_vocabulary(
    servable: ModelVersion, size: int, settings: Settings
) -> Exchange[Vocabulary | StruckVocabulary]:
    names: list[str] = []
    try:
        for start in range(0, size, VOCABULARY_CHUNK):
            ids = np.arange(start, min(start + VOCABULARY_CHUNK, size))
            answer = yield from calls.predict(servable, "vocabulary", {"token_ids": ids})
            names += [name.decode("ascii") for name in output(answer, "frames", "O", ids.shape)]
        if settings.encoding == STRUCK:
            return StruckVocabulary(tuple(names), settings.frames_per_second)
        return Vocabulary(tuple(map(parse_frame, names)), settings.frames_per_second)
    except (MusicError, UnicodeDecodeError) as error:
        raise BadResponse(f"the model has an invalid vocabulary: {error}") from error


def _read_settings(servable: ModelVersion) -> Exchange[Settings]:
    one = np.zeros(1, dtype=np.int32)
    answer = yield from calls.predict(servable, "settings", {"token_ids": one})
    speed = float(output(answer, "frames_per_second", "f", (1,))[0])
    if not (np.isfinite(speed) and speed > 0):
        raise BadResponse(
            f"the model has {speed:g} frames per second, which must be above 0: re-export it"
        )
    settings = Settings(speed)
    track, program = settings.track, settings.program
    if "track" in answer:
        text = output(answer, "track", "O", (1,))[0]
        try:
            track = TrackChoice.parse(text.decode("utf-8"))
        except (MusicError, UnicodeDecodeError) as error:
            raise BadResponse(f"the model has an invalid track choice: {error}") from error
    if "program" in answer:
        program = int(output(answer, "program", "i", (1,))[0])
        if not 0 <= program < 128:
            raise BadResponse(
                f"the model has General MIDI program {program}, not 0 to 127: re-export it"
            )
    encoding = _read_encoding(servable, answer)
    grid, sampling = _read_grid(answer, speed), _read_sampling(answer)
    return Settings(speed, track, program, grid, sampling, _read_limits(answer), encoding)


def _read_encoding(servable: ModelVersion, answer: dict[str, NDArray[Any]]) -> str:
    if "encoding" not in answer:
        return FRAMES
    encoding = output(answer, "encoding", "O", (1,))[0].decode("utf-8", "backslashreplace")
    if encoding not in (FRAMES, STRUCK):
        raise NotAComposer(
            f"{servable} has the encoding {encoding!r}, which this client does not support: update "
            "tunesmith"
        )
    return str(encoding)


def _read_grid(answer: dict[str, NDArray[Any]], speed: float) -> Grid:
    def number(name: str, default: int) -> int:
        return int(output(answer, name, "i", (1,))[0]) if name in answer else default

    try:
        return Grid(
            frames_per_second=speed,
            frames_per_beat=number("frames_per_beat", 0),
            keep_short_notes=bool(number("keep_short_notes", 0)),
            lowest=number("lowest_pitch", 0),
            highest=number("highest_pitch", PITCHES - 1),
            keep_onsets=bool(number("keep_onsets", 0)),
        )
    except MusicError as error:
        raise BadResponse(f"the model has an invalid grid: {error}") from error


def _read_sampling(answer: dict[str, NDArray[Any]]) -> Sampling:
    top_k = int(output(answer, "top_k", "i", (1,))[0]) if "top_k" in answer else 0
    top_p = _decimal(answer, "top_p", 1.0)
    try:
        return Sampling(
            _decimal(answer, "temperature", 1.0),
            top_k if top_k != 0 else None,
            top_p if top_p != 1 else None,
        )
    except BadOption as error:
        raise BadResponse(f"the model has an invalid recommended sampling: {error}") from error


def _read_limits(answer: dict[str, NDArray[Any]]) -> SongLimits | None:
    if not {"rest_share_limit", "longest_run_limit"} <= answer.keys():
        return None
    limits = (_decimal(answer, f"{name}_limit", 0.0) for name in ("rest_share", "longest_run"))
    return SongLimits(*limits)


def _decimal(answer: dict[str, NDArray[Any]], name: str, default: float) -> float:
    """Return a float32 output as its shortest decimal: 0.9, not 0.89999998."""
    return float(str(output(answer, name, "f", (1,))[0])) if name in answer else default
