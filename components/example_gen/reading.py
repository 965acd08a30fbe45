"""How a job gets its songs: as its Beam options say, or as is quickest on this machine.

Knows no Beam, so that reading can begin before Beam is imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tunesmith.components.example_gen.component import ExampleGenParameters
from tunesmith.components.example_gen.read_ahead import ReadAhead
from tunesmith.components.sources.source import ListedSongs, source_class

COPIES_FOR_MULTI_PROCESSING = 5000
"""Songs to write in keys other than their own from which Beam's worker processes pay.

Each has to import Beam and is fed through this process, so reading alone never pays for them: of
16,000 files in one key they took as long, and three times the memory. Of 800 in twelve keys they
saved a fifth (benchmarks/preprocess.py, two processors)."""

_HERE = "--runner=FnApiRunner"
"""Beam's own runner of this machine. Beam's default would first try to fetch another program from
the network, which runs elsewhere than in this process."""

_QUIET_WORKERS = "--default_sdk_harness_log_level=ERROR"
"""Workers log each step that they take, unless this option limits their log to errors."""

_PLACE = ("--runner", "--direct_", "--job_endpoint", "--environment_", "--streaming")
"""How the options begin that say where a job runs."""


@dataclass(frozen=True)
class Reading:
    """The songs of a job.

    Args:
        songs: the songs of a source.
        parameters: how to read them.
        beam_options: for Beam.
        ahead: what other processes read already; None where the job's own workers read.
    """

    songs: ListedSongs
    parameters: ExampleGenParameters
    beam_options: Sequence[str]
    ahead: ReadAhead | None


@contextmanager
def start_reading(
    songs: ListedSongs,
    parameters: ExampleGenParameters,
    beam_options: Sequence[str],
    copies: int = 1,
) -> Iterator[Reading]:
    """Begin to read `songs`, in the way that is the quickest unless `beam_options` name one.

    Few files are read by the job itself, more by processes without Beam that start at once, and
    songs in many keys by Beam's worker processes, which share the steps after reading, too.

    Args:
        songs: the songs of a source.
        parameters: how to read them.
        beam_options: for Beam.
        copies: keys in which each song is written.
    """
    processors = os.cpu_count() or 1
    if any(option.startswith(_PLACE) for option in beam_options):
        yield Reading(songs, parameters, beam_options, None)
        return
    number = len(songs.files)
    options = [_HERE, *beam_options]
    if number * (copies - 1) >= COPIES_FOR_MULTI_PROCESSING and processors > 1:
        workers = ("--direct_running_mode=multi_processing", f"--direct_num_workers={processors}")
        yield Reading(songs, parameters, [*options, *workers, _QUIET_WORKERS], None)
    elif number >= source_class(songs.source.name).files_a_process:
        with ReadAhead(songs, parameters) as ahead:
            yield Reading(songs, parameters, options, ahead)
    else:
        yield Reading(songs, parameters, options, None)
