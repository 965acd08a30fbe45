"""What importing the client costs."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("tensorflow", "tensorflow_serving", "keras", "apache_beam", "pretty_midi", "PIL", "mido")


def test_importing_the_client_imports_nothing_heavy() -> None:
    program = (
        "import sys, tunesmith.client, tunesmith.client.protos.tunesmith_wire_pb2\n"
        f"print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert found.stdout.split() == []
