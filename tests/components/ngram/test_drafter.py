"""The packed n-gram: its arrays, and that a client reads the n-gram that was counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tunesmith.client import ngram as client
from tunesmith.client.ngram import NGram as ServedNGram
from tunesmith.client.ngram import unpack
from tunesmith.components.ngram import packing
from tunesmith.components.ngram.counting import ORDER, NGram
from tunesmith.components.ngram.packing import PackedNGram, drafter_signature, pack_ngram

V = 200


def songs(count: int = 30, size: int = V) -> list[NDArray[np.int64]]:
    """Songs of motifs that come again, from a few tokens and from many."""
    random = np.random.default_rng(8)
    motifs = [random.integers(0, size, 6) for _ in range(9)]
    return [np.concatenate([motifs[i] for i in random.integers(0, 9, 12)]) for _ in range(count)]


def pack(songs: Any, size: int = V, maximum_bytes: int = 2**20) -> PackedNGram:
    packed = pack_ngram(songs, size, maximum_bytes, (0,))
    assert packed is not None
    return packed


def served(packed: PackedNGram, size: int = V) -> ServedNGram:
    return ServedNGram(unpack(packed.contexts, 6), unpack(packed.followers, 2), size)


def contexts(packed: PackedNGram) -> dict[tuple[int, ...], tuple[int, dict[int, int]]]:
    """Return the weight of each context, by its tokens, the last one first, and its followers."""
    found = {}
    followers = iter(unpack(packed.followers, 2).T.tolist())
    for *row, weight, distinct in unpack(packed.contexts, 6).T.tolist():
        tokens = tuple(token for token in row if token != -1)
        found[tokens] = weight, dict(next(followers) for _ in range(distinct))
    assert list(followers) == []
    return found


def test_contexts_have_a_weight_and_tokens_that_followed_them() -> None:
    found = contexts(pack([np.array([1, 2, 3, 1, 2, 4])], 9))
    assert found[()][1] == {1: 2, 2: 2, 3: 1, 4: 1}
    assert found[(2, 1)][1] == {3: 1, 4: 1}
    # Before the song's start stand rests.
    assert found[(0, 0, 0, 0)][1] == {1: 1}
    assert all(0 <= weight < 1000 for weight, _ in found.values())
    assert list(found) == sorted(found)


def test_a_client_reads_the_n_gram_that_was_counted() -> None:
    counted = NGram.count(songs(), V, ORDER, (0,))
    read = served(pack(songs()))
    [song] = songs(1)
    padded = np.concatenate([np.zeros(ORDER - 1, np.int64), song])
    windows = np.lib.stride_tricks.sliding_window_view(padded, ORDER - 1)
    wanted = counted.probabilities(windows.astype(np.int32))
    rows = np.array([read.row(window.tolist()) for window in windows])
    np.testing.assert_allclose(rows.sum(axis=1), 1)
    # Weights are packed in steps of 1 / 1000, and the shortest context is smoothed differently.
    assert np.abs(rows - wanted).sum(axis=1).max() < 0.05
    assert rows.min() > 0


def test_an_unknown_context_is_its_longest_known_end() -> None:
    read = served(pack([np.array([1, 2, 3, 1, 2, 4])], 9), 9)
    np.testing.assert_array_equal(read.row([8, 8, 1, 2]), read.row([1, 2]))
    assert read.row([1, 2])[[3, 4]].min() > read.row([7])[[3, 4]].max()
    # Token 7 never occurred: nothing is known after it but how frequent each token is.
    np.testing.assert_allclose(read.row([7]), (np.array([0, 2, 2, 1, 1, 0, 0, 0, 0]) + 0.5) / 10.5)


def test_tokens_beyond_the_longest_context_change_nothing() -> None:
    read = served(pack(songs()))
    song = songs(1)[0].tolist()
    np.testing.assert_array_equal(read.row(song[:20]), read.row(song[16:20]))


def test_the_most_frequent_contexts_fit_the_bytes() -> None:
    whole = contexts(pack(songs()))
    totals = {tokens: sum(followers.values()) for tokens, (_, followers) in whole.items()}
    for share in (0.5, 0.1):
        bound = int(share * pack(songs()).size)
        packed = pack(songs(), V, bound)
        assert 0.5 * bound < packed.size <= bound
        cut = contexts(packed)
        # What is left is as it was, and no context is there without the shorter ones.
        assert all(whole[tokens] == row for tokens, row in cut.items())
        assert all(tokens[:-1] in cut for tokens in cut if tokens)
        left_out = [total for tokens, total in totals.items() if tokens not in cut]
        assert min(totals[tokens] for tokens in cut) >= max(left_out)


def test_a_client_unpacks_the_largest_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert packing.UNPACKED_BYTES <= client.MAXIMUM_BYTES
    monkeypatch.setattr(packing, "UNPACKED_BYTES", 5000)
    packed = pack(songs())
    unpacked = unpack(packed.contexts, 6).nbytes + unpack(packed.followers, 2).nbytes
    assert 4000 < unpacked <= 5000


def test_only_the_first_tokens_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "COUNTED_TOKENS", 100)
    assert sum(contexts(pack(iter(songs())))[()][1].values()) == 72 * 2


def test_without_songs_or_room_there_is_nothing_packed() -> None:
    assert pack_ngram([], 5, 2**20, (0,)) is None
    assert pack_ngram(songs(), V, 5, (0,)) is None


@pytest.mark.parametrize(
    "packed", [pack(songs()), PackedNGram(b"ends in\0", b"\0")], ids=["packed", "zeros"]
)
def test_the_signature_answers_the_arrays_once(packed: PackedNGram) -> None:
    ids = np.array([3, V, -1, 0], dtype=np.int32)
    answer: dict[str, Any] = {
        name: value.numpy() for name, value in drafter_signature(packed)(token_ids=ids).items()
    }
    assert answer["format"].tolist() == [2] * 4
    assert answer["contexts"].tolist() == [b"", b"", b"", packed.contexts]
    assert answer["followers"].tolist() == [b"", b"", b"", packed.followers]
