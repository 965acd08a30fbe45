"""MusicXML: the song as a score, for notation programs; written by music21.

A score has note values, a song has frames: a frame becomes the note value that comes nearest to its
part of a beat, and the metronome mark is set so that a frame still lasts as long as it does in the
song. Every note keeps its frames exactly, ties and rests included.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from tunesmith.client.libraries import MUSIC21
from tunesmith.music import notes_from_frames
from tunesmith.music.notation import (
    BEATS_PER_BAR,
    PART_NAMES,
    HeldNote,
    checked_programs,
    checked_tempo,
    checked_velocities,
    share,
    voices_of,
)

if TYPE_CHECKING:
    from tunesmith.client.song import Song

# Frames of a quarter note: powers of two, and of triplets. A frame is a whole note at the longest
# and a 512th at the shortest.
_FRAMES_PER_QUARTER = sorted(
    [Fraction(2) ** power for power in range(-2, 8)]
    + [Fraction(3) * 2**power for power in range(6)]
)


@dataclass(frozen=True)
class NoteValues:
    """How frames become note values.

    Args:
        frames_per_quarter: frames of a quarter note.
        quarters_per_minute: the metronome mark.
    """

    frames_per_quarter: Fraction
    quarters_per_minute: float

    @classmethod
    def choose(cls, frames_per_second: float, tempo: float | None) -> NoteValues:
        """Return the note values of a song.

        Args:
            frames_per_second: of the song.
            tempo: in beats a minute, a beat being a quarter note; None for that of
                :func:`tunesmith.music.notation.checked_tempo`.

        Raises:
            MusicError: the speed or the tempo is out of range.
        """
        wanted = 60 * frames_per_second / checked_tempo(tempo, frames_per_second)
        nearest = min(_FRAMES_PER_QUARTER, key=lambda each: abs(math.log(wanted / each)))
        return cls(nearest, 60 * frames_per_second / float(nearest))

    @property
    def frames_per_bar(self) -> int:
        """Frames of a bar of four quarters."""
        return int(BEATS_PER_BAR * self.frames_per_quarter)

    def pieces(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the frames `start` to `end` in pieces that a single note value can last.

        No piece crosses a bar line; of triplets none crosses a beat unless it begins on one.
        """
        while start < end:
            room = min(end, (start // self.frames_per_bar + 1) * self.frames_per_bar) - start
            beat = int(self.frames_per_quarter) if self.frames_per_quarter.numerator % 3 == 0 else 0
            if beat and start % beat:
                room = min(room, beat - start % beat)
            elif beat and room > beat:
                room -= room % beat
            length = next(each for each in range(room, 0, -1) if self._is_single(each))
            yield start, start + length
            start += length

    def _is_single(self, frames: int) -> bool:
        """Return whether one note value, perhaps with a dot or of a triplet, lasts so long."""
        quarters = frames / self.frames_per_quarter
        odd = quarters.numerator // (quarters.numerator & -quarters.numerator)
        return odd in (1, 3) if quarters.denominator % 3 else odd == 1


class MusicXmlFormat:
    """``.musicxml``: a part for each program, in bars of four quarters."""

    name = "MusicXML"
    suffixes = (".musicxml",)
    library = MUSIC21

    def write(self, song: Song, file: BinaryIO) -> None:
        """Write the song.

        Raises:
            MissingLibrary: music21 is not installed.
            MusicError: the speed, the tempo, a program or a velocity is out of range.
        """
        MUSIC21.require("a MusicXML score")
        from music21.musicxml.m21ToXml import GeneralObjectExporter

        file.write(GeneralObjectExporter(_score(song)).parse())


FORMAT = MusicXmlFormat()


class _Sounding(NamedTuple):
    """A held note with its velocity, 1..127."""

    note: HeldNote
    velocity: int


def _score(song: Song) -> Any:
    """Return the song as a music21 score."""
    from music21 import metadata, stream, tempo

    values = NoteValues.choose(song.frames_per_second, song.tempo)
    programs, velocities = checked_programs(song.program), checked_velocities(song.velocity)
    notes = notes_from_frames(song.frames)
    parts: list[list[_Sounding]] = [[] for _ in programs]
    for note, voice in zip(notes, voices_of(notes, song.frames), strict=True):
        sounding = _Sounding(note, share(velocities, voice))
        parts[min(voice, len(parts) - 1)].append(sounding)
    score = stream.Score()
    score.metadata = metadata.Metadata(movementName=song.summary())
    if song.origin():
        score.metadata.composer = song.origin()
    bars = max(math.ceil(len(song.frames) / values.frames_per_bar), 1)
    names = PART_NAMES[len(programs)]
    for number, (program, name, held) in enumerate(zip(programs, names, parts, strict=True), 1):
        part = _part(held, bars, values)
        part.partName = name or "song"
        part.insert(0, _instrument(program, number, part.partName))
        score.insert(0, part)
    mark = tempo.MetronomeMark(number=round(values.quarters_per_minute, 3))
    score.parts[0].measure(1).insert(0, mark)
    return score


def _instrument(program: int, number: int, name: str) -> Any:
    from music21 import instrument

    found = instrument.instrumentFromMidiProgram(program)
    # Identifiers that do not change, so that a song gives the same file, but for its date.
    found.partId, found.instrumentId, found.partName = f"P{number}", f"I{number}", name
    return found


def _part(notes: Sequence[_Sounding], bars: int, values: NoteValues) -> Any:
    """Return the notes as a part of notes, chords and rests, one after the other."""
    from music21 import clef, meter, stream

    part = stream.Part()
    measures = [stream.Measure(number=number) for number in range(1, bars + 1)]
    for start, end, sounding in _segments(notes, bars * values.frames_per_bar):
        for first, last in values.pieces(start, end):
            bar, offset = divmod(first, values.frames_per_bar)
            element = _element(sounding, first, last, values)
            measures[bar].insert(offset / values.frames_per_quarter, element)
    measures[0].insert(0, meter.TimeSignature(f"{BEATS_PER_BAR}/4"))
    part.append(measures)
    measures[0].insert(0, clef.bestClef(part, recurse=True))
    return part


def _segments(
    notes: Sequence[_Sounding], length: int
) -> Iterator[tuple[int, int, list[_Sounding]]]:
    """Yield stretches in which the same notes sound: their first frame, their end, the notes."""
    bounds = {0, length}.union(*((each.note.start, each.note.end) for each in notes))
    waiting = deque(sorted(notes, key=lambda each: each.note.start))
    sounding: list[_Sounding] = []
    for start, end in itertools.pairwise(sorted(bounds)):
        sounding = [each for each in sounding if each.note.end > start]
        while waiting and waiting[0].note.start == start:
            sounding.append(waiting.popleft())
        yield start, end, sounding


def _element(sounding: Sequence[_Sounding], first: int, last: int, values: NoteValues) -> Any:
    """Return the frames `first` to `last`, of one note value, as a rest, a note or a chord.

    A note is tied to what it continues and to what continues it.
    """
    from music21 import chord, duration, note, tie

    lasting = duration.Duration((last - first) / values.frames_per_quarter)
    if not sounding:
        return note.Rest(duration=lasting)
    pitched = []
    for each in sorted(sounding, key=lambda each: each.note.pitch):
        one = note.Note(each.note.pitch, duration=lasting)
        one.volume.velocity = each.velocity
        kind = _tie(each.note.start < first, each.note.end > last)
        if kind:
            one.tie = tie.Tie(kind)
        pitched.append(one)
    return pitched[0] if len(pitched) == 1 else chord.Chord(pitched, duration=lasting)


def _tie(before: bool, after: bool) -> str:
    """Return music21's kind of tie of a note that sounds before and after; empty for none."""
    if before and after:
        return "continue"
    return "stop" if before else "start" if after else ""
