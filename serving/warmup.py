"""Warm-up requests of a SavedModel, replayed before the version serves.

The file is that of TensorFlow Serving: TFRecords of PredictionLog in
``assets.extra/tf_serving_warmup_requests``, at most 1,000 (saved_model_warmup_util.cc). As there, a
record that cannot be read or answered makes the version fail to load.
"""

from __future__ import annotations

from pathlib import Path

from google.protobuf.message import DecodeError

from tunesmith.serving.errors import ModelNotLoadable
from tunesmith.serving.prediction import predict
from tunesmith.serving.runtime import prediction_log_pb2, tf
from tunesmith.serving.servable import Servable
from tunesmith.serving.status import RequestError

WARMUP_FILE = Path("assets.extra", "tf_serving_warmup_requests")
MAX_RECORDS = 1000
_INVALID_ARGUMENT = 3


def warm_up(servable: Servable, path: Path) -> int:
    """Replay the warm-up requests of the version folder `path` and return their number.

    Raises:
        ModelNotLoadable: the file is damaged or has too many records, or a request fails.
    """
    file = path / WARMUP_FILE
    if not file.exists():
        return 0
    count = 0
    try:
        for record in tf.compat.v1.io.tf_record_iterator(str(file)):
            if count == MAX_RECORDS:
                raise ModelNotLoadable(
                    f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {file}",
                    _INVALID_ARGUMENT,
                )
            _replay(servable, record)
            count += 1
    except tf.errors.OpError as error:
        raise ModelNotLoadable(
            f"{error.message}. Please verify your warmup data is in TFRecord format.",
            error.error_code,
        ) from error
    except RequestError as error:
        raise ModelNotLoadable(
            f"warm-up request {count} failed: {error.message}", error.code.value[0]
        ) from error
    except DecodeError as error:
        raise ModelNotLoadable(
            f"Failed to parse warmup record {count} from {file}", _INVALID_ARGUMENT
        ) from error
    return count


def _replay(servable: Servable, record: bytes) -> None:
    log = prediction_log_pb2.PredictionLog.FromString(record)
    kind = log.WhichOneof("log_type")
    if kind != "predict_log":
        raise ModelNotLoadable(
            f"a warm-up request is a {kind or 'log without a type'}: only predict_log is supported",
            _INVALID_ARGUMENT,
        )
    predict(servable, log.predict_log.request)
