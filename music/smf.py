"""A fast reader of Standard MIDI Files: the events of each track as numpy arrays.

It reads regular files: correct chunk lengths, delta times of at most four bytes, data bytes below
0x80, and meta events with the length of their type. For any other file it raises
:class:`Irregular`; then the caller reads the file with pretty_midi, which is the reference. So this
module does not have to treat malformed files as pretty_midi does, only to detect them.

Events are found by vectorised code: for each byte it computes the end of an event that would start
there, and then follows the chain of starts from the first event.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAXIMUM_TICK = 10_000_000
"""pretty_midi's MAX_TICK: it refuses longer files as corrupt."""

_MAXIMUM_LENGTH = 1_000_000
"""mido's MAX_MESSAGE_LENGTH: it refuses longer meta and system exclusive messages."""

_META_LENGTHS = {0x00: 2, 0x20: 1, 0x21: 1, 0x2F: 0, 0x51: 3, 0x54: 5, 0x58: 4, 0x59: 2}
_ANY_LENGTH = frozenset((*range(0x01, 0x08), 0x09, 0x7F))
_KNOWN_META = np.isin(np.arange(256), [*_META_LENGTHS, *_ANY_LENGTH])

# Event length by status byte; with running status (no status byte), two data bytes are assumed.
_EVENT_LENGTH = np.full(256, 3)
_EVENT_LENGTH[:0x80] = 2
_EVENT_LENGTH[0xC0:0xE0] = 2

NOTE_OFF, NOTE_ON, CONTROL, PROGRAM, BEND = 0x80, 0x90, 0xB0, 0xC0, 0xE0

Ints = NDArray[np.int64]


class Irregular(Exception):
    """The bytes are not a regular Standard MIDI File; pretty_midi may still be able to read it."""


@dataclass(frozen=True)
class Track:
    """Channel events of a track in file order, its names and its tempo events.

    Args:
        tick: absolute time of each event, int64 [n].
        kind: upper half of the status byte: 0x80, 0x90, …, 0xE0, int64 [n].
        channel: 0..15, int64 [n].
        data1: first data byte, int64 [n].
        data2: second data byte, int64 [n]; undefined for program changes.
        names: (number of channel events before it, name) of each track name, in order.
        tempi: (tick, microseconds per quarter note) of each tempo event, in order.
        end: tick of the last event of any kind.
    """

    tick: Ints
    kind: Ints
    channel: Ints
    data1: Ints
    data2: Ints
    names: tuple[tuple[int, str], ...]
    tempi: tuple[tuple[int, int], ...]
    end: int


@dataclass(frozen=True)
class MidiFile:
    """A regular MIDI file.

    Args:
        ticks_per_quarter: ticks per quarter note, above 0.
        tracks: at least one, each with at least one event.
    """

    ticks_per_quarter: int
    tracks: tuple[Track, ...]


def read_midi_file(data: bytes) -> MidiFile:
    """Return the tracks of a regular file.

    Raises:
        Irregular: the bytes are not a regular MIDI file.
    """
    if len(data) < 14 or data[:4] != b"MThd":
        raise Irregular("missing MThd header")
    size, _, tracks, division = struct.unpack(">Lhhh", data[4:14])
    if size < 6 or tracks < 1 or division < 1:
        raise Irregular("invalid header")
    position = 8 + size
    found = []
    for _ in range(tracks):
        if data[position : position + 4] != b"MTrk":
            raise Irregular("missing MTrk chunk")
        (length,) = struct.unpack(">L", data[position + 4 : position + 8].ljust(4, b"\0"))
        body = data[position + 8 : position + 8 + length]
        if not length or len(body) < length:
            raise Irregular("wrong track length")
        found.append(_read_track(body))
        position += 8 + length
    if max(track.end for track in found) + 1 > MAXIMUM_TICK:
        raise Irregular(f"more than {MAXIMUM_TICK} ticks")
    return MidiFile(division, tuple(found))


