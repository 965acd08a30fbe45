"""Degenerate songs: silent, or resting or dwelling on one frame beyond what the corpus does.

The limits are measured over the training songs when a model is exported, travel in its ``settings``
signature, and are what a client holds a drawn song against.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Literal

import numpy as np

from tunesmith.music.frames import REST, Frame
from tunesmith.music.measures import longest_run, rest_share

LIMIT_FRAMES = 300
"""Frames of a song's beginning that the limits are measured over: a minute at 5 frames a second."""

LIMIT_QUANTILE = 0.95
"""Of the training songs: what one song in twenty exceeds is still music."""

LEAST_REST_SHARE, LEAST_LONGEST_RUN = 0.1, 16.0
"""Smallest limits: in a corpus without rests, or one that moves in every frame, a rest or a held
note is unusual, but makes no song degenerate."""

Fault = Literal["silent", "rests", "dwells"]


@dataclass(frozen=True)
class SongLimits:
    """What the songs of a corpus do at most.

    Args:
        rest_share: share of the first :data:`LIMIT_FRAMES` frames that are rests, 0..1.
        longest_run: frames of the longest stretch of one unchanged frame among them.
    """

    rest_share: float
    longest_run: float


@dataclass(frozen=True)
class Degeneration:
    """Why a song is degenerate.

    Args:
        fault: its kind.
        text: half a sentence: ``dwells: one frame stands for 290 of 300 frames, …``.
        of_rest: whether what there is too much of is the rest.
    """

    fault: Fault
    text: str
    of_rest: bool


def measure_limits(songs: Iterable[Sequence[Frame]]) -> SongLimits | None:
    """Return the :data:`LIMIT_QUANTILE` of songs' beginnings; None without any song.

    Args:
        songs: frames of each; those after the first :data:`LIMIT_FRAMES` do not count.
    """
    beginnings = [song[:LIMIT_FRAMES] for song in songs if len(song)]
    if not beginnings:
        return None
    measured = [[measure(each) for each in beginnings] for measure in (rest_share, longest_run)]
    rests, run = np.quantile(measured, LIMIT_QUANTILE, axis=1).tolist()
    return SongLimits(max(rests, LEAST_REST_SHARE), max(run, LEAST_LONGEST_RUN))


def find_degeneration(frames: Sequence[Frame], limits: SongLimits | None) -> Degeneration | None:
    """Return why a song is degenerate; None if it is not.

    A song of nothing but rests always is. A shorter song than the limits were measured over may
    have as many rests as a whole one. A longer one is cut into stretches of about that length, and
    the mean of their longest runs is held against the limit: the longer a song, the longer its
    longest run.

    Args:
        frames: of the song; one without frames is none.
        limits: of the corpus; None where the model does not say, and only silence is told.
    """
    count = len(frames)
    if not count:
        return None
    rests = sum(frame == REST for frame in frames)
    if rests == count:
        return Degeneration("silent", f"is silent: all {count} frames are rests", True)
    if limits is None:
        return None
    if rests > limits.rest_share * max(count, LIMIT_FRAMES):
        text = (
            f"rests too much: {rests} of {count} frames are rests, in songs of the corpus at most "
            f"{limits.rest_share:.0%}"
        )
        return Degeneration("rests", text, True)
    if _mean_run(frames) > limits.longest_run:
        length, frame = max((len(list(run)), frame) for frame, run in groupby(frames))
        text = (
            f"dwells: one frame stands for {length} of {count} frames, in songs of the corpus for "
            f"at most {limits.longest_run:.0f}"
        )
        return Degeneration("dwells", text, frame == REST)
    return None


def _mean_run(frames: Sequence[Frame]) -> float:
    """Return the mean longest run over stretches of about :data:`LIMIT_FRAMES` frames."""
    stretches = max(1, round(len(frames) / LIMIT_FRAMES))
    bounds = np.linspace(0, len(frames), stretches + 1).round().astype(int).tolist()
    runs = [longest_run(frames[start:end]) for start, end in pairwise(bounds)]
    return float(np.mean(runs))
