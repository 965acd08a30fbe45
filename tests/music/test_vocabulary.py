"""The vocabulary: order, bounds, nearest frames, the file."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.music import MusicError, UnknownFrame, Vocabulary
from tunesmith.music.frames import make_frame, pack_frames

sounding = st.frozensets(st.integers(40, 80), min_size=1, max_size=4).map(make_frame)
counts = st.dictionaries(sounding | st.just(()), st.integers(1, 50), min_size=1, max_size=30)


def test_the_rest_comes_first_and_the_others_by_falling_frequency() -> None:
    vocabulary = Vocabulary.from_counts({(): 9, (60,): 2, (62,): 5, (59,): 2}, 5.0)
    assert vocabulary.names == ("e", "62", "59", "60")


def test_the_rest_is_known_even_where_no_song_rests() -> None:
    assert Vocabulary.from_counts({(60,): 1}, 5.0).names == ("e", "60")


def test_size_and_minimum_count_bound_the_sounding_frames() -> None:
    heard = {(): 1, (60,): 5, (62,): 4, (64,): 3, (65,): 1}
    assert Vocabulary.from_counts(heard, 5.0, maximum_frames=2).names == ("e", "60", "62")
    assert Vocabulary.from_counts(heard, 5.0, minimum_count=3).names == ("e", "60", "62", "64")


def test_an_unknown_frame_becomes_the_one_it_overlaps_most() -> None:
    known = Vocabulary(((), (60, 64, 67), (60, 64), (72,)), 5.0)
    # Jaccard: 3 of 4 with the first, 2 of 4 with the second, 1 of 4 with the third.
    assert known.decode(known.encode([(60, 64, 67, 72)])) == [(60, 64, 67)]


def test_equal_overlap_goes_to_the_more_frequent_frame() -> None:
    known = Vocabulary(((), (60, 64), (60, 67)), 5.0)
    assert known.encode([(60,)]).tolist() == [1]


def test_a_sounding_frame_never_becomes_silence() -> None:
    known = Vocabulary(((), (60,), (62,)), 5.0)
    assert known.encode([(90,)]).tolist() == [1]


@given(counts, st.lists(sounding | st.just(()), max_size=30))
def test_encoding_maps_into_the_vocabulary_and_keeps_known_frames(
    heard: dict[tuple[int, ...], int], song: list[tuple[int, ...]]
) -> None:
    known = Vocabulary.from_counts(heard, 5.0)
    decoded = known.decode(known.encode(song))
    assert all(b == a for a, b in zip(song, decoded, strict=True) if a in known)
    tokens, mapped = known.encode_packed(pack_frames(song))
    assert known.decode(tokens) == decoded
    assert mapped.tolist() == [frame not in known for frame in song]


@given(counts)
def test_the_order_of_counting_does_not_show(heard: dict[tuple[int, ...], int]) -> None:
    backwards = Counter(dict(reversed(heard.items())))
    assert Vocabulary.from_counts(heard, 5.0) == Vocabulary.from_counts(backwards, 5.0)


@given(counts)
def test_a_vocabulary_is_read_back_from_its_file(heard: dict[tuple[int, ...], int]) -> None:
    known = Vocabulary.from_counts(heard, 12.5)
    assert Vocabulary.from_json(known.to_json()) == known


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"frames": ["e"]}',
        '{"frames_per_second": 5, "frames": ["60"]}',
        '{"frames_per_second": 5, "frames": ["e", "60", "60"]}',
        '{"frames_per_second": 0, "frames": ["e"]}',
    ],
)
def test_what_is_no_vocabulary_file_is_refused(text: str) -> None:
    with pytest.raises(MusicError):
        Vocabulary.from_json(text)


def test_an_unknown_note_is_told_with_near_ones() -> None:
    known = Vocabulary(((), (60,), (72,), (62, 65)), 5.0)
    with pytest.raises(UnknownFrame, match="frame 61; similar frames: 60; 72; 62,65"):
        known.token((61,))


def test_a_token_out_of_range_is_refused() -> None:
    with pytest.raises(MusicError, match="token 2"):
        Vocabulary(((), (60,)), 5.0).decode([0, 2])
