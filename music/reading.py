"""From a MIDI file to a sequence of frames, as pretty_midi's ``get_piano_roll`` sees it.

A regular file is read by :mod:`tunesmith.music.smf`, any other by pretty_midi; both give the same
notes, and everything after that is shared.
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
from tunesmith.music.parts import Part, TempoMap, parts_of
from tunesmith.music.smf import Ints, Irregular, read_midi_file
from tunesmith.music.struck import StruckFrame
from tunesmith.music.tracks import TrackChoice

if TYPE_CHECKING:
    import pretty_midi

DEFAULT_MINIMUM_FRAMES = 10
"""Two seconds at the default speed; less is a test tone, not a song."""

LARGEST_FILE = 16 * 2**20
"""Bytes. The largest songs of real collections stay below one mebibyte."""

LARGEST_IRREGULAR_FILE = 2**20
"""Bytes. pretty_midi needs about 30 s and 0.3 GB for a mebibyte of notes."""

LONGEST_SONG = 200_000
"""Frames: eleven hours at the default speed. It bounds the memory that one file can take."""

MOST_TRACKS = 2048
"""Each takes about half a millisecond, however little it holds. Real songs have below a hundred."""

MOST_CELLS = 2**31
"""Frames of all chosen instruments together, times 128 pitches: seconds of work. Real songs stay
below a hundredth of it; a file of thousands of instruments that wait for days does not."""

_SUSTAIN_PEDAL = 64
_PEDAL_DOWN = 64

DEFAULT_GRID = Grid()


class SongReading(NamedTuple):
    """A song on the grid, from its first sounding frame to its last.

    Attributes:
        distinct: uint8 [k, 16], the frames that occur, each once, in an order that the music alone
            decides.
        ids: int32 [frames], which of `distinct` each frame is.
        frames_per_second: of the grid, or this song's mean where the grid follows the tempo.
        notes: the notes of the chosen instruments, and what became of them.
        struck: uint8 [frames, 16], which pitches are struck in each frame; None unless the grid
            keeps onsets.
    """

    distinct: PackedFrames
    ids: NDArray[np.int32]
    frames_per_second: float
    notes: NoteCounts = NoteCounts()
    struck: PackedFrames | None = None

    @property
    def frames(self) -> list[Frame]:
        """The frames one by one; struck ones where the grid keeps onsets."""
        distinct = unpack_frames(self.distinct)
        plain = [distinct[index] for index in self.ids.tolist()]
        if self.struck is None:
            return plain
        pairs = zip(plain, unpack_frames(self.struck), strict=True)
        return [StruckFrame(*pair) for pair in pairs]


@dataclass(frozen=True)
class _Voice:
    """An instrument on the grid: times are whole frames.

    `pitch`, `start`, `end` are int64 [notes]; `pedal` and `bends` are (int64 [n] frames, int64 [n]
    values); `length` is the frame in which its last event falls.
    """

    pitch: Ints
    start: Ints
    end: Ints
    pedal: tuple[Ints, Ints]
    bends: tuple[Ints, Ints]
    length: int


@dataclass(frozen=True)
class _Instrument:
    """An instrument as the track choice looks at it, and its way onto the grid."""

    name: str
    program: int
    is_drum: bool
    voice: Callable[[], _Voice]


def parse_midi(data: bytes) -> pretty_midi.PrettyMIDI:
    """Parse a Standard MIDI File with pretty_midi.

    Raises:
        UnusableFile: the bytes are not a MIDI file that pretty_midi reads.
    """
    import pretty_midi

    with warnings.catch_warnings():
        # Tempo events outside track 0 are common in real collections; pretty_midi reads them.
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            return pretty_midi.PrettyMIDI(io.BytesIO(data))
        except Exception as error:
            # mido and pretty_midi raise what their parsing happens to trip over (EOFError,
            # OSError, ValueError, KeyError, IndexError, ZeroDivisionError, …); whichever it is,
            # it is a fact about the file.
            raise UnusableFile("malformed", f"{type(error).__name__}: {error}") from error


def read_song(
    midi: bytes | Path, track: TrackChoice, grid: Grid = DEFAULT_GRID, minimum_frames: int = 1
) -> SongReading:
    """Read a song.

    The sustain pedal lengthens notes and pitch bends move them, as ``get_piano_roll`` does it; note
    times are truncated to frames (``int(time * frames_per_second)``), so that a note shorter than
    a frame may vanish unless the grid keeps it.

    Args:
        midi: the bytes of a MIDI file, or its path.
        track: which instruments to read; several are merged frame by frame.
        grid: what a frame is.
        minimum_frames: shorter sequences are refused.

    Raises:
        UnusableFile: with the reason.
    """
    data = _read_bytes(midi) if isinstance(midi, Path) else midi
    if len(data) > LARGEST_FILE:
        raise UnusableFile("too large", f"{len(data)} bytes, more than {LARGEST_FILE}")
    if (tracks := data.count(b"MTrk")) > MOST_TRACKS:
        raise UnusableFile("too large", f"{tracks} tracks, more than {MOST_TRACKS}")
    instruments, seconds = _read_instruments(data, grid)
    voices: list[_Voice] = []
    roll = _merge(_rolls(track.select(instruments), grid, voices))
    sounding = np.flatnonzero(roll.any(axis=0))
    if not len(sounding):
        raise UnusableFile("no notes", f"{track} has no note as long as a frame")
    first, last = int(sounding[0]), int(sounding[-1]) + 1
    if last - first < minimum_frames:
        raise UnusableFile("too short", f"{last - first} frames, fewer than {minimum_frames}")
    speed = grid.frames_per_second
    if grid.frames_per_beat:
        speed = (last - first) / (seconds(last) - seconds(first))
    chosen = _notes(voices, grid)
    notes = count_notes(*chosen, roll, (grid.lowest, grid.highest), grid.keep_onsets)
    struck = pack_roll(struck_roll(*chosen, roll)[:, first:last]) if grid.keep_onsets else None
    return SongReading(*distinct_frames(roll[:, first:last]), speed, notes, struck)


def read_sequence(
    midi: bytes | Path, track: TrackChoice, grid: Grid = DEFAULT_GRID, minimum_frames: int = 1
) -> list[Frame]:
    """Return the frames of :func:`read_song`, which has the arguments and the errors."""
    return read_song(midi, track, grid, minimum_frames).frames


def _read_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UnusableFile("unreadable", f"{error.strerror or error}") from error


def _read_instruments(data: bytes, grid: Grid) -> tuple[list[_Instrument], Callable[[int], float]]:
    """Return the instruments of a file, and the time in seconds of a frame of a beat grid."""
    try:
        file = read_midi_file(data)
        parts = parts_of(file)
    except Irregular as reason:
        if len(data) > LARGEST_IRREGULAR_FILE:
            raise UnusableFile(
                "too large", f"{len(data)} bytes of an irregular file ({reason})"
            ) from reason
        return _from_pretty_midi(parse_midi(data), grid)
    tempo = TempoMap(file)
    resolution = file.ticks_per_quarter

    def to_frames(tick: Ints) -> Ints:
        if grid.frames_per_beat:
            return tick * grid.frames_per_beat // resolution
        columns: Ints = (tempo.seconds(tick) * grid.frames_per_second).astype(np.int64)
        return columns

    def voice(part: Part) -> _Voice:
        return _Voice(
            part.pitch,
            to_frames(part.start),
            to_frames(part.end),
            (to_frames(part.pedal_tick), part.pedal_value),
            (to_frames(part.bend_tick), part.bend),
            int(to_frames(np.array([part.end_tick]))[0]),
        )

    def seconds(frame: int) -> float:
        tick = np.array([frame * resolution // grid.frames_per_beat])
        return float(tempo.seconds(tick)[0])

    return [
        _Instrument(part.name, part.program, part.is_drum, lambda part=part: voice(part))  # type: ignore[misc]
        for part in parts
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

    def voice(instrument: Any) -> _Voice:
        pedal = [cc for cc in instrument.control_changes if cc.number == _SUSTAIN_PEDAL]
        bends = instrument.pitch_bends
        return _Voice(
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
        _Instrument(each.name, each.program, each.is_drum, lambda each=each: voice(each))  # type: ignore[misc]
        for each in song.instruments
    ], seconds


def _rolls(
    instruments: Iterable[_Instrument], grid: Grid, voices: list[_Voice]
) -> Iterator[NDArray[np.bool_]]:
    """Yield each instrument's piano roll; what it was drawn from is added to `voices`.

    Raises:
        UnusableFile: one of them or all together are too long.
    """
    cells = 0
    for instrument in instruments:
        voice = instrument.voice()
        voices.append(voice)
        roll = _roll(voice, grid)
        cells += roll.size
        if cells > MOST_CELLS:
            frames = MOST_CELLS // PITCHES
            raise UnusableFile("too long", f"more than {frames} frames of all instruments")
        yield roll


def _roll(voice: _Voice, grid: Grid) -> NDArray[np.bool_]:
    """Return what sounds, bool [128, frames]."""
    end = _ends(voice, grid)
    length = max(voice.length, int(end.max(initial=0)))
    if length > LONGEST_SONG:
        raise UnusableFile("too long", f"{length} frames, more than {LONGEST_SONG}")
    _, values = voice.bends
    roll = (
        _bent_roll(voice, end, length)
        if (np.abs(values) >= 1).any()
        else _straight_roll(voice, end, length)
    )
    roll[: grid.lowest] = False
    roll[grid.highest + 1 :] = False
    return roll


def _ends(voice: _Voice, grid: Grid) -> Ints:
    """Return the frame in which each note ends, int64 [notes], as the grid lengthens it."""
    return np.maximum(voice.end, voice.start + 1) if grid.keep_short_notes else voice.end


def _notes(voices: Sequence[_Voice], grid: Grid) -> tuple[Ints, Ints, Ints]:
    """Return pitch, start and end of all notes, int64 [notes] each; times in frames."""
    return (
        np.concatenate([voice.pitch for voice in voices]),
        np.concatenate([voice.start for voice in voices]),
        np.concatenate([_ends(voice, grid) for voice in voices]),
    )


def _straight_roll(voice: _Voice, end: Ints, length: int) -> NDArray[np.bool_]:
    # One up where a note starts and one down where it ends; the running sum is how many sound.
    # Only pitches that occur have a row: a long file of many instruments of few notes stays cheap.
    pitches, row = np.unique(voice.pitch, return_inverse=True)
    change = np.zeros((len(pitches), length + 1), dtype=np.int32)
    np.add.at(change, (row, voice.start), 1)
    np.add.at(change, (row, end), -1)
    np.cumsum(change, axis=1, out=change)
    sounding = change[:, :-1] > 0
    pressed = -1
    for frame, value in zip(*(each.tolist() for each in voice.pedal), strict=True):
        if pressed < 0 and value >= _PEDAL_DOWN:
            pressed = frame
        elif pressed >= 0 and value < _PEDAL_DOWN:
            held = sounding[:, pressed:frame]
            np.logical_or.accumulate(held, axis=1, out=held)
            pressed = -1
    roll = np.zeros((PITCHES, length), dtype=bool)
    roll[pitches] = sounding
    return roll


def _bent_roll(voice: _Voice, end: Ints, length: int) -> NDArray[np.bool_]:
    """Let pretty_midi bend the notes: it spreads a fraction of a semitone over two pitches."""
    import pretty_midi

    instrument = pretty_midi.Instrument(0)
    # At one column a second, times in frames are exactly its columns.
    instrument.notes = [
        pretty_midi.Note(1, pitch, float(start), float(stop))
        for pitch, start, stop in zip(
            voice.pitch.tolist(), voice.start.tolist(), end.tolist(), strict=True
        )
    ]
    instrument.control_changes = [
        pretty_midi.ControlChange(_SUSTAIN_PEDAL, value, float(frame))
        for frame, value in zip(*(each.tolist() for each in voice.pedal), strict=True)
    ]
    # An event without effect that makes the roll as long as the song's own.
    instrument.control_changes.append(pretty_midi.ControlChange(0, 0, float(length)))
    # A bend that another one follows in its frame bends no frame.
    bends = dict(zip(*(each.tolist() for each in voice.bends), strict=True))
    instrument.pitch_bends = [
        pretty_midi.PitchBend(value, float(frame)) for frame, value in bends.items()
    ]
    roll: NDArray[np.bool_] = instrument.get_piano_roll(fs=1) > 0
    return roll


def _merge(rolls: Iterable[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """Return what sounds in any roll; they are taken one by one, so that few are held at once."""
    merged = np.zeros((PITCHES, 0), dtype=bool)
    for roll in rolls:
        longer, shorter = (merged, roll) if merged.shape[1] >= roll.shape[1] else (roll, merged)
        longer[:, : shorter.shape[1]] |= shorter
        merged = longer
    return merged
