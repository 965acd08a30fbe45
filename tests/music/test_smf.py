"""The fast reader: whatever it does not hand to pretty_midi, it reads exactly as pretty_midi."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pretty_midi
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunesmith.music.parts import TempoMap, instruments_of
from tunesmith.music.smf import Irregular, read_midi_file

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

END = b"\x00\xff\x2f\x00"


def quantity(value: int) -> bytes:
    """A variable-length quantity."""
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(value & 0x7F | 0x80)
    return bytes(reversed(out))


def after(delta: int, event: bytes) -> bytes:
    return quantity(delta) + event


def meta(kind: int, content: bytes) -> bytes:
    return bytes((0xFF, kind)) + quantity(len(content)) + content


def tempo(microseconds: int) -> bytes:
    return meta(0x51, microseconds.to_bytes(3, "big"))


def midi(*tracks: bytes, form: int = 1, division: int = 96) -> bytes:
    chunks = b"".join(b"MTrk" + struct.pack(">L", len(track)) + track for track in tracks)
    return b"MThd" + struct.pack(">LHHH", 6, form, len(tracks), division) + chunks


def on(pitch: int, velocity: int = 90, channel: int = 0) -> bytes:
    return bytes((0x90 | channel, pitch, velocity))


def off(pitch: int, channel: int = 0) -> bytes:
    return bytes((0x80 | channel, pitch, 64))


def note(pitch: int, length: int = 48, delta: int = 0, channel: int = 0) -> bytes:
    return after(delta, on(pitch, channel=channel)) + after(length, off(pitch, channel))


NOTE = note(60)

Instruments = list[tuple[Any, ...]]


def slow(data: bytes) -> Instruments:
    """The reading of pretty_midi."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        song = pretty_midi.PrettyMIDI(io.BytesIO(data))
    return [
        (
            each.name,
            each.program,
            each.is_drum,
            [(note.pitch, note.velocity, note.start, note.end) for note in each.notes],
            [(cc.time, cc.value) for cc in each.control_changes if cc.number == 64],
            [(bend.time, bend.pitch) for bend in each.pitch_bends],
            each.get_end_time(),
        )
        for each in song.instruments
    ]


def fast(data: bytes) -> Instruments:
    """The same of the fast reader; raises Irregular."""
    file = read_midi_file(data)
    times = TempoMap(file)

    def seconds(ticks: Any) -> list[float]:
        return times.seconds(np.asarray(ticks)).tolist()

    return [
        (
            part.name,
            part.program,
            part.is_drum,
            list(
                zip(
                    part.pitch.tolist(),
                    part.velocity.tolist(),
                    seconds(part.start),
                    seconds(part.end),
                    strict=True,
                )
            ),
            list(zip(seconds(part.pedal_tick), part.pedal_value.tolist(), strict=True)),
            list(zip(seconds(part.bend_tick), part.bend.tolist(), strict=True)),
            seconds([part.end_tick])[0],
        )
        for part in instruments_of(file)
    ]


