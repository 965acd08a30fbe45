"""Malformed MIDI files from a seed: valid files, and mutations as found in real collections.

Each mutation is a function of a random number generator and the bytes of a file. The same seed
gives the same files on every machine.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator, Sequence

Mutation = Callable[[random.Random, bytes], bytes]


def _spot(rng: random.Random, data: bytes) -> int:
    return rng.randrange(len(data)) if data else 0


def _chunks(data: bytes) -> list[tuple[int, int]]:
    """Return (start, end) of each chunk, as far as the lengths can be followed."""
    found = []
    start = 0
    while start + 8 <= len(data):
        end = start + 8 + struct.unpack(">L", data[start + 4 : start + 8])[0]
        if end > len(data):
            break
        found.append((start, end))
        start = end
    return found


def _tracks(data: bytes) -> list[tuple[int, int]]:
    return [(start, end) for start, end in _chunks(data) if data[start : start + 4] == b"MTrk"]


def _with_track(data: bytes, start: int, end: int, body: bytes) -> bytes:
    """Put another body into the track at start..end, with the right length."""
    return data[:start] + b"MTrk" + struct.pack(">L", len(body)) + body + data[end:]


def flip_bits(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 50)) if data else 0):
        changed[_spot(rng, data)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def overwrite_bytes(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 4)) if data else 0):
        changed[_spot(rng, data)] = rng.choice((0, 0x7F, 0x80, 0xFF, 0xF0, rng.randrange(256)))
    return bytes(changed)


def insert_bytes(rng: random.Random, data: bytes) -> bytes:
    spot = _spot(rng, data)
    return data[:spot] + rng.randbytes(rng.choice((1, 2, 3, 40))) + data[spot:]


def remove_bytes(rng: random.Random, data: bytes) -> bytes:
    spot = _spot(rng, data)
    return data[:spot] + data[spot + rng.choice((1, 2, 3, 40)) :]


def truncate(rng: random.Random, data: bytes) -> bytes:
    return data[: _spot(rng, data)]


def append_garbage(rng: random.Random, data: bytes) -> bytes:
    return data + rng.randbytes(rng.choice((1, 8, 500)))


def prepend_garbage(rng: random.Random, data: bytes) -> bytes:
    return rng.randbytes(rng.choice((1, 4, 128))) + data


def lie_about_a_length(rng: random.Random, data: bytes) -> bytes:
    chunks = _chunks(data)
    if not chunks:
        return data
    start, end = rng.choice(chunks)
    true = end - start - 8
    lie = rng.choice((0, 1, true - 1, true + 1, true * 2, 0xFFFFFFFF, 0x7FFFFFFF, 5))
    return data[: start + 4] + struct.pack(">L", lie & 0xFFFFFFFF) + data[start + 8 :]


def change_the_header(rng: random.Random, data: bytes) -> bytes:
    fields = list(struct.unpack(">HHH", data[8:14].ljust(6, b"\0")))
    fields[rng.randrange(3)] = rng.choice((0, 1, 2, 3, 24, 0x7FFF, 0x8000, 0xE728, 0xFFFF))
    return data[:8] + struct.pack(">HHH", *fields) + data[14:]


def break_running_status(rng: random.Random, data: bytes) -> bytes:
    """Drop status bytes, so that what follows is read under the one before, of any length."""
    spots = [spot for spot in range(14, len(data)) if 0x80 <= data[spot] < 0xF0]
    dropped = set(rng.sample(spots, min(len(spots), rng.choice((1, 1, 3)))))
    return bytes(byte for spot, byte in enumerate(data) if spot not in dropped)


def into_a_track(
    event: Callable[[random.Random], bytes],
) -> Mutation:
    """Return the mutation that puts an event in front of a track or behind its last event."""

    def mutation(rng: random.Random, data: bytes) -> bytes:
        tracks = _tracks(data)
        if not tracks:
            return data
        start, end = rng.choice(tracks)
        body = data[start + 8 : end]
        extra = event(rng)
        tail = 4 if body.endswith(b"\xff\x2f\x00") else 0
        cut = rng.choice((0, len(body) - tail))
        return _with_track(data, start, end, body[:cut] + extra + body[cut:])

    return mutation


def _huge_delta(rng: random.Random) -> bytes:
    delta = rng.choice((b"\xff\xff\xff\x7f", b"\x84\xe2\xac\x00", b"\x84\xe2\x00", b"\xff" * 9))
    return delta + b"\x90\x3c\x40" + delta + b"\x80\x3c\x40"


def _tempo(rng: random.Random) -> bytes:
    return b"\x00\xff\x51\x03" + rng.choice((0, 1, 100, 0xFFFFFF)).to_bytes(3, "big")


def _odd_meta(rng: random.Random) -> bytes:
    content = rng.randbytes(rng.choice((0, 1, 2, 4, 5, 100)))
    kind = rng.choice((0, 1, 3, 9, 0x20, 0x21, 0x2F, 0x54, 0x58, 0x59, 0x60, 0x7F))
    return bytes((rng.randrange(4), 0xFF, kind, len(content))) + content


def _name(rng: random.Random) -> bytes:
    name = rng.choice(("קול", "主旋律", "عود", "Ünïcødé", "\0", " ", "🎹")).encode()
    return b"\x00\xff\x03" + bytes((len(name),)) + name


def _system_exclusive(rng: random.Random) -> bytes:
    content = rng.choice((b"", b"\xf7", b"\x7e\x01\xf7", b"\x7e\xff\xf7", bytes(99)))
    return rng.choice((b"\x00\xf0", b"\x00\xf7")) + bytes((len(content),)) + content


def _channel_events(rng: random.Random) -> bytes:
    return b"".join(
        bytes(
            (
                rng.choice((0, 0, 1, 60)),
                rng.choice((0x80, 0x90, 0xB0, 0xC0, 0xE0)) | rng.choice((0, 0, 1, 9)),
                rng.choice((60, 64)),
                rng.choice((0, 1, 64, 127)),
            )
        )
        for _ in range(rng.choice((3, 30)))
    )


def many_notes(rng: random.Random, data: bytes) -> bytes:
    """Repeat a track's events until the file is big; running status keeps it a valid one."""
    tracks = _tracks(data)
    if not tracks:
        return data
    start, end = rng.choice(tracks)
    body = data[start + 8 : end].removesuffix(b"\x00\xff\x2f\x00")
    return _with_track(data, start, end, body * rng.choice((2, 5)) + b"\x00\xff\x2f\x00")


