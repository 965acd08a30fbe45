"""The questions that a served candidate has to answer, good ones and bad ones.

Nothing here knows which engine answers or how it is reached. The status codes are those of
TensorFlow Serving, which every engine gives.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tunesmith.music import Vocabulary

Arrays = Mapping[str, NDArray[Any]]

ROW_SUM_TOLERANCE = 1e-3
"""How far a row's sum may lie from one; float32 over thousands of frames stays below 1e-4."""

ALONE_TOLERANCE = 1e-4
"""How far an answer may depend on the other rows of its request: sums in another order."""

_WARM = 3
"""Requests before the clock runs."""

_COMPOSED = 8
"""Frames asked of the signature ``generate``."""


class Signature(NamedTuple):
    """Shapes by tensor name, -1 for a dimension that is not fixed.

    Attributes:
        inputs: of a request.
        outputs: of an answer.
    """

    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Answer:
    """What came back.

    Args:
        status: the name of the gRPC status code, ``OK`` or ``INVALID_ARGUMENT`` or another.
        detail: the engine's words where it is not OK.
        outputs: arrays by name where it is; strings as object arrays of bytes.
    """

    status: str
    detail: str = ""
    outputs: Arrays = field(default_factory=dict)


class Candidate(Protocol):
    """A model that an engine serves."""

    @property
    def engine(self) -> str:
        """The engine's name."""

    def signatures(self) -> Mapping[str, Signature]:
        """Return what can be asked; nothing if the engine does not tell."""

    def ask(self, signature: str, inputs: Arrays) -> Answer:
        """Send one request, its dtypes as they are; a refusal is an answer, nothing is raised."""

    def last_words(self) -> str:
        """Return the end of what the engine printed, in one line."""


@dataclass(frozen=True)
class Bounds:
    """How long an answer may take, in milliseconds, as the asking process sees it.

    Args:
        requests: of one window.
        batch: windows of a large request.
        batch_requests: of that many.
        median_ms: of one window, for the middle request.
        p95_ms: of one window, for the 95th of a hundred.
        batch_median_ms: of a large request, for the middle one.
    """

    requests: int
    batch: int
    batch_requests: int
    median_ms: float
    p95_ms: float
    batch_median_ms: float


@dataclass(frozen=True)
class Check:
    """One question and how it went.

    Args:
        name: stays the same from model to model.
        passed: whether it went as it must.
        detail: what was seen, in one line.
        value: the number that was looked at, if it was one.
        bound: what it may be at most.
    """

    name: str
    passed: bool
    detail: str
    value: float | None = None
    bound: float | None = None


@dataclass(frozen=True)
class Material:
    """What is asked with.

    Args:
        songs: int32 [n] each, tokens of real songs, none empty.
        vocabulary: what the songs were encoded with, which the model must speak.
    """

    songs: list[NDArray[np.int32]]
    vocabulary: Vocabulary

    def windows(self, count: int, window: int) -> NDArray[np.int32]:
        """Return int32 [count, window]: windows from all over the songs, and again if too few.

        As everywhere a song begins behind `window` rests, token 0.
        """
        rests = np.zeros(window, np.int32)
        padded = [np.concatenate([rests, song]) for song in self.songs]
        ends = np.cumsum([len(song) for song in self.songs])
        chosen = np.linspace(0, ends[-1] - 1, count).astype(np.int64)
        of_song = np.searchsorted(ends, chosen, side="right")
        starts = chosen - np.concatenate(([0], ends))[of_song]
        return np.stack(
            [padded[song][at : at + window] for song, at in zip(of_song, starts, strict=True)]
        )


