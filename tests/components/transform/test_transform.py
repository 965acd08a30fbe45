"""Transform's decisions: keys, speeds, and what the vocabulary counts."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tunesmith.components.component import ParameterError
from tunesmith.components.encodings.encoding import read_vocabulary
from tunesmith.components.records.songs import SongFrames, read_frames, write_frames
from tunesmith.components.transform.component import TransformParameters
from tunesmith.components.transform.song_tokens import TokenSettings, transposed
from tunesmith.components.transform.transforms import CorpusCount, CountFrames, build_vocabulary
from tunesmith.music import CorpusSettings, Frame, Grid
from tunesmith.music.frames import pack_frames, packed_keys, unpack_frames


def song(*frames: Frame, speed: float = 5.0) -> SongFrames:
    distinct = sorted(set(frames))
    ids = np.array([distinct.index(frame) for frame in frames], dtype=np.int32)
    return SongFrames(b"a.mid", pack_frames(distinct), ids, speed)


def frames_of(song: SongFrames) -> list[Frame]:
    distinct = unpack_frames(song.distinct)
    return [distinct[index] for index in song.ids]


def test_a_song_is_learned_in_every_key_asked_for() -> None:
    copies = list(transposed(song((60, 64), (), (67,)), CorpusSettings(transpose=(-2, 1))))
    assert [frames_of(copy) for copy in copies] == [
        [(58, 62), (), (65,)],
        [(59, 63), (), (66,)],
        [(60, 64), (), (67,)],
        [(61, 65), (), (68,)],
    ]
    names = [copy.song_id for copy in copies]
    assert names == [b"a.mid@-2", b"a.mid@-1", b"a.mid", b"a.mid@+1"]


@pytest.mark.parametrize(
    ("pitches", "grid", "shifts"),
    [((1, 126), Grid(), 3), ((60, 64), Grid(lowest=60, highest=65), 2), ((0, 127), Grid(), 1)],
)
def test_a_key_out_of_the_pitch_range_is_left_out(pitches: Frame, grid: Grid, shifts: int) -> None:
    corpus = CorpusSettings(grid=grid, transpose=(-4, 4))
    assert len(list(transposed(song(pitches), corpus))) == shifts


def test_every_key_is_counted_and_lasts_as_long() -> None:
    count = CountFrames(TokenSettings(CorpusSettings(transpose=(0, 1)), 1000, 1))
    record = write_frames(song((60,), (60,), (), speed=4.0))
    total = count.add_input(count.create_accumulator(), ("train", record))
    assert count.add_input(total, ("eval", record)) == total
    total = count.merge_accumulators([total, count.create_accumulator()])
    keys = packed_keys(pack_frames([(60,), (61,), ()]))
    assert total.frames == dict(zip(keys, (2, 2, 2), strict=True))
    assert total.microseconds == 2 * 750_000


def test_a_song_is_read_back_from_its_record() -> None:
    written = song((60, 64), (), (60, 64), (67,), speed=7.5)
    read = read_frames(write_frames(written))
    assert frames_of(read) == frames_of(written)
    assert (read.song_id, read.frames_per_second) == (b"a.mid", 7.5)


@pytest.mark.parametrize(
    ("transpose", "shifts"),
    [("auto", (0, 0)), ("none", (0, 0)), ("-5..6", (-5, 6)), ("0..+3", (0, 3))],
)
def test_a_range_of_shifts_is_written_and_nothing_else(
    transpose: str, shifts: tuple[int, int]
) -> None:
    assert TransformParameters(transpose=transpose).shifts == shifts


@pytest.mark.parametrize("transpose", ["all", "1..3", "-25..0", "3", "-5-6", ""])
def test_what_is_no_range_of_shifts_is_refused(transpose: str) -> None:
    with pytest.raises(ParameterError, match="transpose must "):
        TransformParameters(transpose=transpose)


@pytest.mark.parametrize(
    ("maximum", "new"), [(1000, ["62", "50", "50,54"]), (2, ["62", "50"]), (1, ["62"])]
)
def test_a_tuned_models_tokens_are_its_parents_and_then_the_new_frames(
    maximum: int, new: list[str]
) -> None:
    known = ("e", "40", "60,64", "41")
    frames = [(), (60, 64), (62,), (50,), (50, 54)]
    keys = packed_keys(pack_frames(frames))
    counts = Counter(dict(zip(keys, (9, 8, 7, 5, 3), strict=True)))
    settings = TokenSettings(CorpusSettings(), maximum, 1, known)
    text, facts = build_vocabulary(CorpusCount(counts, 10**6), settings)
    assert list(read_vocabulary(text).names) == [*known, *new]
    assert facts["vocabulary_size"] == 4 + len(new)
    rarer = TokenSettings(CorpusSettings(), 1000, 5, known)
    assert list(read_vocabulary(build_vocabulary(CorpusCount(counts, 0), rarer)[0]).names) == [
        *(*known, "62", "50")
    ]
