"""Continuing a song: the song in two parts is the song at one go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.client import Composer, Song, TopK, UnknownStart, VersionGone
from tunesmith.music import write_midi


@pytest.fixture
def composer(server_address: str) -> Iterator[Composer]:
    with Composer(server_address) as composer:
        yield composer


@pytest.fixture
def known(address: str) -> Iterator[Composer]:
    with Composer(address) as composer:
        yield composer


def no_rest(rows: np.ndarray, windows: np.ndarray) -> np.ndarray:
    del windows
    return np.where(np.arange(rows.shape[1]) == 0, 0.0, rows)


STARTS: list[dict[str, Any]] = [
    {},
    {"start_note": 75},
    {"start_chord": (60, 64, 67)},
    {"start_random": True},
    {"start_frames": [(60,), (), (62, 65, 69), (64,)]},
]
DRAWINGS: list[dict[str, Any]] = [
    {},
    {"temperature": 0},
    {"temperature": 1.4, "top_k": 9, "top_p": 0.9},
    {"max_repeats": 1, "max_rests": 1},
    {"sampling": [no_rest, TopK(5)]},
]


@pytest.mark.parametrize("start", STARTS, ids=lambda start: "".join(start) or "silence")
@pytest.mark.parametrize("steps", [3, 60], ids=["shorter than a window", "longer"])
def test_a_song_and_its_continuation_are_the_song_at_one_go(
    composer: Composer, start: dict[str, Any], steps: int
) -> None:
    whole = composer.generate(steps + 12, seed=21, **start)
    part = composer.generate(steps, seed=21, **start)
    assert part.frames == whole.frames[:steps]
    assert composer.extend(part, 12) == whole


@pytest.mark.parametrize("drawing", DRAWINGS, ids=lambda drawing: "-".join(drawing))
def test_however_it_is_drawn(composer: Composer, drawing: dict[str, Any]) -> None:
    whole = composer.generate(30, seed=22, **drawing)
    part = composer.generate(12, seed=22, **drawing)
    seen: list[int] = []
    part = composer.extend(part, 8, progress=seen.append, speculate=0, **drawing)
    assert seen == list(range(12, 21))
    assert composer.extend(part, 10, **drawing) == whole


def test_each_of_many_songs_goes_on_as_itself(composer: Composer) -> None:
    whole = composer.generate_many(3, 20, start_random=True, seed=23)
    parts = composer.generate_many(3, 8, start_random=True, seed=23)
    assert [composer.extend(part, 12) for part in parts] == whole


def test_another_seed_continues_otherwise(composer: Composer) -> None:
    part = composer.generate(10, seed=24)
    one, other = composer.extend(part, 30), composer.extend(part, 30, seed=25)
    assert one.frames[:10] == other.frames[:10] == part.frames
    assert one.frames != other.frames
    assert (one.seed, other.seed) == (24, 25)


def test_a_song_of_nobody_is_continued_on_the_latest_version(known: Composer, contract) -> None:
    song = Song(((60,), (62,)), frames_per_second=8.0, program=40, tempo=90.0)
    longer = known.extend(song, 2, temperature=0)
    assert longer.frames == ((60,), (62,), (64,), (60, 64, 67))
    assert (longer.model, longer.model_version) == ("tunesmith", 3)
    assert (longer.program, longer.tempo) == (40, 90.0)
    assert contract.windows[0].tolist() == [[0, 0, 0, 0, 1, 2]]
    assert longer.seed is not None


def test_a_song_goes_on_on_its_own_version(known: Composer, contract) -> None:
    part = known.generate(4, seed=1)
    contract.version, contract.older = 4, (3,)
    assert known.generate(4).model_version == 4
    assert known.extend(part, 4).model_version == 3


def test_a_version_that_is_gone_is_named(known: Composer, contract) -> None:
    part = known.generate(4, seed=1)
    contract.version = 4
    with pytest.raises(VersionGone, match="version 3, which generated the song, is not served"):
        known.extend(part, 4)
    begun_anew = known.generate(4, start_frames=part.frames)
    assert begun_anew.model_version == 4


def test_frames_that_the_model_does_not_know_are_named(known: Composer, tmp_path: Path) -> None:
    write_midi([(60,), (61,), (64,)], tmp_path / "song.mid", frames_per_second=8.0)
    with pytest.raises(UnknownStart, match="does not contain the frame 61; similar frames: "):
        known.extend(Song.read(tmp_path / "song.mid", frames_per_second=8.0), 4)
