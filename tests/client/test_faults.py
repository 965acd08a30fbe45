"""Servers that go away, come back, are overloaded or refuse: what becomes of a song."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import numpy as np
import pytest

from tunesmith.cli import main
from tunesmith.client import (
    Composer,
    ComposerError,
    ConnectionClosed,
    MessageTooLarge,
    ServerBusy,
    ServerError,
    ServerUnavailable,
    VersionGone,
)
from tunesmith.client.connection import Connection
from tunesmith.client.exchange import Call, Effect, Exchange, ModelVersion, Pause, RetryPolicy
from tunesmith.serving import EmbeddedServer, ServerOptions

CALL = Call("Predict", None, ModelVersion("any"))
AWAY = ServerUnavailable("away")


class Outside:
    """A stand-in for a server and a clock where only pauses are tested."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def patience(self, seconds: float, jitter: float = 0.0) -> RetryPolicy:
        return RetryPolicy(seconds, lambda: jitter, lambda: self.now)

    def perform(self, exchange: Exchange[str], *outcomes: str | ComposerError) -> str:
        """Perform `exchange`, whose calls end as `outcomes` say, the last for all that follow."""
        left = list(outcomes)
        effect: Effect = next(exchange)
        try:
            while True:
                if isinstance(effect, Pause):
                    self.pauses.append(effect.seconds)
                    self.now += effect.seconds
                    effect = exchange.send(None)
                    continue
                outcome = left.pop(0) if len(left) > 1 else left[0]
                if isinstance(outcome, ComposerError):
                    effect = exchange.throw(outcome)
                else:
                    effect = exchange.send(outcome)
        except StopIteration as end:
            return str(end.value)


def one_call() -> Exchange[str]:
    answer: str = yield CALL
    return answer


def test_pauses_double_up_to_two_seconds() -> None:
    outside = Outside()
    patience = outside.patience(60)
    assert outside.perform(patience.with_retries(one_call()), "hello") == "hello"
    answer = outside.perform(patience.with_retries(one_call()), *[AWAY] * 7, "back")
    assert answer == "back"
    assert outside.pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0])


def test_jitter_shortens_a_pause_by_up_to_a_half() -> None:
    outside = Outside()
    patience = outside.patience(60, jitter=0.5)
    outside.perform(patience.with_retries(one_call()), ServerBusy("full"), AWAY, "back")
    assert outside.pauses == pytest.approx([0.075, 0.15])


@pytest.mark.parametrize("error", [AWAY, ServerBusy("overloaded")], ids=repr)
def test_patience_ends(error: ComposerError) -> None:
    outside = Outside()
    patience = outside.patience(30)
    outside.perform(patience.with_retries(one_call()), "hello")
    with pytest.raises(type(error), match=str(error)):
        outside.perform(patience.with_retries(one_call()), error)
    assert 28 <= sum(outside.pauses) <= 30


def test_who_never_answered_is_waited_for_two_seconds() -> None:
    outside = Outside()
    with pytest.raises(ServerUnavailable):
        outside.perform(outside.patience(60).with_retries(one_call()), AWAY)
    assert sum(outside.pauses) <= 2
    # A shorter limit is kept, too.
    outside = Outside()
    with pytest.raises(ServerUnavailable):
        outside.perform(outside.patience(0).with_retries(one_call()), AWAY)
    assert outside.pauses == []


@pytest.mark.parametrize(
    "error", [ConnectionClosed("closed"), MessageTooLarge("large"), ServerError("no", "INTERNAL")]
)
def test_what_asking_again_cannot_help_is_told_at_once(error: ComposerError) -> None:
    outside = Outside()
    with pytest.raises(type(error)):
        outside.perform(outside.patience(60).with_retries(one_call()), error)
    assert outside.pauses == []


def test_an_exchange_sees_the_error_that_outlasted_patience() -> None:
    def forgiving() -> Exchange[str]:
        try:
            yield CALL
        except ServerBusy:
            return "as well"
        return "never"

    outside = Outside()
    exchange = outside.patience(1).with_retries(forgiving())
    assert outside.perform(exchange, ServerBusy("full")) == "as well"


