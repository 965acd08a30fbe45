"""Counts of frames by their bits, from which the encodings fit vocabularies."""

from __future__ import annotations

from collections.abc import Mapping


def most_frequent(counts: Mapping[bytes, int], maximum: int) -> dict[bytes, int]:
    """Return the most frequent sounding frames: `maximum` of them, and all that tie with the last.

    Without it, encodings would unpack and sort a hundred thousand chords to keep a thousand.

    Args:
        counts: occurrences of each frame, by its bits; the rest has zero bits.
        maximum: sounding frames of the vocabulary.
    """
    falling = sorted((count for key, count in counts.items() if any(key)), reverse=True)
    fewest = falling[maximum - 1] if maximum <= len(falling) else 0
    return {key: count for key, count in counts.items() if count >= fewest and any(key)}
