"""MIDI files to sequences of frames, equal to the columns of pretty_midi's ``get_piano_roll``.

:mod:`tunesmith.music.smf` reads regular files, pretty_midi reads the others; both give the same
notes. The conversion of notes to frames is shared.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunesmith.music.errors import UnusableFile
from tunesmith.music.frames import (
    PITCHES,
    Frame,
    PackedFrames,
    distinct_frames,
    pack_roll,
    unpack_frames,
)
from tunesmith.music.grid import Grid
from tunesmith.music.note_counts import NoteCounts, count_notes, struck_roll
from tunesmith.music.parts import MidiInstrument, TempoMap, instruments_of
from tunesmith.music.smf import Ints, Irregular, read_midi_file
from tunesmith.music.struck import StruckFrame
from tunesmith.music.tracks import TrackChoice

if TYPE_CHECKING:
    import pretty_midi

DEFAULT_MINIMUM_FRAMES = 10
"""Minimum length of a song: two seconds at 5 frames per second."""

LARGEST_FILE = 16 * 2**20
"""Maximum file size in bytes. The largest files of real collections are below 1 MiB."""

LARGEST_IRREGULAR_FILE = 2**20
"""Maximum size in bytes of an irregular file: pretty_midi needs about 30 s and 0.3 GB for 1 MiB."""

LONGEST_SONG = 200_000
"""Maximum length in frames, eleven hours at 5 frames per second: limits the memory for one file."""

MOST_TRACKS = 2048
"""Maximum number of tracks: each takes about 0.5 ms, even if empty. Real songs have below 100."""

MOST_CELLS = 2**31
"""Maximum of frames times 128 pitches, summed over the chosen instruments: some seconds of
computation. Real songs stay below a hundredth of it; only crafted files exceed it."""

_SUSTAIN_PEDAL = 64
_PEDAL_DOWN = 64

DEFAULT_GRID = Grid()


class SongReading(NamedTuple):
    """Frames of a song, from its first sounding frame to its last.

    Attributes:
        distinct: distinct frames as bits, uint8 [k, 16], sorted.
        ids: index into `distinct` of each frame, int32 [frames].
        frames_per_second: frames per second of the grid; if the grid follows the tempo, the mean
            over this song.
        notes: notes of the chosen instruments by outcome.
        struck: struck pitches of each frame as bits, uint8 [frames, 16]; None unless the grid keeps
            onsets.
    """

    distinct: PackedFrames
    ids: NDArray[np.int32]
    frames_per_second: float
    notes: NoteCounts = NoteCounts()
    struck: PackedFrames | None = None

    @property
    def frames(self) -> list[Frame]:
        """The frames in order; struck frames if the grid keeps onsets."""
        distinct = unpack_frames(self.distinct)
        plain = [distinct[index] for index in self.ids.tolist()]
        if self.struck is None:
            return plain
        pairs = zip(plain, unpack_frames(self.struck), strict=True)
        return [StruckFrame(*pair) for pair in pairs]


@dataclass(frozen=True)
class _GridNotes:
    """Notes and controls of an instrument; times are in frames.

    `pitch`, `start`, `end` are int64 [notes]; `pedal` and `bends` are (frames, int64 [n]; values,
    int64 [n]); `length` is the frame of the last event.
    """

    pitch: Ints
    start: Ints
    end: Ints
    pedal: tuple[Ints, Ints]
    bends: tuple[Ints, Ints]
    length: int


@dataclass(frozen=True)
class _Instrument:
    """Name, program and kind of an instrument, and a function that converts it to the grid."""

    name: str
    program: int
    is_drum: bool
    notes: Callable[[], _GridNotes]


def parse_midi(data: bytes) -> pretty_midi.PrettyMIDI:
    """Parse a Standard MIDI File with pretty_midi.

    Raises:
        UnusableFile: pretty_midi cannot read the bytes as a MIDI file.
    """
    import pretty_midi

    with warnings.catch_warnings():
        # pretty_midi warns of tempo events outside track 0, which are common in real collections.
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            return pretty_midi.PrettyMIDI(io.BytesIO(data))
        except Exception as error:
            # For a malformed file, mido and pretty_midi raise many types (EOFError, OSError,
            # ValueError, KeyError, IndexError, ZeroDivisionError, …).
            raise UnusableFile("malformed", f"{type(error).__name__}: {error}") from error


def read_song(
    midi: bytes | Path, track: TrackChoice, grid: Grid = DEFAULT_GRID, minimum_frames: int = 1
) -> SongReading:
    """Read the frames of a MIDI file.

    As in ``get_piano_roll``, the sustain pedal lengthens notes, pitch bends move them, and note
    times are truncated to frames (``int(time * frames_per_second)``). So a note shorter than a
    frame may be dropped unless the grid keeps short notes.

    Args:
        midi: content or path of a MIDI file.
        track: instruments to read; several are merged frame by frame.
        grid: grid of the frames.
        minimum_frames: minimum length of the song in frames.

    Raises:
        UnusableFile: the file cannot be used; with the reason.
    """
    data = _read_bytes(midi) if isinstance(midi, Path) else midi
    if len(data) > LARGEST_FILE:
        raise UnusableFile("too large", f"{len(data)} bytes, maximum {LARGEST_FILE}")
    if (tracks := data.count(b"MTrk")) > MOST_TRACKS:
        raise UnusableFile("too large", f"{tracks} tracks, maximum {MOST_TRACKS}")
    instruments, seconds = _read_instruments(data, grid)
    all_notes: list[_GridNotes] = []
    roll = _merge(_rolls(track.select(instruments), grid, all_notes))
    sounding = np.flatnonzero(roll.any(axis=0))
    if not len(sounding):
        raise UnusableFile("no notes", f"{track} has no note that is as long as a frame")
    first, last = int(sounding[0]), int(sounding[-1]) + 1
    if last - first < minimum_frames:
        raise UnusableFile("too short", f"{last - first} frames, minimum {minimum_frames}")
    speed = grid.frames_per_second
    if grid.frames_per_beat:
        speed = (last - first) / (seconds(last) - seconds(first))
    chosen = _notes(all_notes, grid)
    notes = count_notes(*chosen, roll, (grid.lowest, grid.highest), grid.keep_onsets)
    struck = pack_roll(struck_roll(*chosen, roll)[:, first:last]) if grid.keep_onsets else None
    return SongReading(*distinct_frames(roll[:, first:last]), speed, notes, struck)


def read_sequence(
    midi: bytes | Path, track: TrackChoice, grid: Grid = DEFAULT_GRID, minimum_frames: int = 1
) -> list[Frame]:
    """Return the frames of a song; arguments and errors are those of :func:`read_song`."""
    return read_song(midi, track, grid, minimum_frames).frames


def _read_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UnusableFile("unreadable", f"{error.strerror or error}") from error


def _read_instruments(data: bytes, grid: Grid) -> tuple[list[_Instrument], Callable[[int], float]]:
    """Return the instruments of a file, and a function from a frame of a beat grid to seconds."""
    try:
        file = read_midi_file(data)
        instruments = instruments_of(file)
    except Irregular as reason:
        if len(data) > LARGEST_IRREGULAR_FILE:
            raise UnusableFile(
                "too large",
                f"{len(data)} bytes of a file that needs the slow reader ({reason}), maximum "
                f"{LARGEST_IRREGULAR_FILE}",
            ) from reason
        return _from_pretty_midi(parse_midi(data), grid)
    tempo = TempoMap(file)
    resolution = file.ticks_per_quarter

    def to_frames(tick: Ints) -> Ints:
        if grid.frames_per_beat:
            return tick * grid.frames_per_beat // resolution
        columns: Ints = (tempo.seconds(tick) * grid.frames_per_second).astype(np.int64)
        return columns

    def notes(instrument: MidiInstrument) -> _GridNotes:
        return _GridNotes(
            instrument.pitch,
            to_frames(instrument.start),
            to_frames(instrument.end),
            (to_frames(instrument.pedal_tick), instrument.pedal_value),
            (to_frames(instrument.bend_tick), instrument.bend),
            int(to_frames(np.array([instrument.end_tick]))[0]),
        )

    def seconds(frame: int) -> float:
        tick = np.array([frame * resolution // grid.frames_per_beat])
        return float(tempo.seconds(tick)[0])

    return [
        _Instrument(each.name, each.program, each.is_drum, lambda each=each: notes(each))  # type: ignore[misc]
        for each in instruments
    ], seconds


def _from_pretty_midi(
    song: pretty_midi.PrettyMIDI, grid: Grid
) -> tuple[list[_Instrument], Callable[[int], float]]:
    def to_frames(times: Sequence[float]) -> Ints:
        if grid.frames_per_beat:
            ticks = np.array([song.time_to_tick(time) for time in times], dtype=np.int64)
            beats: Ints = ticks * grid.frames_per_beat // song.resolution
            return beats
        columns: Ints = (np.array(times) * grid.frames_per_second).astype(np.int64)
        return columns

    def notes(instrument: Any) -> _GridNotes:
        pedal = [cc for cc in instrument.control_changes if cc.number == _SUSTAIN_PEDAL]
        bends = instrument.pitch_bends
        return _GridNotes(
            np.array([note.pitch for note in instrument.notes], dtype=np.int64),
            to_frames([note.start for note in instrument.notes]),
            to_frames([note.end for note in instrument.notes]),
            (
                to_frames([cc.time for cc in pedal]),
                np.array([cc.value for cc in pedal], dtype=np.int64),
            ),
            (
                to_frames([bend.time for bend in bends]),
                np.array([bend.pitch for bend in bends], dtype=np.int64),
            ),
            int(to_frames([instrument.get_end_time()])[0]),
        )

    def seconds(frame: int) -> float:
        return float(song.tick_to_time(frame * song.resolution // grid.frames_per_beat))

    return [
        _Instrument(each.name, each.program, each.is_drum, lambda each=each: notes(each))  # type: ignore[misc]
        for each in song.instruments
    ], seconds


def _rolls(
    instruments: Iterable[_Instrument], grid: Grid, all_notes: list[_GridNotes]
) -> Iterator[NDArray[np.bool_]]:
    """Yield the piano roll of each instrument, and append its notes to `all_notes`.

    Raises:
        UnusableFile: an instrument, or all of them together, are too long.
    """
    cells = 0
    for instrument in instruments:
        notes = instrument.notes()
        all_notes.append(notes)
        roll = _roll(notes, grid)
        cells += roll.size
        if cells > MOST_CELLS:
            frames = MOST_CELLS // PITCHES
            raise UnusableFile("too long", f"more than {frames} frames in all instruments together")
        yield roll


def _roll(notes: _GridNotes, grid: Grid) -> NDArray[np.bool_]:
    """Return the piano roll of an instrument, bool [128, frames]."""
    end = _ends(notes, grid)
    length = max(notes.length, int(end.max(initial=0)))
    if length > LONGEST_SONG:
        raise UnusableFile("too long", f"{length} frames, maximum {LONGEST_SONG}")
    _, values = notes.bends
    roll = (
        _bent_roll(notes, end, length)
        if (np.abs(values) >= 1).any()
        else _straight_roll(notes, end, length)
    )
    roll[: grid.lowest] = False
    roll[grid.highest + 1 :] = False
    return roll


def _ends(notes: _GridNotes, grid: Grid) -> Ints:
    """Return the end frame of each note, int64 [notes], with short notes lengthened if kept."""
    return np.maximum(notes.end, notes.start + 1) if grid.keep_short_notes else notes.end


def _notes(all_notes: Sequence[_GridNotes], grid: Grid) -> tuple[Ints, Ints, Ints]:
    """Return pitch, start and end of all notes, int64 [notes] each; times in frames."""
    return (
        np.concatenate([notes.pitch for notes in all_notes]),
        np.concatenate([notes.start for notes in all_notes]),
        np.concatenate([_ends(notes, grid) for notes in all_notes]),
    )


def _straight_roll(notes: _GridNotes, end: Ints, length: int) -> NDArray[np.bool_]:
    # +1 at the start of a note and -1 at its end; the running sum is the number of sounding notes.
    # Only pitches that occur have a row, which saves time in long files of many sparse instruments.
    pitches, row = np.unique(notes.pitch, return_inverse=True)
    change = np.zeros((len(pitches), length + 1), dtype=np.int32)
    np.add.at(change, (row, notes.start), 1)
    np.add.at(change, (row, end), -1)
    np.cumsum(change, axis=1, out=change)
    sounding = change[:, :-1] > 0
    pressed = -1
    for frame, value in zip(*(each.tolist() for each in notes.pedal), strict=True):
        if pressed < 0 and value >= _PEDAL_DOWN:
            pressed = frame
        elif pressed >= 0 and value < _PEDAL_DOWN:
            held = sounding[:, pressed:frame]
            np.logical_or.accumulate(held, axis=1, out=held)
            pressed = -1
    roll = np.zeros((PITCHES, length), dtype=bool)
    roll[pitches] = sounding
    return roll


def _bent_roll(notes: _GridNotes, end: Ints, length: int) -> NDArray[np.bool_]:
    """Return the roll with pitch bends, by pretty_midi: it splits a fraction over two pitches."""
    import pretty_midi

    instrument = pretty_midi.Instrument(0)
    # With one column per second, times in frames are column numbers.
    instrument.notes = [
        pretty_midi.Note(1, pitch, float(start), float(stop))
        for pitch, start, stop in zip(
            notes.pitch.tolist(), notes.start.tolist(), end.tolist(), strict=True
        )
    ]
    instrument.control_changes = [
        pretty_midi.ControlChange(_SUSTAIN_PEDAL, value, float(frame))
        for frame, value in zip(*(each.tolist() for each in notes.pedal), strict=True)
    ]
    # An event without effect that sets the length of the roll.
    instrument.control_changes.append(pretty_midi.ControlChange(0, 0, float(length)))
    # Of several pitch bends in one frame, only the last has an effect.
    bends = dict(zip(*(each.tolist() for each in notes.bends), strict=True))
    instrument.pitch_bends = [
        pretty_midi.PitchBend(value, float(frame)) for frame, value in bends.items()
    ]
    roll: NDArray[np.bool_] = instrument.get_piano_roll(fs=1) > 0
    return roll


def _merge(rolls: Iterable[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Return the union of piano rolls, processed one by one to limit memory."""
    merged = np.zeros((PITCHES, 0), dtype=bool)
    for roll in rolls:
        longer, shorter = (merged, roll) if merged.shape[1] >= roll.shape[1] else (roll, merged)
        longer[:, : shorter.shape[1]] |= shorter
        merged = longer
    return merged
