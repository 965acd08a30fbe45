"""Reading MIDI files in processes of their own, while this one still imports Beam.

Reading is the longest part of a job on one machine, and needs numpy alone. So the command line
starts these processes first: they import in a tenth of Beam's time and hand over what they read
through pipes, in a format of our own, bounded by a queue.

Run as ``python -m tunesmith.components.example_gen.read_ahead`` this module is such a process:
parameters and paths on its standard input, songs and rejections on its standard output.
"""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import IO, BinaryIO

from tunesmith.components.errors import ComponentError
from tunesmith.components.example_gen.component import ExampleGenParameters
from tunesmith.components.example_gen.song_files import (
    Rejection,
    Song,
    read_local_file,
    read_song_file,
)
from tunesmith.components.parameter_values import parameters_from

FILES_A_PROCESS = 50
"""Fewer files are not worth a process of their own: it takes as long to start as to read them."""

_WAITING = 512
"""Files whose result may wait for the job: a few megabytes."""

_NICENESS = 5
"""The processes give way to the one that feeds on them: it is the one that everybody waits for."""

_SIZES = struct.Struct("<4I")
"""Bytes of each part of a result; a rejection has three parts, and the last is empty."""


class ReadAhead:
    """Processes that read MIDI files, and what they have read.

    A context manager: leaving it ends the processes.

    Args:
        files: (song_id, path) of each.
        parameters: how to read them.
        processes: how many; None for as many as there are processors, and fewer for few files.
    """

    def __init__(
        self,
        files: Sequence[tuple[bytes, bytes]],
        parameters: ExampleGenParameters,
        processes: int | None = None,
    ) -> None:
        if processes is None:
            processes = min(os.cpu_count() or 1, 1 + len(files) // FILES_A_PROCESS)
        self._results: queue.Queue[Song | Rejection | None] = queue.Queue(_WAITING)
        self._left = False
        self._processes = [
            _start(files[first::processes], parameters) for first in range(processes)
        ]
        for process in self._processes:
            threading.Thread(target=self._collect, args=(process,), daemon=True).start()

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(self, *_: object) -> None:
        self._left = True
        for process in self._processes:
            process.kill()
            process.wait()
        # A thread may wait for room in the queue.
        while not self._results.empty():
            self._results.get_nowait()

    def results(self) -> Iterator[Song | Rejection]:
        """Yield what became of each file, in the order in which they are done. Once only.

        Raises:
            ComponentError: a process ended before its files did.
        """
        running = len(self._processes)
        while running:
            result = self._results.get()
            if result is None:
                running -= 1
            else:
                yield result
        for process in self._processes:
            if status := process.wait():
                how = f"signal {-status}" if status < 0 else f"exit status {status}"
                raise ComponentError(f"a process that read MIDI files ended early: {how}")

    def _collect(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        try:
            for result in _read_results(process.stdout):
                if self._left:
                    return
                self._results.put(result)
        finally:
            self._results.put(None)


def _start(
    files: Sequence[tuple[bytes, bytes]], parameters: ExampleGenParameters
) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    # JSON writes a path that is no valid text with lone surrogates, and reads it back the same.
    task = {
        "parameters": dataclasses.asdict(parameters),
        "files": [[os.fsdecode(song_id), os.fsdecode(path)] for song_id, path in files],
    }
    # The process reads all of its input before it writes anything, so this cannot lock up.
    with process.stdin as pipe:
        pipe.write(json.dumps(task).encode())
    return process


def _read_results(pipe: IO[bytes]) -> Iterator[Song | Rejection]:
    while header := pipe.read(_SIZES.size):
        kind, *parts = (pipe.read(size) for size in (1, *_SIZES.unpack(header)))
        if kind == b"S":
            yield Song(*parts)
        else:
            song_id, reason, detail, _ = parts
            yield Rejection(song_id, reason.decode(), detail.decode())


def _write_result(result: Song | Rejection, pipe: BinaryIO) -> None:
    parts: Sequence[bytes]
    if isinstance(result, Song):
        kind, parts = b"S", result
    else:
        kind, parts = b"R", (result.song_id, result.reason.encode(), result.detail.encode(), b"")
    pipe.write(_SIZES.pack(*map(len, parts)) + kind + b"".join(parts))


def _main() -> None:
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    task = json.load(sys.stdin)
    parameters = parameters_from(ExampleGenParameters, task["parameters"])
    for song_id, path in task["files"]:
        result = read_song_file(
            os.fsencode(song_id), os.fsencode(path), parameters, read_local_file
        )
        try:
            _write_result(result, sys.stdout.buffer)
            # At once: who waits for the last of few files should not wait for a full buffer.
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            os._exit(1)  # Nobody is left to read, nor to be told.


if __name__ == "__main__":
    _main()
