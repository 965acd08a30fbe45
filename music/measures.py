"""Music measures: numbers that describe a song, for comparing generated songs with a corpus.

Each measure is a pure function of the frames of a song. Notes are held notes (see
:func:`tunesmith.music.notation.notes_from_frames`): a pitch, from the frame where it starts to the
frame where it ends. Struck frames are measured as plain frames, so that songs of all encodings are
comparable. A measure without a value, such as the polyphony of silence, is NaN. All measures depend
on the length of a song, some of them strongly: compare songs of similar length.
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
"""Pitch classes relative to the tonic. The twelve natural minor scales are the same sets."""

REPEATED_FRAMES = 16
"""Length of the stretches of :func:`repetition`: 3.2 s at 5 frames per second."""

LONG_REPEATED_FRAMES = 50
"""Length of the paper's window, ten seconds at 5 frames per second: a phrase, or a loop."""

LARGEST_STEP = 7
"""Largest step of a melody in semitones, a fifth; a wider move is a leap."""


class Measure(NamedTuple):
    """A music measure with its unit and description.

    Attributes:
        of: function from frames to the value.
        unit: ``share``, ``pitches``, ``semitones``, ``bits`` or ``frames``.
        meaning: short description for tables.
    """

    of: Callable[[Sequence[Frame]], float]
    unit: str
    meaning: str


def isolated_note_share(frames: Sequence[Frame]) -> float:
    """Return the share of notes that last one frame and have silence before and after.

    A narrow measure of the paper's problem of too many scattered notes: it is 0 for music without
    silence, even if that music is fragmented; see :func:`one_frame_note_share`. The time before the
    first frame and after the last one counts as silence.
    """
    notes = _held_notes(frames)
    around = [REST, *frames, REST]
    alone = sum(
        note.end - note.start == 1 and around[note.start] == REST == around[note.end + 1]
        for note in notes
    )
    return _share(alone, len(notes))


def one_frame_note_share(frames: Sequence[Frame]) -> float:
    """Return the share of notes that last one frame.

    It measures the problem that the paper reports of its own music, too many scattered notes. It is
    one minus MuseGAN's ratio of qualified notes with a minimum length of two frames
    (Dong, Hsiao, Yang and Yang 2018, "MuseGAN: Multi-track Sequential Generative Adversarial
    Networks for Symbolic Music Generation and Accompaniment").
    """
    notes = _held_notes(frames)
    return _share(sum(note.end - note.start == 1 for note in notes), len(notes))


def mean_polyphony(frames: Sequence[Frame]) -> float:
    """Return the mean number of pitches in sounding frames.

    MusPy's polyphony (Dong, Chen, McAuley and Berg-Kirkpatrick 2020, "MusPy: A Toolkit for Symbolic
    Music Generation").
    """
    sounding = [len(frame) for frame in frames if frame]
    return _share(sum(sounding), len(sounding))


def pitch_range(frames: Sequence[Frame]) -> float:
    """Return the interval between the lowest and the highest pitch, in semitones (MusPy)."""
    pitches = {pitch for frame in frames for pitch in frame}
    return float(max(pitches) - min(pitches)) if pitches else math.nan


def pitch_class_entropy(frames: Sequence[Frame]) -> float:
    """Return the entropy in bits of the notes' pitch classes, from 0 to log2(12).

    -sum p log2 p over the histogram of the twelve classes; each note counts once, whatever its
    length (Wu and Yang 2020, "The Jazz Transformer on the Front Line", and MusPy).
    """
    classes = np.bincount([note.pitch % 12 for note in _held_notes(frames)], minlength=12)
    if not classes.any():
        return math.nan
    shares = classes[classes > 0] / classes.sum()
    return abs(float(-(shares * np.log2(shares)).sum()))


def scale_consistency(frames: Sequence[Frame]) -> float:
    """Return the share of notes within the best-fitting major or natural minor scale.

    Mogren 2016, "C-RNN-GAN: Continuous recurrent neural networks with adversarial training",
    with the scales of MusPy.
    """
    classes = np.bincount([note.pitch % 12 for note in _held_notes(frames)], minlength=12)
    steps = np.array(MAJOR_SCALE)
    return _share(
        max(int(classes[(steps + tonic) % 12].sum()) for tonic in range(12)), classes.sum()
    )


def rest_share(frames: Sequence[Frame]) -> float:
    """Return the share of rests among the frames.

    The frame-based form of MuseGAN's ratio of empty bars and MusPy's ratio of empty beats.
    """
    return _share(sum(frame == REST for frame in frames), len(frames))


def repetition(frames: Sequence[Frame], length: int = REPEATED_FRAMES) -> float:
    """Return the share of stretches of `length` frames that equal an earlier stretch.

    seq-rep-n of Welleck, Kulikov, Roller, Dinan, Cho and Weston 2020, "Neural Text Generation with
    Unlikelihood Training": 1 - (distinct n-grams) / (n-grams). NaN if the song is shorter.
    """
    stretches = [tuple(frames[at : at + length]) for at in range(len(frames) - length + 1)]
    return 1 - _share(len(set(stretches)), len(stretches))


def repeated_frame_share(frames: Sequence[Frame], length: int = REPEATED_FRAMES) -> float:
    """Return the share of frames within a stretch that also occurs earlier in the song.

    A frame counts if one of the stretches of `length` frames that contain it equals a stretch that
    starts earlier. The two may overlap, so a long held chord counts as repeated. NaN if the song is
    shorter than `length`.
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
    """Return the length in frames of the longest run of one unchanged frame, rests included."""
    return float(max((len(list(run)) for _, run in groupby(frames)), default=math.nan))


def leap_share(frames: Sequence[Frame]) -> float:
    """Return the share of melody moves that are wider than :data:`LARGEST_STEP` semitones.

    The melody is the highest pitch of each sounding frame (the skyline of Uitdenbogerd and Zobel
    1998, "Manipulation of Music for Melody Matching"); a move is a change of that pitch,
    also across rests. NaN for a melody without moves.
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
    "mean_polyphony": Measure(
        mean_polyphony, "pitches", "mean number of pitches in sounding frames"
    ),
    "pitch_range": Measure(
        pitch_range, "semitones", "interval from the lowest to the highest pitch"
    ),
    "pitch_class_entropy": Measure(
        pitch_class_entropy, "bits", "entropy of the notes over the twelve pitch classes"
    ),
    "scale_consistency": Measure(
        scale_consistency, "share", "notes in the best-fitting major or minor scale"
    ),
    "rest_share": Measure(rest_share, "share", "frames that are rests"),
    "repetition": Measure(
        repetition, "share", f"stretches of {REPEATED_FRAMES} frames that occur earlier in the song"
    ),
    "repeated_share_16": Measure(
        repeated_frame_share,
        "share",
        f"frames in a stretch of {REPEATED_FRAMES} that occurs earlier in the song",
    ),
    "repeated_share_50": Measure(
        partial(repeated_frame_share, length=LONG_REPEATED_FRAMES),
        "share",
        f"frames in a stretch of {LONG_REPEATED_FRAMES} that occurs earlier in the song",
    ),
    "longest_run": Measure(longest_run, "frames", "longest run of one unchanged frame"),
    "leap_share": Measure(
        leap_share, "share", f"moves of the highest pitch by more than {LARGEST_STEP} semitones"
    ),
}
"""Measures of a single song; comparisons with other songs are in ``copying``."""


def _held_notes(frames: Sequence[Frame]) -> list[HeldNote]:
    return notes_from_frames(plain_frames(frames))


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else math.nan
