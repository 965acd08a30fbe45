"""Songs that are silent, rest or dwell more than those of their corpus."""

from __future__ import annotations

import pytest

from tunesmith.music import REST, Frame
from tunesmith.music.degeneration import (
    LEAST_LONGEST_RUN,
    LEAST_REST_SHARE,
    SongLimits,
    find_degeneration,
    measure_limits,
)

LIMITS = SongLimits(rest_share=0.2, longest_run=40.0)


def moving(length: int) -> list[Frame]:
    """A song that changes in every frame."""
    return [(60 + place % 12,) for place in range(length)]


def text(frames: list[Frame], limits: SongLimits | None = LIMITS) -> str | None:
    found = find_degeneration(frames, limits)
    return None if found is None else found.text


def test_a_song_like_the_corpus_is_not_degenerate() -> None:
    assert text([*moving(200), *[REST] * 40, *[(90,)] * 40, *moving(20)]) is None
    assert text([]) is None


def test_silence_is_told_with_limits_and_without() -> None:
    for limits in (LIMITS, None, SongLimits(1.0, 999.0)):
        assert text([REST] * 30, limits) == "is silent: all 30 frames are rests"


def test_a_model_without_limits_is_not_held_against_any() -> None:
    assert text([(60,), *[REST] * 299], None) is None


def test_too_many_rests_are_told_with_those_of_the_corpus() -> None:
    scattered = [frame for note in moving(150) for frame in (note, REST)]
    assert text(scattered) == (
        "has too many rests: 150 of 300 frames, in training songs at most 20%"
    )


def test_one_frame_that_stands_too_long_is_told_and_whether_it_is_a_rest() -> None:
    found = find_degeneration([*[(48, 60)] * 290, *moving(10)], LIMITS)
    assert found is not None
    assert (found.fault, found.of_rest) == ("dwells", False)
    assert found.text == (
        "repeats one frame for too long: for 290 of 300 frames, in training songs for at most 40"
    )
    resting = find_degeneration([*moving(250), *[REST] * 50], LIMITS)
    assert resting is not None
    assert (resting.fault, resting.of_rest) == ("dwells", True)


def test_a_short_song_may_rest_as_much_as_a_minute_of_the_corpus() -> None:
    assert text([(60,), REST, REST, (62,)]) is None
    assert text([(60,), *[REST] * 61, (62,)]) is not None


@pytest.mark.parametrize(("held", "told"), [(60, False), (400, True)])
def test_a_long_song_is_judged_by_stretches_of_a_minute(held: int, told: bool) -> None:
    song = [*moving(1200 - held), *[(60,)] * held]
    assert (text(song) is not None) is told


def test_limits_are_what_one_song_in_twenty_exceeds() -> None:
    songs = [[*moving(300 - rests), *[REST] * rests] for rests in range(0, 201, 10)]
    limits = measure_limits(songs)
    assert limits == SongLimits(pytest.approx(190 / 300), 190.0)
    assert [find_degeneration(song, limits) is not None for song in songs] == [False] * 20 + [True]


def test_only_the_beginnings_of_songs_count() -> None:
    beginning = [*moving(270), *[REST] * 60]
    assert measure_limits([[*beginning, *[REST] * 600]]) == SongLimits(0.1, 30.0)


def test_a_corpus_without_rests_or_held_notes_leaves_room_for_some() -> None:
    limits = measure_limits([moving(300)] * 3)
    assert limits == SongLimits(LEAST_REST_SHARE, LEAST_LONGEST_RUN)
    assert text([*moving(150), REST, REST, (60,), (60,), *moving(146)], limits) is None


def test_without_songs_there_are_no_limits() -> None:
    assert measure_limits([]) is None
    assert measure_limits([[]]) is None
