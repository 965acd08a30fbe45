"""The embedded server compared with the Session inside it, in one run.

Server, Session and client have separate processes on the same cores. The network is the paper's
with random weights, so no data is needed. The client is plain gRPC with prepared requests and
unparsed responses, because it takes CPU time from the server. The five parts:

1. one window per call from one client, compared with the time of the Session;
2. 64 clients with one window each, compared with the throughput of the Session at batch size 64;
3. latency at half of that load, with random (Poisson) arrivals independent of the responses;
4. memory of the server during minutes of that load;
5. twice the capacity: share and latency of refused requests, and throughput.

    python benchmarks/serve.py [--minutes 10] [--parts 1,2,3,4,5] [--rounds 5]
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from forward import export, session, windows

from tunesmith.client.protos import tunesmith_wire_pb2 as wire

CLIENTS = 64
DEADLINE = 60.0
METHOD = "/tensorflow.serving.PredictionService/Predict"


def request(tokens: Any) -> bytes:
    message = wire.PredictRequest()
    message.model_spec.name = "tunesmith"
    tensor = message.inputs["tokens"]
    tensor.dtype = wire.DT_INT32
    for size in tokens.shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = tokens.tobytes()
    return bytes(message.SerializeToString())


class Client:
    """Calls with bytes in and bytes out; connections are shared by the calls in turn."""

    def __init__(self, address: str, size: int, connections: int = 4) -> None:
        local = [("grpc.use_local_subchannel_pool", 1)]
        self.channels = [grpc.insecure_channel(address, options=local) for _ in range(connections)]
        self.calls = itertools.cycle([channel.unary_unary(METHOD) for channel in self.channels])
        rows = windows(CLIENTS, size)
        self.requests = itertools.cycle([request(row[np.newaxis]) for row in rows])

    def one(self) -> float:
        """Return the seconds of one call."""
        call, message = next(self.calls), next(self.requests)
        started = time.perf_counter()
        call(message, timeout=DEADLINE)
        return time.perf_counter() - started

    def closed(self, clients: int, seconds: float) -> float:
        """Return answers a second where each client asks again as soon as it is answered."""
        end = time.perf_counter() + seconds
        answered: list[float] = []
        idle = threading.Semaphore(0)

        def ask(call: Callable[..., Any]) -> None:
            if time.perf_counter() >= end:
                idle.release()
                return
            future = call.future(next(self.requests), timeout=DEADLINE)
            future.add_done_callback(lambda done: told(call, done))

        def told(call: Callable[..., Any], future: Any) -> None:
            future.result()
            answered.append(time.perf_counter())
            ask(call)

        for _ in range(clients):
            ask(next(self.calls))
        for _ in range(clients):
            idle.acquire()
        # The first second fills the queue; the last answers come after the end.
        kept = [each for each in answered if end - seconds + 1 <= each <= end]
        return len(kept) / (seconds - 1)

    def open(self, rate: float, seconds: float) -> dict[str, list[float]]:
        """Return the milliseconds of each call by its status, counted from when it was due.

        A status other than OK is told with the first words that came with it.
        """
        random = np.random.default_rng(0)
        due = np.cumsum(random.exponential(1 / rate, int(rate * seconds)))
        results: list[tuple[str, float]] = []
        words: dict[str, str] = {}
        done = threading.Semaphore(0)

        def told(future: Any, started: float) -> None:
            status = future.code().name
            results.append((status, 1e3 * (time.perf_counter() - started)))
            if status != "OK":
                words.setdefault(status, future.details()[:60])
            done.release()

        zero = time.perf_counter()
        for each in zero + due:
            wait = each - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            future = next(self.calls).future(next(self.requests), timeout=DEADLINE)
            future.add_done_callback(lambda done, due=each: told(done, due))
        for _ in due:
            done.acquire()
        by_status: dict[str, list[float]] = {}
        for status, milliseconds in results:
            key = f"{status} ({words[status]})" if status in words else status
            by_status.setdefault(key, []).append(milliseconds)
        return by_status


class Child:
    """This program in another role, told what to do by lines and answering with lines of JSON."""

    def __init__(self, role: str, arguments: argparse.Namespace, folder: Path) -> None:
        command = [sys.executable, __file__, f"--role={role}", f"--folder={folder}"]
        command += [f"--vocabulary={arguments.vocabulary}"]
        if arguments.batching_parameters_file:
            command += [f"--batching-parameters-file={arguments.batching_parameters_file}"]
        if arguments.workers:
            command += [f"--workers={arguments.workers}"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.started = self.read()

    def read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args} ended")
        return json.loads(line)

    def ask(self, line: str) -> Any:
        assert self.process.stdin is not None
        print(line, file=self.process.stdin, flush=True)
        return self.read()

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def megabytes(self) -> float:
        """Return the memory that it holds (VmRSS)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024


