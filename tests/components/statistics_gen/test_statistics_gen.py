"""Statistics by StatisticsGen of the songs of the splits, and of files that are damaged."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.components.artifacts import Examples, ExampleStatistics, Sequences
from tunesmith.components.component import Context
from tunesmith.components.errors import ComponentError
from tunesmith.components.progress import SilentProgress
from tunesmith.components.records.shards import tfrecord
from tunesmith.components.records.songs import SongFrames, write_tokens
from tunesmith.components.records.tfrecord import read_records, read_songs
from tunesmith.components.statistics_gen.component import (
    StatisticsGenInputs,
    StatisticsGenParameters,
)
from tunesmith.components.statistics_gen.drift import TokenCounts, divergence_bits, measure_drift
from tunesmith.components.statistics_gen.executor import execute
from tunesmith.components.transform.statistics import SplitStatistics, describe
from tunesmith.music import CorpusSettings, Vocabulary
from tunesmith.music.frames import pack_frames
from tunesmith.music.note_counts import NoteCounts

Songs = Mapping[str, Mapping[str, list[int]]]

FRAMES = ((), (60,), (62,), (64,), (65,), (67,), (60, 64, 67), (62, 65, 69))


def write_examples(folder: Path, songs: Songs, transpose: tuple[int, int] = (0, 0)) -> Examples:
    """Write Examples as Transform leaves them, and ExampleGen's summary beside them."""
    vocabulary = Vocabulary(FRAMES, 5.0, CorpusSettings(transpose=transpose))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocabulary.json").write_text(vocabulary.to_json())
    splits = {}
    for split, named in songs.items():
        records = [
            tfrecord(write_tokens(name.encode(), np.array(tokens, np.int64), 5.0))
            for name, tokens in named.items()
        ]
        (folder / f"{split}-00000-of-00001.tfrecord").write_bytes(b"".join(records))
        splits[split] = SplitStatistics.merge(counted(np.array(each)) for each in named.values())
    facts = describe(
        splits, vocabulary_size=len(FRAMES), distinct_sounding_frames=len(FRAMES) - 1, coverage=[]
    )
    (folder / "statistics.json").write_text(json.dumps(facts))
    summary = {
        "songs": {split: len(named) for split, named in songs.items()},
        "rejected": {"malformed": 2, "duplicate": 1},
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    return Examples(folder, "")


def counted(tokens: np.ndarray[Any, Any]) -> SplitStatistics:
    song = SongFrames(b"", pack_frames(FRAMES), tokens.astype(np.int32), 5.0)
    return SplitStatistics.of_song(song, tokens, np.zeros(len(tokens), bool))


def generate(examples: Examples, **parameters: Any) -> dict[str, Any]:
    output = examples.path / "out"
    output.mkdir()
    execute(
        StatisticsGenInputs(examples, Sequences(examples.path, "")),
        StatisticsGenParameters(**parameters),
        Context(output, examples.path, SilentProgress()),
    )
    content: dict[str, Any] = json.loads((output / "statistics.json").read_text())
    return content


MELODY = [1, 2, 3, 4, 5, 4, 3, 2] * 6


def test_the_largest_songs_come_first_and_odd_ones_are_named(tmp_path: Path) -> None:
    songs = {
        "train": {"a.mid": MELODY, "b.mid": MELODY * 2, "held.mid": [6] * 20, "rests.mid": [0] * 4},
        "eval": {"c.mid": [1, 0, 0, 0, 2]},
    }
    found = generate(write_examples(tmp_path, songs), listed_songs=2)
    train = found["splits"]["train"]
    assert (train["songs"], train["frames"]) == (4, 48 + 96 + 20 + 4)
    assert [each["song_id"] for each in train["largest_songs"]] == ["b.mid", "a.mid"]
    assert train["largest_songs"][0]["share"] == 96 / 168
    assert train["songs_of_one_frame"] == {"count": 1, "first": ["held.mid"]}
    assert train["songs_of_rests"] == {"count": 1, "first": ["rests.mid"]}
    assert train["rest_share"] == 4 / 168
    assert train["highest_rest_share_of_a_song"] == 1
    assert found["splits"]["eval"]["rest_share"] == 3 / 5
    assert found["files"] == {
        "found": 5 + 3,
        "rejected": 3,
        "rejected_by_reason": {"malformed": 2, "duplicate": 1},
    }


def test_notes_are_told_where_they_were_counted_and_are_no_content(tmp_path: Path) -> None:
    songs = {"train": {"a.mid": MELODY}, "eval": {"c.mid": [1, 2]}}
    (tmp_path / "old").mkdir()
    examples = write_examples(tmp_path / "old", songs)
    assert "notes" not in generate(examples)
    old = ExampleStatistics(examples.path / "out", "").content_digest()
    (tmp_path / "new").mkdir()
    examples = write_examples(tmp_path / "new", songs)
    counted = NoteCounts(kept=7, repeated=2, too_short=1)
    (examples.path / "notes.json").write_text(json.dumps(counted._asdict()))
    assert generate(examples)["notes"] == {"total": 10} | counted._asdict()
    assert ExampleStatistics(examples.path / "out", "").content_digest() == old


def test_copies_in_other_keys_are_one_song_and_no_drift(tmp_path: Path) -> None:
    low, high = [1, 3] * 30, [2, 4] * 30
    songs = {
        "train": {"a.mid": low, "a.mid@+2": high, "b@+9": low},
        "eval": {"c.mid": low},
    }
    found = generate(write_examples(tmp_path, songs, transpose=(0, 2)))
    train = found["splits"]["train"]
    assert [(each["song_id"], each["frames"]) for each in train["largest_songs"]] == [
        ("a.mid", 120),
        # No shift that was asked for: the file is called so.
        ("b@+9", 60),
    ]
    assert (train["songs"], train["records"]) == (2, 3)
    assert found["drift"]["eval"]["tokens"]["bits"] == 0


def test_a_split_without_songs_has_no_drift(tmp_path: Path) -> None:
    found = generate(write_examples(tmp_path, {"train": {"a": MELODY}, "eval": {}}))
    assert found["drift"]["eval"] == {"tokens": None, "pitch_classes": None}
    assert found["splits"]["eval"]["frames"] == 0
    assert found["copies"]["eval"][0]["known_share"] == 0


def test_a_song_with_one_frame_changed_is_known_in_the_training_split(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    song = rng.integers(1, 8, 200).tolist()
    copy = [*song[:150], 0, *song[151:]]
    other = rng.integers(1, 8, 200).tolist()
    songs = {"train": {"a.mid": song}, "eval": {"copy.mid": copy, "other.mid": other}}
    found = generate(write_examples(tmp_path, songs), stretches=(32,))
    (copies,) = found["copies"]["eval"]
    assert copies["most_known_songs"] == [
        # All but the 32 stretches that the changed frame is in.
        {"song_id": "copy.mid", "known_share": (169 - 32) / 169},
        {"song_id": "other.mid", "known_share": 0.0},
    ]


@pytest.mark.parametrize(
    ("first", "second", "bits"),
    [
        ([1, 1], [5, 5], 0.0),
        ([3, 0], [0, 8], 1.0),
        # Entropies: of the mean (3/4, 1/4) 0.8113, of (1, 0) 0, of (1/2, 1/2) 1.
        ([1, 0], [1, 1], 0.8112781244591328 - 0.5),
    ],
)
def test_the_divergence_is_what_its_definition_says(
    first: list[int], second: list[int], bits: float
) -> None:
    assert divergence_bits(np.array(first), np.array(second)) == pytest.approx(bits, abs=1e-12)


def drawn(rng: np.random.Generator, shares: list[float], songs: int) -> list[Any]:
    tokens = np.arange(len(shares))
    return [(tokens, rng.multinomial(200, shares)) for _ in range(songs)]


@pytest.mark.parametrize(("seed", "held_out"), [(1, [0.5, 0.3, 0.2]), (2, [0.2, 0.3, 0.5])])
def test_chance_tells_a_drift_from_an_accident(seed: int, held_out: list[float]) -> None:
    rng = np.random.default_rng(seed)
    same = held_out == [0.5, 0.3, 0.2]
    counts = TokenCounts.of([*drawn(rng, [0.5, 0.3, 0.2], 40), *drawn(rng, held_out, 8)])
    apart = np.arange(48) >= 40
    drift = measure_drift(counts, apart, 199, 0, size=3)
    assert drift is not None
    assert (drift.chance > 0.05) is same
    assert (drift.bits > 10 * drift.expected_bits) is not same
    merged = measure_drift(counts, apart, 199, 0, size=3, table=np.ones((3, 1), np.int64))
    assert merged is not None
    assert merged.bits == 0
    assert merged.chance == 1


Damage = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: content[:-1], "ends within a record"),
        (lambda content: content[:5], "ends within a record"),
        (lambda content: content[:20] + b"?" + content[21:], "checksum is wrong"),
        (lambda content: b"\1" + content[1:], "checksum is wrong"),
    ],
    ids=["cut off", "cut off in the length", "a byte of the record", "the length"],
)
def test_a_damaged_file_is_told_in_one_line(tmp_path: Path, damage: Damage, words: str) -> None:
    path = tmp_path / "a.tfrecord"
    content = tfrecord(write_tokens(b"a", np.arange(40), 5.0))
    path.write_bytes(content)
    assert len(list(read_records(path))) == 1
    path.write_bytes(damage(content))
    with pytest.raises(ComponentError, match=words) as caught:
        list(read_records(path))
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_records_of_another_kind_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    path.write_bytes(tfrecord(b"\n\0"))
    with pytest.raises(ComponentError, match="has no songs as tokens"):
        list(read_songs([path]))


def test_songs_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    songs = [(b"%d" % length, np.arange(length)) for length in (0, 1, 300)]
    path.write_bytes(b"".join(tfrecord(write_tokens(*song, 4.0)) for song in songs))
    read = list(read_songs([path, path]))
    assert [song.song_id for song in read] == [b"0", b"1", b"300"] * 2
    np.testing.assert_array_equal(read[2].tokens, np.arange(300))
    assert read[2].frames_per_second == 4.0


def test_neither_tensorflow_nor_beam_is_imported() -> None:
    program = (
        "import sys\nimport tunesmith.components.statistics_gen.executor\n"
        "import tunesmith.components.example_validator.executor\n"
        "print(*sorted({'tensorflow', 'apache_beam'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert found.stdout.split() == []


@pytest.mark.parametrize("wrong", [{"stretches": ()}, {"stretches": (2,)}, {"divisions": 0}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least"):
        StatisticsGenParameters(**wrong)
