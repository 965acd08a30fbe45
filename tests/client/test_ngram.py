"""The n-gram that a model carries, as a client reads it; tests/components has what packs it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tunesmith.client.errors import BadResponse
from tunesmith.client.exchange import Call, ModelVersion
from tunesmith.client.model import ServedModel, Settings
from tunesmith.client.ngram import NGram, served_ngram
from tunesmith.client.protos import tunesmith_wire_pb2 as wire
from tunesmith.client.tensors import to_tensor
from tunesmith.music import Vocabulary

# After token 1 came token 2 three times and 0 once, believed to two thirds; after 0 and 1 only 2.
AFTER_ONE = bytes([2, 0, 1, 0, 84, 42, 2, 1, 0, 2, 2, 1, 3, 5])
CONTEXTS = [b"", AFTER_ONE, b""]
OCCURRENCES = np.array([2, 4, 3])


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


def strings(values: list[bytes]) -> wire.TensorProto:
    shape = wire.TensorShapeProto(dim=[{"size": len(values)}])
    return wire.TensorProto(dtype=wire.DT_STRING, tensor_shape=shape, string_val=values)


def answer(**changes: Any) -> dict[str, wire.TensorProto]:
    values = {"format": np.ones(3, np.int32), "occurrences": OCCURRENCES.astype(np.int32)}
    given = {name: to_tensor(changes.get(name, value)) for name, value in values.items()}
    return {**given, "contexts": strings(changes.get("contexts", CONTEXTS))}


def test_contexts_are_interpolated_from_the_shortest_to_the_longest() -> None:
    ngram = read(**answer())
    assert ngram is not None
    unigram = np.array([2.5, 4.5, 3.5]) / 10.5
    np.testing.assert_allclose(ngram.row([]), unigram)
    np.testing.assert_allclose(ngram.row([1, 0]), unigram)
    after_one = (1 - 84 / 127) * unigram + 84 / 127 * np.array([1, 0, 3]) / 4
    np.testing.assert_allclose(ngram.row([2, 1]), after_one)
    after_both = (1 - 42 / 127) * after_one + 42 / 127 * np.array([0, 0, 1])
    np.testing.assert_allclose(ngram.row([2, 0, 1]), after_both)
    np.testing.assert_allclose(ngram.row([1]), after_one)


def test_a_model_without_one_and_one_of_a_later_format_are_gone_without() -> None:
    with pytest.raises(StopIteration) as end:
        next(served_ngram(model("serving_default")))
    assert end.value.value is None
    assert read(**answer(format=np.full(3, 2, np.int32))) is None


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
    "change",
    [
        {"occurrences": np.ones(2, np.int32)},
        {"occurrences": np.full(3, np.nan, np.float32)},
        {"occurrences": np.array([1, -1, 1], np.int32)},
        {"contexts": [b""]},
    ],
    ids=["too few", "not a number", "negative", "contexts missing"],
)
def test_an_answer_that_makes_no_sense_is_named(change: dict[str, Any]) -> None:
    exchange = served_ngram(model("drafter"))
    next(exchange)
    with pytest.raises(BadResponse, match=r"re-export|check the model"):
        exchange.send(wire.PredictResponse(outputs=answer(**change)))


@pytest.mark.parametrize(
    "broken",
    [b"\x80", b"\x00", b"\x01", b"\xff\xff\xff\xff\xff\xff\x01", b"\x01\x00\x7f\x01\x63\x01"],
    ids=["cut off", "no contexts", "a context cut off", "too long", "a token out of range"],
)
def test_packed_nonsense_is_named(broken: bytes) -> None:
    ngram = NGram(np.array([1, 1]), [b"", broken])
    with pytest.raises(BadResponse, match=r"drafter cannot be used .*: re-export .* speculate=0"):
        ngram.row([0, 1])
