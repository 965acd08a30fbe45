"""The statistics of a collection: exact counts that add up in any order."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pretty_midi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.components.records.songs import SongFrames
from tunesmith.components.transform.statistics import (
    SplitStatistics,
    coverage_curve,
    coverage_of_counts,
    describe,
)
from tunesmith.music import Frame, TrackChoice, Vocabulary
from tunesmith.music.frames import (
    make_frame,
    pack_frames,
    packed_keys,
    parse_frame,
)
from tunesmith.music.reading import read_song

frames = st.frozensets(st.integers(0, 127), max_size=4).map(make_frame)
pieces = st.lists(st.sampled_from([(), (60,), (60, 64, 67), (0, 127)]) | frames, min_size=1)
speeds = st.sampled_from([5.0, 4.0, 7.3, 0.01])


def song(listed: list[Frame], speed: float = 5.0) -> SongFrames:
    distinct = sorted(set(listed))
    ids = np.array([distinct.index(frame) for frame in listed], dtype=np.int32)
    return SongFrames(b"a.mid", pack_frames(distinct), ids, speed)


def count(listed: list[Frame], speed: float = 5.0) -> SplitStatistics:
    """Statistics of a song under a vocabulary of three sounding frames."""
    return encode(song(listed, speed), Vocabulary(((), (60,), (60, 64, 67), (0, 127)), 5.0))


def encode(read: SongFrames, vocabulary: Vocabulary) -> SplitStatistics:
    tokens, mapped = vocabulary.encode_packed(read.distinct)
    return SplitStatistics.of_song(read, tokens[read.ids], mapped[read.ids])


statistics = st.builds(count, pieces, speeds)
splits = st.lists(statistics, max_size=4).map(SplitStatistics.merge)


def test_a_song_is_counted_exactly() -> None:
    counted = count([(60,), (60,), (), (60, 64, 67), (61,), (60, 64)], speed=4.0)
    assert (counted.songs, counted.frames, counted.windows) == (1, 6, 6)
    # C sharp alone is like no frame that is known and becomes the most frequent one; C and E
    # together become the triad. Repeated is only the second C.
    assert (counted.mapped_frames, counted.repeated_frames) == (2, 1)
    assert counted.microseconds == 1_500_000
    assert np.flatnonzero(counted.frames_by_pitch).tolist() == [60, 61, 64, 67]
    assert counted.frames_by_pitch[[60, 61, 64, 67]].tolist() == [4, 1, 2, 1]
    assert counted.frames_by_polyphony[:5].tolist() == [1, 3, 1, 1, 0]
    assert counted.songs_by_length.nonzero()[0].tolist() == [0]


def test_repeats_are_of_tokens() -> None:
    # What a model is asked to continue: 61 stands as 60 there.
    assert count([(60,), (61,), (60,)]).repeated_frames == 2


@pytest.mark.parametrize(
    ("seconds", "length_bin"), [(1, 0), (10, 1), (59, 5), (1199, 119), (1200, 120), (90_000, 120)]
)
def test_songs_are_counted_by_their_length(seconds: int, length_bin: int) -> None:
    counted = count([(60,)] * seconds, speed=1.0)
    assert counted.songs_by_length.nonzero()[0].tolist() == [length_bin]


@given(pieces, speeds)
def test_counts_are_those_of_frames_taken_one_by_one(listed: list[Frame], speed: float) -> None:
    counted = count(listed, speed)
    pitches = Counter(pitch for frame in listed for pitch in frame)
    polyphony = Counter(map(len, listed))
    assert counted.frames_by_pitch.tolist() == [pitches[pitch] for pitch in range(128)]
    assert counted.frames_by_polyphony.tolist() == [polyphony[size] for size in range(129)]
    assert counted.frames == len(listed)
    assert counted.microseconds == round(1e6 * len(listed) / speed)


def test_all_128_pitches_at_once_are_counted() -> None:
    counted = count([tuple(range(128))])
    assert counted.frames_by_polyphony[128] == 1
    assert counted.frames_by_pitch.tolist() == [1] * 128


@given(splits, splits, splits)
def test_merging_is_associative_commutative_and_has_an_identity(
    one: SplitStatistics, two: SplitStatistics, three: SplitStatistics
) -> None:
    merge = SplitStatistics.merge
    whole = merge([one, two, three]).to_bytes()
    assert merge([merge([one, two]), three]).to_bytes() == whole
    assert merge([one, merge([two, three])]).to_bytes() == whole
    assert merge([three, one, two]).to_bytes() == whole
    assert merge([SplitStatistics(), one]).to_bytes() == one.to_bytes()
    parts = [each.to_bytes() for each in (one, two, three)]
    assert SplitStatistics.merge_bytes(parts) == whole


def test_nothing_merges_to_a_split_without_songs() -> None:
    assert SplitStatistics.merge([]).to_bytes() == SplitStatistics().to_bytes()
    assert SplitStatistics.merge_bytes([]) == SplitStatistics().to_bytes()


@given(st.lists(pieces, min_size=1, max_size=5))
def test_merged_songs_count_as_their_concatenation_does(songs: list[list[Frame]]) -> None:
    merged = SplitStatistics.merge(map(count, songs))
    end_to_end = count([frame for listed in songs for frame in listed])
    assert merged.songs == len(songs) == merged.songs_by_length.sum()
    for name in ("frames", "windows", "mapped_frames", "microseconds"):
        assert getattr(merged, name) == getattr(end_to_end, name)
    for name in ("frames_by_pitch", "frames_by_polyphony"):
        assert getattr(merged, name).tolist() == getattr(end_to_end, name).tolist()
    lengths = sorted(map(len, songs))
    assert (merged.shortest_frames, merged.longest_frames) == (lengths[0], lengths[-1])
    assert merged.shortest_microseconds == 200_000 * lengths[0]
    assert merged.longest_microseconds == 200_000 * lengths[-1]


@given(splits)
def test_statistics_travel_as_bytes(split: SplitStatistics) -> None:
    read = SplitStatistics.from_bytes(split.to_bytes())
    described = [
        describe({"train": each}, vocabulary_size=1, distinct_sounding_frames=0, coverage=[])
        for each in (split, read)
    ]
    assert described[0] == described[1]
    assert read.songs_by_length.dtype == np.int64


def test_other_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="bytes, not 3"):
        SplitStatistics.from_bytes(b"abc")


@pytest.mark.filterwarnings("ignore:Tempo, Key or Time signature:RuntimeWarning")
def test_real_songs_count_as_in_the_piano_rolls_of_pretty_midi(jj_lin: Path) -> None:
    files = sorted(jj_lin.rglob("*.mid"))
    assert len(files) == 22
    for path in files:
        counted = encode(
            SongFrames(b"", *read_song(path, TrackChoice("all"))[:3]), Vocabulary(((), (60,)), 5.0)
        )
        roll = pretty_midi.PrettyMIDI(str(path)).get_piano_roll(fs=5) > 0
        sounding = np.flatnonzero(roll.any(axis=0))
        roll = roll[:, sounding[0] : sounding[-1] + 1]
        assert counted.frames_by_pitch.tolist() == roll.sum(axis=1).tolist()
        polyphony = np.bincount(roll.sum(axis=0), minlength=129)
        assert counted.frames_by_polyphony.tolist() == polyphony.tolist()


@given(st.dictionaries(frames, st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 45))
def test_coverage_is_what_a_vocabulary_of_that_size_holds(
    heard: dict[Frame, int], size: int
) -> None:
    counts = dict(zip(packed_keys(pack_frames(list(heard))), heard.values(), strict=True))
    curve = coverage_curve(counts, size)
    largest = len(heard | {(): 0})
    assert {min(size, largest), largest} <= {tokens for tokens, _ in curve}
    for tokens, share in curve:
        known = Vocabulary.from_counts(heard, 5.0, maximum_frames=tokens - 1)
        assert len(known) == tokens
        held = sum(times for frame, times in heard.items() if frame in known)
        assert share == held / sum(heard.values())


def test_the_curve_stops_at_round_sizes_on_its_way() -> None:
    curve = coverage_of_counts(np.ones(249, dtype=np.int64), 1, 151)
    assert [size for size, _ in curve] == [
        *(1, 2, 3, 5, 7, 10, 20, 30, 50, 70, 100, 151, 200, 250),
    ]
    assert [share for _, share in curve] == [size / 250 for size, _ in curve]


def test_the_curve_of_no_frames_is_empty() -> None:
    assert coverage_curve({}, 1) == []


def test_the_training_frames_outside_the_vocabulary_are_those_mapped() -> None:
    listed = [make_frame([40 + number % (number // 7 + 1)]) for number in range(60)]
    counts = Counter(listed)
    vocabulary = Vocabulary.from_counts(counts, 5.0, maximum_frames=4)
    keys = packed_keys(pack_frames(list(counts)))
    curve = dict(coverage_curve(dict(zip(keys, counts.values(), strict=True)), len(vocabulary)))
    counted = encode(song(listed), vocabulary)
    assert counted.mapped_frames
    assert curve[len(vocabulary)] == (counted.frames - counted.mapped_frames) / counted.frames


def test_the_file_says_what_was_counted_with_its_units() -> None:
    frames = [parse_frame(name) for name in ("60", "60", "e", "60,64,67", "72")]
    described = describe(
        {"train": count(frames), "eval": SplitStatistics(), "test": count([(0, 127)])},
        vocabulary_size=4,
        distinct_sounding_frames=3,
        coverage=[(1, 0.25), (4, 1.0)],
    )
    assert list(described["splits"]) == ["train", "eval", "test"]
    assert (described["vocabulary_size"], described["distinct_sounding_frames"]) == (4, 3)
    assert described["vocabulary_coverage"] == [[1, 0.25], [4, 1.0]]
    train = described["splits"]["train"]
    assert (train["songs"], train["frames"], train["windows"], train["rests"]) == (1, 5, 5, 1)
    assert (train["mapped_frames"], train["mapped_share"]) == (1, 0.2)
    assert (train["rest_share"], train["repeated_share"]) == (0.2, 0.2)
    assert (train["lowest_pitch"], train["highest_pitch"]) == (60, 72)
    assert (train["mean_polyphony"], train["highest_polyphony"]) == (1.5, 3)
    assert train["frames_by_polyphony"] == [1, 3, 0, 1]
    assert (train["seconds"], train["song_length"]["mean_seconds"]) == (1.0, 1.0)
    assert train["song_length"]["songs_by_bin"] == [1]


def test_a_split_without_songs_is_described() -> None:
    described = describe(
        {"eval": SplitStatistics()}, vocabulary_size=1, distinct_sounding_frames=0, coverage=[]
    )
    empty = described["splits"]["eval"]
    assert empty["songs"] == empty["frames"] == empty["mapped_share"] == empty["seconds"] == 0
    assert empty["lowest_pitch"] is None
    assert empty["frames_by_polyphony"] == empty["song_length"]["songs_by_bin"] == []


def test_workers_need_neither_beam_nor_tensorflow_nor_jinja2() -> None:
    code = (
        "import sys, tunesmith.components.transform.statistics;"
        "print({'apache_beam', 'tensorflow', 'jinja2', 'pretty_midi'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
