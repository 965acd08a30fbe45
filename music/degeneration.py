"""Degenerate songs: silent, too many rests, or one frame repeated for too long.

The limits are measured on the training songs when a model is exported, and are outputs of its
``settings`` signature. A client compares each generated song with them.
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
"""Number of frames at the start of each song on which the limits are measured: one minute at 5
frames per second."""

LIMIT_QUANTILE = 0.95
"""Quantile of the training songs that is the limit: one song in twenty exceeds it."""

LEAST_REST_SHARE, LEAST_LONGEST_RUN = 0.1, 16.0
"""Lower bounds of the limits. In a corpus without rests or held notes, a few of them are unusual,
but do not make a song degenerate."""

Fault = Literal["silent", "rests", "dwells"]


@dataclass(frozen=True)
class SongLimits:
    """Limits of a corpus beyond which a song is degenerate.

    Args:
        rest_share: share of rests among the first :data:`LIMIT_FRAMES` frames, 0..1.
        longest_run: longest run of one unchanged frame among them, in frames.
    """

    rest_share: float
    longest_run: float


@dataclass(frozen=True)
class Degeneration:
    """Reason why a song is degenerate.

    Args:
        fault: kind of the reason.
        text: predicate of a sentence about the song: ``is silent: all 300 frames are rests``.
        of_rest: True if the repeated frame is the rest.
    """

    fault: Fault
    text: str
    of_rest: bool


def measure_limits(songs: Iterable[Sequence[Frame]]) -> SongLimits | None:
    """Return the limits of a corpus; None if it has no songs.

    Args:
        songs: frames of each song; only the first :data:`LIMIT_FRAMES` of each count.
    """
    beginnings = [song[:LIMIT_FRAMES] for song in songs if len(song)]
    if not beginnings:
        return None
    measured = [[measure(each) for each in beginnings] for measure in (rest_share, longest_run)]
    rests, run = np.quantile(measured, LIMIT_QUANTILE, axis=1).tolist()
    return SongLimits(max(rests, LEAST_REST_SHARE), max(run, LEAST_LONGEST_RUN))


def find_degeneration(frames: Sequence[Frame], limits: SongLimits | None) -> Degeneration | None:
    """Return the reason why a song is degenerate, or None if it is not.

    A song that consists only of rests is degenerate in any case. A song shorter than
    :data:`LIMIT_FRAMES` may have as many rests as a song of that length. A longer song is cut into
    stretches of about that length, and the mean of their longest runs is compared with the limit,
    because longer songs have longer runs.

    Args:
        frames: frames of the song; a song without frames is not degenerate.
        limits: limits of the corpus; with None, only silent songs are found.
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
            f"has too many rests: {rests} of {count} frames, in training songs at most "
            f"{limits.rest_share:.0%}"
        )
        return Degeneration("rests", text, True)
    if _mean_run(frames) > limits.longest_run:
        length, frame = max((len(list(run)), frame) for frame, run in groupby(frames))
        text = (
            f"repeats one frame for too long: for {length} of {count} frames, in training songs "
            f"for at most {limits.longest_run:.0f}"
        )
        return Degeneration("dwells", text, frame == REST)
    return None


def _mean_run(frames: Sequence[Frame]) -> float:
    """Return the mean of the longest runs in stretches of about :data:`LIMIT_FRAMES` frames."""
    stretches = max(1, round(len(frames) / LIMIT_FRAMES))
    bounds = np.linspace(0, len(frames), stretches + 1).round().astype(int).tolist()
    runs = [longest_run(frames[start:end]) for start, end in pairwise(bounds)]
    return float(np.mean(runs))
