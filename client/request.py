"""The options of every method that composes, and the request that they make, checked before a call.

They are the keyword arguments of :meth:`Drawing.of` and :meth:`Request.of`.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from tunesmith.client.errors import BadOption
from tunesmith.client.filters import FILTERS
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
        temperature: sampling temperature; 1 is the model's distribution, 0 always the most probable
            frame. Without temperature, top_k, top_p and min_p the sampling that the model
            recommends is used; with any of them the others are 1, all, 1 and 0.
        top_k: keep only the k most probable frames.
        top_p: keep the most probable frames whose probabilities sum to this; 1 for all.
        max_repeats: maximum number of times in a row that a sounding frame comes.
        max_rests: maximum number of rests in a row.
        min_p: keep the frames whose probability is at least this share of the highest.
        filters: filters of one's own, applied after these in the order given; see
            :mod:`tunesmith.client.filters`.
        sampling: a filter, or several in their order, in place of temperature, top_k, top_p,
            max_repeats, max_rests and min_p.
        seed: random seed, 0 or more; None chooses one, which the song then has.
        speculate: frames to guess ahead in each call, which gives the same songs in less time; None
            chooses the number by measuring, 0 guesses none.
    """

    temperature: float | None
    top_k: int | None
    top_p: float | None
    max_repeats: int | None
    max_rests: int | None
    min_p: float | None
    filters: Sequence[Filter]
    sampling: Filter | Sequence[Filter] | None
    seed: int | None
    speculate: int | None


class SongOptions(DrawOptions, total=False):
    """The start of a song, and how it is drawn. At most one start may be given.

    Without one the song begins from silence, as every song of the training corpus does.

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
        filters: the filters between a model's row and the draw; :class:`Sampling` for the built-in
            ones.
        seed: the random seed; None for the song's own, or for one that is chosen.
        speculate: frames to guess ahead in each call; None chooses the number by measuring.
        use_recommended: whether the sampling that the model recommends is used.
        own_filters: filters of one's own that apply after `filters`.
    """

    filters: Sampling | tuple[Filter, ...]
    seed: int | None
    speculate: int | None = None
    use_recommended: bool = False
    own_filters: tuple[Filter, ...] = ()

    @classmethod
    def of(
        cls,
        *,
        filters: Sequence[Filter] = (),
        sampling: Filter | Sequence[Filter] | None = None,
        seed: int | None = None,
        speculate: int | None = None,
        **values: float | None,
    ) -> Drawing:
        """Return the drawing of :class:`DrawOptions`; `values` are those of the built-in filters.

        Raises:
            BadOption: a value is out of its range, or both `sampling` and a built-in filter are
                given.
            TypeError: there is no such option.
        """
        for name, number in (("seed", seed), ("speculate", speculate)):
            if number is not None and number < 0:
                raise BadOption(f"{name} must be at least 0, not {number}")
        unknown = values.keys() - {each.option.keyword for each in FILTERS}
        if unknown:
            raise TypeError(f"unexpected keyword arguments: {', '.join(sorted(unknown))}")
        given = {name: value for name, value in values.items() if value is not None}
        if sampling is None:
            built_in = Sampling(**given)  # type: ignore[arg-type]
            together = {each.option.keyword for each in FILTERS if each.option.chosen_together}
            recommended = not together & given.keys()
            return cls(built_in, seed, speculate, recommended, own_filters=tuple(filters))
        if given:
            raise BadOption(f"give either sampling or {', '.join(given)}, not both")
        if not isinstance(sampling, Sampling):
            sampling = (sampling,) if callable(sampling) else tuple(sampling)
        return cls(sampling, seed, speculate, own_filters=tuple(filters))

    def on(self, recommended: Sampling) -> Drawing:
        """Return the drawing on a model that recommends this sampling."""
        if not (self.use_recommended and isinstance(self.filters, Sampling)):
            return self
        limits = {
            each.option.keyword: getattr(self.filters, each.option.keyword)
            for each in FILTERS
            if not each.option.chosen_together
        }
        return replace(self, filters=replace(recommended, **limits), use_recommended=False)

    @property
    def sampling(self) -> Sampling | None:
        """The built-in filters; None if there are filters of one's own."""
        if isinstance(self.filters, Sampling) and not self.own_filters:
            return self.filters
        return None

    @property
    def chain(self) -> tuple[Filter, ...]:
        """The filters, one after the other."""
        first = self.filters.chain if isinstance(self.filters, Sampling) else self.filters
        return (*first, *self.own_filters)


@dataclass(frozen=True)
class Request:
    """A request for songs.

    Args:
        count: number of songs, 1 or more.
        steps: frames of each, 1 or more; a start note counts as the first of them.
        start: the start of each.
        drawing: how their frames are drawn.
        seed: the random seed.
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
        """Return the request of :class:`SongOptions`.

        Raises:
            BadOption: an argument is out of range.
            BadStart: two starts.
        """
        if count < 1:
            raise BadOption(f"count must be at least 1, not {count}")
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
        raise BadOption(f"steps must be at least 1, not {steps}")


def new_seed() -> int:
    """Return a random seed of 32 bits, short enough to be typed."""
    return secrets.randbits(32)
