"""A composing model as a server shows it: its window, its vocabulary, its settings, its answers.

Everything is read from the server, so that a client needs an address and a name and nothing else.
The version is fixed when the model is read: a song stays on it while newer ones appear.
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
"""Frames asked for in one call, well below a server's usual largest batch of 1,000."""

ROW_SUM_TOLERANCE = 1e-3
"""How far a row's sum may lie from one; float32 over thousands of frames stays below 1e-4."""

FIRST_TRACK = TrackChoice("first")
"""The paper's rule, for a model that does not say how its corpus was read."""

_REQUIRED = frozenset({"serving_default", "vocabulary", "settings"})


@dataclass(frozen=True)
class Settings:
    """How the corpus of a model was read, which is how its songs are written.

    Args:
        frames_per_second: how long a frame lasts: ``1 / frames_per_second`` seconds.
        track: the track choice; ``first`` when the model does not say.
        program: General MIDI program 0..127; 0, the grand piano, when the model does not say.
        grid: what a frame is; plain frames of a second when the model does not say.
        sampling: how songs are drawn unless a caller says otherwise; the model's own distribution
            when the model does not say.
        limits: beyond which a song is degenerate; None when the model does not say.
        encoding: how frames become tokens, ``frames`` or ``struck``; ``frames``, the paper's, when
            the model does not say.
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
    """One version of a model; :class:`Models` reads it.

    Attributes:
        servable: the model's name and the version that every call names.
        window: how many tokens the model looks back, from the signature's shape.
        vocabulary: the frame of each token.
        settings: how the songs are written.
        signatures: the names of what it answers.
        kept: what was read of it later, by name.
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
        """Read the rest of a model of which the version and the signatures are known.

        Raises:
            NotAComposer: it lacks a signature of the contract.
            BadResponse: an answer makes no sense.
            ComposerError: a call failed.
        """
        missing = _REQUIRED - signatures.keys()
        if missing:
            raise NotAComposer(
                f"{servable} has no signature {min(missing)}: is it a composing model?"
            )
        default = signatures["serving_default"]
        window = _width(servable, "tokens", default.inputs)
        size = _width(servable, "probabilities", default.outputs)
        settings = yield from _read_settings(servable)
        vocabulary = yield from _read_vocabulary(servable, size, settings)
        return cls(servable, window, vocabulary, settings, frozenset(signatures))

    def probabilities(self, windows: NDArray[np.integer[Any]]) -> Exchange[Rows]:
        """Return the probability of each next frame, float64 [n, V].

        Rows sum to one up to float32; sampling normalises them in float64.

        Args:
            windows: tokens, int [n, window], oldest first.

        Raises:
            BadResponse: the answer has another shape, NaN, a negative value or a row that does not
                sum to one.
            VersionGone: the pinned version is no longer served.
            ComposerError: the call failed.
        """
        answer = yield from self.ask("serving_default", {"tokens": windows})
        rows = output(answer, "probabilities", "f", (len(windows), len(self.vocabulary)))
        rows = rows.astype(np.float64)
        spoilt = ~np.isfinite(rows).all(axis=1)
        if spoilt.any():
            raise BadResponse(
                f"{self.servable} answered NaN for {int(spoilt.sum())} of {len(rows)} windows: "
                "check the model"
            )
        sums = rows.sum(axis=1)
        if (rows < 0).any() or (np.abs(sums - 1) > ROW_SUM_TOLERANCE).any():
            worst = sums[np.argmax(np.abs(sums - 1))]
            raise BadResponse(
                f"{self.servable} answered rows that are no probabilities (smallest value "
                f"{rows.min():.3g}, a row sums to {worst:.6g}): check the model"
            )
        return rows

    def ask(
        self, signature: str, inputs: calls.Inputs, deadlines: float = 1.0
    ) -> Exchange[dict[str, NDArray[Any]]]:
        """Run one of the signatures on this version; arguments as of :func:`calls.predict`.

        Raises:
            VersionGone: this version is no longer served.
            ComposerError: the call failed.
        """
        try:
            return (yield from calls.predict(self.servable, signature, inputs, deadlines))
        except ModelNotFound as error:
            raise VersionGone(
                f"{self.servable} is no longer served: start the song again on another version"
            ) from error


class Models:
    """A model's versions, each read once when it is asked for."""

    def __init__(self, wanted: ModelVersion) -> None:
        self.wanted = wanted
        self._read: ServedModel | None = None

    def current(self, version: int | None = None) -> Exchange[ServedModel]:
        """Return the model as it is served now: one call, and a few more for one not yet read.

        Args:
            version: this version; None for the wanted one, which may be the latest.
        """
        wanted = self.wanted if version is None else ModelVersion(self.wanted.name, version)
        servable, signatures = yield from calls.signatures(wanted)
        if self._read is None or self._read.servable != servable:
            self._read = yield from ServedModel.read(servable, signatures)
        return self._read


