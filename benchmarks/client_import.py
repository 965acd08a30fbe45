"""Start-up of a client process: tunesmith's client compared with tensorflow-serving-api.

Both send the first call of a song, for the signatures of the model, to the same server, each in a
new process, in turns. Memory is the peak of the process (VmHWM of Linux).

    python benchmarks/client_import.py [--server HOST:PORT] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEASURED = """
import json, sys, time
started = time.perf_counter()
{program}
seconds = time.perf_counter() - started
[peak] = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(json.dumps([imported, seconds, int(peak.split()[1]) / 1024]))
"""

OURS = """
from tunesmith.client import Composer
from tunesmith.client.connection import Connection, ModelVersion
imported = time.perf_counter() - started
connection = Connection({address!r})
servable, signatures = connection.signatures(ModelVersion({model!r}))
assert "serving_default" in signatures
"""

THEIRS = """
import grpc
from tensorflow_serving.apis import get_model_metadata_pb2, prediction_service_pb2_grpc
imported = time.perf_counter() - started
stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel({address!r}))
request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
request.model_spec.name = {model!r}
answer = stub.GetModelMetadata(request, timeout=60)
signatures = get_model_metadata_pb2.SignatureDefMap()
answer.metadata["signature_def"].Unpack(signatures)
assert "serving_default" in signatures.signature_def
"""

FLOOR = """
import grpc, numpy
from google.protobuf.internal import builder
imported = time.perf_counter() - started
with grpc.insecure_channel({address!r}) as channel:
    grpc.channel_ready_future(channel).result(60)
"""

PROGRAMS = {
    "tunesmith.client": OURS,
    "tensorflow-serving-api": THEIRS,
    "numpy, grpc and protobuf alone": FLOOR,
}


def measure(program: str, address: str, model: str) -> list[float]:
    """Return seconds of import, seconds to the answer and megabytes of a fresh process."""
    code = MEASURED.format(program=program.format(address=address, model=model))
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=quiet
    )
    values: list[float] = json.loads(run.stdout)
    return values


@contextmanager
def small_server() -> Iterator[str]:
    """Serve an untrained, narrow model for the duration, by the embedded server."""
    from tunesmith.components.runtime import load_tensorflow

    load_tensorflow()
    from tunesmith.components.networks.paper.keras_model import build_model
    from tunesmith.components.networks.paper.network import NETWORK
    from tunesmith.components.networks.paper.sizes import PaperSizes
    from tunesmith.components.trainer.export.saved_model import ServedSettings, export_model
    from tunesmith.music import Vocabulary
    from tunesmith.serving import EmbeddedServer, ServerOptions

    vocabulary = Vocabulary(((), *((pitch,) for pitch in range(128))), 5.0)
    architecture = PaperSizes(embedding=8, units=8, layers=1, dense=8)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "tunesmith"
        base.mkdir()
        model = build_model(len(vocabulary), architecture)
        forward = NETWORK.for_serving(model, len(vocabulary), architecture)
        export_model(forward, architecture.window, vocabulary, ServedSettings(), base / "1")
        with EmbeddedServer(base, ServerOptions(port=0)) as server:
            yield server.address


def report(address: str, model: str, rounds: int) -> None:
    """Measure in turns and print the medians and the ratios."""
    seen: dict[str, list[list[float]]] = {name: [] for name in PROGRAMS}
    for turn in range(rounds + 1):
        for name, program in PROGRAMS.items():
            values = measure(program, address, model)
            # The first turn compiles modules and reads them from the disk.
            if turn:
                seen[name].append(values)
    medians = {
        name: [statistics.median(each) for each in zip(*values, strict=True)]
        for name, values in seen.items()
    }
    print(f"{'':32}{'import s':>10}{'answer s':>10}{'peak MB':>10}   (medians of {rounds})")
    for name, (imported, answered, peak) in medians.items():
        print(f"{name:32}{imported:10.2f}{answered:10.2f}{peak:10.0f}")
    ours, theirs = medians["tunesmith.client"], medians["tensorflow-serving-api"]
    print(
        f"tensorflow-serving-api / tunesmith.client: {theirs[1] / ours[1]:.1f} times the time, "
        f"{theirs[2] / ours[2]:.1f} times the memory"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--server", help="address of a server; by default a small one is started")
    parser.add_argument("--model", default="tunesmith", help="model name")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each client")
    arguments = parser.parse_args()
    if arguments.server:
        report(arguments.server, arguments.model, arguments.rounds)
        return
    with small_server() as address:
        report(address, arguments.model, arguments.rounds)


if __name__ == "__main__":
    main()
