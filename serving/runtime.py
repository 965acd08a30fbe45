"""The only import of TensorFlow and TensorFlow Serving's messages in this package.

Other modules import them from here. Those modules are imported only when a server starts, because
importing TensorFlow takes seconds. Output of its C++ library during the import is suppressed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tunesmith.serving.errors import ExtraMissing

# TensorFlow's C++ library reads it when it is loaded, so it must be set before the import. Errors
# after that are raised as Python exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextmanager
def _standard_error_discarded() -> Iterator[None]:
    """Discard C++ output to file descriptor 2, some of which ignores the log level."""
    sys.stderr.flush()
    stderr = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)


try:
    with _standard_error_discarded():
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

# The version-1 loader logs "deprecated" and "Restoring parameters" at each load.
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