def run_session(arguments: argparse.Namespace) -> None:
    """Answer ``BATCH CALLS`` with the seconds of each of that many calls of the Session."""
    call = session(arguments.folder / "models" / "1", 2, 1)
    for batch in (1, CLIENTS):
        call(windows(batch, arguments.vocabulary))
    print("0", flush=True)
    for line in sys.stdin:
        batch, calls = map(int, line.split())
        tokens = windows(batch, arguments.vocabulary)
        times = []
        for _ in range(calls):
            started = time.perf_counter()
            call(tokens)
            times.append(time.perf_counter() - started)
        print(json.dumps(times), flush=True)


def run_server(arguments: argparse.Namespace) -> None:
    from tunesmith.serving import EmbeddedServer, ServerOptions

    chosen: dict[str, Any] = {}
    if arguments.workers:
        chosen["workers"] = arguments.workers
    if arguments.batching_parameters_file:
        chosen["batching_parameters_file"] = arguments.batching_parameters_file
    with EmbeddedServer(arguments.folder / "models", ServerOptions(port=0, **chosen)) as server:
        print(json.dumps(server.address), flush=True)
        sys.stdin.read()


def latency(client: Client, reference: Child, rounds: int) -> None:
    own, served = [], []
    for _ in range(rounds):
        own += reference.ask("1 40")
        served += [client.one() for _ in range(40)]
    of_session, of_server = (1e3 * float(np.median(times)) for times in (own, served))
    print(
        f"1. one window a call: {of_server:.2f} ms, the Session's own {of_session:.2f} ms: "
        f"{of_server - of_session:+.2f} ms"
    )


def throughput(client: Client, reference: Child, rounds: int) -> float:
    own, served = [], []
    for _ in range(rounds):
        own.append(CLIENTS / float(np.median(reference.ask(f"{CLIENTS} 15"))))
        served.append(client.closed(CLIENTS, 4.0))
    shares = [mine / its for mine, its in zip(served, own, strict=True)]
    capacity = float(np.median(served))
    print(
        f"2. {CLIENTS} clients: {capacity:.0f} windows/s, the Session at {CLIENTS} "
        f"{np.median(own):.0f}: {100 * np.median(shares):.0f} % "
        f"({100 * min(shares):.0f} to {100 * max(shares):.0f} % over {rounds} rounds)"
    )
    return capacity


def half_load(client: Client, capacity: float) -> None:
    answered = client.open(capacity / 2, 20.0)
    times = answered.pop("OK")
    middle, high, rare = np.percentile(times, (50, 99, 99.9))
    print(
        f"3. at {capacity / 2:.0f} windows/s: p50 {middle:.1f} ms, p99 {high:.1f} ms, p99.9 "
        f"{rare:.1f} ms of {len(times)} answers; others: {_counts(answered)}"
    )


