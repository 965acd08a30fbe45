"""Measures of songs small enough to be counted by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.music import REST, Frame, TrackChoice, read_sequence
from tunesmith.music.measures import (
    MEASURES,
    isolated_note_share,
    leap_share,
    longest_run,
    mean_polyphony,
    one_frame_note_share,
    pitch_class_entropy,
    pitch_range,
    repeated_frame_share,
    repetition,
    rest_share,
    scale_consistency,
)

FRAMES = st.lists(st.sets(st.integers(40, 60), max_size=3).map(lambda each: tuple(sorted(each))))


def melody(*pitches: int) -> list[Frame]:
    """One frame a pitch; 0 is a rest."""
    return [(pitch,) if pitch else REST for pitch in pitches]


def test_a_note_is_isolated_between_rests_and_only_there() -> None:
    assert isolated_note_share(melody(60, 0, 62, 0, 64, 65, 0, 67, 67)) == pytest.approx(2 / 5)
    # Two notes at once are scattered together; one that is held is not.
    assert isolated_note_share([REST, (60, 64), REST, (60,), (60,)]) == pytest.approx(2 / 3)


def test_notes_of_one_frame_may_stand_side_by_side() -> None:
    assert one_frame_note_share(melody(60, 62, 64, 64, 0, 60)) == pytest.approx(3 / 4)
    assert one_frame_note_share([(60, 64), (60,)]) == pytest.approx(1 / 2)


def test_polyphony_is_counted_where_something_sounds() -> None:
    assert mean_polyphony([(60,), REST, (60, 64, 67), REST]) == 2
    assert rest_share([(60,), REST, (60, 64, 67), REST]) == 0.5


def test_the_range_is_from_the_lowest_to_the_highest_pitch() -> None:
    assert pitch_range([(60, 64), REST, (48,)]) == 16
    assert pitch_range(melody(60)) == 0


def test_entropy_counts_notes_by_pitch_class() -> None:
    assert pitch_class_entropy(melody(60, 0, 72, 0, 48)) == 0
    # Held for long or not, a note counts once.
    assert pitch_class_entropy(melody(60, 60, 60, 62, 64, 65)) == pytest.approx(2)
    assert pitch_class_entropy(melody(*range(60, 72))) == pytest.approx(math.log2(12))


@pytest.mark.parametrize("tonic", range(12))
def test_a_major_scale_is_consistent_in_every_key(tonic: int) -> None:
    scale = [60 + tonic + step for step in (0, 2, 4, 5, 7, 9, 11)]
    assert scale_consistency(melody(*scale)) == 1
    assert scale_consistency(melody(*scale, 60 + tonic + 6)) == pytest.approx(7 / 8)


def test_the_chromatic_scale_is_in_no_key() -> None:
    assert scale_consistency(melody(*range(60, 72))) == pytest.approx(7 / 12)


def test_repetition_is_the_share_of_stretches_heard_before() -> None:
    assert repetition(melody(*range(60, 80)), length=4) == 0
    # Of 5 stretches of 4 frames only 4 differ.
    assert repetition(melody(60, 62, 64, 65, 60, 62, 64, 65), length=4) == pytest.approx(1 / 5)
    assert repetition(melody(*[60] * 20), length=4) == pytest.approx(16 / 17)


def test_frames_of_a_stretch_that_comes_again_are_repeated() -> None:
    theme = [60, 62, 64, 65]
    assert repeated_frame_share(melody(*range(60, 80)), length=4) == 0
    # The second time counts, the first does not.
    assert repeated_frame_share(melody(*theme, 67, *theme, 69), length=4) == pytest.approx(4 / 10)
    assert repeated_frame_share(melody(*theme, 67, *theme), length=5) == 0
    # A held note repeats itself from its second frame on.
    assert repeated_frame_share(melody(*[60] * 10), length=4) == pytest.approx(9 / 10)
    assert math.isnan(repeated_frame_share(melody(60, 62), length=4))


def test_a_loop_of_ten_seconds_is_repeated_at_both_lengths_and_a_bar_at_one() -> None:
    alphabet = range(40, 110)
    loop = melody(*alphabet[:50], *alphabet[:50])
    assert MEASURES["repeated_share_16"].of(loop) == MEASURES["repeated_share_50"].of(loop) == 0.5
    bar = melody(*alphabet[:16], *alphabet[20:70], *alphabet[:16])
    assert MEASURES["repeated_share_16"].of(bar) == pytest.approx(16 / 82)
    assert MEASURES["repeated_share_50"].of(bar) == 0


def test_the_longest_run_is_of_a_rest_as_well_as_of_a_chord() -> None:
    assert longest_run(melody(60, 62, 64)) == 1
    assert longest_run([(60, 64), (60, 64), (60,), (60, 64)]) == 2
    assert longest_run(melody(60, 0, 0, 0, 62, 62)) == 3


def test_leaps_are_moves_of_the_highest_pitch_by_more_than_a_fifth() -> None:
    assert leap_share(melody(60, 67, 0, 75, 75, 74)) == pytest.approx(1 / 3)
    assert leap_share([(40, 60), (52, 62)]) == 0
    assert math.isnan(leap_share(melody(60, 60, 0, 60)))


def test_what_a_song_has_not_is_not_a_number() -> None:
    silence = melody(*[0] * 20)
    assert rest_share(silence) == 1
    of_any_frame = {"rest_share", "repetition", "longest_run", "repeated_share_16"}
    for name in set(MEASURES) - of_any_frame - {"repeated_share_50"}:
        assert math.isnan(MEASURES[name].of(silence)), name
    for measure in MEASURES.values():
        assert math.isnan(measure.of([]))


@given(FRAMES, st.integers(-12, 12))
def test_another_key_changes_no_measure(frames: list[Frame], shift: int) -> None:
    moved = [tuple(pitch + shift for pitch in frame) for frame in frames]
    for measure in MEASURES.values():
        np.testing.assert_allclose(measure.of(frames), measure.of(moved), rtol=1e-12)


@given(FRAMES)
def test_measures_keep_to_their_scales(frames: list[Frame]) -> None:
    for measure in MEASURES.values():
        value = measure.of(frames)
        highest = {"share": 1.0, "bits": math.log2(12) + 1e-9}.get(measure.unit, 128.0)
        assert math.isnan(value) or 0 <= value <= highest


def test_the_papers_songs_are_in_a_key_and_not_scattered(jj_lin: Path) -> None:
    songs = [read_sequence(path, TrackChoice("first")) for path in sorted(jj_lin.glob("*.mid"))]
    means = {
        name: float(np.nanmean([measure.of(song) for song in songs]))
        for name, measure in MEASURES.items()
    }
    assert 0.8 < means["scale_consistency"] < 1
    assert 2 < means["pitch_class_entropy"] < math.log2(12)
    assert means["isolated_note_share"] < 0.25
    assert 12 < means["pitch_range"] < 60
    assert 0 < means["repetition"] < 0.9
