"""The n-gram of a model: its packed format compared with that of release 0.1.0.

    python benchmarks/drafter.py [--corpora chorales jj_lin pop909] [--data FOLDER]

Counts the songs of each corpus and packs the n-gram in both formats within the same number of
bytes. Prints its size, the time to pack it, and the time that a client needs from the received
bytes to a draft for each frame of a song. Format 1 was a list of variable-length integers (LEB128)
for each token, in calls of 256 tokens; only this benchmark still contains it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.client.ngram import NGram, unpack
from tunesmith.components.ngram.counting import ORDER
from tunesmith.components.ngram.packing import NO_TOKEN, PackedNGram, pack_ngram
from tunesmith.components.progress import SilentProgress
from tunesmith.components.sources.chorales import FRAMES_PER_SECOND, write_chorales
from tunesmith.components.trainer.component import DRAFTER_BYTES
from tunesmith.music import Grid, TrackChoice, Vocabulary, read_sequence

Ints = NDArray[np.int64]
Songs = list[NDArray[np.int32]]

CORPORA = {"chorales": "all", "jj_lin": "first", "pop909": "name:MELODY"}
"""The track choice of each corpus."""

ROUNDS = 5
GROUPS = 5
"""Bytes of a number of format 1 at most, seven bits each."""


def read_corpus(name: str, data: Path) -> tuple[Songs, int]:
    """Return the tokens of the songs, and V."""
    track = TrackChoice.parse(CORPORA[name])
    with tempfile.TemporaryDirectory() as folder:
        midi, grid = data / name, Grid()
        if name == "chorales":
            midi, grid = Path(folder, "midi"), Grid(FRAMES_PER_SECOND)
            write_chorales(midi, SilentProgress())
        songs = [read_sequence(path, track, grid) for path in sorted(midi.rglob("*.mid"))]
    counts = Counter(frame for song in songs for frame in song)
    vocabulary = Vocabulary.from_counts(counts, grid.frames_per_second)
    return [vocabulary.encode(song) for song in songs], len(vocabulary)


def lengths(numbers: Ints) -> Ints:
    """Return the bytes of each number as LEB128."""
    return 1 + np.count_nonzero(numbers[:, None] >> (7 * np.arange(1, GROUPS)), axis=1)


def encoded(columns: Sequence[Any]) -> bytes:
    """Return numbers as LEB128: seven bits a byte, the lowest first, a set eighth bit goes on."""
    numbers = np.concatenate([np.asarray(each, np.int64).ravel() for each in columns])
    groups = numbers[:, None] >> (7 * np.arange(GROUPS)) & 0x7F
    used = np.arange(GROUPS) < lengths(numbers)[:, None]
    groups[:, :-1] |= np.where(used[:, 1:], 0x80, 0)
    return groups[used].astype(np.uint8).tobytes()


def decoded(packed: bytes) -> Ints:
    """Return the numbers of :func:`encoded`."""
    groups = np.frombuffer(packed, np.uint8).astype(np.int64)
    last = np.flatnonzero(groups < 0x80)
    sizes = np.diff(last, prepend=-1)
    starts = last - sizes + 1
    place = np.arange(len(groups)) - np.repeat(starts, sizes)
    return np.asarray(np.add.reduceat((groups & 0x7F) << (7 * place), starts))


Context = tuple[int, list[int], int, Ints, Ints]
"""Number of occurrences, tokens, weight, and followers with their numbers."""


def contexts(packed: PackedNGram) -> list[Context]:
    """Return the contexts of one token and more, the most frequent first."""
    columns, followers = unpack(packed.contexts, ORDER + 1), unpack(packed.followers, 2)
    ends = np.cumsum(columns[ORDER]).tolist()
    found: list[Context] = []
    for row, start, end in zip(columns.T.tolist(), [0, *ends[:-1]], ends, strict=True):
        tokens = [token for token in row[: ORDER - 1] if token != NO_TOKEN]
        weight = min(round(row[ORDER - 1] * 0.127), 126)
        after, counts = followers[:, start:end].astype(np.int64)
        if tokens:
            found.append((int(counts.sum()), tokens, weight, after, counts))
    return sorted(found, key=lambda each: (-each[0], len(each[1])))


def pack_format_1(found: Sequence[Context], size: int, maximum_bytes: int) -> list[bytes]:
    """Return the bytes of each token, together at most `maximum_bytes`."""
    kept: list[list[Context]] = [[] for _ in range(size)]
    room = maximum_bytes - size
    for each in found:
        room -= int(lengths(np.array([*each[1], len(each[3])])).sum()) + 2
        room -= int(lengths(each[3]).sum() + lengths(each[4]).sum())
        if room < 0:
            break
        kept[each[1][0]].append(each)
    return [
        encoded(
            [
                [len(some)],
                [len(tokens) - 1 for _, tokens, *_ in some],
                *(tokens[1:] for _, tokens, *_ in some),
                [weight for _, _, weight, *_ in some],
                [len(followers) for *_, followers, _ in some],
                *(followers for *_, followers, _ in some),
                *(counts for *_, counts in some),
            ]
        )
        if some
        else b""
        for some in kept
    ]


class Format1:
    """The reader of format 1: a token's contexts are unpacked when it is first met."""

    def __init__(self, occurrences: Ints, packed: Sequence[bytes]) -> None:
        self._unigram = (occurrences + 0.5) / (occurrences + 0.5).sum()
        self._packed = packed
        self._known: dict[int, dict[tuple[int, ...], tuple[float, Ints, NDArray[Any]]]] = {}

    def row(self, heard: Sequence[int]) -> NDArray[np.float64]:
        row: NDArray[np.float64] = self._unigram.copy()
        if heard[-1] not in self._known:
            self._known[heard[-1]] = self._unpacked(self._packed[heard[-1]])
        for length in range(len(heard)):
            found = self._known[heard[-1]].get(tuple(heard[-2 : -2 - length : -1]))
            if found is None:
                break
            row *= 1 - found[0]
            row[found[1]] += found[2]
        return row

    @staticmethod
    def _unpacked(packed: bytes) -> dict[tuple[int, ...], tuple[float, Ints, NDArray[Any]]]:
        if not packed:
            return {}
        numbers = decoded(packed)
        count, rest = int(numbers[0]), numbers[1:]
        depths, rest = rest[:count], rest[count:]
        in_front, rest = rest[: depths.sum()].tolist(), rest[depths.sum() :]
        weights, distinct, rest = rest[:count] / 127, rest[count : 2 * count], rest[2 * count :]
        followers, counts = np.split(rest, 2)
        ends = np.cumsum(distinct)
        totals = np.add.reduceat(counts, ends - distinct)
        shares = counts * np.repeat(weights / totals, distinct)
        fronts = np.cumsum(depths)
        return {
            tuple(in_front[front - depth : front]): (
                weight,
                followers[end - length : end],
                shares[end - length : end],
            )
            for depth, front, weight, end, length in zip(
                *(each.tolist() for each in (depths, fronts, weights, ends, distinct)), strict=True
            )
        }


