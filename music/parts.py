"""The instruments of a regular MIDI file, as pretty_midi would list them, as numpy arrays.

pretty_midi makes one instrument of each (program, channel, track) in the order in which their first
notes end, and closes every open note of a pitch at its next note-off. The same is done here for
whole tracks at once. Rare constructions whose outcome depends on the order of single events
(programs that change within a channel of a track, a note that ends in the tick in which another of
its pitch began) raise :class:`~tunesmith.music.smf.Irregular` instead, for pretty_midi to read.
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
class Part:
    """One instrument.

    Args:
        name: the name of its track.
        program: General MIDI program 0..127.
        is_drum: whether it is on the drum channel.
        pitch: int64 [notes].
        velocity: int64 [notes], 1..127.
        start: int64 [notes], ticks.
        end: int64 [notes], ticks, each after its start.
        pedal_tick: int64 [pedal events], ticks of the sustain pedal's control changes.
        pedal_value: int64 [pedal events], 0..127.
        bend_tick: int64 [bends].
        bend: int64 [bends], -8192..8191.
        end_tick: the last tick of a note, control change or bend.
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
    """Ticks to seconds, to the last bit as pretty_midi computes them.

    Tempo events count on the first track only; the default is 120 beats a minute.
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
        """Return the time of each tick, float64 [n]."""
        segment = np.searchsorted(self._start, tick, side="right") - 1
        elapsed: Seconds = self._scale[segment] * (tick - self._start[segment])
        return self._offset[segment] + elapsed


def parts_of(file: MidiFile) -> list[Part]:
    """Return the instruments of a file, in pretty_midi's order.

    Raises:
        Irregular: the outcome would depend on the order of single events.
    """
    return [part for track in file.tracks for part in _parts_of_track(track)]


def _parts_of_track(track: Track) -> list[Part]:
    on, off = _pair_notes(track)
    if not len(on):
        return []
    program = _programs(track)
    channels, first = np.unique(track.channel[off], return_index=True)
    parts = []
    # Notes come by the event that ends them, so `first` is the order of the first ends.
    for channel in channels[np.argsort(first, kind="stable")].tolist():
        mine = track.channel[off] == channel
        parts.append(_part(track, channel, on[mine], off[mine], program))
    return parts


def _part(track: Track, channel: int, on: Ints, off: Ints, program: Ints) -> Part:
    programs = program[off]
    if (programs != programs[0]).any():
        raise Irregular("several programs on a channel of a track")
    control = (track.kind == CONTROL) & (track.channel == channel)
    bend = (track.kind == BEND) & (track.channel == channel)
    others = np.flatnonzero(control | bend)
    # Before its first note ends, an instrument takes every control change of its channel; after
    # that, those of its own program.
    if (program[others[others > off[0]]] != programs[0]).any():
        raise Irregular("controls under another program")
    pedal = control & (track.data1 == _SUSTAIN_PEDAL)
    names = [name for before, name in track.names if before <= off[0]]
    return Part(
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
    """Return the program in force on its channel at each event, int64 [n]."""
    program = np.zeros(len(track.tick), dtype=np.int64)
    change = track.kind == PROGRAM
    for channel in np.unique(track.channel[change]).tolist():
        mine = np.flatnonzero(track.channel == channel)
        changes = mine[change[mine]]
        # The last change at or before each event; none is program 0.
        latest = np.searchsorted(changes, mine, side="right")
        program[mine] = np.concatenate(([0], track.data1[changes]))[latest]
    return program


def _pair_notes(track: Track) -> tuple[Ints, Ints]:
    """Return (on, off): for each note the events that begin and end it, ordered by the end.

    A note-off ends every note of its pitch and channel that is open. A note that would last no
    time is none.
    """
    is_on = (track.kind == NOTE_ON) & (track.data2 > 0)
    is_off = (track.kind == NOTE_OFF) | ((track.kind == NOTE_ON) & (track.data2 == 0))
    events = np.flatnonzero(is_on | is_off)
    key = track.channel[events] << 7 | track.data1[events]
    order = np.argsort(key, kind="stable")
    events, key = events[order], key[order]
    ends = is_off[events]
    off_events, off_key = events[ends], key[ends]
    # Among the events of a key, in time, a note is ended by the first note-off behind it.
    ender = np.cumsum(ends)[~ends]
    on_events, on_key = events[~ends], key[~ends]
    closed = ender < len(off_events)
    closed[closed] = off_key[ender[closed]] == on_key[closed]
    on, ender = on_events[closed], ender[closed]
    off = off_events[ender]
    empty = track.tick[on] == track.tick[off]
    if empty.any():
        # Ended in the tick that began it: dropped, unless the same note-off ends an older note,
        # in which case it goes on to the next one.
        lasting = np.bincount(ender[~empty], minlength=len(off_events))
        if lasting[ender[empty]].any():
            raise Irregular("a note ends another in the tick that begins it")
        on, off = on[~empty], off[~empty]
    by_end = np.lexsort((on, off))
    return on[by_end], off[by_end]
