"""``tunesmith serve``: what it would run, and what it refuses before anything is started."""

from __future__ import annotations

import shlex
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tunesmith.cli import main
from tunesmith.serving import DockerImage, ServerOptions, docker_command, program_command

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
    options = ServerOptions(port=8600, metrics_port=8601, max_requests=99, batching=False)
    assert shlex.split(out) == program_command(versions, options)
    assert code == 0
    assert err == "note: tensorflow_model_server listens on every interface\n"


def test_a_dry_run_prints_dockers_command_line(serve: Run, versions: Path) -> None:
    code, out, err = serve(
        *("--model-dir", versions, "--engine", "docker", "--dry-run"),
        *("--image", "mine:1", "--cpu", "--model-name", "bach"),
    )
    image = DockerImage("mine:1", gpu=False)
    assert shlex.split(out) == docker_command(versions, ServerOptions(model_name="bach"), image)
    assert (code, err) == (0, "")


def test_a_dry_run_of_the_embedded_server_says_where_it_would_listen(
    serve: Run, versions: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sockets = tmp_path_factory.mktemp("s")
    ask = ("--model-dir", versions, "--engine", "embedded", "--dry-run")
    would = f"the embedded server would serve {versions} on "
    path = sockets / "server.sock"
    assert serve(*ask, "--port", 0)[1] == f"{would}127.0.0.1:0\n"
    assert serve(*ask, "--socket", path)[1] == f"{would}unix:{path}\n"
    both = serve(*ask, "--socket", path, "--port", 0)
    assert both == (0, f"{would}127.0.0.1:0 and unix:{path}\n", "")
    assert not list(sockets.iterdir())


def test_what_is_not_named_is_what_a_server_does_by_itself(
    serve: Run, versions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[ServerOptions] = []
    monkeypatch.setattr(
        "tunesmith.serving.foreground.serve",
        lambda _model, options, **_: served.append(options),
    )
    monkeypatch.setattr("tunesmith.serving.logs.configure", lambda *_: None)
    serve("--model-dir", versions, "--engine", "embedded")
    serve("--model-dir", versions, "--engine", "embedded", "--socket", "s", "--socket-mode", "660")
    alone = ServerOptions(port=None, socket=Path("s"), socket_mode=0o660)
    assert served == [ServerOptions(), alone]


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
        (("--model-dir", tmp_path), "holds no version"),
        (("--model-dir", versions, "--ssl-config-file", broken), "is no SSLConfig"),
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
        (("--model-dir", ".", "--socket-mode", "rw"), "is no file mode"),
        (("--model-dir", ".", "--metrics-port", "70000"), "--metrics-port"),
        (("--model-dir", ".", "--max-requests", "0"), "--max-requests"),
        (("--model-dir", ".", "--log-format", "xml"), "--log-format"),
        (
            ("--model-dir", ".", "--log-level", "debug", "--engine", "docker", "--dry-run"),
            "--log-level is for the embedded engine, and this one is docker",
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
    assert twice[1].startswith(f"port {port} cannot be both")
