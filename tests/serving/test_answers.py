"""The embedded server's answers to right requests, where an option or an odd model decides.

What any server of a composer answers is in tests/conformance.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tensorflow.core.protobuf import saved_model_pb2

from tunesmith.serving import EmbeddedServer, ServerOptions
from tunesmith.serving.runtime import tf

VOCABULARY = 41


def test_typed_values_unless_raw_bytes_are_asked_for(
    shared_server: EmbeddedServer, caller: Any, connect: Any, windows: Any
) -> None:
    typed = caller.predict(tokens=windows(7)).outputs["probabilities"]
    assert len(typed.float_val) == 7 * VOCABULARY
    assert not typed.tensor_content
    options = ServerOptions(port=0, tensor_content=True)
    with EmbeddedServer(shared_server.model_dir, options) as server:
        raw = connect(server).predict(tokens=windows(7)).outputs["probabilities"]
    assert not raw.float_val
    np.testing.assert_array_equal(tf.make_ndarray(raw), tf.make_ndarray(typed))


def test_an_output_filter_chooses_among_several_outputs(caller: Any) -> None:
    asked = caller.request("pair", first=[5, 6], second=[1, 2])
    asked.output_filter.append("difference")
    outputs = caller.prediction.Predict(asked, timeout=60).outputs
    assert {name: list(value.int_val) for name, value in outputs.items()} == {"difference": [4, 4]}
    asked.output_filter.append("total")
    assert set(caller.prediction.Predict(asked, timeout=60).outputs) == {"difference", "total"}


def test_an_input_with_a_default_may_be_left_out(
    tmp_path: Path, publish: Any, connect: Any
) -> None:
    """tensorflow/cc/saved_model/util.cc, GetInputValues."""
    file = publish(tmp_path, 1) / "saved_model.pb"
    model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    pair = model.meta_graphs[0].signature_def["pair"]
    pair.defaults["second"].CopyFrom(tf.make_tensor_proto([10, 20], tf.int32))
    file.write_bytes(model.SerializeToString())
    with EmbeddedServer(tmp_path, ServerOptions(port=0)) as server:
        caller = connect(server)
        total = caller.predict("pair", first=[1, 2]).outputs["total"]
        assert list(total.int_val) == [11, 22]
        total = caller.predict("pair", first=[1, 2], second=[0, 0]).outputs["total"]
        assert list(total.int_val) == [1, 2]
        for inputs, words in (
            ({"second": [1, 2]}, "Signature input alias: first(feed name: "),
            ({"first": [1, 2], "zzz": [1]}, "Inputs contains invalid name. Used request inputs: "),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                caller.predict("pair", **inputs)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert caught.value.details().startswith(words)