def examine(
    candidate: Candidate,
    material: Material,
    bounds: Bounds,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Check]:
    """Ask everything, and yield each check as it is done.

    Args:
        candidate: what answers.
        material: real songs.
        bounds: of the time.
        clock: seconds, for the latency.
    """
    signatures = candidate.signatures()
    missing = {"serving_default", "vocabulary", "settings"} - signatures.keys()
    names = ", ".join(sorted(signatures)) or "none"
    yield Check("signatures", not missing, f"answers {names}")
    if missing:
        return
    window = signatures["serving_default"].inputs["tokens"][-1]
    yield _vocabulary(candidate, material.vocabulary)
    yield _settings(candidate, material.vocabulary)
    asked = material.windows(bounds.batch, window)
    size = len(material.vocabulary)
    yield _probabilities(candidate, asked, size)
    yield _alone(candidate, asked)
    if "generate" in signatures:
        yield _generate(candidate, asked[:2], size)
    yield from _refusals(candidate, asked[:3], size)
    # Whatever was sent before: the engine is still there, and says the same.
    again = _probabilities(candidate, asked, size)
    yield Check("still-answers", again.passed, again.detail)
    if again.passed:
        yield from _latency(candidate, asked, bounds, clock)


def _refused(answer: Answer) -> str:
    return f"{answer.status}: {' '.join(answer.detail.split())}"


