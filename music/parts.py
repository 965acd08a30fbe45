"""Instruments of a regular MIDI file as numpy arrays, equal to those of pretty_midi.

pretty_midi creates one instrument for each (program, channel, track), in the order in which their
first notes end, and a note-off ends all open notes of its pitch. This module does the same,
vectorised over a track. Rare cases in which the result depends on the order of single events (a
program change within a channel of a track, a note that ends in the tick in which another one of its
pitch starts) raise :class:`~tunesmith.music.smf.Irregular`; then pretty_midi reads the file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunesmith.music.smf import (
    BEND,
    CONTROL,
    NOTE_OFF,
    NOTE_ON,
    PROGRAM,
    Ints,
    Irregular,
    MidiFile,
    Track,
)

_SUSTAIN_PEDAL = 64
_DRUM_CHANNEL = 9

Seconds = NDArray[np.float64]


@dataclass(frozen=True)
class MidiInstrument:
    """One instrument of a MIDI file; times are in ticks.

    Args:
        name: name of its track.
        program: General MIDI program 0..127.
        is_drum: True for the drum channel.
        pitch: int64 [notes].
        velocity: int64 [notes], 1..127.
        start: int64 [notes].
        end: int64 [notes], each after its start.
        pedal_tick: times of sustain pedal control changes, int64 [pedal events].
        pedal_value: their values, int64 [pedal events], 0..127.
        bend_tick: times of pitch bends, int64 [bends].
        bend: their values, int64 [bends], -8192..8191.
        end_tick: time of the last note end, control change or pitch bend.
    """

    name: str
    program: int
    is_drum: bool
    pitch: Ints
    velocity: Ints
    start: Ints
    end: Ints
    pedal_tick: Ints
    pedal_value: Ints
    bend_tick: Ints
    bend: Ints
    end_tick: int


class TempoMap:
    """Conversion of ticks to seconds, bit for bit equal to that of pretty_midi.

    Only tempo events of the first track count; the default is 120 beats per minute.
    """

    def __init__(self, file: MidiFile) -> None:
        resolution = file.ticks_per_quarter
        scales = [(0, 60.0 / (120.0 * resolution))]
        for tick, microseconds in file.tracks[0].tempi:
            scale = 60.0 / ((6e7 / microseconds) * resolution)
            if tick == 0:
                scales = [(0, scale)]
            elif scale != scales[-1][1]:
                scales.append((tick, scale))
        self._start = np.array([tick for tick, _ in scales], dtype=np.int64)
        self._scale = np.array([scale for _, scale in scales])
        self._offset = np.zeros(len(scales))
        for index in range(1, len(scales)):
            ticks = self._start[index] - self._start[index - 1]
            self._offset[index] = self._offset[index - 1] + self._scale[index - 1] * ticks

    def seconds(self, tick: Ints) -> Seconds:
        """Return the time of each tick in seconds, float64 [n]."""
        segment = np.searchsorted(self._start, tick, side="right") - 1
        elapsed: Seconds = self._scale[segment] * (tick - self._start[segment])
        return self._offset[segment] + elapsed


def instruments_of(file: MidiFile) -> list[MidiInstrument]:
    """Return the instruments of a file, in pretty_midi's order.

    Raises:
        Irregular: the result would depend on the order of single events.
    """
    return [found for track in file.tracks for found in _instruments_of_track(track)]


def _instruments_of_track(track: Track) -> list[MidiInstrument]:
    on, off = _pair_notes(track)
    if not len(on):
        return []
    program = _programs(track)
    channels, first = np.unique(track.channel[off], return_index=True)
    instruments = []
    # Notes are ordered by the event that ends them, so `first` is the first note end of a channel.
    for channel in channels[np.argsort(first, kind="stable")].tolist():
        mine = track.channel[off] == channel
        instruments.append(_instrument(track, channel, on[mine], off[mine], program))
    return instruments


def _instrument(track: Track, channel: int, on: Ints, off: Ints, program: Ints) -> MidiInstrument:
    programs = program[off]
    if (programs != programs[0]).any():
        raise Irregular("a channel of a track has several programs")
    control = (track.kind == CONTROL) & (track.channel == channel)
    bend = (track.kind == BEND) & (track.channel == channel)
    others = np.flatnonzero(control | bend)
    # Before its first note ends, an instrument gets all control changes of its channel; after that,
    # only those of its own program.
    if (program[others[others > off[0]]] != programs[0]).any():
        raise Irregular("control changes after a program change")
    pedal = control & (track.data1 == _SUSTAIN_PEDAL)
    names = [name for before, name in track.names if before <= off[0]]
    return MidiInstrument(
        names[-1] if names else "",
        int(programs[0]),
        channel == _DRUM_CHANNEL,
        track.data1[on],
        track.data2[on],
        track.tick[on],
        track.tick[off],
        track.tick[pedal],
        track.data2[pedal],
        track.tick[bend],
        (track.data1[bend] | track.data2[bend] << 7) - 8192,
        int(max(track.tick[off].max(), track.tick[others].max(initial=0))),
    )


def _programs(track: Track) -> Ints:
    """Return the current program of the channel at each event, int64 [n]."""
    program = np.zeros(len(track.tick), dtype=np.int64)
    change = track.kind == PROGRAM
    for channel in np.unique(track.channel[change]).tolist():
        mine = np.flatnonzero(track.channel == channel)
        changes = mine[change[mine]]
        # The last program change at or before each event; program 0 before the first.
        latest = np.searchsorted(changes, mine, side="right")
        program[mine] = np.concatenate(([0], track.data1[changes]))[latest]
    return program


def _pair_notes(track: Track) -> tuple[Ints, Ints]:
    """Return (on, off): the indices of the events that start and end each note, ordered by end.

    A note-off ends all open notes of its pitch and channel. Notes of zero length are dropped.
    """
    is_on = (track.kind == NOTE_ON) & (track.data2 > 0)
    is_off = (track.kind == NOTE_OFF) | ((track.kind == NOTE_ON) & (track.data2 == 0))
    events = np.flatnonzero(is_on | is_off)
    key = track.channel[events] << 7 | track.data1[events]
    order = np.argsort(key, kind="stable")
    events, key = events[order], key[order]
    ends = is_off[events]
    off_events, off_key = events[ends], key[ends]
    # Among the events of a key in order of time, the next note-off ends a note.
    ender = np.cumsum(ends)[~ends]
    on_events, on_key = events[~ends], key[~ends]
    closed = ender < len(off_events)
    closed[closed] = off_key[ender[closed]] == on_key[closed]
    on, ender = on_events[closed], ender[closed]
    off = off_events[ender]
    empty = track.tick[on] == track.tick[off]
    if empty.any():
        # A note that ends in its start tick is dropped. But if the same note-off ends an older note
        # too, pretty_midi ends the new note at the next note-off.
        lasting = np.bincount(ender[~empty], minlength=len(off_events))
        if lasting[ender[empty]].any():
            raise Irregular("a note ends and starts again in the same tick")
        on, off = on[~empty], off[~empty]
    by_end = np.lexsort((on, off))
    return on[by_end], off[by_end]
