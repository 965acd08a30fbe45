"""Listening addresses: TCP ports and unix sockets, checked before the server binds them.

The check runs before TensorFlow is imported, which takes seconds, and its errors are one line. The
only file that is ever replaced is the socket of a server that no longer runs.
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
    """Check that a TCP address can be bound, by binding it for a moment.

    Raises:
        AddressUnavailable: the address cannot be bound; the message gives the reason.
    """
    if not 0 <= port <= _LARGEST_PORT:
        raise AddressUnavailable(f"cannot listen on port {port}: ports are 0 to {_LARGEST_PORT}")
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressUnavailable(f"cannot listen on {host!r}: unknown host") from error
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
    # A host name can have several addresses. If one of them is in use, binding fails. If this
    # machine does not have one of them, such as the IPv6 loopback, the others are enough.
    for failure in failures:
        if failure.errno == errno.EADDRINUSE:
            raise AddressUnavailable(
                f"port {port} on {host} is in use: stop the program that uses it, or choose "
                "another port (0 for any free one)"
            ) from failure
    if len(failures) == len(addresses):
        raise AddressUnavailable(
            f"cannot listen on {join(host, port)}: {failures[0].strerror}"
        ) from failures[0]


def require_free_socket(path: Path) -> bool:
    """Check that a unix socket can be created at `path`.

    Returns:
        True if `path` is a stale socket, left by a server that was killed; False if `path` is free.

    Raises:
        AddressUnavailable: a server listens on `path`, another kind of file exists there, or its
            folder cannot be written.
    """
    if max(len(os.fsencode(each)) for each in (path, _temporary_name(path))) > _LONGEST_SOCKET_PATH:
        raise AddressUnavailable(
            f"the socket path {path} is longer than {_LONGEST_SOCKET_PATH} bytes: "
            "choose a shorter one"
        )
    if not path.parent.is_dir():
        raise AddressUnavailable(
            f"cannot listen on {path}: the folder {path.parent} does not exist"
        )
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise AddressUnavailable(
            f"cannot listen on {path}: the folder {path.parent} is not writable"
        )
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(mode):
        raise AddressUnavailable(f"{path} exists and is not a socket: choose another path")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        except OSError as error:
            raise AddressUnavailable(f"cannot listen on {path}: {error.strerror}") from error
    raise AddressUnavailable(
        f"the socket {path} is in use: stop the program that listens on it, or choose another path"
    )


@contextmanager
def socket_put_in_place(path: Path, mode: int) -> Iterator[Path]:
    """Yield a temporary path to bind; when the context ends, the socket is linked to `path`.

    gRPC removes the file at the path that it bound, even if another server has created a file there
    since. So gRPC binds a temporary name, and the socket is then linked to `path`. Only a stale
    socket is replaced.

    Args:
        path: final path of the socket.
        mode: permissions of the socket.

    Raises:
        AddressUnavailable: as :func:`require_free_socket`.
    """
    aside = _temporary_name(path)
    # With chmod after bind, another user could connect in between; umask avoids that.
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
        raise AddressUnavailable(
            f"another program created {path} at the same time: choose another path"
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def _temporary_name(path: Path) -> Path:
    return path.parent / f".{secrets.token_hex(4)}"


def identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of the file at `path`, or None if it does not exist."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def remove_socket(path: Path, ours: tuple[int, int] | None) -> None:
    """Remove the socket if it is still the one with identity `ours`, not another server's."""
    if ours is not None and identity(path) == ours:
        path.unlink(missing_ok=True)
