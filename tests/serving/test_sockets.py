"""Unix sockets: whose they are, what lies in their way, and that they go."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tunesmith.client import Composer
from tunesmith.serving import AddressUnavailable, EmbeddedServer, ServerOptions


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose path is short enough for a socket's."""
    return tmp_path_factory.mktemp("s")


@pytest.fixture
def left_behind(folder: Path) -> Path:
    """The socket of a server that was killed."""
    path = folder / "server.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    return path


@pytest.fixture
def umask() -> Iterator[None]:
    """A permissive mask, which must not matter."""
    before = os.umask(0)
    yield
    os.umask(before)


def frames(address: str) -> int:
    with Composer(address, deadline=10) as composer:
        return len(composer.generate(steps=2, seed=1).frames)


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("mode", [0o600, 0o660])
def test_a_socket_alone_is_served_to_its_owner_and_removed(
    shared_server: EmbeddedServer, folder: Path, mode: int
) -> None:
    path = folder / "server.sock"
    options = ServerOptions(port=None, socket=path, socket_mode=mode)
    with EmbeddedServer(shared_server.model_dir, options) as server:
        assert server.port is None
        assert server.address == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert frames(server.address) == 2
        assert list(folder.iterdir()) == [path]
    assert not list(folder.iterdir())


def test_a_socket_beside_the_port(shared_server: EmbeddedServer, folder: Path) -> None:
    options = ServerOptions(port=0, socket=folder / "server.sock")
    with EmbeddedServer(shared_server.model_dir, options) as server:
        assert server.addresses == [f"127.0.0.1:{server.port}", f"unix:{folder}/server.sock"]
        assert [frames(address) for address in server.addresses] == [2, 2]


def test_the_socket_of_a_killed_server_is_taken_over(
    shared_server: EmbeddedServer, left_behind: Path
) -> None:
    options = ServerOptions(port=None, socket=left_behind)
    with EmbeddedServer(shared_server.model_dir, options) as server:
        assert frames(server.address) == 2
        with pytest.raises(AddressUnavailable, match="is in use"):
            EmbeddedServer(shared_server.model_dir, options).start()
        assert frames(server.address) == 2


def test_a_socket_that_another_server_put_there_meanwhile_stays(
    shared_server: EmbeddedServer, folder: Path
) -> None:
    path = folder / "server.sock"
    with (
        EmbeddedServer(shared_server.model_dir, ServerOptions(port=0, socket=path)),
        socket.socket(socket.AF_UNIX) as successor,
    ):
        path.unlink()
        successor.bind(str(path))
    assert path.is_socket()


def test_what_is_no_socket_is_never_overwritten(
    shared_server: EmbeddedServer, folder: Path, left_behind: Path
) -> None:
    notes, link = folder / "notes.txt", folder / "link.sock"
    notes.write_text("years of work")
    link.symlink_to(notes)
    for path in (notes, link, folder):
        with pytest.raises(AddressUnavailable, match="exists and is not a socket"):
            EmbeddedServer(shared_server.model_dir, ServerOptions(port=None, socket=path)).start()
    assert notes.read_text() == "years of work"
    assert link.is_symlink()
    assert left_behind.is_socket()


@pytest.mark.parametrize(
    ("name", "words"),
    [("none/server.sock", "does not exist"), ("s" * 120, "longer than 107 bytes")],
)
def test_a_path_that_cannot_be_a_socket_is_refused_in_one_line(
    shared_server: EmbeddedServer, folder: Path, name: str, words: str
) -> None:
    options = ServerOptions(port=None, socket=folder / name)
    with pytest.raises(AddressUnavailable, match=words) as caught:
        EmbeddedServer(shared_server.model_dir, options).start()
    assert "\n" not in str(caught.value)


def test_a_server_needs_a_port_or_a_socket(shared_server: EmbeddedServer) -> None:
    with pytest.raises(AddressUnavailable, match="set a port or a socket"):
        EmbeddedServer(shared_server.model_dir, ServerOptions(port=None)).start()
