"""What the embedded server answers to requests that are right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

from tunesmith.serving import EmbeddedServer, ServerOptions
from tunesmith.serving.runtime import tf

VOCABULARY = 41
GOOD = np.zeros((1, 50), np.int32)


@pytest.mark.parametrize("batch", [1, 7])
def test_probabilities_of_a_batch(caller: Any, windows: Any, batch: int) -> None:
    response = caller.predict(tokens=windows(batch))
    probabilities = tf.make_ndarray(response.outputs["probabilities"])
    assert probabilities.shape == (batch, VOCABULARY)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    alone = [
        tf.make_ndarray(caller.predict(tokens=row[None]).outputs["probabilities"])[0]
        for row in windows(batch)
    ]
    np.testing.assert_allclose(probabilities, alone, rtol=1e-6)


@pytest.mark.parametrize("batch", [1, 7])
def test_vocabulary_and_settings_of_a_batch(caller: Any, batch: int) -> None:
    ids = np.arange(batch, dtype=np.int32)
    frames = tf.make_ndarray(caller.predict("vocabulary", token_ids=ids).outputs["frames"])
    assert frames.tolist() == [b"e", b"60", b"61", b"62", b"63", b"64", b"65"][:batch]
    outputs = caller.predict("settings", token_ids=ids).outputs
    settings = {name: tf.make_ndarray(value).tolist() for name, value in outputs.items()}
    assert settings == {
        "frames_per_second": [5.0] * batch,
        "track": [b"first"] * batch,
        "program": [0] * batch,
    }


def test_an_empty_batch_is_answered(caller: Any) -> None:
    probabilities = caller.predict(tokens=np.zeros((0, 50))).outputs["probabilities"]
    assert tf.make_ndarray(probabilities).shape == (0, VOCABULARY)


def test_the_response_names_the_real_version_and_signature(caller: Any) -> None:
    spec = caller.predict(tokens=GOOD).model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == (
        "tunesmith",
        3,
        "serving_default",
    )
    asked = caller.request(tokens=GOOD)
    asked.model_spec.version.value = 3
    assert caller.prediction.Predict(asked, timeout=60).model_spec.version.value == 3


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


def test_inputs_may_come_as_values_as_bytes_or_as_a_short_list(caller: Any) -> None:
    answers = []
    for fill in ("content", "values", "short"):
        asked = predict_pb2.PredictRequest()
        asked.model_spec.name = "tunesmith"
        tensor = asked.inputs["tokens"]
        tensor.dtype = tf.int32.as_datatype_enum
        for size in (2, 50):
            tensor.tensor_shape.dim.add(size=size)
        match fill:
            case "content":
                tensor.tensor_content = np.full(100, 9, np.int32).tobytes()
            case "values":
                tensor.int_val.extend([9] * 100)
            case "short":
                tensor.int_val.append(9)
        response = caller.prediction.Predict(asked, timeout=60)
        answers.append(tf.make_ndarray(response.outputs["probabilities"]))
    np.testing.assert_array_equal(answers[0], answers[1])
    np.testing.assert_array_equal(answers[0], answers[2])


def test_an_output_filter_chooses_the_outputs(caller: Any) -> None:
    asked = caller.request("pair", first=[5, 6], second=[1, 2])
    asked.output_filter.append("difference")
    outputs = caller.prediction.Predict(asked, timeout=60).outputs
    assert {name: list(value.int_val) for name, value in outputs.items()} == {"difference": [4, 4]}
    asked.output_filter.append("total")
    assert set(caller.prediction.Predict(asked, timeout=60).outputs) == {"difference", "total"}


def test_metadata_tells_window_length_and_vocabulary_size(caller: Any) -> None:
    asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    asked.model_spec.name = "tunesmith"
    response = caller.prediction.GetModelMetadata(asked, timeout=60)
    assert (response.model_spec.name, response.model_spec.version.value) == ("tunesmith", 3)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    default = signatures.signature_def["serving_default"]
    assert [dim.size for dim in default.inputs["tokens"].tensor_shape.dim] == [-1, 50]
    assert default.outputs["probabilities"].tensor_shape.dim[1].size == VOCABULARY
    assert {"vocabulary", "settings"} <= set(signatures.signature_def)


def test_the_status_of_a_loaded_model_is_available(caller: Any) -> None:
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert caller.statuses() == {3: (available, 0, "")}
