"""Runs a program that must not outlive whoever started this one, however that one ends.

``python -m tunesmith.components.infra_validator.supervised PROGRAM ARGUMENT…`` starts the program
and ends it when its own standard input is closed, which the system does for a parent that was
killed. It exits with the program's code, 128 and the signal's number for one that a signal ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

DRAIN_SECONDS = 30.0
"""That the program has to end by itself, once asked."""


def main(command: list[str]) -> int:
    """Run `command` until it ends or standard input does; return its exit code."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as program:
        threading.Thread(target=_end_with_input, args=(program,), daemon=True).start()
        code = program.wait()
    return 128 - code if code < 0 else code


def _end_with_input(program: subprocess.Popen[bytes]) -> None:
    # Not through sys.stdin: a thread that waits in its buffer would be in the way of the exit.
    while os.read(0, 1):
        pass
    program.send_signal(signal.SIGTERM)
    try:
        program.wait(DRAIN_SECONDS)
    except subprocess.TimeoutExpired:
        program.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
