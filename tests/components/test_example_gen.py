"""ExampleGen's decisions: what is the same music, who is held out."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.components.example_gen import HeldOutBound, content_digest, is_held_out
from tunesmith.music.frames import distinct_frames
from tunesmith.music.reading import SongReading

digests = st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=60, unique=True)


def bound_of(parts: list[list[bytes]], fraction: float) -> bytes:
    combine = HeldOutBound(fraction)
    accumulators = []
    for part in parts:
        accumulator = combine.create_accumulator()
        for digest in part:
            accumulator = combine.add_input(accumulator, digest)
        accumulators.append(accumulator)
    return combine.extract_output(combine.merge_accumulators(accumulators))


def song(*frames: tuple[int, ...]) -> SongReading:
    roll = np.zeros((128, len(frames)), dtype=bool)
    for column, frame in enumerate(frames):
        roll[list(frame), column] = True
    return SongReading(*distinct_frames(roll), 5.0)


def test_the_digest_names_the_music_frame_by_frame() -> None:
    assert content_digest(song((60,), (64,))) == content_digest(song((60,), (64,)))
    others = [song((60, 64)), song((64,), (60,)), song((60,), (64,), (64,)), song((60,), (65,))]
    digests = {content_digest(each) for each in (song((60,), (64,)), *others)}
    assert len(digests) == 5
    assert {len(each) for each in digests} == {16}


@given(digests, st.floats(0.05, 0.9), st.integers(0, 60))
def test_the_bound_does_not_depend_on_how_the_songs_were_spread(
    songs: list[bytes], fraction: float, cut: int
) -> None:
    whole = bound_of([songs], fraction)
    assert bound_of([songs[cut:][::-1], songs[:cut]], fraction) == whole


@given(digests, st.floats(0.05, 0.5))
def test_a_small_collection_holds_out_its_fraction_at_least(
    songs: list[bytes], fraction: float
) -> None:
    bound = bound_of([songs], fraction)
    held_out = [song for song in songs if is_held_out(song, bound, fraction)]
    assert len(held_out) >= fraction * len(songs)


def test_of_many_songs_about_the_fraction_is_held_out() -> None:
    songs = [content_digest(song(*[(index % 128,)] * (1 + index // 128))) for index in range(5000)]
    bound = bound_of([songs], 0.1)
    held_out = sum(is_held_out(song, bound, 0.1) for song in songs)
    # Five standard deviations of a binomial count around its mean.
    assert abs(held_out - 500) < 5 * (5000 * 0.1 * 0.9) ** 0.5