REGULAR = {
    "one note": midi(NOTE + END),
    "format 0": midi(NOTE + note(62, channel=1) + END, form=0),
    "format 2": midi(NOTE + END, note(50, delta=7) + END, form=2),
    "no end of track": midi(NOTE),
    "notes after the end of track": midi(END + NOTE),
    "several tracks": midi(tempo_track := after(0, tempo(400_000)) + END, NOTE + END, NOTE + END),
    "no notes at all": midi(tempo_track),
    "a track of channels, first ended first": midi(
        after(0, on(60, channel=3))
        + after(0, on(61, channel=1))
        + after(9, off(61, channel=1))
        + after(9, off(60, channel=3))
        + END
    ),
    "drums": midi(note(36, channel=9) + NOTE + END),
    "running status": midi(bytes((0, 0x90, 60, 90, 48, 60, 0, 3, 62, 80, 48, 62, 0)) + END),
    "running status across a meta event": midi(
        after(0, on(60)) + after(5, meta(0x06, b"here")) + bytes((48, 60, 0)) + END
    ),
    "retriggered before its end": midi(
        after(0, on(60, 90)) + after(10, on(60, 50)) + after(10, off(60)) + after(9, off(60)) + END
    ),
    "off then on in one tick": midi(
        after(0, on(60)) + after(10, off(60)) + after(0, on(60)) + after(10, off(60)) + END
    ),
    "a note of no length": midi(after(0, on(60)) + after(0, off(60)) + NOTE + END),
    "dangling note": midi(after(0, on(64)) + NOTE + END),
    "stray note-off": midi(after(3, off(64)) + NOTE + END),
    "tempo changes": midi(
        after(0, tempo(400_000))
        + after(0, tempo(300_000))
        + after(100, tempo(500_001))
        + after(50, tempo(500_001))
        + after(50, tempo(777_777))
        + after(0, tempo(123_457))
        + END,
        b"".join(note(60 + step, 37, 5) for step in range(12)) + END,
    ),
    "tempo on another track": midi(NOTE + END, after(0, tempo(250_000)) + NOTE + END),
    "tempo behind the last note": midi(NOTE + after(500, tempo(1)) + END),
    "name before and after the first note": midi(
        after(0, meta(0x03, b"old"))
        + after(0, meta(0x03, b"caf\xe9 \x81"))
        + NOTE
        + after(0, meta(0x03, b"late"))
        + note(62, channel=1)
        + END
    ),
    "program before the note": midi(after(0, b"\xc0\x05") + NOTE + END),
    "program during the first note": midi(
        after(0, on(60)) + after(5, b"\xc0\x05") + after(5, off(60)) + NOTE + END
    ),
    "control before the program": midi(
        after(0, b"\xb0\x40\x7f") + after(0, b"\xc0\x05") + NOTE + after(60, b"\xb0\x40\x00") + END
    ),
    "another channel's program": midi(
        after(0, b"\xc1\x05") + NOTE + after(0, b"\xc1\x06") + NOTE + note(50, channel=1) + END
    ),
    "pedal and other controls": midi(
        b"".join(after(3, bytes((0xB0, 64, value))) for value in (0, 63, 64, 127))
        + NOTE
        + after(400, b"\xb0\x07\x10")
        + END
    ),
    "bends": midi(
        after(0, b"\xe0\x00\x00")
        + after(1, b"\xe0\x7f\x7f")
        + NOTE
        + after(1, b"\xe0\x00\x40")
        + END
    ),
    "controls on a channel without notes": midi(after(0, b"\xb4\x40\x7f") + NOTE + END),
    "aftertouch": midi(after(0, b"\xa0\x3c\x10") + after(0, b"\xd0\x10") + NOTE + END),
    "system exclusive": midi(
        after(9, b"\xf0\x05\x7e\x7f\x09\x01\xf7")
        + after(1, b"\xf0\x02\x7e\x7f")
        + after(1, b"\xf7\x01\x01")
        + after(1, b"\xf0\x00")
        + NOTE
        + END
    ),
    "every meta event": midi(
        b"".join(after(1, meta(kind, b"text \xff")) for kind in (*range(1, 8), 9, 0x7F))
        + after(1, meta(0x00, b"\x01\x02"))
        + after(1, meta(0x20, b"\x03"))
        + after(1, meta(0x21, b"\x03"))
        + after(1, meta(0x54, bytes((0x61, 59, 59, 255, 99))))
        + after(1, meta(0x58, bytes((7, 3, 24, 8))))
        + after(1, meta(0x59, bytes((0xF9, 1))))
        + NOTE
        + END
    ),
    "a meta event that nobody knows": midi(after(100, meta(0x60, b"abc")) + NOTE + END),
    "long deltas": midi(note(60, 9_000, 2_000_000) + note(61, 200, 127) + note(62, 128) + END),
    "a longer header": midi(NOTE + END).replace(
        struct.pack(">LHHHH", 6, 1, 1, 96, 0x4D54), struct.pack(">LHHHH", 8, 1, 1, 96, 0) + b"MT"
    ),
    "bytes behind the last track": midi(NOTE + END) + b"garbage",
}