def empty_a_track(rng: random.Random, data: bytes) -> bytes:
    tracks = _tracks(data)
    if not tracks:
        return data
    start, end = rng.choice(tracks)
    return _with_track(data, start, end, rng.choice((b"", b"\x00\xff\x2f\x00")))


def shuffle_chunks(rng: random.Random, data: bytes) -> bytes:
    chunks = [data[start:end] for start, end in _chunks(data)]
    if len(chunks) < 2:
        return data
    rest = chunks[1:]
    match rng.randrange(3):
        case 0:
            rng.shuffle(rest)
        case 1:
            rest.insert(0, rng.choice(rest))
        case _:
            rest.insert(rng.randrange(len(rest)), b"XFIH\0\0\0\4abcd")
    count = rng.choice((len(rest), struct.unpack(">H", chunks[0][10:12].ljust(2, b"\0"))[0]))
    return chunks[0][:10] + struct.pack(">H", count) + chunks[0][12:] + b"".join(rest)


def wrap_in_riff(rng: random.Random, data: bytes) -> bytes:
    size = rng.choice((len(data), 0, 0xFFFFFFFF))
    inner = b"data" + struct.pack("<L", size) + data
    return b"RIFF" + struct.pack("<L", len(inner) + 4) + b"RMID" + inner


def replace_all(rng: random.Random, data: bytes) -> bytes:
    return rng.choice((b"", b"MThd", data[:14], rng.randbytes(200), data[:14] + rng.randbytes(300)))


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits,
    flip_bits,
    overwrite_bytes,
    overwrite_bytes,
    insert_bytes,
    remove_bytes,
    truncate,
    append_garbage,
    prepend_garbage,
    lie_about_a_length,
    change_the_header,
    break_running_status,
    into_a_track(_huge_delta),
    into_a_track(_tempo),
    into_a_track(_odd_meta),
    into_a_track(_name),
    into_a_track(_system_exclusive),
    into_a_track(_channel_events),
    into_a_track(_channel_events),
    many_notes,
    empty_a_track,
    shuffle_chunks,
    wrap_in_riff,
    replace_all,
)


def mutants(corpus: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Yield `count` mutated files, each of one file of the corpus and one to three mutations."""
    for index in range(count):
        rng = random.Random(f"{seed}/{index}")
        data = rng.choice(corpus)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            data = rng.choice(MUTATIONS)(rng, data)
        yield data


def made_files() -> list[bytes]:
    """Return small whole files, so that a corpus need not lie beside this one."""
    end = b"\x00\xff\x2f\x00"
    scale = b"".join(bytes((0, 0x90, pitch, 80, 60, pitch, 0)) for pitch in range(60, 80))
    chords = b"".join(
        bytes((0, 0x91, root, 70, 0, root + 4, 70, 0, root + 7, 70))
        + bytes((96, 0x81, root, 0, 0, root + 4, 0, 0, root + 7, 0))
        for root in (48, 53, 55, 48) * 3
    )
    pedal = b"\x00\xb0\x40\x7f" + scale + b"\x20\xb0\x40\x00"
    bends = b"\x00\xe0\x00\x50" + scale[:70] + b"\x00\xe0\x7f\x1f" + scale[70:] + b"\0\xe0\0\x40"
    drums = b"".join(bytes((0, 0x99, 36, 99, 48, 0x89, 36, 0)) for _ in range(16))
    slow = b"\x00\xff\x51\x03\x0f\x42\x40\x81\x40\xff\x51\x03\x07\xa1\x20"
    named = b"\x00\xff\x03\x05PIANO\x00\xc1\x08"
    sequencer = b"\x00\xf0\x05\x7e\x7f\x09\x01\xf7\x00\xff\x58\x04\x03\x02\x18\x08"
    bodies = (
        (slow, named + chords, scale),
        (scale,),
        (slow + pedal + named + chords + drums,),
        (sequencer, bends, drums),
    )
    return [
        b"MThd"
        + struct.pack(">LHHH", 6, int(len(tracks) > 1), len(tracks), 96)
        + b"".join(
            b"MTrk" + struct.pack(">L", len(body) + len(end)) + body + end for body in tracks
        )
        for tracks in bodies
    ]
