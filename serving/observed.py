"""Metrics and request log of PredictionService."""

from __future__ import annotations

import logging
import time
from typing import Any

from tunesmith.serving import metrics
from tunesmith.serving.services import Services
from tunesmith.serving.status import RequestError

_LOG = logging.getLogger(__name__)


class ObservedServices(Services):
    """Services that record each Predict request in :mod:`tunesmith.serving.metrics` and the log.

    Requests for metadata or status are not counted, as in TensorFlow Serving's
    prediction_service_impl.cc.
    """

    def predict(self, request: Any) -> Any:
        """Run a signature of the model that the request names.

        Raises:
            RequestError: with TensorFlow Serving's status code and message.
        """
        started = time.perf_counter()
        status = "UNKNOWN"
        try:
            response = super().predict(request)
            status = "OK"
            return response
        except RequestError as error:
            status = error.code.name
            raise
        finally:
            seconds = time.perf_counter() - started
            metrics.predict_answered(request.model_spec.name, status, seconds)
            if _LOG.isEnabledFor(logging.DEBUG):
                _LOG.debug(
                    "request",
                    extra={
                        "method": "Predict",
                        "model": request.model_spec.name,
                        "signature": request.model_spec.signature_name,
                        "code": status,
                        "milliseconds": round(seconds * 1e3, 3),
                    },
                )
