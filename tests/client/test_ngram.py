"""The n-gram that a model carries, as a client reads it; tests/components has what packs it."""

from __future__ import annotations

import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest

from tunesmith.client.errors import BadResponse
from tunesmith.client.exchange import Call, ModelVersion
from tunesmith.client.model import ServedModel, Settings
from tunesmith.client.ngram import MAXIMUM_BYTES, NGram, served_ngram, unpack
from tunesmith.client.protos import tunesmith_wire_pb2 as wire
from tunesmith.client.tensors import to_tensor
from tunesmith.music import Vocabulary

# After no token: 0, 1 and 2 came 2, 4 and 3 times. After 1 came 2 three times and 0 once, with a
# weight of 0.6; after 0 and 1 came 2 alone, with 0.3.
CONTEXTS = [[-1, -1, -1, -1, 999, 3], [1, -1, -1, -1, 600, 2], [1, 0, -1, -1, 300, 1]]
FOLLOWERS = [[0, 2], [1, 4], [2, 3], [0, 1], [2, 3], [2, 5]]


def packed(rows: list[list[int]]) -> bytes:
    return zlib.compress(np.array(rows, "<i4").T.tobytes())


def model(*signatures: str) -> ServedModel:
    vocabulary = Vocabulary(((), (60,), (62,)), 5.0)
    return ServedModel(ModelVersion("m", 1), 4, vocabulary, Settings(5.0), frozenset(signatures))


def read(**outputs: Any) -> NGram | None:
    """Return what is read from an answer of the ``drafter`` signature."""
    exchange = served_ngram(model("drafter"))
    call = next(exchange)
    assert isinstance(call, Call)
    assert call.request.model_spec.signature_name == "drafter"
    with pytest.raises(StopIteration) as end:
        exchange.send(wire.PredictResponse(outputs=outputs))
    result: NGram | None = end.value.value
    return result


def string(value: bytes) -> wire.TensorProto:
    shape = wire.TensorShapeProto(dim=[{"size": 1}])
    return wire.TensorProto(dtype=wire.DT_STRING, tensor_shape=shape, string_val=[value])


def answer(**changes: Any) -> dict[str, wire.TensorProto]:
    values = {"contexts": packed(CONTEXTS), "followers": packed(FOLLOWERS), "form": 2, **changes}
    return {
        "format": to_tensor(np.array([values["form"]], np.int32)),
        "contexts": string(values["contexts"]),
        "followers": string(values["followers"]),
    }


def test_contexts_are_interpolated_from_the_shortest_to_the_longest() -> None:
    ngram = read(**answer())
    assert ngram is not None
    unigram = np.array([2.5, 4.5, 3.5]) / 10.5
    np.testing.assert_allclose(ngram.row([]), unigram)
    np.testing.assert_allclose(ngram.row([1, 0]), unigram)
    after_one = 0.4 * unigram + 0.6 * np.array([1, 0, 3]) / 4
    np.testing.assert_allclose(ngram.row([2, 1]), after_one)
    after_both = 0.7 * after_one + 0.3 * np.array([0, 0, 1])
    np.testing.assert_allclose(ngram.row([2, 0, 1]), after_both)
    np.testing.assert_allclose(ngram.row([1]), after_one)


def test_a_missing_n_gram_is_composed_without() -> None:
    with pytest.raises(StopIteration) as end:
        next(served_ngram(model("serving_default")))
    assert end.value.value is None


def test_an_n_gram_of_another_format_is_composed_without() -> None:
    assert read(**answer(form=3)) is None
    # Format 1, of release 0.1.0, has other outputs.
    ones, counts = np.ones(1, np.int32), np.array([2], np.int32)
    assert read(format=to_tensor(ones), occurrences=to_tensor(counts)) is None


def test_a_models_n_gram_is_read_once() -> None:
    once = model("drafter")
    exchange = served_ngram(once)
    next(exchange)
    with pytest.raises(StopIteration) as first:
        exchange.send(wire.PredictResponse(outputs=answer()))
    with pytest.raises(StopIteration) as second:
        next(served_ngram(once))
    assert isinstance(first.value.value, NGram)
    assert second.value.value is first.value.value


@pytest.mark.parametrize(
    "outputs",
    [
        {},
        {"format": to_tensor(np.ones(1, np.float32))},
        {"format": answer()["format"]},
        {**answer(), "followers": to_tensor(np.ones(1, np.int32))},
    ],
    ids=["nothing", "format is no integer", "no arrays", "an array is no string"],
)
def test_an_answer_without_its_outputs_is_refused(outputs: dict[str, Any]) -> None:
    exchange = served_ngram(model("drafter"))
    next(exchange)
    with pytest.raises(BadResponse, match="check the model"):
        exchange.send(wire.PredictResponse(outputs=outputs))


@pytest.mark.parametrize(
    "change",
    [
        {"contexts": b""},
        {"contexts": b"not compressed"},
        {"followers": packed(FOLLOWERS)[:-5]},
        {"followers": zlib.compress(bytes(27))},
        {"followers": packed([*FOLLOWERS[:-1], [3, 5]])},
        {"followers": packed([*FOLLOWERS[:-1], [-1, 5]])},
        {"followers": packed([*FOLLOWERS[:-1], [2, 0]])},
        {"followers": packed(FOLLOWERS[:-1])},
        {"contexts": packed([*CONTEXTS[:-1], [1, 0, -1, -1, 1000, 1]])},
        {"contexts": packed([*CONTEXTS[:-1], [1, 0, -1, -1, -1, 1]])},
        {"contexts": packed([*CONTEXTS, [2, -1, -1, -1, 9, 0]])},
        {"contexts": packed([*CONTEXTS[:-1], [1, 0, -1, -1, 9, 2**31 - 1]])},
    ],
    ids=[
        "empty",
        "not compressed",
        "cut off",
        "no whole row",
        "token too high",
        "token too low",
        "never followed",
        "follower missing",
        "weight too high",
        "weight too low",
        "no followers",
        "too many followers",
    ],
)
def test_a_broken_array_is_refused(change: dict[str, bytes]) -> None:
    exchange = served_ngram(model("drafter"))
    next(exchange)
    with pytest.raises(BadResponse, match=r"n-gram cannot be used .*: export .* speculate=0"):
        exchange.send(wire.PredictResponse(outputs=answer(**change)))


def test_contexts_out_of_order_spoil_guesses_alone() -> None:
    ngram = read(**answer(contexts=packed(CONTEXTS[::-1]), followers=packed(FOLLOWERS[::-1])))
    assert ngram is not None
    rows = [ngram.row(heard) for heard in ([], [1], [0, 1], [2, 1, 0, 0, 1, 2])]
    assert all((row >= 0).all() and row.sum() == pytest.approx(1) for row in rows)


def test_an_array_is_unpacked_no_further_than_its_limit() -> None:
    one_row_more = zlib.compress(bytes(MAXIMUM_BYTES // 24 * 24 + 24))
    bomb = zlib.compress(bytes(8 * MAXIMUM_BYTES))
    assert len(bomb) < 2**20
    tracemalloc.start()
    try:
        for array in (one_row_more, bomb):
            with pytest.raises(BadResponse, match="larger than 16,777,216 bytes"):
                unpack(array, 6)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * MAXIMUM_BYTES
