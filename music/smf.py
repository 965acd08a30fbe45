"""A fast reader of Standard MIDI Files: the events of every track as numpy arrays.

It reads what the specification calls regular: chunks whose length is right, delta times of at most
four bytes, data bytes below 0x80, meta events of the length that their type has. Whatever else a
file holds makes it raise :class:`Irregular`, and the caller hands the file to pretty_midi, whose
reading is the measure. So it need not copy how pretty_midi treats broken files, only be sure that a
file is not one.

Events are found without looking at each: for every byte at once it is worked out where an event
that started there would end, and then the chain of starts is followed from the first.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAXIMUM_TICK = 10_000_000
"""pretty_midi's MAX_TICK: a file that is longer is taken for corrupt."""

_MAXIMUM_LENGTH = 1_000_000
"""mido's MAX_MESSAGE_LENGTH: a longer meta or system exclusive message is refused."""

_META_LENGTHS = {0x00: 2, 0x20: 1, 0x21: 1, 0x2F: 0, 0x51: 3, 0x54: 5, 0x58: 4, 0x59: 2}
_ANY_LENGTH = frozenset((*range(0x01, 0x08), 0x09, 0x7F))
_KNOWN_META = np.isin(np.arange(256), [*_META_LENGTHS, *_ANY_LENGTH])

# The status byte with what follows it; without it, running status, two data bytes are supposed.
_EVENT_LENGTH = np.full(256, 3)
_EVENT_LENGTH[:0x80] = 2
_EVENT_LENGTH[0xC0:0xE0] = 2

NOTE_OFF, NOTE_ON, CONTROL, PROGRAM, BEND = 0x80, 0x90, 0xB0, 0xC0, 0xE0

Ints = NDArray[np.int64]


class Irregular(Exception):
    """The bytes are not a regular Standard MIDI File, which does not say that they are broken."""


@dataclass(frozen=True)
class Track:
    """The channel events of a track in file order, and what its meta events say.

    Args:
        tick: int64 [n], absolute time of each event.
        kind: int64 [n], upper half of the status byte: 0x80, 0x90, …, 0xE0.
        channel: int64 [n], 0..15.
        data1: int64 [n], first data byte.
        data2: int64 [n], second data byte; meaningless for program changes.
        names: (events before it, name) of each track name, in order.
        tempi: (tick, microseconds per quarter) of each tempo event, in order.
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
    """A regular file.

    Args:
        ticks_per_quarter: resolution, above 0.
        tracks: at least one, each with at least one event.
    """

    ticks_per_quarter: int
    tracks: tuple[Track, ...]


def read_midi_file(data: bytes) -> MidiFile:
    """Return the tracks of a regular file.

    Raises:
        Irregular: the bytes are anything else.
    """
    if len(data) < 14 or data[:4] != b"MThd":
        raise Irregular("no header")
    size, _, tracks, division = struct.unpack(">Lhhh", data[4:14])
    if size < 6 or tracks < 1 or division < 1:
        raise Irregular("header")
    position = 8 + size
    found = []
    for _ in range(tracks):
        if data[position : position + 4] != b"MTrk":
            raise Irregular("no track where one should be")
        (length,) = struct.unpack(">L", data[position + 4 : position + 8].ljust(4, b"\0"))
        body = data[position + 8 : position + 8 + length]
        if not length or len(body) < length:
            raise Irregular("track length")
        found.append(_read_track(body))
        position += 8 + length
    if max(track.end for track in found) + 1 > MAXIMUM_TICK:
        raise Irregular("too long")
    return MidiFile(division, tuple(found))


def _read_track(body: bytes) -> Track:
    # Padding lets every look-ahead index stay inside; an event that needs it ends too late.
    data = np.frombuffer(body + b"\0" * 16, dtype=np.uint8)
    delta_end = _next_below_0x80(data)
    starts = _chain(body, data, delta_end)
    last = delta_end[starts]
    delta = _delta_times(data, starts, last)
    status = data[last + 1].astype(np.int64)
    # mido, which reads for pretty_midi, forgets the delta time of a meta event it does not know.
    delta[(status == 0xFF) & ~_KNOWN_META[data[last + 2]]] = 0
    tick = np.cumsum(delta)

    explicit = (status >= 0x80) & (status < 0xFF)
    source = np.maximum.accumulate(np.where(explicit, np.arange(len(status)), -1))
    running = status < 0x80
    if running.any():
        if source[running].min() < 0:
            raise Irregular("running status before any status")
        inherited = status[source[running]]
        # The chain was followed as if every inherited status had two data bytes.
        if (((inherited & 0xF0) == PROGRAM) | ((inherited & 0xF0) == 0xD0)).any() or (
            inherited >= 0xF0
        ).any():
            raise Irregular("running status of another length")
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
    """For each byte the index, int64 [n], of the first one from it on that ends a quantity."""
    here = np.where(data < 0x80, np.arange(len(data)), len(data))
    return np.minimum.accumulate(here[::-1])[::-1]


def _chain(body: bytes, data: NDArray[np.uint8], delta_end: Ints) -> Ints:
    """Return where the events of a track start, int64 [events].

    Raises:
        Irregular: the events do not fill the track to its last byte.
    """
    size = len(body)
    # An event that ends too late, or cannot be one, leads past the end and stays there.
    nowhere = size + 1
    status_at = np.minimum(delta_end[:size] + 1, size)
    status = data.take(status_at)
    one = np.arange(size + 2)
    one[:size] = status_at + _EVENT_LENGTH.take(status)
    special = np.flatnonzero(status >= 0xF0)
    one[special] = _long_event_ends(body, data, status_at[special])
    np.minimum(one, nowhere, out=one)
    # Strides of 1, 2, 4 and 8 events: Python takes the long ones, numpy fills in the others.
    two = one.take(one)
    four = two.take(two)
    eight = four.take(four).data
    every_eighth = []
    position = 0
    while position < size:
        every_eighth.append(position)
        position = eight[position]
    if position != size:
        raise Irregular("the last event is cut off")
    starts = np.array(every_eighth, dtype=np.int64)[:, None]
    for stride in (four, two, one):
        starts = np.concatenate((starts[:, :, None], stride.take(starts)[:, :, None]), axis=2)
        starts = starts.reshape(len(starts), -1)
    starts = starts.reshape(-1)
    return starts[: np.searchsorted(starts, size)]


def _long_event_ends(body: bytes, data: NDArray[np.uint8], status_at: Ints) -> Ints:
    """Return where events of explicit length, meta and system exclusive, would end.

    Args:
        status_at: int64 [n], where their status byte, 0xF0 or above, is.
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
            raise Irregular("data byte")