def _vocabulary(candidate: Candidate, vocabulary: Vocabulary) -> Check:
    name = "vocabulary"
    ids = np.arange(len(vocabulary), dtype=np.int32)
    answered: list[bytes] = []
    for some in np.array_split(ids, -(-len(ids) // 256)):
        answer = candidate.ask("vocabulary", {"token_ids": some})
        if answer.status != "OK":
            return Check(name, False, _refused(answer))
        answered += list(answer.outputs.get("frames", []))
    names = [frame.encode("ascii") for frame in vocabulary.names]
    if answered != names:
        return Check(name, False, "its frames are not those of the Examples it was trained on")
    return Check(name, True, f"all {len(names)} frames as in the Examples")


def _settings(candidate: Candidate, vocabulary: Vocabulary) -> Check:
    answer = candidate.ask("settings", {"token_ids": np.zeros(2, np.int32)})
    if answer.status != "OK":
        return Check("settings", False, _refused(answer))
    wanted = np.full(2, vocabulary.frames_per_second, np.float32)
    speed = answer.outputs.get("frames_per_second")
    passed = speed is not None and np.array_equal(speed, wanted)
    return Check("settings", passed, f"frames_per_second {speed} where {wanted} is right")


def _probabilities(candidate: Candidate, windows: NDArray[np.int32], size: int) -> Check:
    answer = candidate.ask("serving_default", {"tokens": windows})
    if answer.status != "OK":
        return Check("probabilities", False, _refused(answer))
    fault = _fault(answer.outputs.get("probabilities"), (len(windows), size))
    told = f"{len(windows)} windows of real songs: {size} probabilities each"
    return Check("probabilities", not fault, fault or told)


def _fault(rows: NDArray[Any] | None, shape: tuple[int, int]) -> str:
    """Return what is wrong with rows of probabilities; nothing if they are good."""
    if rows is None or rows.shape != shape or rows.dtype != np.float32:
        found = "nothing" if rows is None else f"{rows.dtype} {list(rows.shape)}"
        return f"{found} instead of float32 {list(shape)}"
    if not np.isfinite(rows).all():
        return f"{int((~np.isfinite(rows)).any(axis=1).sum())} of {len(rows)} rows are not finite"
    worst = float(np.abs(rows.sum(axis=1, dtype=np.float64) - 1).max())
    if rows.min() < 0 or worst > ROW_SUM_TOLERANCE:
        return f"no probabilities: smallest {rows.min():.3g}, a sum is {worst:.3g} from one"
    return ""


def _alone(candidate: Candidate, windows: NDArray[np.int32]) -> Check:
    """A window's answer must not depend on what else the request holds."""
    name = "alone-as-in-a-batch"
    answers = [
        candidate.ask("serving_default", {"tokens": each}) for each in (windows, windows[:1])
    ]
    for answer in answers:
        if answer.status != "OK":
            return Check(name, False, _refused(answer))
    batch, alone = (answer.outputs["probabilities"][0] for answer in answers)
    apart = float(np.abs(batch - alone).max())
    return _bounded(name, "the largest difference is {:.2g}", apart, ALONE_TOLERANCE)


def _bounded(name: str, told: str, value: float, bound: float) -> Check:
    # NaN and infinity, which no bound lets through, are no numbers for a report.
    number = value if np.isfinite(value) else None
    return Check(name, bool(value <= bound), told.format(value), number, bound)


def _generate(candidate: Candidate, windows: NDArray[np.int32], size: int) -> Check:
    rows = len(windows)
    request: Arrays = {
        "tokens": windows,
        "steps": np.full(rows, _COMPOSED, np.int32),
        "temperature": np.ones(rows, np.float32),
        "top_k": np.zeros(rows, np.int32),
        "top_p": np.ones(rows, np.float32),
        "seed": np.arange(rows, dtype=np.int64),
    }
    answers = [candidate.ask("generate", request) for _ in range(2)]
    for answer in answers:
        if answer.status != "OK":
            return Check("generate", False, _refused(answer))
    songs, again = (answer.outputs["tokens"] for answer in answers)
    good = songs.shape == (rows, _COMPOSED) and bool(((songs >= 0) & (songs < size)).all())
    if not good:
        return Check("generate", False, f"no {rows} songs of {_COMPOSED} tokens of 0..{size - 1}")
    same = np.array_equal(songs, again)
    return Check("generate", same, "the same seeds twice: " + ("same" if same else "other songs"))


def _refusals(candidate: Candidate, windows: NDArray[np.int32], size: int) -> Iterator[Check]:
    tokens, default, invalid = windows[:1], "serving_default", "INVALID_ARGUMENT"
    refused: list[tuple[str, str, Arrays, str]] = [
        ("wrong-dtype", default, {"tokens": tokens.astype(np.int64)}, invalid),
        ("wrong-rank", default, {"tokens": tokens[0]}, invalid),
        ("missing-input", default, {}, invalid),
        ("unknown-input", default, {"token": tokens}, invalid),
        ("unknown-signature", "no_such_signature", {"tokens": tokens}, "FAILED_PRECONDITION"),
    ]
    for name, signature, inputs, wanted in refused:
        answer = candidate.ask(signature, inputs)
        yield Check(f"refuses-{name}", answer.status == wanted, _refused(answer))
    for name, token in (("too-large", size), ("negative", -1)):
        yield _spoilt_row(candidate, windows, name, token)


def _spoilt_row(candidate: Candidate, windows: NDArray[np.int32], name: str, token: int) -> Check:
    """A token out of range is refused, or spoils its own row and no other."""
    name = f"refuses-{name}-token"
    spoilt = windows.copy()
    spoilt[1, -1] = token
    answer = candidate.ask("serving_default", {"tokens": spoilt})
    if answer.status != "OK":
        return Check(name, answer.status == "INVALID_ARGUMENT", _refused(answer))
    rows = answer.outputs["probabilities"]
    others = np.delete(rows, 1, axis=0)
    passed = bool(np.isnan(rows[1]).all()) and bool(np.isfinite(others).all())
    return Check(name, passed, "answered, with NaN in that row" + ("" if passed else ": not so"))


def _latency(
    candidate: Candidate, windows: NDArray[np.int32], bounds: Bounds, clock: Callable[[], float]
) -> Iterator[Check]:
    def milliseconds(asked: list[NDArray[np.int32]]) -> NDArray[np.float64]:
        taken = []
        for each in [*asked[:1] * _WARM, *asked]:
            started = clock()
            answer = candidate.ask("serving_default", {"tokens": each})
            taken.append(1e3 * (clock() - started) if answer.status == "OK" else np.inf)
        return np.array(taken[_WARM:])

    single = milliseconds([windows[[at % len(windows)]] for at in range(bounds.requests)])
    batch = milliseconds([windows] * bounds.batch_requests)
    one, many = f"{bounds.requests} requests of one window", f"{bounds.batch} windows"
    for name, value, bound, told in (
        ("latency-median", np.median(single), bounds.median_ms, one),
        ("latency-p95", np.quantile(single, 0.95), bounds.p95_ms, one),
        (
            "latency-batch-median",
            np.median(batch),
            bounds.batch_median_ms,
            f"{bounds.batch_requests} requests of {many}",
        ),
    ):
        yield _bounded(name, f"{{:.1f}} ms, {told}", float(value), bound)