def milliseconds(what: Callable[[], Any]) -> float:
    """Return the median time of a call."""
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        what()
        taken.append(1000 * (time.perf_counter() - started))
    return statistics.median(taken)


def packed_within(songs: Songs, size: int, maximum_bytes: int) -> PackedNGram:
    """Return the packed n-gram of songs that have one."""
    packed = pack_ngram(songs, size, maximum_bytes, (0,))
    assert packed is not None
    return packed


def compare(name: str, songs: Songs, size: int) -> None:
    """Print the figures of both formats, and their ratios."""
    started = time.perf_counter()
    packed = packed_within(songs, size, DRAFTER_BYTES)
    seconds = time.perf_counter() - started
    # What both formats are cut from: all that fits the unpacked arrays.
    everything = contexts(packed_within(songs, size, 2**30))
    old = pack_format_1(everything, size, DRAFTER_BYTES)
    occurrences = np.bincount(np.concatenate(songs), minlength=size)
    heard = [songs[0][max(at - 4, 0) : at].tolist() for at in range(1, len(songs[0]))]

    def guess(ngram: Any) -> list[Any]:
        return [ngram.row(each) for each in heard]

    def new() -> NGram:
        return NGram(unpack(packed.contexts, ORDER + 1), unpack(packed.followers, 2), size)

    new_rows, old_rows = guess(new()), guess(Format1(occurrences, old))
    apart = max(np.abs(a - b).sum() for a, b in zip(new_rows, old_rows, strict=True))
    read = {
        "new": milliseconds(new),
        "old": milliseconds(lambda: Format1(occurrences, old)),
    }
    guessed = {
        "new": milliseconds(lambda: guess(new())),
        "old": milliseconds(lambda: guess(Format1(occurrences, old))),
    }
    old_bytes = sum(map(len, old)) + 4 * size
    kept = sum(int(decoded(each)[0]) for each in old if each)
    print(
        f"{name}: V = {size}, {sum(map(len, songs)):,} frames; packed in {seconds:.1f} s\n"
        f"  contexts  {len(contexts(packed)):9,}  format 1 {kept:9,}\n"
        f"  bytes     {packed.size:9,}  format 1 {old_bytes:9,}  "
        f"ratio {packed.size / old_bytes:.2f}\n"
        f"  calls     {1:9}  format 1 {-(-size // 256):9}\n"
        f"  read, ms  {read['new']:9.1f}  format 1 {read['old']:9.1f}\n"
        f"  {len(heard)} guesses, ms {guessed['new']:.1f}  format 1 {guessed['old']:.1f}  "
        f"ratio {guessed['new'] / guessed['old']:.2f}\n"
        f"  largest difference of a guess's row: {apart:.3f} (sum of absolute differences)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--corpora", nargs="+", choices=CORPORA, default=list(CORPORA), help="corpora to measure"
    )
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder of the corpora"
    )
    options = parser.parse_args()
    for name in options.corpora:
        compare(name, *read_corpus(name, options.data))


if __name__ == "__main__":
    main()
