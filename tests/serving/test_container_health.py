"""The container's health check, run by bash as in the image.

TensorFlow Serving does not run here: its answers are played back.
"""

from __future__ import annotations

import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "serving" / "config" / "healthy.sh"
STATES = {"/v1/models/tunesmith": "AVAILABLE", "/v1/models/young": "LOADING"}


class Statuses(http.server.BaseHTTPRequestHandler):
    """Model statuses as TensorFlow Serving's REST port writes them (g3doc/api_rest.md)."""

    def do_GET(self) -> None:
        state = STATES.get(self.path)
        status = {"error_code": "OK", "error_message": ""}
        version = {"version": "1", "state": state, "status": status}
        body: Any = {"model_version_status": [version]} if state else {"error": "not found"}
        self.send_response(200 if state else 404)
        self.end_headers()
        self.wfile.write(json.dumps(body, indent=1).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def rest_port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Statuses) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.parametrize(
    ("model", "healthy"), [(None, True), ("tunesmith", True), ("young", False), ("nope", False)]
)
def test_a_container_is_healthy_once_a_version_answers(
    model: str | None, healthy: bool, rest_port: int
) -> None:
    environment = {"REST_PORT": str(rest_port), "PATH": "/usr/bin:/bin"}
    if model:
        environment["MODEL_NAME"] = model
    ran = subprocess.run(["/bin/bash", SCRIPT], env=environment, check=False)
    assert (ran.returncode == 0) is healthy


def test_a_container_without_a_server_is_not_healthy() -> None:
    # Port 1 of this machine: nobody listens.
    environment = {"REST_PORT": "1", "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(["/bin/bash", SCRIPT], env=environment, capture_output=True, check=False)
    assert ran.returncode != 0
