"""Which split a song belongs to: decided by its content, the same on every machine."""

from __future__ import annotations

import bisect
import hashlib
import heapq
import math
from collections.abc import Iterable
from typing import NamedTuple

import apache_beam as beam

from tunesmith.components.artifacts import Split
from tunesmith.components.example_gen.component import ExampleGenParameters


class Bounds(NamedTuple):
    """Digests up to which songs are held out in any case; empty for none."""

    test: bytes
    held_out: bytes


Digests = tuple[int, list[bytes]]
"""Number of digests, and the smallest of them in order."""


class SplitBounds(beam.CombineFn):
    """Digests to the :class:`Bounds` that let small collections hold out their fraction.

    A digest's own value would do for a split of many songs. Of twenty songs it may hold out none,
    or one, so the ``fraction * songs`` smallest digests are held out in any case. Counting stops
    mattering, and so stops, at `KEPT` of them.
    """

    KEPT = 1000

    def __init__(self, parameters: ExampleGenParameters) -> None:
        super().__init__()
        self._parameters = parameters

    def create_accumulator(self) -> Digests:
        return 0, []

    def add_input(self, accumulator: Digests, element: bytes) -> Digests:
        count, smallest = accumulator
        bisect.insort(smallest, _drawn(element, self._parameters.split_seed))
        return count + 1, smallest[: self.KEPT]

    def merge_accumulators(self, accumulators: Iterable[Digests]) -> Digests:
        counts, lists = zip(*accumulators, strict=True)
        return sum(counts), list(heapq.merge(*lists))[: self.KEPT]

    def extract_output(self, accumulator: Digests) -> Bounds:
        count, smallest = accumulator
        fraction = self._parameters.test_fraction
        test = math.ceil(count * fraction)
        while test < len(smallest) and _share(smallest[test]) < fraction:
            test += 1
        held_out = test + math.ceil(count * self._parameters.eval_fraction)
        return Bounds(*(smallest[:n][-1] if n else b"" for n in (test, held_out)))


def split_of(digest: bytes, bounds: Bounds, parameters: ExampleGenParameters) -> Split:
    """Return the split of the song of this digest.

    Its content decides, not its name or place, so a song keeps its side when it is renamed.
    """
    digest = _drawn(digest, parameters.split_seed)
    share = _share(digest)
    if share < parameters.test_fraction or digest <= bounds.test:
        return "test"
    if share < parameters.test_fraction + parameters.eval_fraction or digest <= bounds.held_out:
        return "eval"
    return "train"


def _drawn(digest: bytes, seed: int) -> bytes:
    """Return the bytes that decide for a song; without a seed they are its digest."""
    return hashlib.blake2b(digest, key=str(seed).encode()[:64]).digest() if seed else digest


def _share(digest: bytes) -> float:
    """Return a number in [0, 1) from a digest, uniformly distributed."""
    return int.from_bytes(digest[:8], "big") / 2**64
