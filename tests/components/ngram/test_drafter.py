"""The drafter: what is packed, and that a client reads the n-gram that was counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tunesmith.client.ngram import NGram as ServedNGram
from tunesmith.client.ngram import decode_numbers
from tunesmith.components.ngram import packing
from tunesmith.components.ngram.counting import ORDER, NGram
from tunesmith.components.ngram.packing import PackedDrafter, drafter_signature, encode_numbers

V = 200


def songs(count: int = 30, size: int = V) -> list[NDArray[np.int64]]:
    """Songs of motifs that come again, from a few tokens and from many."""
    random = np.random.default_rng(8)
    motifs = [random.integers(0, size, 6) for _ in range(9)]
    return [np.concatenate([motifs[i] for i in random.integers(0, 9, 12)]) for _ in range(count)]


def pack(songs: Any, size: int = V, maximum_bytes: int = 2**20) -> PackedDrafter:
    return PackedDrafter.count(songs, size, maximum_bytes, (0,))


def served(packed: PackedDrafter) -> ServedNGram:
    return ServedNGram(packed.occurrences, packed.rows)


@pytest.mark.parametrize("count", [0, 1, 500])
def test_numbers_are_the_same_after_packing(count: int) -> None:
    random = np.random.default_rng(count)
    numbers = random.integers(0, 2 ** random.integers(1, 36, count))
    assert decode_numbers(encode_numbers(numbers)).tolist() == numbers.tolist()


def test_numbers_are_packed_seven_bits_a_byte() -> None:
    # The example of protocol buffers' documentation: 150 is 96 01.
    assert encode_numbers(np.array([150, 1])).hex() == "960101"


def test_a_client_reads_the_n_gram_that_was_counted() -> None:
    counted = NGram.count(songs(), V, ORDER, (0,))
    read = served(pack(songs()))
    [song] = songs(1)
    padded = np.concatenate([np.zeros(ORDER - 1, np.int64), song])
    windows = np.lib.stride_tricks.sliding_window_view(padded, ORDER - 1)
    wanted = counted.probabilities(windows.astype(np.int32))
    rows = np.array([read.row(window.tolist()) for window in windows])
    np.testing.assert_allclose(rows.sum(axis=1), 1)
    # Weights are packed in steps of 1 / 127, and the least context is smoothed otherwise.
    assert np.abs(rows - wanted).sum(axis=1).max() < 0.05
    assert rows.min() > 0


def test_a_context_that_is_not_known_is_its_longest_known_end() -> None:
    read = served(pack([np.array([1, 2, 3, 1, 2, 4])], 9))
    np.testing.assert_array_equal(read.row([8, 8, 1, 2]), read.row([1, 2]))
    assert read.row([1, 2])[[3, 4]].min() > read.row([7])[[3, 4]].max()
    # Token 7 never occurred: nothing is known after it but how frequent each token is.
    np.testing.assert_allclose(read.row([7]), (np.array([0, 2, 2, 1, 1, 0, 0, 0, 0]) + 0.5) / 10.5)


def test_the_most_frequent_contexts_fit_the_bytes() -> None:
    whole = pack(songs())
    for share in (0.5, 0.1):
        bound = int(share * sum(map(len, whole.rows)))
        cut = pack(songs(), V, bound)
        assert 0.5 * bound < sum(map(len, cut.rows)) <= bound
        np.testing.assert_array_equal(cut.occurrences, whole.occurrences)
        # What is left is as it was, and no context is there without the shorter ones.
        read, kept = served(whole), served(cut)
        for token, row in enumerate(cut.rows):
            contexts, before = kept._contexts(token), read._contexts(token)
            assert contexts.keys() <= before.keys()
            assert all(front[:-1] in contexts for front in contexts if front)
            assert bool(row) == bool(contexts)
    frequent = {max(range(V), key=lambda token: whole.occurrences[token])}
    assert all(pack(songs(), V, 2_000).rows[token] for token in frequent)


def test_only_so_many_tokens_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "COUNTED_TOKENS", 100)
    many = songs()
    assert pack(iter(many)).occurrences.sum() == 72 * 2


def test_nothing_to_count_is_nothing_to_say() -> None:
    packed = pack([], 5)
    assert packed.rows == [b""] * 5
    assert packed.occurrences.tolist() == [0] * 5


def test_the_signature_answers_a_row_for_each_token() -> None:
    packed = pack(songs())
    ids = np.array([3, V, -1, 0], dtype=np.int32)
    answer: dict[str, Any] = {
        name: value.numpy() for name, value in drafter_signature(packed)(token_ids=ids).items()
    }
    assert answer["format"].tolist() == [1] * 4
    assert answer["occurrences"].tolist() == [packed.occurrences[3], 0, 0, packed.occurrences[0]]
    assert answer["contexts"].tolist() == [packed.rows[3], b"", b"", packed.rows[0]]
