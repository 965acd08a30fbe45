"""``tunesmith serve``: what it would run, and what it refuses before anything is started."""

from __future__ import annotations

import dataclasses
import shlex
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tunesmith.cli import main
from tunesmith.plugins import set_plugin_path
from tunesmith.serving import EngineLimit, EngineOptions, ServerOptions, load_engine
from tunesmith.serving.engines.embedded import EmbeddedEngine

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``serve(argument, …)`` in this process: exit code, standard output, standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tunesmith", "serve", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return int(ended.value.code or 0), out, err

    return call


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    """A folder that passes for a model's until it is loaded, its name in need of quotes."""
    base = tmp_path / "my models"
    (base / "1").mkdir(parents=True)
    return base


def test_a_dry_run_prints_tensorflow_servings_command_line(serve: Run, versions: Path) -> None:
    code, out, err = serve(
        *("--model-dir", versions, "--engine", "tensorflow-serving", "--dry-run"),
        *("--port", 8600, "--metrics-port", 8601, "--max-requests", 99, "--no-batching"),
    )
    options = EngineOptions(port=8600, metrics_port=8601, max_requests=99, batching=False)
    assert shlex.split(out) == load_engine("tensorflow-serving").command(versions, options)
    assert code == 0
    assert err == "note: tensorflow-serving listens on every interface, not only on --host\n"


def test_a_dry_run_prints_dockers_command_line(serve: Run, versions: Path) -> None:
    code, out, err = serve(
        *("--model-dir", versions, "--engine", "docker", "--dry-run"),
        *("--image", "mine:1", "--cpu", "--model-name", "bach"),
    )
    options = EngineOptions(image="mine:1", gpu=False, model_name="bach")
    assert shlex.split(out) == load_engine("docker").command(versions, options)
    assert (code, err) == (0, "")


