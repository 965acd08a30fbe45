"""The checks of a served candidate: requests that it must answer, and requests that it must refuse.

They are the same for every engine. The status codes are those of TensorFlow Serving.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.artifacts import Check
from tunesmith.components.encodings.encoding import TokenVocabulary
from tunesmith.components.infra_validator.component import InfraValidatorParameters
from tunesmith.components.records.padding import padding

Arrays = Mapping[str, NDArray[Any]]

ROW_SUM_TOLERANCE = 1e-3
"""Maximum difference of a row's sum from one; float32 over thousands of frames stays below 1e-4."""

ALONE_TOLERANCE = 1e-4
"""Maximum difference of a row between a single request and a batch, by another order of sums."""

_WARM = 3
"""Number of warm-up requests before the timed ones."""

_COMPOSED = 8
"""Number of frames requested from the signature ``generate``."""


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
    """The answer to one request.

    Args:
        status: name of the gRPC status code, such as ``OK`` or ``INVALID_ARGUMENT``; without a
            gRPC answer, the name of an error of :mod:`tunesmith.client`.
        detail: the message of a status that is not OK.
        outputs: arrays by name of an OK answer; strings as object arrays of bytes.
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
        """Return the signatures by name; empty if the engine does not answer."""

    def ask(self, signature: str, inputs: Arrays) -> Answer:
        """Send one request with the dtypes of `inputs`; a refusal is an answer as well."""

    def log_tail(self) -> str:
        """Return the last lines that the engine printed, in one line."""


@dataclass(frozen=True)
class Bounds:
    """Maximum latency, in milliseconds, measured by the client; see InfraValidatorParameters.

    Args:
        requests: number of timed single-window requests.
        batch: windows in a batch request.
        batch_requests: number of timed batch requests.
        median_ms: maximum median of the single-window requests.
        p95_ms: maximum 95th percentile of the single-window requests.
        batch_median_ms: maximum median of the batch requests.
    """

    requests: int
    batch: int
    batch_requests: int
    median_ms: float
    p95_ms: float
    batch_median_ms: float

    @classmethod
    def of(cls, parameters: InfraValidatorParameters) -> Bounds:
        """Return the bounds among the parameters of InfraValidator."""
        names = cls.__dataclass_fields__
        return cls(**{name: getattr(parameters, name) for name in names})


@dataclass(frozen=True)
class RequestData:
    """Data for the requests.

    Args:
        songs: int32 [n] each, tokens of real songs, none empty.
        vocabulary: of the songs; the model must have the same.
    """

    songs: list[NDArray[np.int32]]
    vocabulary: TokenVocabulary

    def windows(self, count: int, window: int) -> NDArray[np.int32]:
        """Return windows spread evenly over the songs, int32 [count, window], repeated if too few.

        As in training, `window` rests precede a song.
        """
        before = padding(self.vocabulary.rests, window)
        padded = [np.concatenate([before, song]) for song in self.songs]
        ends = np.cumsum([len(song) for song in self.songs])
        chosen = np.linspace(0, ends[-1] - 1, count).astype(np.int64)
        of_song = np.searchsorted(ends, chosen, side="right")
        starts = chosen - np.concatenate(([0], ends))[of_song]
        return np.stack(
            [padded[song][at : at + window] for song, at in zip(of_song, starts, strict=True)]
        )


def run_checks(
    candidate: Candidate,
    request_data: RequestData,
    bounds: Bounds,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Check]:
    """Send the requests, and yield each check when it is done.

    Args:
        candidate: the served model.
        request_data: real songs.
        bounds: on the latency.
        clock: seconds, for the latency.
    """
    signatures = candidate.signatures()
    missing = {"serving_default", "vocabulary", "settings"} - signatures.keys()
    names = ", ".join(sorted(signatures)) or "none"
    lacks = f"the model has no {', '.join(sorted(missing))}; it has " if missing else "found "
    yield Check("signatures", not missing, lacks + names)
    if missing:
        return
    window = signatures["serving_default"].inputs["tokens"][-1]
    yield _vocabulary(candidate, request_data.vocabulary)
    yield _settings(candidate, request_data.vocabulary)
    windows = request_data.windows(bounds.batch, window)
    size = len(request_data.vocabulary)
    yield _probabilities(candidate, windows, size)
    yield _alone(candidate, windows)
    if "generate" in signatures:
        yield _generate(candidate, windows[:2], size)
    yield from _refusals(candidate, windows[:3], size)
    # The engine must still answer after all these requests.
    again = _probabilities(candidate, windows, size)
    yield Check("still-answers", again.passed, again.why)
    if again.passed:
        yield from _latency(candidate, windows, bounds, clock)


def _refused(answer: Answer) -> str:
    return f"{answer.status}: {' '.join(answer.detail.split())}"


def _vocabulary(candidate: Candidate, vocabulary: TokenVocabulary) -> Check:
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
        return Check(name, False, "the vocabulary differs from that of the Examples")
    return Check(name, True, f"the {len(names)} frames of the Examples")


def _settings(candidate: Candidate, vocabulary: TokenVocabulary) -> Check:
    answer = candidate.ask("settings", {"token_ids": np.zeros(2, np.int32)})
    if answer.status != "OK":
        return Check("settings", False, _refused(answer))
    expected: dict[str, Any] = {
        "frames_per_second": np.float32(vocabulary.frames_per_second),
        **vocabulary.corpus.served(),
    }
    wrong = [
        f"{name} is {_shown(answer.outputs.get(name))}, expected {value}"
        for name, value in expected.items()
        if not _says(answer.outputs.get(name), value)
    ]
    return Check("settings", not wrong, "; ".join(wrong) or "the settings of the Examples")


def _says(answered: NDArray[Any] | None, value: Any) -> bool:
    """Return whether both rows of an output hold `value`."""
    content = value.encode("utf-8") if isinstance(value, str) else value
    return answered is not None and answered.tolist() == [content] * 2


def _shown(answered: NDArray[Any] | None) -> str:
    if answered is None or not answered.size:
        return "missing"
    value = answered.flat[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _probabilities(candidate: Candidate, windows: NDArray[np.int32], size: int) -> Check:
    answer = candidate.ask("serving_default", {"tokens": windows})
    if answer.status != "OK":
        return Check("probabilities", False, _refused(answer))
    fault = _fault(answer.outputs.get("probabilities"), (len(windows), size))
    found = f"{size} probabilities for each of {len(windows)} windows of real songs"
    return Check("probabilities", not fault, fault or found)


def _fault(rows: NDArray[Any] | None, shape: tuple[int, int]) -> str:
    """Return the fault of rows of probabilities; empty if there is none."""
    if rows is None or rows.shape != shape or rows.dtype != np.float32:
        found = "missing" if rows is None else f"{rows.dtype} {list(rows.shape)}"
        return f"probabilities are {found}, expected float32 {list(shape)}"
    if not np.isfinite(rows).all():
        return f"{int((~np.isfinite(rows)).any(axis=1).sum())} of {len(rows)} rows are not finite"
    worst = float(np.abs(rows.sum(axis=1, dtype=np.float64) - 1).max())
    if rows.min() < 0 or worst > ROW_SUM_TOLERANCE:
        return (
            f"rows are not distributions: the smallest value is {rows.min():.3g}, and a sum "
            f"differs from 1 by {worst:.3g}"
        )
    return ""


def _alone(candidate: Candidate, windows: NDArray[np.int32]) -> Check:
    """Check that the answer for a window does not depend on the rest of the batch."""
    name = "alone-as-in-a-batch"
    answers = [
        candidate.ask("serving_default", {"tokens": each}) for each in (windows, windows[:1])
    ]
    for answer in answers:
        if answer.status != "OK":
            return Check(name, False, _refused(answer))
    batch, alone = (answer.outputs["probabilities"][0] for answer in answers)
    apart = float(np.abs(batch - alone).max())
    return _bounded(name, "largest difference {:.2g}", apart, ALONE_TOLERANCE)


def _bounded(name: str, why: str, value: float, threshold: float) -> Check:
    # JSON has neither NaN nor infinity, which exceed any threshold.
    number = value if np.isfinite(value) else None
    return Check(name, bool(value <= threshold), why.format(value), number, threshold, "most")


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
        return Check(
            "generate", False, f"expected {rows} songs of {_COMPOSED} tokens from 0 to {size - 1}"
        )
    same = np.array_equal(songs, again)
    why = "equal seeds give equal songs" if same else "equal seeds give different songs"
    return Check("generate", same, why)


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
    """Check that an invalid token is refused, or gives NaN in its own row only."""
    name = f"refuses-{name}-token"
    spoilt = windows.copy()
    spoilt[1, -1] = token
    answer = candidate.ask("serving_default", {"tokens": spoilt})
    if answer.status != "OK":
        return Check(name, answer.status == "INVALID_ARGUMENT", _refused(answer))
    rows = answer.outputs["probabilities"]
    others = np.delete(rows, 1, axis=0)
    passed = bool(np.isnan(rows[1]).all()) and bool(np.isfinite(others).all())
    good, bad = "NaN in that row only", "the invalid row is not NaN, or another row is affected"
    return Check(name, passed, good if passed else bad)


def _latency(
    candidate: Candidate, windows: NDArray[np.int32], bounds: Bounds, clock: Callable[[], float]
) -> Iterator[Check]:
    def milliseconds(requests: list[NDArray[np.int32]]) -> NDArray[np.float64]:
        taken = []
        for each in [*requests[:1] * _WARM, *requests]:
            started = clock()
            answer = candidate.ask("serving_default", {"tokens": each})
            taken.append(1e3 * (clock() - started) if answer.status == "OK" else np.inf)
        return np.array(taken[_WARM:])

    single = milliseconds([windows[[at % len(windows)]] for at in range(bounds.requests)])
    batch = milliseconds([windows] * bounds.batch_requests)
    one, many = f"{bounds.requests} single-window requests", f"{bounds.batch} windows"
    for name, value, bound, what in (
        ("latency-median", np.median(single), bounds.median_ms, one),
        ("latency-p95", np.quantile(single, 0.95), bounds.p95_ms, one),
        (
            "latency-batch-median",
            np.median(batch),
            bounds.batch_median_ms,
            f"{bounds.batch_requests} requests of {many}",
        ),
    ):
        yield _bounded(name, f"{{:.1f}} ms over {what}", float(value), bound)
