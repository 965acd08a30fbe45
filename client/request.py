"""What a caller asks for: how many songs, how long, from what, drawn how; checked before any call.

The options of every method that composes are listed here, as the keyword arguments of
:meth:`Drawing.of` and :meth:`Request.of`.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from tunesmith.client.errors import BadOption
from tunesmith.client.sampling import Filter, Sampling
from tunesmith.client.starts import Start
from tunesmith.music import Frame

DEFAULT_STEPS = 300
"""A minute at 5 frames a second; the paper's program draws as many."""

Loop = Literal["client", "server"]
"""Where the sampling loop runs: here, a call a step, or in the model, a call a song."""


class DrawOptions(TypedDict, total=False):
    """How frames are drawn.

    Attributes:
        temperature: 1 is the model's own distribution, 0 always the most probable frame. Without
            temperature, top_k and top_p all three are what the model's settings recommend; with any
            of them the others are 1, all and 1.
        top_k: draw among the k most probable frames only; all, if there are no more.
        top_p: draw among the most probable frames that hold this share together; 1 for all.
        max_repeats: a frame sounds at most so many frames in a row.
        max_rests: at most so many rests come in a row.
        sampling: a filter of one's own, or several in their order, in place of all of these; see
            :mod:`tunesmith.client.filters`.
        seed: 0 or more; None draws one, which the song remembers.
        speculate: frames to guess ahead in each call, which only makes the same songs sooner; None
            for as many as pay, 0 for none.
    """

    temperature: float | None
    top_k: int | None
    top_p: float | None
    max_repeats: int | None
    max_rests: int | None
    sampling: Filter | Sequence[Filter] | None
    seed: int | None
    speculate: int | None


class SongOptions(DrawOptions, total=False):
    """What a song begins from, and how it is drawn. At most one start may be given.

    Without any the song begins from silence, which is how every song of the training corpus begins.

    Attributes:
        start_note: a pitch (0..127) to begin with, after rests; the song's first frame.
        start_chord: pitches to begin with together; the song's first frame.
        start_random: begin from random tokens, which are not part of the song.
        primer: a MIDI file to continue, which is not part of the song.
        start_frames: frames to continue, which are not part of the song.
    """

    start_note: int | None
    start_chord: Sequence[int] | None
    start_random: bool
    primer: str | Path | None
    start_frames: Sequence[Frame] | None


@dataclass(frozen=True)
class Drawing:
    """How frames are drawn.

    Args:
        filters: the chain between a model's row and the draw; :class:`Sampling` is the usual one.
        seed: what the draws follow from; None where the song says it, or none is wanted.
        speculate: frames to guess ahead in each call; None for as many as pay.
        left_to_model: whether temperature, top_k and top_p are the model's to recommend. They are
            chosen together, so that one of them given leaves nothing to recommend.
    """

    filters: Sampling | tuple[Filter, ...]
    seed: int | None
    speculate: int | None = None
    left_to_model: bool = False

    @classmethod
    def of(
        cls,
        *,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        max_repeats: int | None = None,
        max_rests: int | None = None,
        sampling: Filter | Sequence[Filter] | None = None,
        seed: int | None = None,
        speculate: int | None = None,
    ) -> Drawing:
        """Return what :class:`DrawOptions` say.

        Raises:
            BadOption: a value is out of its range, or there are two kinds of sampling.
        """
        if seed is not None and seed < 0:
            raise BadOption(f"a seed is 0 or more, not {seed}")
        if speculate is not None and speculate < 0:
            raise BadOption(f"speculate is 0 or more, not {speculate}")
        values = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        limits = {"max_repeats": max_repeats, "max_rests": max_rests}
        given = {name: value for name, value in (values | limits).items() if value is not None}
        if sampling is None:
            usual = Sampling(**given)  # type: ignore[arg-type]
            return cls(usual, seed, speculate, left_to_model=not values.keys() & given.keys())
        if given:
            raise BadOption("give sampling, or temperature, top_k, … alone, not both")
        if isinstance(sampling, Sampling):
            return cls(sampling, seed, speculate)
        return cls((sampling,) if callable(sampling) else tuple(sampling), seed, speculate)

    def on(self, recommended: Sampling) -> Drawing:
        """Return the drawing on a model that recommends this sampling."""
        if not (self.left_to_model and isinstance(self.filters, Sampling)):
            return self
        limits = (self.filters.max_repeats, self.filters.max_rests)
        filters = replace(recommended, max_repeats=limits[0], max_rests=limits[1])
        return replace(self, filters=filters, left_to_model=False)

    @property
    def sampling(self) -> Sampling | None:
        """The usual sampling; None for filters of one's own."""
        return self.filters if isinstance(self.filters, Sampling) else None

    @property
    def chain(self) -> tuple[Filter, ...]:
        """The filters, one after the other."""
        return self.filters.chain if isinstance(self.filters, Sampling) else self.filters


@dataclass(frozen=True)
class Request:
    """Songs as they are asked for.

    Args:
        count: songs, 1 or more.
        steps: frames of each, 1 or more; a start note counts as the first of them.
        start: what they begin from.
        drawing: how their frames are drawn.
        seed: what the draws follow from.
    """

    count: int
    steps: int
    start: Start
    drawing: Drawing
    seed: int

    @classmethod
    def of(
        cls,
        count: int,
        steps: int,
        *,
        start_note: int | None = None,
        start_chord: Sequence[int] | None = None,
        start_random: bool = False,
        primer: str | Path | None = None,
        start_frames: Sequence[Frame] | None = None,
        **drawn: Unpack[DrawOptions],
    ) -> Request:
        """Return what :class:`SongOptions` say.

        Raises:
            BadOption: an argument is out of range.
            BadStart: two starts.
        """
        if count < 1:
            raise BadOption(f"count is 1 or more, not {count}")
        check_steps(steps)
        start = Start(start_note, start_chord, start_random, primer, start_frames)
        drawing = Drawing.of(**drawn)
        seed = new_seed() if drawing.seed is None else drawing.seed
        return cls(count, steps, start, drawing, seed)


def check_steps(steps: int) -> None:
    """Check a number of frames.

    Raises:
        BadOption: it is below 1.
    """
    if steps < 1:
        raise BadOption(f"steps is 1 or more, not {steps}")


def new_seed() -> int:
    """Return a seed that nobody chose, short enough to be typed again."""
    return secrets.randbits(32)