HANDED_ON = {
    "a note that ends another as it begins": midi(
        after(0, on(60)) + after(10, on(60)) + after(0, off(60)) + after(10, off(60)) + END
    ),
    "programs that change between notes": midi(NOTE + after(0, b"\xc0\x05") + NOTE + END),
    "controls under another program": midi(
        NOTE + after(0, b"\xc0\x05") + after(0, b"\xb0\x40\x7f") + END
    ),
    "running program change": midi(after(0, b"\xc0\x05") + b"\x00\x06" + NOTE + END),
    "running system exclusive": midi(after(0, b"\xf0\x01\x01") + b"\x00\x01\x02" + NOTE + END),
    "system common": midi(after(0, b"\xf1\x01") + NOTE + END),
    "a data byte out of range": midi(after(0, b"\xb0\x40\x80") + NOTE + END),
    "a delta time of five bytes": midi(b"\x80\x80\x80\x80" + NOTE + END),
    "zero tempo": midi(after(0, tempo(0)) + NOTE + END),
    "short tempo": midi(after(0, meta(0x51, b"\x01\x02")) + NOTE + END),
    "time signature of a huge denominator": midi(
        after(0, meta(0x58, bytes((4, 29, 24, 8)))) + NOTE + END
    ),
    "a key nobody plays in": midi(after(0, meta(0x59, b"\x08\x00")) + NOTE + END),
    "SMPTE time": midi(NOTE + END, division=0xE728),
    "no time": midi(NOTE + END, division=0),
    "no tracks": midi(),
    "an empty track": midi(NOTE + END, b""),
    "cut off": midi(NOTE + END)[:-6],
    "a track that is longer than it says": midi(NOTE + END).replace(b"\0\0\0\x0c", b"\0\0\0\x0b"),
    "running status from nowhere": midi(b"\x00\x3c\x40" + NOTE + END),
    "too many ticks": midi(note(60, 48, 10_000_000) + END),
    "not MIDI": b"hello, this is text, not music",
    "empty": b"",
    "RIFF": b"RIFF" + bytes(16) + midi(NOTE + END),
}


@pytest.mark.parametrize("data", REGULAR.values(), ids=REGULAR)
def test_regular_files_are_read_as_pretty_midi_reads_them(data: bytes) -> None:
    assert fast(data) == slow(data)


@pytest.mark.parametrize("data", HANDED_ON.values(), ids=HANDED_ON)
def test_whatever_depends_on_single_events_is_handed_on(data: bytes) -> None:
    with pytest.raises(Irregular):
        fast(data)


small = st.integers(0, 3)
byte = st.integers(0, 0x7F)
deltas = st.one_of(st.integers(0, 3), st.sampled_from((0, 96, 127, 128, 20_000)))

# Few pitches, channels and programs, so that events meet.
channel_events = st.builds(
    lambda kind, channel, first, second: (bytes((kind | channel,)), bytes((first, second))),
    st.sampled_from((0x80, 0x80, 0x90, 0x90, 0x90, 0x90, 0xA0, 0xB0, 0xE0)),
    st.sampled_from((0, 0, 0, 1, 9)),
    st.sampled_from((64, 64, 61)),
    st.sampled_from((0, 0, 1, 64, 127)),
)
short_events = st.builds(
    lambda kind, channel, value: (bytes((kind | channel,)), bytes((value,))),
    st.sampled_from((0xC0, 0xD0)),
    st.sampled_from((0, 1, 9)),
    small,
)
other_events = st.one_of(
    st.integers(1, 0xFFFFFF).map(tempo),
    st.binary(max_size=5).map(lambda text: meta(0x03, text)),
    st.builds(meta, st.integers(0, 0x7F), st.binary(max_size=6)),
    st.lists(byte, max_size=4).map(lambda data: b"\xf0" + quantity(len(data)) + bytes(data)),
).map(lambda event: (event, b""))
events = st.integers(0, 11).flatmap(
    lambda kind: (channel_events, short_events, other_events)[max(kind - 9, 0)]
)


@st.composite
def tracks(draw: st.DrawFn) -> bytes:
    """A track that says a status byte again only sometimes."""
    out = b""
    last = b""
    for status, data in draw(st.lists(events, min_size=8, max_size=30)):
        out += quantity(draw(deltas))
        out += data if data and status == last and draw(st.booleans()) else status + data
        last = status if data else (last if status[0] == 0xFF else b"")
    return out + quantity(draw(deltas)) + END[1:]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(tracks(), min_size=1, max_size=3), small, st.sampled_from((1, 96, 480, 0x7FFF)))
def test_random_files_are_read_as_pretty_midi_reads_them(
    bodies: list[bytes], form: int, division: int
) -> None:
    data = midi(*bodies, form=form, division=division)
    try:
        found = fast(data)
    except Irregular:
        return
    assert found == slow(data)


def test_real_songs_are_read_fast_and_as_pretty_midi_reads_them() -> None:
    songs = sorted(DATA.glob("*/*.mid"))[::30]
    if not songs:
        pytest.skip("no songs beside this checkout (../shared/data)")
    for song in songs:
        data = song.read_bytes()
        assert fast(data) == slow(data), song.name
