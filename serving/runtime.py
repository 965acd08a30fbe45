"""TensorFlow and TensorFlow Serving's messages, imported quietly: the only place that does so.

The modules that need them import them from here, and are themselves imported only when a server
starts, because TensorFlow's import takes seconds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tunesmith.serving.errors import ExtraMissing

# Read by TensorFlow's C++ library when it is loaded, so it has to be set before the import. What
# goes wrong later arrives as a Python exception.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextmanager
def _standard_error_closed() -> Iterator[None]:
    """Drop what C++ writes to file descriptor 2, as it does before it heeds its log level."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


try:
    with _standard_error_closed():
        import tensorflow as tf
        from tensorflow.core.framework import tensor_pb2, types_pb2
        from tensorflow.core.protobuf import config_pb2
        from tensorflow_serving.apis import (
            get_model_metadata_pb2,
            get_model_status_pb2,
            model_management_pb2,
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
    "model_management_pb2",
    "model_pb2",
    "predict_pb2",
    "prediction_log_pb2",
    "tensor_pb2",
    "tf",
    "types_pb2",
]
