"""Some of many, evenly spread."""

from __future__ import annotations


def evenly(count: int, most: int) -> slice:
    """Return the slice that takes at most `most`, 1 or more, of `count` items, evenly spread."""
    return slice(None, None, max(1, -(-count // most)))
