"""The ready file of ``tunesmith serve``: it appears when the server answers, with its address.

The embedded server writes it itself. TensorFlow Serving replaces the process that starts it (exec),
so a second process, ``python -m tunesmith.cli.ready_file``, waits for its port and writes it.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

_POLL_SECONDS = 0.1
_ANSWER_SECONDS = 2.0

# The client's side of a new HTTP/2 connection: the preface and an empty SETTINGS frame, which a
# server answers with its own (RFC 9113, sections 3.4 and 6.5).
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"


@dataclass(frozen=True)
class Ready:
    """Content of the ready file, which is JSON.

    Args:
        engine: name of the engine that serves, as for ``--engine``; never ``auto``.
        address: ``HOST:PORT`` or ``unix:PATH``, for a client on this machine.
        model: the name that the model is served under; None where a model configuration names them.
        pid: the process that serves; of Docker, the one that runs the container.
    """

    engine: str
    address: str
    model: str | None
    pid: int

    def write(self, path: Path) -> None:
        """Write the file atomically.

        Raises:
            OSError: it cannot be written.
        """
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        aside.write_text(json.dumps(asdict(self)), "utf-8")
        aside.replace(path)


def write_when_it_answers(path: Path, ready: Ready, tls: bool) -> None:
    """Start the process that writes the file once the port answers; return at once.

    That process ends when the serving process does, whether the file was written or not.
    """
    command = [sys.executable, "-m", __name__, str(path), json.dumps(asdict(ready)), str(int(tls))]
    # It forks and returns at once.
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def answers(address: str, tls: bool) -> bool:
    """Return whether an HTTP/2 server answers at an address.

    An open port is not enough: Docker opens that of a container before the program in it listens.

    Args:
        address: ``HOST:PORT``, ``[IPv6]:PORT`` or ``unix:PATH``.
        tls: whether it expects TLS. Certificates are not checked: no data is exchanged.
    """
    try:
        with _connect(address) as plain, _secured(plain) if tls else plain as connection:
            connection.sendall(_HELLO)
            return bool(connection.recv(1))
    except OSError:
        return False


def _connect(address: str) -> socket.socket:
    if address.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_ANSWER_SECONDS)
        connection.connect(address.removeprefix("unix:"))
        return connection
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS)


def _secured(plain: socket.socket) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return context.wrap_socket(plain)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def main(path: Path, ready: Ready, tls: bool) -> None:
    """Fork; the child waits for the port and writes the file."""
    if os.fork():
        return
    os.setsid()
    # A reader of the server's output must not wait for this process to close it.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    while _is_running(ready.pid):
        if answers(ready.address, tls):
            with suppress(OSError):
                ready.write(path)
            return
        time.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Ready(**json.loads(sys.argv[2])), sys.argv[3] == "1")
