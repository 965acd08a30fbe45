"""Requests refused by Predict: TensorFlow Serving's status codes, and the sense of its messages.

Where no file is named, TensorFlow Serving 2.20 was asked over gRPC. Whole sentences are not
compared: they differ between its versions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION

Make = Callable[[Any], Any]


def good(server: Any, **spec: Any) -> Any:
    """A right request, but for the fields of model_spec in `spec`."""
    request = server.request(spec.pop("signature_name", ""), tokens=server.windows(1))
    if "version" in spec:
        request.model_spec.version.value = spec.pop("version")
    for field, value in spec.items():
        setattr(request.model_spec, field, value)
    return request


def with_tokens(change: Callable[[Any], Any]) -> Make:
    """A request whose tokens are `change` of a right array."""

    def make(server: Any) -> Any:
        return server.request(tokens=change(server.windows(1)))

    return make


def with_proto(change: Callable[[Any], Any]) -> Make:
    """A request whose TensorProto was changed in place."""

    def make(server: Any) -> Any:
        request = good(server)
        change(request.inputs["tokens"])
        return request

    return make


def with_filter(*aliases: str) -> Make:
    def make(server: Any) -> Any:
        request = good(server)
        request.output_filter.extend(aliases)
        return request

    return make


def without_spec(server: Any) -> Any:
    request = good(server)
    request.ClearField("model_spec")
    return request


def cut(proto: Any) -> None:
    proto.tensor_content = proto.tensor_content[:-1]


def negative(proto: Any) -> None:
    proto.tensor_shape.dim[0].size = -1


def too_wide(proto: Any) -> None:
    proto.tensor_shape.dim[0].size = 2**62


def unknown_rank(proto: Any) -> None:
    proto.tensor_shape.ClearField("dim")
    proto.tensor_shape.unknown_rank = True


def no_dtype(proto: Any) -> None:
    proto.dtype = 0


def no_such_dtype(proto: Any) -> None:
    proto.dtype = 9999


REFUSALS: dict[str, tuple[Make, grpc.StatusCode, list[str]]] = {
    "unknown model": (
        lambda server: good(server, name="nope"),
        NOT_FOUND,
        ["Servable not found for request: Latest(nope)"],
    ),
    "unknown version": (
        lambda server: good(server, version=2**62),
        NOT_FOUND,
        ["Servable not found for request: Specific(", ", 4611686018427387904)"],
    ),
    "unknown version of an unknown model": (
        lambda server: good(server, name="nope", version=9),
        NOT_FOUND,
        ["Specific(nope, 9)"],
    ),
    "unknown label": (
        lambda server: good(server, version_label="no-such-label"),
        INVALID,
        ["Unrecognized servable version label: no-such-label"],
    ),
    "empty name": (lambda server: good(server, name=""), INVALID, ["ModelSpec has no name"]),
    "no model_spec": (without_spec, INVALID, ["Missing ModelSpec"]),
    "unknown signature": (
        lambda server: good(server, signature_name="foo"),
        PRECONDITION,
        ['Serving signature key "foo" not found'],
    ),
    "missing input": (
        lambda server: server.request(),
        INVALID,
        ["input size does not match signature: 0!=1", "Missing but required: {tokens}"],
    ),
    "extra input": (
        lambda server: server.request(tokens=server.windows(1), zzz=server.windows(1)),
        INVALID,
        ["input size does not match signature: 2!=1", "Sent extra: {zzz}"],
    ),
    "wrong input name": (
        lambda server: server.request(zzz=server.windows(1)),
        INVALID,
        ["tokens", "not found in request"],
    ),
    "64-bit tokens": (
        with_tokens(lambda windows: windows.astype(np.int64)),
        INVALID,
        ["int32", "int64"],
    ),
    "fractional tokens": (
        with_tokens(lambda windows: windows.astype(np.float32)),
        INVALID,
        ["int32", "float"],
    ),
    "words for tokens": (
        with_tokens(lambda windows: np.full(windows.shape, b"60", object)),
        INVALID,
        ["int32", "string"],
    ),
    "bytes that do not fill the shape": (with_proto(cut), INVALID, ["tensor parsing error"]),
    "negative dimension": (with_proto(negative), INVALID, ["tensor parsing error"]),
    "no dtype": (with_proto(no_dtype), INVALID, ["tensor parsing error"]),
    "an output that is not there": (
        with_filter("zzz"),
        INVALID,
        ["output tensor alias not found in signature: zzz", "probabilities"],
    ),
    "an output twice": (
        with_filter("probabilities", "probabilities"),
        INVALID,
        ["duplicate output tensor alias: probabilities"],
    ),
}

# TensorFlow Serving was not asked these; what its sources answer, and where.
READ_IN_THE_SOURCES: dict[str, tuple[Make, grpc.StatusCode, list[str]]] = {
    # model_servers/server_core.cc, ServableRequestFromModelSpec: any number is looked up as it is.
    "negative version": (
        lambda server: good(server, version=-1),
        NOT_FOUND,
        ["Servable not found for request: Specific(", ", -1)"],
    ),
    "version zero, sent without a value": (
        lambda server: good(server, version=0),
        NOT_FOUND,
        ["Servable not found for request: Specific(", ", 0)"],
    ),
    # GetModelVersionForLabel there: the model of a label is not looked up before the label.
    "label of an unknown model": (
        lambda server: good(server, name="nope", version_label="stable"),
        INVALID,
        ["Unrecognized servable version label: stable"],
    ),
    "empty label": (
        lambda server: good(server, version_label=""),
        INVALID,
        ["Unrecognized servable version label: "],
    ),
    # core/servable_id.h and model_servers/server_core.cc: names are bytes, compared and printed.
    "a name in other letters": (
        lambda server: good(server, name="кузнец/♪"),
        NOT_FOUND,
        ["Latest(кузнец/♪)"],
    ),
    "a path for a name": (
        lambda server: good(server, name="../../etc"),
        NOT_FOUND,
        ["Latest(../../etc)"],
    ),
    # servables/tensorflow/predict_util.cc: RunPredict looks for the signature before the inputs,
    # and tensorflow_serving/core/manager.h for the servable before either.
    "unknown signature of an unknown model": (
        lambda server: good(server, name="nope", signature_name="foo"),
        NOT_FOUND,
        ["Latest(nope)"],
    ),
    "unknown signature without inputs": (
        lambda server: server.request("foo"),
        PRECONDITION,
        ['Serving signature key "foo" not found'],
    ),
    # PreProcessPrediction there: inputs are compared before the filter.
    "missing input and bad filter": (
        lambda server: merged(server.request(), with_filter("zzz")(server), "output_filter"),
        INVALID,
        ["input size does not match signature"],
    ),
    # tensorflow/core/framework/tensor_shape.cc, TensorShapeBase::IsValid, by Tensor::FromProto.
    "a shape whose size overflows": (with_proto(too_wide), INVALID, ["tensor parsing error"]),
    "a shape of unknown rank": (with_proto(unknown_rank), INVALID, ["tensor parsing error"]),
    # tensorflow/core/framework/tensor.cc, Tensor::FromProto: no case for the dtype.
    "a dtype that no TensorFlow knows": (
        with_proto(no_such_dtype),
        INVALID,
        ["tensor parsing error"],
    ),
}


def merged(request: Any, other: Any, field: str) -> Any:
    getattr(request, field).MergeFrom(getattr(other, field))
    return request


@pytest.mark.parametrize("case", REFUSALS)
def test_predict_refuses(server: Any, case: str) -> None:
    make, wanted, words = REFUSALS[case]
    code, details = server.refusal(make(server))
    assert code is wanted
    for word in words:
        assert word in details


@pytest.mark.parametrize("case", READ_IN_THE_SOURCES)
def test_predict_refuses_what_the_sources_say(server: Any, case: str) -> None:
    make, wanted, words = READ_IN_THE_SOURCES[case]
    code, details = server.refusal(make(server))
    assert code is wanted
    for word in words:
        assert word in details


SHAPES: dict[str, Callable[[int], tuple[int, ...]]] = {
    "a short window": lambda window: (2, window - 1),
    "a long window": lambda window: (2, window + 1),
    "no batch": lambda window: (window,),
    "one number": lambda _: (),
    "a batch of batches": lambda window: (1, 2, window),
    "no tokens": lambda _: (2, 0),
}


@pytest.mark.parametrize("case", SHAPES)
def test_a_shape_that_is_not_the_signatures_is_the_clients_fault(server: Any, case: str) -> None:
    """TensorFlow Serving compares no shapes: the graph answers or refuses.

    With batching, windows of two lengths in a batch are FAILED_PRECONDITION, and a tensor without a
    dimension INVALID_ARGUMENT (tensorflow_serving/batching/batching_session.cc, MergeInputTensors,
    and batching_util.h, ComputeTensorBatchSize).
    """
    request = server.request(tokens=np.zeros(SHAPES[case](server.window), np.int32))
    response, code, _ = server.outcome(request)
    if response is None:
        assert code in {INVALID, PRECONDITION}
    else:
        assert server.place.foreign, "the embedded server says what is wrong with the shape"
    assert server.still_answers()


def test_a_list_that_would_be_padded_to_gigabytes_does_no_harm(server: Any) -> None:
    """TensorFlow Serving allocates it if it can; a refusal is as good, and the server lives on."""
    if server.place.foreign:
        pytest.skip("a server that pads such a list may run out of memory: embedded server only")
    proto = tf.make_tensor_proto(np.zeros((1, 1), np.int32))
    for dim, size in zip(proto.tensor_shape.dim, (2**33, server.window), strict=True):
        dim.size = size
    code, _ = server.refusal(server.request(tokens=proto))
    assert code is INVALID
    assert server.still_answers()


@pytest.mark.parametrize("wrong", ["batch", "dtype", "missing"])
def test_a_song_with_inputs_that_do_not_fit_each_other_is_refused(server: Any, wrong: str) -> None:
    """Unequal batches: tensorflow_serving/batching/batching_util.h, ComputeTensorBatchSize."""
    if "generate" not in server.signatures:
        pytest.skip("the served model was exported without the signature generate")
    inputs = {
        "tokens": server.windows(2),
        "steps": np.full(2, 3, np.int32),
        "temperature": np.ones(2, np.float32),
        "top_k": np.zeros(2, np.int32),
        "top_p": np.ones(2, np.float32),
        "seed": np.zeros(2, np.int64),
    }
    match wrong:
        case "batch":
            inputs["steps"] = np.full(3, 3, np.int32)
        case "dtype":
            inputs["seed"] = np.zeros(2, np.int32)
        case "missing":
            del inputs["top_p"]
    code, _ = server.refusal(server.request("generate", **inputs))
    assert code is INVALID
    assert server.still_answers()


def test_a_name_that_is_no_signature_for_prediction_is_refused(server: Any) -> None:
    """VerifySignature in servables/tensorflow/predict_util.cc answers INTERNAL."""
    name = "__saved_model_init_op"
    if name not in server.signatures:
        pytest.skip("the served model has no signature that is not for prediction")
    code, details = server.refusal(server.request(name))
    assert code in {INVALID, PRECONDITION, grpc.StatusCode.INTERNAL}
    assert details
