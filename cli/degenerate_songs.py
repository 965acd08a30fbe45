"""Warnings of degenerate songs, with the option that makes another one of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.cli import log_lines

if TYPE_CHECKING:
    from tunesmith.client import Song

LONGEST_ADVISED = 16
"""The limit that is advised, in frames: that of a corpus is never smaller."""


def warn_of_degenerate(songs: Sequence[Song], paths: Sequence[Path]) -> bool:
    """Print a warning for each degenerate song, and return whether there is any.

    Args:
        songs: the songs.
        paths: the file of each.
    """
    found = False
    for song, path in zip(songs, paths, strict=True):
        if song.degenerate is not None:
            log_lines.warn(f"{path} {song.degenerate}; try {remedy(song)}")
            found = True
    return found


def remedy(song: Song) -> str:
    """Return the option to try in place of a degenerate song's own, by how it was drawn."""
    sampling, found = song.sampling, song.degeneration
    if sampling is None or found is None:
        return "another --seed"
    if sampling.temperature == 0:
        return "--temperature 1 (0 always takes the likeliest frame)"
    if sampling.temperature < 1:
        return "--temperature 1"
    if sampling.top_k is not None:
        return "a larger --top-k"
    if sampling.top_p is not None and sampling.top_p < 1:
        return "--top-p 1"
    if sampling.min_p:
        return "a smaller --min-p"
    if found.of_rest and sampling.max_rests is None:
        return f"--max-rests {LONGEST_ADVISED}"
    if not found.of_rest and sampling.max_repeats is None:
        return f"--max-repeats {LONGEST_ADVISED}"
    return "another --seed"
