"""The JSON of a song: what it says is the song, and a program gets the song back from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tunesmith.client import Composer, Sampling, Song
from tunesmith.client.formats.json import song_values
from tunesmith.music import StruckFrame

PITCHES = st.frozensets(st.integers(0, 127), max_size=4)


def saved(song: Song, folder: Path, **playing: Any) -> Any:
    """Return what is in the JSON file of a song."""
    song.save(folder / "song.json", **playing)
    return json.loads((folder / "song.json").read_text(encoding="utf-8"))


def test_the_file_says_all_that_the_song_does(tmp_path: Path) -> None:
    song = Song(
        ((60,), (60, 64), ()),
        5.0,
        program=(73, 0),
        model="tunesmith",
        model_version=3,
        seed=7,
        index=1,
        velocity=90,
        context=((59,), ()),
        sampling=Sampling(0.9, top_k=5, max_rests=2),
        given_frames=1,
    )
    assert saved(song, tmp_path, tempo=90) == {
        "format": "tunesmith song",
        "version": 1,
        "model": "tunesmith",
        "model_version": 3,
        "seed": 7,
        "index": 1,
        "sampling": {
            "temperature": 0.9,
            "top_k": 5,
            "top_p": None,
            "max_repeats": None,
            "max_rests": 2,
            "min_p": None,
        },
        "start": {"context": [[59], []], "context_struck": None, "given_frames": 1},
        "frames_per_second": 5.0,
        "duration": 0.6,
        "tempo": 90,
        "program": [73, 0],
        "velocity": 90,
        "degenerate": None,
        "frames": [[60], [60, 64], []],
        "struck": None,
    }


@given(st.lists(st.tuples(PITCHES, PITCHES), min_size=1, max_size=20))
def test_struck_frames_come_back_as_they_were(frames: list[tuple[frozenset[int], Any]]) -> None:
    song = Song(tuple(StruckFrame(all_, all_ & struck) for all_, struck in frames), 5.0)
    values = json.loads(json.dumps(song_values(song)))
    pairs = zip(values["frames"], values["struck"], strict=True)
    again = Song(tuple(StruckFrame(*pair) for pair in pairs), values["frames_per_second"])
    assert again.frames == song.frames
    assert again.notes == song.notes


def test_the_start_of_a_composed_song_is_in_it(address: str, tmp_path: Path) -> None:
    with Composer(address) as composer:
        noted = composer.generate(4, start_note=60, seed=1)
        longer = composer.extend(noted, 2)
        after = composer.generate(4, start_frames=[(60,), (62,)], seed=1)
    assert saved(noted, tmp_path)["start"]["given_frames"] == 1
    assert saved(longer, tmp_path)["start"]["given_frames"] == 1
    start = saved(after, tmp_path)["start"]
    assert start == {"context": [[60], [62]], "context_struck": None, "given_frames": 0}
    assert saved(after, tmp_path)["frames"] == [list(frame) for frame in after.frames]
