"""Measures of a song, as numbers that can be set beside those of the corpus it was learned from.

Each takes a song as frames and is a pure function. Notes are held notes (see
:func:`tunesmith.music.notation.notes_from_frames`): a pitch from the frame where it begins to sound
to the one where it ends. Struck frames are measured as the plain frames that they are, so that the
songs of every encoding compare. A measure that a song has no value of, such as the polyphony of
silence, is NaN. All depend on the length of a song, some of them much: compare songs of like
length.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import NamedTuple

import numpy as np

from tunesmith.music.frames import REST, Frame
from tunesmith.music.notation import HeldNote, notes_from_frames
from tunesmith.music.struck import plain_frames

MAJOR_SCALE = (0, 2, 4, 5, 7, 9, 11)
"""Pitch classes above the tonic. The natural minor scales are the same twelve sets."""

REPEATED_FRAMES = 16
"""Length of the stretches that :func:`repetition` looks for: 3.2 s at 5 frames a second."""

LONG_REPEATED_FRAMES = 50
"""Ten seconds at 5 frames a second, the paper's window: a phrase that comes again, or a loop."""

LARGEST_STEP = 7
"""Semitones, a fifth; a melody that moves by more leaps."""


class Measure(NamedTuple):
    """A measure and how to speak of it.

    Attributes:
        of: frames to the value.
        unit: of the value: ``share``, ``pitches``, ``semitones``, ``bits``, ``frames``.
        meaning: half a sentence for whoever reads a table.
    """

    of: Callable[[Sequence[Frame]], float]
    unit: str
    meaning: str


def isolated_note_share(frames: Sequence[Frame]) -> float:
    """Return the share of the notes that last one frame with silence before and after.

    A narrow reading of the paper's complaint, too many scattered notes: music that leaves no
    silence has none, however broken; see :func:`one_frame_note_share`. Before the first frame and
    after the last there is silence.
    """
    notes = _held_notes(frames)
    around = [REST, *frames, REST]
    alone = sum(
        note.end - note.start == 1 and around[note.start] == REST == around[note.end + 1]
        for note in notes
    )
    return _share(alone, len(notes))


def one_frame_note_share(frames: Sequence[Frame]) -> float:
    """Return the share of the notes that last one frame.

    The paper's own complaint of its music, too many scattered notes, as a number: one minus
    MuseGAN's ratio of qualified notes, its measure of fragmented music, with a bound of two frames
    (Dong, Hsiao, Yang and Yang 2018, "MuseGAN: Multi-track Sequential Generative Adversarial
    Networks for Symbolic Music Generation and Accompaniment").
    """
    notes = _held_notes(frames)
    return _share(sum(note.end - note.start == 1 for note in notes), len(notes))


def mean_polyphony(frames: Sequence[Frame]) -> float:
    """Return how many pitches sound on average in the frames in which any does.

    MusPy's polyphony (Dong, Chen, McAuley and Berg-Kirkpatrick 2020, "MusPy: A Toolkit for Symbolic
    Music Generation").
    """
    sounding = [len(frame) for frame in frames if frame]
    return _share(sum(sounding), len(sounding))


def pitch_range(frames: Sequence[Frame]) -> float:
    """Return the highest pitch less the lowest, in semitones (MusPy)."""
    pitches = {pitch for frame in frames for pitch in frame}
    return float(max(pitches) - min(pitches)) if pitches else math.nan


def pitch_class_entropy(frames: Sequence[Frame]) -> float:
    """Return the entropy in bits of the notes' pitch classes: 0 for one class, log2(12) at most.

    -sum p log2 p over the histogram of the twelve classes, a note counting once whatever its length
    (Wu and Yang 2020, "The Jazz Transformer on the Front Line", and MusPy).
    """
    classes = np.bincount([note.pitch % 12 for note in _held_notes(frames)], minlength=12)
    if not classes.any():
        return math.nan
    shares = classes[classes > 0] / classes.sum()
    return abs(float(-(shares * np.log2(shares)).sum()))


def scale_consistency(frames: Sequence[Frame]) -> float:
    """Return the share of the notes in the major or natural minor scale that holds most of them.

    Mogren 2016, "C-RNN-GAN: Continuous recurrent neural networks with adversarial training",
    by the scales that MusPy takes.
    """
    classes = np.bincount([note.pitch % 12 for note in _held_notes(frames)], minlength=12)
    steps = np.array(MAJOR_SCALE)
    return _share(
        max(int(classes[(steps + tonic) % 12].sum()) for tonic in range(12)), classes.sum()
    )


