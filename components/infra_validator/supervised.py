"""Runs a program that ends with the process that started it, even if that process is killed.

``python -m tunesmith.components.infra_validator.supervised PROGRAM ARGUMENT…`` starts the program
and ends it when standard input is closed, as it is when the parent process is killed. The exit code
is the program's, or 128 plus the number of the signal that ended it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

DRAIN_SECONDS = 30.0
"""Time for the program to end after SIGTERM."""


def main(command: list[str]) -> int:
    """Run `command` until it ends or standard input does; return its exit code."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as program:
        threading.Thread(target=_end_with_input, args=(program,), daemon=True).start()
        code = program.wait()
    return 128 - code if code < 0 else code


def _end_with_input(program: subprocess.Popen[bytes]) -> None:
    # os.read, not sys.stdin: a thread that blocks in its buffer would delay the exit.
    while os.read(0, 1):
        pass
    program.send_signal(signal.SIGTERM)
    try:
        program.wait(DRAIN_SECONDS)
    except subprocess.TimeoutExpired:
        program.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