def _read_track(body: bytes) -> Track:
    # Padding keeps look-ahead indices in range; an event that uses it ends after the track.
    data = np.frombuffer(body + b"\0" * 16, dtype=np.uint8)
    delta_end = _next_below_0x80(data)
    starts = _chain(body, data, delta_end)
    last = delta_end[starts]
    delta = _delta_times(data, starts, last)
    status = data[last + 1].astype(np.int64)
    # mido, which pretty_midi uses, drops the delta time of unknown meta events.
    delta[(status == 0xFF) & ~_KNOWN_META[data[last + 2]]] = 0
    tick = np.cumsum(delta)

    explicit = (status >= 0x80) & (status < 0xFF)
    source = np.maximum.accumulate(np.where(explicit, np.arange(len(status)), -1))
    running = status < 0x80
    if running.any():
        if source[running].min() < 0:
            raise Irregular("running status without a status byte before")
        inherited = status[source[running]]
        # _chain assumed two data bytes for running status.
        if (((inherited & 0xF0) == PROGRAM) | ((inherited & 0xF0) == 0xD0)).any() or (
            inherited >= 0xF0
        ).any():
            raise Irregular("running status of an event without two data bytes")
        status[running] = inherited
    channel_event = status < 0xF0
    _check_system_exclusive(body, (last + 1)[(status >= 0xF0) & (status < 0xFF)])
    first = last + np.where(running, 1, 2)
    data1, data2 = data[first].astype(np.int64), data[first + 1].astype(np.int64)
    _check_data_bytes(status[channel_event], data1[channel_event], data2[channel_event])
    names, tempi = _meta_events(body, last, status, tick, channel_event)
    kept = status[channel_event]
    return Track(
        tick[channel_event],
        kept & 0xF0,
        kept & 0x0F,
        data1[channel_event],
        data2[channel_event],
        names,
        tempi,
        int(tick[-1]),
    )


def _next_below_0x80(data: NDArray[np.uint8]) -> Ints:
    """Return for each byte the index of the next byte below 0x80 (itself included), int64 [n]."""
    here = np.where(data < 0x80, np.arange(len(data)), len(data))
    return np.minimum.accumulate(here[::-1])[::-1]


def _chain(body: bytes, data: NDArray[np.uint8], delta_end: Ints) -> Ints:
    """Return the start of each event of a track, int64 [events].

    Raises:
        Irregular: the events do not fill the track to its last byte.
    """
    size = len(body)
    # Invalid events and those that end after the track point past the end, which points to itself.
    nowhere = size + 1
    status_at = np.minimum(delta_end[:size] + 1, size)
    status = data.take(status_at)
    one = np.arange(size + 2)
    one[:size] = status_at + _EVENT_LENGTH.take(status)
    special = np.flatnonzero(status >= 0xF0)
    one[special] = _long_event_ends(body, data, status_at[special])
    np.minimum(one, nowhere, out=one)
    # Strides of 1, 2, 4 and 8 events: Python follows every eighth event, numpy fills in the others.
    two = one.take(one)
    four = two.take(two)
    eight = four.take(four).data
    every_eighth = []
    position = 0
    while position < size:
        every_eighth.append(position)
        position = eight[position]
    if position != size:
        raise Irregular("the last event is truncated")
    starts = np.array(every_eighth, dtype=np.int64)[:, None]
    for stride in (four, two, one):
        starts = np.concatenate((starts[:, :, None], stride.take(starts)[:, :, None]), axis=2)
        starts = starts.reshape(len(starts), -1)
    starts = starts.reshape(-1)
    return starts[: np.searchsorted(starts, size)]