def rest_share(frames: Sequence[Frame]) -> float:
    """Return the share of the frames in which nothing sounds.

    MuseGAN's ratio of empty bars and MusPy's of empty beats, by the frame.
    """
    return _share(sum(frame == REST for frame in frames), len(frames))


def repetition(frames: Sequence[Frame], length: int = REPEATED_FRAMES) -> float:
    """Return the share of the stretches of `length` frames that an earlier stretch equals.

    seq-rep-n of Welleck, Kulikov, Roller, Dinan, Cho and Weston 2020, "Neural Text Generation with
    Unlikelihood Training": 1 - (distinct n-grams) / (n-grams). NaN for a shorter song.
    """
    stretches = [tuple(frames[at : at + length]) for at in range(len(frames) - length + 1)]
    return 1 - _share(len(set(stretches)), len(stretches))


def repeated_frame_share(frames: Sequence[Frame], length: int = REPEATED_FRAMES) -> float:
    """Return the share of the frames that lie in a stretch that also stands earlier in the song.

    A frame counts if one of the stretches of `length` frames around it equals a stretch that begins
    earlier; the two may overlap, so that a long held chord repeats itself. NaN for a shorter song.
    """
    if len(frames) < length:
        return math.nan
    numbers: dict[Frame, int] = {}
    codes = np.array([numbers.setdefault(frame, len(numbers)) for frame in frames], dtype=np.int32)
    seen: set[bytes] = set()
    covered = np.zeros(len(frames), dtype=bool)
    for start in range(len(frames) - length + 1):
        stretch = codes[start : start + length].tobytes()
        if stretch in seen:
            covered[start : start + length] = True
        seen.add(stretch)
    return float(covered.mean())


def longest_run(frames: Sequence[Frame]) -> float:
    """Return how many frames the longest stretch of one unchanged frame has, rests included."""
    return float(max((len(list(run)) for _, run in groupby(frames)), default=math.nan))


def leap_share(frames: Sequence[Frame]) -> float:
    """Return the share of the melody's moves that are wider than :data:`LARGEST_STEP` semitones.

    The melody is the highest pitch of each sounding frame (the skyline of Uitdenbogerd and Zobel
    1998, "Manipulation of Music for Melody Matching"); it moves where that pitch changes, across
    rests as well. NaN for a melody that never moves.
    """
    melody = np.array([max(frame) for frame in frames if frame])
    moves = np.abs(np.diff(melody))
    moves = moves[moves > 0]
    return _share(int(np.count_nonzero(moves > LARGEST_STEP)), len(moves))


MEASURES = {
    "one_frame_note_share": Measure(one_frame_note_share, "share", "notes of one frame"),
    "isolated_note_share": Measure(
        isolated_note_share, "share", "notes of one frame with silence before and after"
    ),
    "mean_polyphony": Measure(mean_polyphony, "pitches", "pitches at once where any sounds"),
    "pitch_range": Measure(pitch_range, "semitones", "from the lowest to the highest pitch"),
    "pitch_class_entropy": Measure(
        pitch_class_entropy, "bits", "spread of the notes over the twelve pitch classes"
    ),
    "scale_consistency": Measure(
        scale_consistency, "share", "notes in the best fitting major or minor scale"
    ),
    "rest_share": Measure(rest_share, "share", "frames in which nothing sounds"),
    "repetition": Measure(
        repetition, "share", f"stretches of {REPEATED_FRAMES} frames heard before in the song"
    ),
    "repeated_share_16": Measure(
        repeated_frame_share,
        "share",
        f"frames in a stretch of {REPEATED_FRAMES} that stands earlier in the song",
    ),
    "repeated_share_50": Measure(
        partial(repeated_frame_share, length=LONG_REPEATED_FRAMES),
        "share",
        f"frames in a stretch of {LONG_REPEATED_FRAMES} that stands earlier in the song",
    ),
    "longest_run": Measure(longest_run, "frames", "longest stretch of one unchanged frame"),
    "leap_share": Measure(
        leap_share, "share", f"moves of the highest pitch by more than {LARGEST_STEP} semitones"
    ),
}
"""What a song has by itself; what it has in common with others is in ``copying``."""


def _held_notes(frames: Sequence[Frame]) -> list[HeldNote]:
    return notes_from_frames(plain_frames(frames))


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else math.nan
