"""Reading songs in processes of their own, while this one still imports Beam.

Reading is the longest part of a job on one machine, and needs numpy alone. So the command line
starts these processes first: they import in a tenth of Beam's time and hand over what they read
through pipes, in a format of our own, bounded by a queue.

Run as ``python -m tunesmith.components.example_gen.read_ahead`` this module is such a process:
source, parameters and locations on its standard input, songs and rejections on its standard output.
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
    read_song_file,
)
from tunesmith.components.parameter_values import parameters_from
from tunesmith.components.sources.source import Files, ListedSongs, SourceReference, source_class

_WAITING = 512
"""Files whose result may wait for the job: a few megabytes."""

_NICENESS = 5
"""The processes give way to the one that feeds on them: it is the one that everybody waits for."""

_SIZES = struct.Struct("<4I")
"""Bytes of each part of a result; a rejection has three parts, and the last is empty."""


class ReadAhead:
    """Processes that read songs, and what they have read.

    A context manager: leaving it ends the processes.

    Args:
        songs: the songs of a source.
        parameters: how to read them.
        processes: how many; None for as many as there are processors, and fewer for few files.
    """

    def __init__(
        self,
        songs: ListedSongs,
        parameters: ExampleGenParameters,
        processes: int | None = None,
    ) -> None:
        number = len(songs.files)
        if processes is None:
            each = source_class(songs.source.name).files_a_process
            processes = min(os.cpu_count() or 1, 1 + number // each)
        self._results: queue.Queue[Song | Rejection | None] = queue.Queue(_WAITING)
        self._left = False
        self._processes = [
            _start(share, songs.source, parameters) for share in _shares(songs, processes)
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
                raise ComponentError(f"a process that read songs ended early: {how}")

    def _collect(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        try:
            for result in _read_results(process.stdout):
                if self._left:
                    return
                self._results.put(result)
        finally:
            self._results.put(None)


def _shares(songs: ListedSongs, processes: int) -> list[Files]:
    if not songs.in_order:
        return [songs.files[first::processes] for first in range(processes)]
    # One after the other: each process then passes what is before its share once.
    bounds = [number * len(songs.files) // processes for number in range(processes + 1)]
    return [songs.files[bounds[n] : bounds[n + 1]] for n in range(processes)]


def _start(
    files: Files, source: SourceReference, parameters: ExampleGenParameters
) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    # JSON writes a path that is no valid text with lone surrogates, and reads it back the same.
    task = {
        "source": dataclasses.asdict(source),
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
    source = SourceReference(**task["source"]).open()
    for song_id, location in task["files"]:
        result = read_song_file(os.fsencode(song_id), os.fsencode(location), parameters, source)
        try:
            _write_result(result, sys.stdout.buffer)
            # At once: who waits for the last of few files should not wait for a full buffer.
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            os._exit(1)  # The parent has ended, so that no error can be reported.


if __name__ == "__main__":
    _main()
