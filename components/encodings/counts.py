"""Counts of frames by their bits, of which the encodings fit vocabularies."""

from __future__ import annotations

from collections.abc import Mapping


def most_frequent(counts: Mapping[bytes, int], maximum: int) -> dict[bytes, int]:
    """Return the sounding frames that a vocabulary of `maximum` may hold: all that tie, too.

    Unpacking and sorting a hundred thousand chords of which a thousand stay takes a second.

    Args:
        counts: how often each frame occurs, by its bits, which are zeros of the rest.
        maximum: sounding frames of the vocabulary.
    """
    falling = sorted((count for key, count in counts.items() if any(key)), reverse=True)
    fewest = falling[maximum - 1] if maximum <= len(falling) else 0
    return {key: count for key, count in counts.items() if count >= fewest and any(key)}
