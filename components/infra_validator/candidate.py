"""A candidate model behind the engine that will serve it: started, asked over gRPC, and ended.

This is what :mod:`tunesmith.components.infra_validator.executor` is handed. The engine runs in a
process of its own by ``tunesmith serve``, as in production, and ends with the run, even a killed
one.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from tunesmith.client.connection import Connection, ModelVersion
from tunesmith.client.errors import ComposerError
from tunesmith.client.protos import tunesmith_wire_pb2 as wire
from tunesmith.client.tensors import to_array
from tunesmith.components.infra_validator.checks import Answer, Arrays, Signature
from tunesmith.components.infra_validator.executor import EngineFailed, Host
from tunesmith.components.trainer.export.saved_model import MODEL_NAME

START_SECONDS = 300.0
"""An engine may take to import its libraries, load the model and warm it up."""

ANSWER_SECONDS = 60.0
"""One answer may take; far above any bound of a latency."""

_KEPT_LINES = 40
_TOLD_LINES = 3
_ENDED_AS_ASKED = (0, 128 + 15)
"""Exit codes after SIGTERM: tidied up, or ended by the signal at once, as TensorFlow Serving is."""

_DTYPES = {"int32": wire.DT_INT32, "int64": wire.DT_INT64, "float32": wire.DT_FLOAT}
_PREDICT = "/tensorflow.serving.PredictionService/Predict"


def candidate_host(engine: str = "embedded", start_seconds: float = START_SECONDS) -> Host:
    """Return what serves a base path with `engine`, one of those of ``tunesmith serve``."""
    return partial(_serve, engine, start_seconds)


@contextmanager
def _serve(engine: str, start_seconds: float, base: Path) -> Iterator[ServedCandidate]:
    process = _EngineProcess(engine, base)
    try:
        address = process.wait_until_it_answers(start_seconds)
        with grpc.insecure_channel(
            address, options=[("grpc.max_receive_message_length", -1)]
        ) as channel:
            yield ServedCandidate(process.engine, address, channel, process)
    except BaseException:
        process.end()
        raise
    code = process.end()
    if code not in _ENDED_AS_ASKED:
        raise EngineFailed(f"the engine ended with code {code}: {process.last_words()}")


class _EngineProcess:
    """``tunesmith serve`` under supervision, and what it prints."""

    def __init__(self, engine: str, base: Path) -> None:
        self.engine = engine
        # Only the embedded server chooses a port by itself.
        self._port = 0 if engine == "embedded" else _free_port()
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._address = "" if engine == "embedded" else f"127.0.0.1:{self._port}"
        self._settled = threading.Event()
        serve = [sys.executable, "-m", "tunesmith.cli.main", "serve"]
        options = [f"--model-dir={base}", f"--engine={engine}", f"--port={self._port}"]
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tunesmith.components.infra_validator.supervised",
                *serve,
                *options,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # Ctrl-C is for the run, which then ends the engine.
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for raw in self._process.stderr:
            line = raw.decode("utf-8", "replace").strip()
            if line:
                self._lines.append(line)
            if found := re.match(rf"serving {re.escape(MODEL_NAME)} on (\S+);", line):
                self._address = found[1]
                self._settled.set()
        self._settled.set()

    def wait_until_it_answers(self, seconds: float) -> str:
        """Return its address.

        Raises:
            EngineFailed: it ended, or the time did.
        """
        until = time.monotonic() + seconds
        if self.engine == "embedded":
            self._settled.wait(seconds)
        while self._process.poll() is None and time.monotonic() < until:
            if self._address and _answers(self._address):
                return self._address
            time.sleep(0.1)
        ended = self._process.poll()
        self.end()
        what = f"did not answer in {seconds:g} s" if ended is None else f"ended with code {ended}"
        raise EngineFailed(f"the engine {self.engine} {what}: {self.last_words()}")

    def last_words(self) -> str:
        """Return its error if it told one, else its last lines."""
        lines = list(self._lines)
        told = [line for line in lines if line.startswith("tunesmith: error: ")]
        return " | ".join(told[-1:] or lines[-_TOLD_LINES:]) or "it printed nothing"

    def end(self) -> int:
        """End it and return its exit code."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        code = self._process.wait()
        self._reader.join(5)
        return code


@dataclass(frozen=True)
class ServedCandidate:
    """See :class:`tunesmith.components.infra_validator.checks.Candidate`."""

    engine: str
    address: str
    channel: Any
    process: _EngineProcess

    def signatures(self) -> Mapping[str, Signature]:
        """Return the shapes that the server's metadata tells."""
        try:
            _, found = _signatures(self.address)
        except ComposerError:
            return {}
        return {
            name: Signature(_shapes(signature.inputs), _shapes(signature.outputs))
            for name, signature in found.items()
            if not name.startswith("__")
        }

    def ask(self, signature: str, inputs: Arrays) -> Answer:
        """Send one request."""
        request = wire.PredictRequest(
            model_spec=ModelVersion(MODEL_NAME).spec(signature),
            inputs={name: _tensor(values) for name, values in inputs.items()},
        )
        call = self.channel.unary_unary(
            _PREDICT,
            request_serializer=wire.PredictRequest.SerializeToString,
            response_deserializer=wire.PredictResponse.FromString,
        )
        try:
            response = call(request, timeout=ANSWER_SECONDS)
            outputs = {name: to_array(name, each) for name, each in response.outputs.items()}
        except grpc.RpcError as error:
            return Answer(error.code().name, error.details() or "")
        except ComposerError as error:
            return Answer("UNREADABLE", str(error))
        return Answer("OK", outputs=outputs)

    def last_words(self) -> str:
        """Return the end of what the engine printed."""
        return self.process.last_words()


def _tensor(values: NDArray[Any]) -> wire.TensorProto:
    shape = wire.TensorShapeProto(
        dim=[wire.TensorShapeProto.Dim(size=size) for size in values.shape]
    )
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return wire.TensorProto(
        dtype=_DTYPES[values.dtype.name], tensor_shape=shape, tensor_content=little.tobytes()
    )


def _shapes(tensors: Any) -> dict[str, tuple[int, ...]]:
    return {
        name: tuple(dim.size for dim in each.tensor_shape.dim) for name, each in tensors.items()
    }


def _signatures(address: str) -> tuple[ModelVersion, dict[str, wire.SignatureDef]]:
    connection = Connection(address)
    try:
        return connection.signatures(ModelVersion(MODEL_NAME))
    finally:
        connection.close()


def _answers(address: str) -> bool:
    try:
        _signatures(address)
    except ComposerError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
