"""A subset of items, evenly spread."""

from __future__ import annotations


def evenly(count: int, most: int) -> slice:
    """Return the slice of at most `most` of `count` items, evenly spread; `most` is 1 or more."""
    return slice(None, None, max(1, -(-count // most)))