def test_a_dry_run_of_the_embedded_server_prints_a_command_that_serves_the_same(
    serve: Run, versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each option with another value than its default, beside those that exclude each other.
    options = EngineOptions(
        model_name="my model",
        host="localhost",
        port=0,
        socket=versions / "s.sock",
        socket_mode=0o660,
        reload_requests=False,
        batching=False,
        metrics_port=0,
        log_format="json",
        log_level="debug",
        poll_seconds=2.5,
        drain_seconds=3.0,
        max_receive_bytes=1000,
        max_send_bytes=1001,
        workers=5,
        max_requests=6,
    )
    served: list[EngineOptions] = []
    monkeypatch.setattr(EmbeddedEngine, "serve", lambda _, __, options, ___: served.append(options))
    words = load_engine("embedded").command(versions, options)
    assert words[:4] == [sys.executable, "-m", "tunesmith.cli.main", "serve"]
    code, out, err = serve(*words[4:], "--dry-run")
    assert (code, err) == (0, "")
    assert shlex.split(out) == words
    serve(*words[4:])
    assert served == [options]
    assert not (versions / "s.sock").exists()


@pytest.mark.parametrize("field", dataclasses.fields(ServerOptions), ids=lambda each: each.name)
def test_the_embedded_servers_command_leaves_no_option_out(
    field: dataclasses.Field[object], versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunesmith.serving.engines.embedded.EmbeddedServer.check", lambda _: None)
    engine = load_engine("embedded")
    default = field.default
    other: object = not default if isinstance(default, bool) else 7
    if field.name.endswith(("_file", "socket")):
        other = versions / "file"
    options = dataclasses.replace(EngineOptions(), **{field.name: other})
    try:
        changed = " ".join(engine.command(versions, options))
    except EngineLimit as limit:
        changed = str(limit)
        assert field.name in changed
    assert changed != " ".join(engine.command(versions, EngineOptions()))


def test_what_is_not_named_is_what_a_server_does_by_itself(
    serve: Run, versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[ServerOptions] = []
    monkeypatch.setattr(EmbeddedEngine, "serve", lambda _, __, options, ___: served.append(options))
    serve("--model-dir", versions, "--engine", "embedded")
    serve("--model-dir", versions, "--engine", "embedded", "--socket", "s", "--socket-mode", "660")
    alone = EngineOptions(port=None, socket=Path("s"), socket_mode=0o660)
    assert served == [EngineOptions(), alone]


def test_an_engine_that_needs_a_port_gets_a_free_one(serve: Run, versions: Path) -> None:
    ask = ("--model-dir", versions, "--engine", "docker", "--dry-run")
    ports = [
        int(word.split(":")[1])
        for word in shlex.split(serve(*ask, "--port", 0)[1])
        if word.startswith("--publish=127.0.0.1:")
    ]
    assert len(ports) == 1
    assert ports[0] > 0


EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture
def tidied_plugins() -> Iterator[None]:
    """Afterwards the plug-in path is empty again."""
    yield
    set_plugin_path([])


@pytest.mark.usefixtures("tidied_plugins")
def test_a_users_own_engine_is_found_on_the_plugin_path(
    serve: Run, versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = ("--model-dir", versions, "--engine", "low_priority_engine:LowPriority", "--port", 0)
    assert "there is no module low_priority_engine" in refused(serve(*ask, "--dry-run"))[1]
    assert "is not a folder" in refused(serve(*ask, "--plugin-path", EXAMPLES / "none"))[1]
    code, out, err = serve(*ask, "--plugin-path", EXAMPLES, "--dry-run")
    assert (code, err) == (0, "")
    words = shlex.split(out)
    assert words[:3] == ["nice", "-n", "10"]
    (port,) = [word.removeprefix("--port=") for word in words if word.startswith("--port=")]
    assert int(port) > 0
    monkeypatch.setenv("PATH", "")
    found = refused(serve(*ask, "--plugin-path", EXAMPLES))
    assert found == (1, "nice is not on PATH\n")


def refused(answer: tuple[int, str, str]) -> tuple[int, str]:
    """Return the exit code and the one line of an error."""
    code, out, err = answer
    assert out == ""
    assert err.startswith("tunesmith: error: ")
    assert err.count("\n") == 1
    return code, err.removeprefix("tunesmith: error: ")


@pytest.mark.parametrize("engine", ["embedded", "tensorflow-serving", "docker"])
def test_what_cannot_be_served_is_refused_in_one_line(
    serve: Run, versions: Path, tmp_path: Path, engine: str
) -> None:
    broken = tmp_path / "broken.config"
    broken.write_text("nonsense {")
    for arguments, words in (
        (("--model-dir", tmp_path / "none"), "is not a model folder"),
        (("--model-dir", tmp_path), "has no model version"),
        (("--model-dir", versions, "--ssl-config-file", broken), "is not an SSLConfig"),
        (("--model-dir", versions, "--ssl-config-file", tmp_path / "no"), "No such file"),
        (("--model-config-file", broken), str(broken)),
    ):
        code, line = refused(serve(*arguments, "--engine", engine, "--dry-run"))
        assert code == 1
        assert words in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "either --model-dir"),
        (("--model-dir", ".", "--model-config-file", "m"), "either --model-dir"),
        (("--model-dir", ".", "--socket-mode", "rw"), "is not a file mode"),
        (("--model-dir", ".", "--metrics-port", "70000"), "--metrics-port"),
        (("--model-dir", ".", "--max-requests", "0"), "--max-requests"),
        (("--model-dir", ".", "--log-format", "xml"), "--log-format"),
        (
            ("--model-dir", ".", "--engine", "torch"),
            "'torch' is not one of auto, docker, embedded, tensorflow-serving, nor module:object",
        ),
        (("--model-dir", ".", "--engine", "no_such:THING"), "--engine no_such:THING: "),
        (
            ("--model-dir", ".", "--log-level", "debug", "--engine", "docker", "--dry-run"),
            "leave out --log-level, or use --engine embedded",
        ),
    ],
)
def test_options_that_make_no_sense(serve: Run, arguments: tuple[str, ...], words: str) -> None:
    code, line = refused(serve(*arguments))
    assert code == 2
    assert words in line
    assert "see tunesmith serve --help" in line


def test_addresses_that_are_taken(
    serve: Run, versions: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ask = ("--model-dir", versions, "--engine", "embedded", "--port", 0)
    path = tmp_path_factory.mktemp("s") / "server.sock"
    with socket.create_server(("127.0.0.1", 0)) as other, socket.socket(socket.AF_UNIX) as live:
        live.bind(str(path))
        live.listen()
        port = other.getsockname()[1]
        taken = refused(serve(*ask, "--metrics-port", port))
        assert taken[1].startswith(f"port {port} on 127.0.0.1 is in use")
        assert refused(serve(*ask, "--socket", path))[1].startswith(f"the socket {path} is in use")
    twice = refused(serve(*ask, "--port", port, "--metrics-port", port))
    assert twice[1].startswith(f"port {port} is set for requests and for metrics")