Serve = Callable[[int], subprocess.Popen[str]]


@pytest.fixture
def serve_process(model_dir: Path) -> Iterator[Serve]:
    """Start `tunesmith serve` of the small model on a port, in a process of its own."""
    with ExitStack() as stack:

        def start(port: int) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tunesmith.cli.main", "serve"),
                    *("--engine", "embedded", "--port", str(port), "--model-dir", str(model_dir)),
                ],
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield start


def wait_until_it_serves(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("serving "):
            return
    raise AssertionError(f"the server ended with code {process.wait()}")


def test_a_song_outlives_a_server_that_is_killed_and_started_again(
    server_address: str, serve_process: Serve
) -> None:
    with Composer(server_address) as composer:
        undisturbed = composer.generate_many(2, 40, start_random=True, seed=17)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = serve_process(port)
    wait_until_it_serves(server)
    killed: list[int] = []

    def kill_halfway(length: int) -> None:
        if length >= 20 and not killed:
            os.kill(server.pid, signal.SIGKILL)
            server.wait()
            killed.append(length)
            serve_process(port)

    with Composer(f"127.0.0.1:{port}", patience=200) as composer:
        songs = composer.generate_many(2, 40, start_random=True, seed=17, progress=kill_halfway)
    assert killed
    assert killed[0] < 40
    assert songs == undisturbed


def test_a_server_that_stays_away_ends_the_song_and_leaves_its_beginning(
    serve: Callable[..., str], contract
) -> None:
    address = serve()
    with Composer(address, patience=0.5) as composer:
        songs = composer.begin(1, 20, seed=3, speculate=0)
        for length in songs:
            if length == 7:
                break
        contract.refusals = [grpc.StatusCode.UNAVAILABLE] * 1000
        with pytest.raises(ServerUnavailable, match=r"retried for 0\.5 s"):
            songs.finish()
        assert len(songs.songs()[0].frames) == 7
        contract.refusals = []
        assert songs.finish() == [composer.generate(20, seed=3, speculate=0)]


def test_an_overloaded_server_is_asked_again(address: str, contract) -> None:
    with Composer(address) as composer:
        expected = composer.generate(4, seed=1)
        contract.refusals = [grpc.StatusCode.RESOURCE_EXHAUSTED] * 3
        assert composer.generate(4, seed=1) == expected
    assert not contract.refusals


def test_a_call_that_a_stopping_server_cut_off_is_asked_again(address: str, contract) -> None:
    with Composer(address) as composer:
        expected = composer.generate(4, seed=1)
        contract.refusals = [grpc.StatusCode.CANCELLED] * 2
        assert composer.generate(4, seed=1) == expected


def test_more_windows_than_a_batch_may_hold_are_asked_in_several(address: str, contract) -> None:
    with Composer(address) as composer:
        expected = composer.generate_many(11, 3, seed=6, speculate=0)
        contract.windows.clear()
        contract.most_windows = 4
        assert composer.generate_many(11, 3, seed=6, speculate=0) == expected
    # Found out once: 11 and 5 are refused, 2 are not.
    assert [len(windows) for windows in contract.windows] == [2, 2, 2, 2, 2, 1] * 3


def test_a_refusal_of_a_single_window_is_an_error(address: str, contract) -> None:
    contract.most_windows = 0
    with Composer(address) as composer, pytest.raises(ServerError, match="INVALID_ARGUMENT"):
        composer.generate_many(3, 2)


@pytest.fixture(scope="module")
def own_server(
    model_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EmbeddedServer]:
    """A server of a copy of the small model, which takes messages of 2,048 bytes at most."""
    base = tmp_path_factory.mktemp("own") / "tunesmith"
    shutil.copytree(model_dir, base)
    options = ServerOptions(port=0, max_receive_bytes=2048, poll_seconds=0.1)
    with EmbeddedServer(base, options) as server:
        yield server


def test_a_message_too_large_for_the_server_is_split(
    own_server: EmbeddedServer, server_address: str
) -> None:
    with Composer(server_address) as composer:
        expected = composer.generate_many(20, 2, seed=8, speculate=0)
    # A window is 200 bytes.
    with Composer(own_server.address) as composer:
        songs = composer.generate_many(20, 2, seed=8, speculate=0)
        assert [song.frames for song in songs] == [song.frames for song in expected]
        with pytest.raises(MessageTooLarge, match="generate fewer songs"):
            composer.generate_many(20, 2, loop="server")


def test_a_new_version_on_the_real_server_is_noticed(own_server: EmbeddedServer) -> None:
    with Composer(own_server.address) as composer:
        songs = composer.begin(1, 30, seed=2, speculate=0)
        for length in songs:
            if length == 10:
                break
        aside = own_server.model_dir / "aside"
        shutil.copytree(own_server.model_dir / "1", aside)
        aside.rename(own_server.model_dir / "2")
        connection = Connection(own_server.address)
        until = time.monotonic() + 120
        while connection.available_versions("tunesmith") != [2] and time.monotonic() < until:
            time.sleep(0.1)
        connection.close()
        # The server keeps the latest version alone, as TensorFlow Serving does unless told.
        with pytest.raises(VersionGone, match="tunesmith version 1 is no longer served"):
            songs.finish()
        [begun] = songs.songs()
        assert len(begun.frames) == 10
        assert composer.generate(10, start_frames=begun.frames, seed=2).model_version == 2


def test_a_song_stays_on_its_version_while_that_is_served(address: str, contract) -> None:
    with Composer(address) as composer:
        expected = composer.generate(10, seed=2)
        songs = composer.begin(1, 10, seed=2, speculate=0)
        next(iter(songs))
        contract.version, contract.older = 4, (3,)
        contract.probabilities = lambda tokens: contract.next_token(tokens)
        assert songs.finish() == [expected]
        assert composer.generate(10, seed=2).model_version == 4


def test_a_version_that_goes_in_the_middle_of_a_song_is_named(address: str, contract) -> None:
    with Composer(address) as composer:
        songs = composer.begin(1, 10, speculate=0)
        next(iter(songs))
        contract.version = 4
        with pytest.raises(VersionGone, match="tunesmith version 3 is no longer served"):
            songs.finish()
        assert [len(song.frames) for song in songs.songs()] == [1]


def test_a_broken_answer_leaves_what_was_composed(address: str, contract) -> None:
    def broken_later(tokens):
        rows = contract.next_token(tokens)
        return rows * np.nan if len(contract.windows) > 5 else rows

    contract.probabilities = broken_later
    with Composer(address) as composer:
        songs = composer.begin(1, 10, speculate=0)
        with pytest.raises(ComposerError, match="NaN"):
            songs.finish()
        assert len(songs.songs()[0].frames) == 5


def test_the_command_line_writes_what_there_is_when_the_server_goes(
    address: str,
    contract,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Composer(address) as composer:
        beginning = composer.generate(7, seed=4, speculate=0)
    contract.windows.clear()

    def goes(tokens):
        if len(contract.windows) == 7:
            contract.refusals = [grpc.StatusCode.UNAVAILABLE] * 1000
        return contract.next_token(tokens)

    contract.probabilities = goes
    options = ["--steps", "20", "--seed", "4", "--speculate", "0", "--patience", "0.3"]
    where = ["--server", address, "--out", str(tmp_path / "song.mid")]
    monkeypatch.setattr(sys, "argv", ["tunesmith", "generate", *options, *where])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 1
    printed = capsys.readouterr()
    assert printed.err.splitlines()[-1].startswith(
        f"tunesmith: error: no server answers at {address}"
    )
    assert printed.out == f"{tmp_path / 'song.mid'}: {beginning.summary()}, seed 4, version 3\n"
    beginning.write(tmp_path / "expected.mid")
    assert (tmp_path / "song.mid").read_bytes() == (tmp_path / "expected.mid").read_bytes()