def memory(client: Client, server: Child, capacity: float, minutes: float) -> None:
    if minutes <= 0:
        return
    samples = [(0.0, server.megabytes())]
    statuses: Counter[str] = Counter()
    started = time.perf_counter()
    while (passed := time.perf_counter() - started) < 60 * minutes:
        answered = client.open(capacity / 2, min(10.0, 60 * minutes - passed + 0.1))
        statuses.update({status: len(times) for status, times in answered.items()})
        samples.append(((time.perf_counter() - started) / 60, server.megabytes()))
    later = np.array(samples[len(samples) // 3 :])
    slope = np.polyfit(later[:, 0], later[:, 1], 1)[0] if len(later) > 2 else float("nan")
    print(
        f"4. memory of the server over {minutes:g} minutes of that load: {samples[0][1]:.0f} MiB, "
        f"then {samples[-1][1]:.0f} MiB; over the last two thirds {slope:+.2f} MiB a minute; "
        f"{dict(statuses)}"
    )


def overload(client: Client, capacity: float) -> None:
    answered = client.open(2 * capacity, 10.0)
    total = sum(map(len, answered.values()))
    times = answered.pop("OK", [float("nan")])
    good = len(times) / 10.0
    print(
        f"5. twice the capacity ({total / 10:.0f} windows/s offered): {good:.0f} answered a "
        f"second, {100 * good / capacity:.0f} % of capacity, p50 {np.median(times):.0f} ms, "
        f"p99 {np.percentile(times, 99):.0f} ms"
    )
    for status, refused in sorted(answered.items()):
        print(
            f"   {len(refused)} {status}: p50 {np.median(refused):.1f} ms, "
            f"p99 {np.percentile(refused, 99):.1f} ms"
        )
    after = client.open(capacity / 4, 4.0)
    slowest = heapq.nlargest(1, after.get("OK", [float("nan")]))[0]
    print(f"   then at a quarter of the load: {_counts(after)}, the slowest {slowest:.0f} ms")


def _counts(answered: dict[str, list[float]]) -> dict[str, int]:
    return {status: len(times) for status, times in answered.items()}


def compare(arguments: argparse.Namespace, folder: Path) -> None:
    command = [sys.executable, __file__, "--role=export", f"--folder={folder}"]
    subprocess.run([*command, f"--vocabulary={arguments.vocabulary}"], check=True)
    reference, server = (Child(role, arguments, folder) for role in ("session", "server"))
    client = Client(server.started, arguments.vocabulary)
    for _ in range(20):
        client.one()
    client.closed(CLIENTS, 2.0)
    parts = set(arguments.parts.split(","))
    try:
        if "1" in parts:
            latency(client, reference, arguments.rounds)
        capacity = arguments.capacity
        if "2" in parts or not capacity:
            capacity = throughput(client, reference, arguments.rounds)
        reference.end()
        if "3" in parts:
            half_load(client, capacity)
        if "4" in parts:
            memory(client, server, capacity, arguments.minutes)
        if "5" in parts:
            overload(client, capacity)
    finally:
        reference.end()
        server.end()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vocabulary", type=int, default=300, help="vocabulary size")
    parser.add_argument("--minutes", type=float, default=10.0, help="duration of part 4")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of parts 1 and 2")
    parser.add_argument("--parts", default="1,2,3,4,5", help="parts to run")
    parser.add_argument(
        "--capacity", type=float, help="capacity in windows/s, instead of measuring part 2"
    )
    parser.add_argument("--workers", type=int, help="workers of the server, instead of its default")
    parser.add_argument(
        "--batching-parameters-file", type=Path, help="batching parameters of the server"
    )
    parser.add_argument("--role", choices=("export", "session", "server"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role == "export":
        (arguments.folder / "models").mkdir()
        export(arguments.folder, arguments.vocabulary)
        (arguments.folder / "tunesmith").rename(arguments.folder / "models" / "1")
    elif arguments.role:
        {"session": run_session, "server": run_server}[arguments.role](arguments)
    else:
        with tempfile.TemporaryDirectory() as text:
            compare(arguments, Path(text))


if __name__ == "__main__":
    main()