class Batches:
    """Asks for many windows, in as few calls as the server allows.

    All are asked in one call, until a server refuses it as too large; then half as many, for good.
    """

    def __init__(self) -> None:
        self._largest: int | None = None

    def probabilities(self, model: ServedModel, windows: Windows) -> Exchange[Rows]:
        """Return the rows of `windows`, see :meth:`ServedModel.probabilities`."""
        rows: list[Rows] = []
        start = 0
        while start < len(windows):
            some = windows[start : start + (self._largest or len(windows))]
            try:
                rows.append((yield from model.probabilities(some)))
            except (ServerError, MessageTooLarge) as error:
                if len(some) == 1 or not _may_be_too_many(error):
                    raise
                self._largest = len(some) // 2
            else:
                start += len(some)
        return rows[0] if len(rows) == 1 else np.concatenate(rows)


def _may_be_too_many(error: ServerError | MessageTooLarge) -> bool:
    """Return whether fewer windows may be answered.

    More rows than max_batch_size are INVALID_ARGUMENT, as much else is; fewer of what is wrong in
    another way are refused, too, after a few calls more.
    """
    return isinstance(error, MessageTooLarge) or error.status == "INVALID_ARGUMENT"


def _width(servable: ModelVersion, name: str, tensors: Any) -> int:
    """Return the second dimension of a [batch, width] tensor of a signature."""
    dims = tensors[name].tensor_shape.dim if name in tensors else []
    if len(dims) != 2 or dims[1].size <= 0:
        raise NotAComposer(f"{servable} has no {name} of shape [batch, width]: re-export it")
    return int(dims[1].size)


def output(
    answer: dict[str, NDArray[Any]], name: str, kind: str, shape: tuple[int, ...]
) -> NDArray[Any]:
    """Return output `name`, checked for its numpy kind (``f``, ``i`` or ``O``) and its shape."""
    if name not in answer:
        raise BadResponse(f"the server did not answer {name}: check the model")
    values = answer[name]
    if values.dtype.kind != kind or values.shape != shape:
        raise BadResponse(
            f"the server answered {name} as {values.dtype} {list(values.shape)} instead of "
            f"{list(shape)}: check the model"
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
        raise BadResponse(f"the model's vocabulary cannot be used: {error}") from error


def _read_settings(servable: ModelVersion) -> Exchange[Settings]:
    one = np.zeros(1, dtype=np.int32)
    answer = yield from calls.predict(servable, "settings", {"token_ids": one})
    speed = float(output(answer, "frames_per_second", "f", (1,))[0])
    if not (np.isfinite(speed) and speed > 0):
        raise BadResponse(f"the model says {speed:g} frames per second: re-export it")
    settings = Settings(speed)
    track, program = settings.track, settings.program
    if "track" in answer:
        text = output(answer, "track", "O", (1,))[0]
        try:
            track = TrackChoice.parse(text.decode("utf-8"))
        except (MusicError, UnicodeDecodeError) as error:
            raise BadResponse(f"the model's track choice cannot be used: {error}") from error
    if "program" in answer:
        program = int(output(answer, "program", "i", (1,))[0])
        if not 0 <= program < 128:
            raise BadResponse(f"the model says General MIDI program {program}: re-export it")
    encoding = _read_encoding(servable, answer)
    grid, sampling = _read_grid(answer, speed), _read_sampling(answer)
    return Settings(speed, track, program, grid, sampling, _read_limits(answer), encoding)


def _read_encoding(servable: ModelVersion, answer: dict[str, NDArray[Any]]) -> str:
    if "encoding" not in answer:
        return FRAMES
    encoding = output(answer, "encoding", "O", (1,))[0].decode("utf-8", "backslashreplace")
    if encoding not in (FRAMES, STRUCK):
        raise NotAComposer(
            f"{servable} encodes frames as {encoding!r}, which this client does not know: update it"
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
        raise BadResponse(f"the model's grid cannot be used: {error}") from error


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
        raise BadResponse(f"the model's sampling cannot be used: {error}") from error


def _read_limits(answer: dict[str, NDArray[Any]]) -> SongLimits | None:
    if not {"rest_share_limit", "longest_run_limit"} <= answer.keys():
        return None
    limits = (_decimal(answer, f"{name}_limit", 0.0) for name in ("rest_share", "longest_run"))
    return SongLimits(*limits)


def _decimal(answer: dict[str, NDArray[Any]], name: str, default: float) -> float:
    """Return a float32 output as the shortest decimal that it stands for: 0.9, not 0.89999998."""
    return float(str(output(answer, name, "f", (1,))[0])) if name in answer else default
