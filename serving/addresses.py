"""Where a server listens: TCP addresses and unix sockets, looked at before they are taken.

What is in the way is said in one line, and before TensorFlow's seconds of import. Nothing here
overwrites a file that is not a dead server's socket.
"""

from __future__ import annotations

import errno
import os
import secrets
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tunesmith.serving.errors import AddressUnavailable

_LARGEST_PORT = 65535
_LONGEST_SOCKET_PATH = 107
"""Bytes of a unix socket's path on Linux (unix(7)); other systems have a few less."""


def join(host: str, port: int) -> str:
    """Return ``host:port`` as gRPC and URLs write it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def require_free(host: str, port: int) -> None:
    """Bind the address for a moment, to learn the reason if it cannot be.

    Raises:
        AddressUnavailable: it cannot be listened on.
    """
    if not 0 <= port <= _LARGEST_PORT:
        raise AddressUnavailable(f"cannot listen on port {port}: ports are 0 to {_LARGEST_PORT}")
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressUnavailable(f"cannot listen on {host!r}: no such host is known") from error
    failures: list[OSError] = []
    for family, kind, protocol, _, address in addresses:
        try:
            with socket.socket(family, kind, protocol) as probe:
                # As gRPC does: a port whose last connections are still closing is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen()
        except OSError as error:
            failures.append(error)
    # A name may stand for several addresses. A foreign server on one of them is always in the way,
    # while one that this machine lacks, such as IPv6's loopback, is not.
    for failure in failures:
        if failure.errno == errno.EADDRINUSE:
            raise AddressUnavailable(
                f"port {port} on {host} is in use: stop the program that holds it, or choose "
                "another port (0 for any free one)"
            ) from failure
    if len(failures) == len(addresses):
        raise AddressUnavailable(
            f"cannot listen on {join(host, port)}: {failures[0].strerror}"
        ) from failures[0]


def require_free_socket(path: Path) -> bool:
    """Look at the path of a unix socket to be.

    Returns:
        Whether a socket lies there that nobody listens on: what a killed server left.

    Raises:
        AddressUnavailable: a server listens there, something else lies there, or it cannot be
            written.
    """
    if max(len(os.fsencode(each)) for each in (path, _aside(path))) > _LONGEST_SOCKET_PATH:
        raise AddressUnavailable(
            f"the socket path {path} is longer than {_LONGEST_SOCKET_PATH} bytes: choose another"
        )
    if not path.parent.is_dir():
        raise AddressUnavailable(f"cannot listen on {path}: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise AddressUnavailable(f"cannot listen on {path}: its folder cannot be written")
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(mode):
        raise AddressUnavailable(f"{path} is there and is no socket: choose another path")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError as error:
            raise AddressUnavailable(f"cannot listen on {path}: {error.strerror}") from error
    raise AddressUnavailable(
        f"the socket {path} is in use: stop the program that listens there, or choose another"
    )


@contextmanager
def socket_put_in_place(path: Path, mode: int) -> Iterator[Path]:
    """Yield where to bind a socket inside the context, which then appears at `path`.

    gRPC removes the file at the path it bound, whosever that is by then; so it binds another name,
    and the socket is moved to its own, where it takes the place of a dead server's and of nothing
    else.

    Args:
        path: the socket to be.
        mode: its permissions.

    Raises:
        AddressUnavailable: what :func:`require_free_socket` raises.
    """
    aside = _aside(path)
    # Between bind and chmod somebody could connect; a mask leaves no such moment.
    before = os.umask(0o777 & ~mode)
    try:
        yield aside
    finally:
        os.umask(before)
    try:
        if require_free_socket(path):
            path.unlink(missing_ok=True)
        os.link(aside, path)
    except FileExistsError as error:
        raise AddressUnavailable(f"the socket {path} was taken just now: choose another") from error
    finally:
        aside.unlink(missing_ok=True)


def _aside(path: Path) -> Path:
    return path.parent / f".{secrets.token_hex(4)}"


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells the file at `path` from a later one there; None where there is none."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def remove_socket(path: Path, ours: tuple[int, int] | None) -> None:
    """Remove our socket; another server's that took its place stays."""
    if ours is not None and identity(path) == ours:
        path.unlink(missing_ok=True)
