"""The sampling filters: functions between a model's probabilities and the draw.

Each maps probability rows, float64 [n, V], and the windows that they answer, int64 [n, window], to
rows of the same shape, and is pure. They know that token 0 is the rest, and nothing else of music.
Of two tokens that are equally probable the smaller one, which is the more frequent frame, goes
first.

A class of :data:`FILTERS` also declares how it is set, as a
:class:`tunesmith.client.filter_option.FilterOption`. From that follow its keyword argument of
:class:`tunesmith.client.Sampling`, the option of ``tunesmith generate`` and the check of its range.
Only the types of the keyword arguments are written elsewhere, for type checkers: in ``Sampling``
and in ``DrawOptions``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from tunesmith.client.errors import BadOption
from tunesmith.client.filter_option import FilterOption

Rows = NDArray[np.float64]
Windows = NDArray[np.int64]

Filter = Callable[[Rows, Windows], Rows]
"""A function of rows that sum to one and of the windows that they answer; it returns rows of the
same shape without negative values, each with a positive sum."""

_REST = 0


class SamplingFilter(Protocol):
    """A filter that is set by one number, its only argument."""

    option: ClassVar[FilterOption]

    def __init__(self, value: Any, /) -> None: ...

    def __call__(self, rows: Rows, windows: Windows) -> Rows:
        """Return the rows after the filter."""
        ...


@dataclass(frozen=True)
class RepetitionLimit:
    """A sounding frame comes at most `longest` times in a row; rests have :class:`RestLimit`.

    A row of which nothing would be left stays as it is, so that a song can always continue: the
    limit is exceeded where the model knows no other frame.

    Raises:
        BadOption: `longest` is below 1, or a window is shorter than that.
    """

    longest: int

    option: ClassVar[FilterOption] = FilterOption(
        "max_repeats",
        int,
        "N",
        "Maximum number of times in a row that a frame sounds.",
        least=1,
    )

    def __post_init__(self) -> None:
        self.option.check(self.longest)

    def __call__(self, rows: Rows, windows: Windows) -> Rows:
        """Return the rows without the frame that came `longest` times just before."""
        ending = _ending(self.option.keyword, windows, self.longest)
        over = (ending == ending[:, -1:]).all(axis=1) & (ending[:, -1] != _REST)
        return _without(rows, np.flatnonzero(over), ending[over, -1])


@dataclass(frozen=True)
class RestLimit:
    """At most `longest` rests come in a row, rests before a song's first frame included.

    As with :class:`RepetitionLimit`, a row of which nothing would be left stays as it is.

    Raises:
        BadOption: `longest` is below 1, or a window is shorter than that.
    """

    longest: int

    option: ClassVar[FilterOption] = FilterOption(
        "max_rests", int, "N", "Maximum number of rests in a row.", least=1
    )

    def __post_init__(self) -> None:
        self.option.check(self.longest)

    def __call__(self, rows: Rows, windows: Windows) -> Rows:
        """Return the rows without the rest where the last `longest` frames are rests."""
        over = (_ending(self.option.keyword, windows, self.longest) == _REST).all(axis=1)
        return _without(rows, np.flatnonzero(over), np.full(int(over.sum()), _REST))


@dataclass(frozen=True)
class Temperature:
    """Rows proportional to ``p ** (1 / temperature)``.

    This is softmax(logits / temperature), since ``log p`` are logits up to a constant (Ackley,
    Hinton and Sejnowski 1985, section 2). Temperature 0 is the limit: all on the most probable.

    Raises:
        BadOption: the temperature is negative or not finite.
    """

    temperature: float

    option: ClassVar[FilterOption] = FilterOption(
        "temperature",
        float,
        "T",
        "Sampling temperature: 1 = the model's distribution, 0 = the most probable frame. Without "
        "--temperature, --top-k, --top-p and --min-p the model's recommended sampling is used.",
        least=0,
        chosen_together=True,
        in_server_loop=True,
    )

    def __post_init__(self) -> None:
        self.option.check(self.temperature)

    def __call__(self, rows: Rows, windows: Windows) -> Rows:
        """Return the rows made flatter (above 1) or steeper (below 1)."""
        del windows
        if self.temperature == 0:
            greedy = np.zeros_like(rows)
            greedy[np.arange(len(rows)), np.argmax(rows, axis=1)] = 1.0
            return greedy
        if self.temperature == 1:
            return rows
        # A token of probability zero has a logit of minus infinity and stays at zero; so does one
        # that a tiny temperature sends there. The largest is shifted to 0 and stays.
        with np.errstate(divide="ignore", over="ignore"):
            logits = np.log(rows)
            best = logits.max(axis=1, keepdims=True)
            return normalised(np.exp((logits - best) / self.temperature))


@dataclass(frozen=True)
class TopK:
    """Rows with only the `k` most probable tokens; V or more leaves all.

    Fan, Lewis and Dauphin 2018, "Hierarchical Neural Story Generation", section 5.1.

    Raises:
        BadOption: `k` is below 1.
    """

    k: int

    option: ClassVar[FilterOption] = FilterOption(
        "top_k",
        int,
        "K",
        "Keep only the K most probable frames.",
        least=1,
        chosen_together=True,
        in_server_loop=True,
    )

    def __post_init__(self) -> None:
        self.option.check(self.k)

    def __call__(self, rows: Rows, windows: Windows) -> Rows:
        """Return the rows with all but the `k` most probable tokens at zero."""
        del windows
        kept = np.zeros(rows.shape, dtype=bool)
        np.put_along_axis(kept, _by_falling_probability(rows)[:, : self.k], True, axis=1)
        return normalised(np.where(kept, rows, 0.0))


@dataclass(frozen=True)
class TopP:
    """Rows with only the nucleus; `p` = 1 leaves all.

    The nucleus is the smallest set of most probable tokens whose probabilities sum to at least `p`
    (Holtzman, Buys, Du, Forbes and Choi 2020, "The Curious Case of Neural Text Degeneration",
    equations 2 and 3).

    Raises:
        BadOption: `p` is outside (0, 1].
    """

    p: float

    option: ClassVar[FilterOption] = FilterOption(
        "top_p",
        float,
        "P",
        "Nucleus sampling: keep the most probable frames whose probabilities sum to P; 1 = all.",
        above=0,
        most=1,
        chosen_together=True,
        in_server_loop=True,
    )

    def __post_init__(self) -> None:
        self.option.check(self.p)

    def __call__(self, rows: Rows, windows: Windows) -> Rows:
        """Return the rows with all tokens outside the nucleus at zero."""
        del windows
        if self.p == 1:
            return rows
        order = _by_falling_probability(rows)
        falling = np.take_along_axis(rows, order, axis=1)
        before = np.zeros_like(falling)
        before[:, 1:] = np.cumsum(falling, axis=1)[:, :-1]
        kept = np.empty(rows.shape, dtype=bool)
        np.put_along_axis(kept, order, before < self.p, axis=1)
        return normalised(np.where(kept, rows, 0.0))


@dataclass(frozen=True)
class MinP:
    """Rows with only the tokens of probability ``p * max(row)`` or more; `p` = 0 leaves all.

    The bound falls with the model's certainty, so that many tokens stay where many are about as
    probable (Nguyen, Baker, Neo, Roush, Kirsch and Shwartz-Ziv 2024, "Turning Up the Heat: Min-p
    Sampling for Creative and Coherent LLM Outputs", arXiv 2407.01082, section 3).

    Raises:
        BadOption: `p` is outside [0, 1].
    """

    p: float

    option: ClassVar[FilterOption] = FilterOption(
        "min_p",
        float,
        "P",
        "Keep the frames whose probability is at least P times that of the most probable one.",
        least=0,
        most=1,
        chosen_together=True,
    )

    def __post_init__(self) -> None:
        self.option.check(self.p)

    def __call__(self, rows: Rows, windows: Windows) -> Rows:
        """Return the rows with all tokens below the bound at zero."""
        del windows
        if self.p == 0:
            return rows
        return normalised(np.where(rows >= self.p * rows.max(axis=1, keepdims=True), rows, 0.0))


FILTERS: tuple[type[SamplingFilter], ...] = (
    RepetitionLimit,
    RestLimit,
    Temperature,
    TopK,
    TopP,
    MinP,
)
"""The built-in filters, in the order in which they apply. The limits come first, so that what they
forbid is not among the k most probable frames and has no share of the nucleus."""


def normalised(rows: Rows) -> Rows:
    """Return rows of a positive sum as rows that sum to one."""
    result: Rows = rows / rows.sum(axis=1, keepdims=True)
    return result


def _ending(name: str, windows: Windows, length: int) -> Windows:
    """Return the last `length` tokens of each window."""
    if windows.shape[1] < length:
        raise BadOption(
            f"{name} must be at most {windows.shape[1]}, the model's window, not {length}"
        )
    return windows[:, windows.shape[1] - length :]


def _without(rows: Rows, at: NDArray[np.intp], tokens: NDArray[np.int64]) -> Rows:
    """Return `rows` with one token of each row `at` at zero, but for a row that would be empty."""
    if len(at) == 0:
        return rows
    allowed = rows.copy()
    allowed[at, tokens] = 0.0
    empty = ~(allowed.sum(axis=1) > 0)
    allowed[empty] = rows[empty]
    return normalised(allowed)


def _by_falling_probability(rows: Rows) -> NDArray[np.intp]:
    return np.argsort(-rows, axis=1, kind="stable")
