"""The reference reader: MIDI files to frames with pretty_midi alone.

:func:`tunesmith.music.read_sequence` is compared with it. It is written to be simple, not fast.
"""

from __future__ import annotations

import io
import warnings

import pretty_midi

FRAMES_PER_SECOND = 5

Frames = list[tuple[int, ...]]


def parse(data: bytes) -> pretty_midi.PrettyMIDI:
    """Return pretty_midi's song; raises whatever pretty_midi raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pretty_midi.PrettyMIDI(io.BytesIO(data))


def choose(song: pretty_midi.PrettyMIDI, choice: str) -> list[pretty_midi.Instrument]:
    """Return the pitched instruments with notes of ``first``, ``all`` or ``name:NAME``."""
    if choice == "first":
        found = song.instruments[:1]
    elif choice == "all":
        found = song.instruments
    else:
        name = choice.removeprefix("name:").lower()
        found = [each for each in song.instruments if each.name.strip().lower() == name]
    return [each for each in found if each.notes and not each.is_drum]


def columns(instruments: list[pretty_midi.Instrument]) -> int:
    """Return the length of the longest piano roll, without making it."""
    return max((int(FRAMES_PER_SECOND * each.get_end_time()) for each in instruments), default=0)


def read(instruments: list[pretty_midi.Instrument]) -> Frames | None:
    """Return the frames from the first that sounds to the last; None if none sounds."""
    frames: list[set[int]] = []
    for instrument in instruments:
        roll = instrument.get_piano_roll(fs=FRAMES_PER_SECOND)
        frames += [set() for _ in range(roll.shape[1] - len(frames))]
        for pitch, column in zip(*roll.nonzero(), strict=True):
            frames[column].add(int(pitch))
    while frames and not frames[-1]:
        frames.pop()
    while frames and not frames[0]:
        frames.pop(0)
    return [tuple(sorted(frame)) for frame in frames] or None
