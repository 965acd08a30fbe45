"""The demo's corpus: Bach's four-part chorales, public domain, out of the music21 package.

Two of the four voices are kept, the melody and the bass, and every chorale is moved into one key,
C major or A minor: a demo's minutes are enough to learn 450 pairs of notes, and not 4,000 chords.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tunesmith.components.progress import Progress
from tunesmith.components.publishing import staged_directory

QUARTER_SECONDS = 2 / 3
"""A quarter note at 90 beats a minute."""

FRAMES_PER_SECOND = 3.0
"""Two frames a quarter: the eighth note, the chorales' common short value."""

VOICES = {"Soprano": 0, "Bass": 3}
"""The voices kept, and which part of a score each is."""

PARTS = 4


class ChoraleNote(NamedTuple):
    """A note of one voice: MIDI pitch, start and end in quarter notes."""

    pitch: int
    start: float
    end: float


def write_chorales(folder: Path, progress: Progress) -> int:
    """Write the chorales as MIDI files into `folder`, which appears when it is complete.

    Returns:
        How many there are.

    Raises:
        ModuleNotFoundError: music21 is not installed (the ``demo`` extra).
    """
    from music21 import corpus

    sources = sorted(path for path in corpus.getComposer("bach") if path.suffix == ".mxl")
    with (
        staged_directory(folder, replace=True) as staging,
        progress.task("taking Bach's chorales out of music21", total=len(sources)) as task,
        ProcessPoolExecutor(os.cpu_count()) as pool,
    ):
        jobs = ((source, staging / f"{source.stem}.mid") for source in sources)
        for done, _ in enumerate(pool.map(_write_chorale, jobs, chunksize=8), 1):
            task.update(done)
        return len(list(staging.iterdir()))


def _write_chorale(job: tuple[Path, Path]) -> None:
    """Write one chorale; a piece that is not in four voices is no chorale and is left out."""
    from music21 import converter

    source, target = job
    score = converter.parse(source, forceSource=True, storePickle=False)
    if len(score.parts) != PARTS:
        return
    key = score.analyze("key")
    # The nearest way to C or A keeps the voices in their range.
    home = {"major": 0, "minor": 9}[key.mode]
    shift = (home - key.tonic.pitchClass + 6) % 12 - 6
    voices = {name: list(_voice(score.parts[part], shift)) for name, part in VOICES.items()}
    _write_midi(voices, target)


def _voice(part: object, shift: int) -> Iterator[ChoraleNote]:
    for note in part.flatten().notes:  # type: ignore[attr-defined]
        start = float(note.offset)
        for pitch in note.pitches:
            yield ChoraleNote(pitch.midi + shift, start, start + float(note.quarterLength))


def _write_midi(voices: dict[str, list[ChoraleNote]], target: Path) -> None:
    import pretty_midi

    song = pretty_midi.PrettyMIDI(initial_tempo=60 / QUARTER_SECONDS)
    for name, notes in voices.items():
        instrument = pretty_midi.Instrument(program=0, name=name)
        instrument.notes = [
            pretty_midi.Note(
                100, note.pitch, note.start * QUARTER_SECONDS, note.end * QUARTER_SECONDS
            )
            for note in notes
            if note.end > note.start
        ]
        song.instruments.append(instrument)
    song.write(str(target))