def _meta_header(body: bytes, status_at: int) -> tuple[int, int, int]:
    """Return (type, start of the content, length) of a meta event."""
    if status_at + 2 >= len(body):
        raise Irregular("meta event cut off")
    start, length = _quantity(body, status_at + 2)
    return body[status_at + 1], start, length


def _quantity(body: bytes, position: int) -> tuple[int, int]:
    """Return (what comes after, value) of a variable-length quantity."""
    value = 0
    for index in range(position, position + 4):
        if index >= len(body):
            break
        value = value << 7 | body[index] & 0x7F
        if body[index] < 0x80:
            if value > _MAXIMUM_LENGTH:
                break
            return index + 1, value
    raise Irregular("length")


def _delta_times(data: NDArray[np.uint8], starts: Ints, last: Ints) -> Ints:
    """Return the delta time of each event, int64 [events]."""
    extra = last - starts
    if extra.max() > 3:
        raise Irregular("delta time")
    delta = data[last].astype(np.int64)
    for byte in range(1, int(extra.max()) + 1):
        more = extra >= byte
        delta[more] |= (data[last[more] - byte].astype(np.int64) & 0x7F) << (7 * byte)
    return delta


def _check_data_bytes(status: Ints, data1: Ints, data2: Ints) -> None:
    two = (status & 0xF0 != PROGRAM) & (status & 0xF0 != 0xD0)
    if (data1 > 0x7F).any() or (data2[two] > 0x7F).any():
        raise Irregular("data byte")


def _meta_events(
    body: bytes,
    last: Ints,
    status: Ints,
    tick: Ints,
    channel_event: NDArray[np.bool_],
) -> tuple[tuple[tuple[int, str], ...], tuple[tuple[int, int], ...]]:
    """Check every meta event, and return the track names and tempi (see :class:`Track`)."""
    names = []
    tempi = []
    before = np.cumsum(channel_event)
    for index in np.flatnonzero(status == 0xFF).tolist():
        kind, start, length = _meta_header(body, int(last[index]) + 1)
        content = body[start : start + length]
        if _KNOWN_META[kind] and not _meta_is_sound(kind, content):
            raise Irregular("meta event")
        if kind == 0x03:
            names.append((int(before[index]), content.decode("latin1")))
        elif kind == 0x51:
            tempi.append((int(tick[index]), int.from_bytes(content, "big")))
    return tuple(names), tuple(tempi)


def _meta_is_sound(kind: int, content: bytes) -> bool:
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
            # Denominators are stored as powers of two; mido's check of a huge one is rounded.
            return content[0] > 0 and content[1] < 16
        case 0x59:
            return (content[0] <= 7 or content[0] >= 249) and content[1] <= 1
    return True
