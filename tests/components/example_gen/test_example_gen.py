"""ExampleGen's decisions: what is the same music, who is held out."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.components.example_gen.component import ExampleGenParameters
from tunesmith.components.example_gen.song_files import content_digest
from tunesmith.components.example_gen.splitting import Bounds, SplitBounds, split_of
from tunesmith.music.frames import distinct_frames
from tunesmith.music.reading import SongReading

digests = st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=60, unique=True)


def bounds_of(parts: list[list[bytes]], parameters: ExampleGenParameters) -> Bounds:
    combine = SplitBounds(parameters)
    accumulators = []
    for part in parts:
        accumulator = combine.create_accumulator()
        for digest in part:
            accumulator = combine.add_input(accumulator, digest)
        accumulators.append(accumulator)
    return combine.extract_output(combine.merge_accumulators(accumulators))


def splits(songs: list[bytes], parameters: ExampleGenParameters) -> Counter[str]:
    bounds = bounds_of([songs], parameters)
    return Counter(split_of(song, bounds, parameters) for song in songs)


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


@given(digests, st.floats(0.05, 0.5), st.floats(0, 0.4), st.integers(0, 60))
def test_the_bounds_do_not_depend_on_how_the_songs_were_spread(
    songs: list[bytes], fraction: float, test_fraction: float, cut: int
) -> None:
    parameters = ExampleGenParameters(eval_fraction=fraction, test_fraction=test_fraction)
    whole = bounds_of([songs], parameters)
    assert bounds_of([songs[cut:][::-1], songs[:cut]], parameters) == whole


@given(digests, st.floats(0.05, 0.5), st.sampled_from([0.0, 0.1, 0.3]))
def test_a_small_collection_holds_out_its_fractions_at_least(
    songs: list[bytes], fraction: float, test_fraction: float
) -> None:
    parameters = ExampleGenParameters(eval_fraction=fraction, test_fraction=test_fraction)
    found = splits(songs, parameters)
    assert found["test"] >= test_fraction * len(songs)
    assert found["eval"] >= min(fraction * len(songs), len(songs) - found["test"])
    assert (found["test"] > 0) == (test_fraction > 0)


def test_of_many_songs_about_the_fractions_are_held_out() -> None:
    songs = [content_digest(song(*[(index % 128,)] * (1 + index // 128))) for index in range(5000)]
    found = splits(songs, ExampleGenParameters(eval_fraction=0.1, test_fraction=0.05))
    # Five standard deviations of a binomial count around its mean.
    for split, share in (("eval", 0.1), ("test", 0.05)):
        assert abs(found[split] - 5000 * share) < 5 * (5000 * share * (1 - share)) ** 0.5


def test_another_split_seed_holds_out_as_many_other_songs() -> None:
    songs = [bytes([number]) * 16 for number in range(40)]

    def held_out(seed: int) -> set[bytes]:
        parameters = ExampleGenParameters(eval_fraction=0.25, split_seed=seed)
        bounds = bounds_of([songs], parameters)
        return {each for each in songs if split_of(each, bounds, parameters) == "eval"}

    first, second = held_out(1), held_out(2)
    assert first == held_out(1)
    assert first != second
    assert min(len(first), len(second)) >= 10