def _long_event_ends(body: bytes, data: NDArray[np.uint8], status_at: Ints) -> Ints:
    """Return the ends of meta and system exclusive events, which have an explicit length.

    Args:
        body: content of the track.
        data: the same as uint8 [n], padded.
        status_at: index of each status byte (0xF0 or above), int64 [events].
    """
    status = data[status_at]
    is_meta = status == 0xFF
    length_at = status_at + np.where(is_meta, 2, 1)
    length = data[length_at].astype(np.int64)
    end = length_at + 1 + length
    for index in np.flatnonzero(length >= 0x80).tolist():
        try:
            after, value = _quantity(body, int(length_at[index]))
        except Irregular:
            end[index] = len(body) + 1
        else:
            end[index] = after + value
    end[~is_meta & (status != 0xF0) & (status != 0xF7)] = len(body) + 1
    return end


def _check_system_exclusive(body: bytes, status_at: Ints) -> None:
    for position in status_at.tolist():
        start, length = _quantity(body, position + 1)
        content = body[start : start + length]
        content = content[content[:1] == b"\xf0" :]
        content = content[: len(content) - (content[-1:] == b"\xf7")]
        if content and max(content) > 0x7F:
            raise Irregular("data byte above 127")


def _meta_header(body: bytes, status_at: int) -> tuple[int, int, int]:
    """Return (type, start of the content, length) of a meta event."""
    if status_at + 2 >= len(body):
        raise Irregular("truncated meta event")
    start, length = _quantity(body, status_at + 2)
    return body[status_at + 1], start, length


def _quantity(body: bytes, position: int) -> tuple[int, int]:
    """Return (index after it, value) of a variable-length quantity."""
    value = 0
    for index in range(position, position + 4):
        if index >= len(body):
            break
        value = value << 7 | body[index] & 0x7F
        if body[index] < 0x80:
            if value > _MAXIMUM_LENGTH:
                break
            return index + 1, value
    raise Irregular("invalid variable-length quantity")


def _delta_times(data: NDArray[np.uint8], starts: Ints, last: Ints) -> Ints:
    """Return the delta time of each event, int64 [events]."""
    extra = last - starts
    if extra.max() > 3:
        raise Irregular("delta time of more than four bytes")
    delta = data[last].astype(np.int64)
    for byte in range(1, int(extra.max()) + 1):
        long = extra >= byte
        delta[long] |= (data[last[long] - byte].astype(np.int64) & 0x7F) << (7 * byte)
    return delta


def _check_data_bytes(status: Ints, data1: Ints, data2: Ints) -> None:
    two = (status & 0xF0 != PROGRAM) & (status & 0xF0 != 0xD0)
    if (data1 > 0x7F).any() or (data2[two] > 0x7F).any():
        raise Irregular("data byte above 127")


def _meta_events(
    body: bytes,
    last: Ints,
    status: Ints,
    tick: Ints,
    channel_event: NDArray[np.bool_],
) -> tuple[tuple[tuple[int, str], ...], tuple[tuple[int, int], ...]]:
    """Check the meta events; return the track names and tempo events, see :class:`Track`."""
    names = []
    tempi = []
    before = np.cumsum(channel_event)
    for index in np.flatnonzero(status == 0xFF).tolist():
        kind, start, length = _meta_header(body, int(last[index]) + 1)
        content = body[start : start + length]
        if _KNOWN_META[kind] and not _meta_is_valid(kind, content):
            raise Irregular("invalid meta event")
        if kind == 0x03:
            names.append((int(before[index]), content.decode("latin1")))
        elif kind == 0x51:
            tempi.append((int(tick[index]), int.from_bytes(content, "big")))
    return tuple(names), tuple(tempi)


def _meta_is_valid(kind: int, content: bytes) -> bool:
    if kind in _ANY_LENGTH:
        return True
    if _META_LENGTHS.get(kind) != len(content):
        return False
    match kind:
        case 0x51:
            return any(content)
        case 0x54:
            rate_and_hour, minute, second, _, hundredths = content
            return rate_and_hour < 0x80 and minute < 60 and second < 60 and hundredths < 100
        case 0x58:
            # The denominator is an exponent of two; mido's check of large exponents is inexact.
            return content[0] > 0 and content[1] < 16
        case 0x59:
            return (content[0] <= 7 or content[0] >= 249) and content[1] <= 1
    return True
