"""TensorFlow and TensorFlow Serving's messages, imported quietly: the only place that does so.

The modules that need them import them from here, and are themselves imported only when a server
starts, because TensorFlow's import takes seconds.
"""

from __future__ import annotations

import os

from tunesmith.serving.errors import ExtraMissing

# Read by TensorFlow's C++ library when it is loaded, so it has to be set before the import.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

try:
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2, types_pb2
    from tensorflow.core.protobuf import config_pb2
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_pb2,
        predict_pb2,
        prediction_log_pb2,
    )
except ModuleNotFoundError as error:
    raise ExtraMissing(
        f"the embedded server needs {error.name}: pip install 'tunesmith[serving]'"
    ) from error

# The version-1 loader says "deprecated" and "Restoring parameters" at each load.
tf.get_logger().setLevel("ERROR")

__all__ = [
    "config_pb2",
    "get_model_metadata_pb2",
    "get_model_status_pb2",
    "model_pb2",
    "predict_pb2",
    "prediction_log_pb2",
    "tensor_pb2",
    "tf",
    "types_pb2",
]
