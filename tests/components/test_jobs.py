"""The Beam jobs, run by Beam's own runner on real files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tunesmith.components.artifacts import Sequences
from tunesmith.components.errors import ComponentError, NoSongs
from tunesmith.components.example_gen import ExampleGenParameters
from tunesmith.components.jobs import (
    list_midi_files,
    read_summary,
    run_example_gen,
    run_preprocess,
    run_transform,
)
from tunesmith.components.transform import TransformParameters
from tunesmith.components.windows import read_tokens
from tunesmith.music import TrackChoice, Vocabulary, read_sequence

WriteScale = Callable[[Path, int, int], Path]

READING = ExampleGenParameters()
ENCODING = TransformParameters()


def songs_of(folder: Path, split: str) -> dict[str, list[int]]:
    """Read Examples the way any user of TensorFlow would."""
    features = {
        "song_id": tf.io.FixedLenFeature([], tf.string),
        "tokens": tf.io.VarLenFeature(tf.int64),
        "frames_per_second": tf.io.FixedLenFeature([], tf.float32),
    }
    found = {}
    for shard in sorted(folder.glob(f"{split}-*.tfrecord")):
        for record in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator():
            example = tf.io.parse_single_example(record, features)
            assert float(example["frames_per_second"]) == 5.0
            tokens = tf.sparse.to_dense(example["tokens"]).numpy().tolist()
            found[example["song_id"].numpy().decode()] = tokens
    return found


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory, write_scale: WriteScale) -> Path:
    """Six songs in folders, a copy, a file that is no MIDI, one too short, one with an odd name."""
    midi = tmp_path_factory.mktemp("collection")
    for number in range(5):
        write_scale(midi / f"box {number % 2}" / f"song-{number}.mid", 50 + number, 20 + number)
    write_scale(midi / "ünïcödé 歌.MIDI", 70, 31)
    write_scale(midi / "copy.mid", 52, 22)
    write_scale(midi / "short.mid", 60, 3)
    (midi / "broken.mid").write_bytes(b"MThd\0\0\0\6 not midi at all")
    (midi / "notes.txt").write_text("not a song")
    (midi / "folder.mid").mkdir()
    return midi


@pytest.fixture(scope="module")
def preprocessed(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one preprocessing job leaves of `collection`."""
    output = tmp_path_factory.mktemp("preprocessed")
    run_preprocess(list_midi_files(collection), output, READING, ENCODING, [])
    return output


def test_every_song_becomes_tokens_of_its_own_frames(collection: Path, preprocessed: Path) -> None:
    vocabulary = Vocabulary.read(preprocessed / "vocabulary.json")
    songs = {split: songs_of(preprocessed, split) for split in ("train", "eval")}
    assert not set(songs["train"]) & set(songs["eval"])
    assert len(songs["train"]) + len(songs["eval"]) == 6
    for name, tokens in (songs["train"] | songs["eval"]).items():
        frames = read_sequence(collection / name, TrackChoice("first"))
        assert tokens == vocabulary.encode(frames).tolist()
    assert "ünïcödé 歌.MIDI" in songs["train"] | songs["eval"]


def test_the_vocabulary_and_the_statistics_are_of_the_songs(preprocessed: Path) -> None:
    vocabulary = Vocabulary.read(preprocessed / "vocabulary.json")
    train = songs_of(preprocessed, "train")
    learned = {token for tokens in train.values() for token in tokens}
    assert learned | {0} == set(range(len(vocabulary)))
    statistics = json.loads((preprocessed / "statistics.json").read_text())
    assert statistics["vocabulary_size"] == len(vocabulary)
    for split in ("train", "eval"):
        counted = statistics["splits"][split]
        tokens = songs_of(preprocessed, split)
        assert counted["songs"] == len(tokens)
        assert counted["frames"] == counted["windows"] == sum(map(len, tokens.values()))
    assert statistics["splits"]["train"]["mapped_frames"] == 0


def test_what_cannot_be_used_is_listed_with_a_reason(preprocessed: Path) -> None:
    text = (preprocessed / "rejected.jsonl").read_text()
    reasons = {each["path"]: each["reason"] for each in map(json.loads, text.splitlines())}
    # Of two copies the one whose path comes first stays.
    assert reasons == {
        "broken.mid": "malformed",
        "short.mid": "too short",
        "copy.mid": "duplicate",
    }
    assert read_summary(preprocessed)["rejected"] == dict.fromkeys(reasons.values(), 1)


def test_two_jobs_leave_what_one_job_leaves(
    collection: Path, preprocessed: Path, tmp_path: Path
) -> None:
    read, encoded = tmp_path / "read", tmp_path / "encoded"
    for folder in (read, encoded):
        folder.mkdir()
    run_example_gen(list_midi_files(collection), read, READING, [])
    run_transform(Sequences(read, ""), encoded, ENCODING, [])
    for name in ("vocabulary.json", "statistics.json"):
        assert (encoded / name).read_text() == (preprocessed / name).read_text()
    for split in ("train", "eval"):
        assert songs_of(encoded, split) == songs_of(preprocessed, split)


def test_beam_options_reach_beam(collection: Path, tmp_path: Path) -> None:
    files = list_midi_files(collection)
    with pytest.raises(ComponentError, match="NoSuchRunner"):
        run_preprocess(files, tmp_path, READING, ENCODING, ["--runner=NoSuchRunner"])


def test_tokens_are_read_back_as_arrays(preprocessed: Path) -> None:
    songs = read_tokens(sorted(preprocessed.glob("train-*.tfrecord")))
    written = songs_of(preprocessed, "train").values()
    assert sorted(song.tolist() for song in songs) == sorted(written)
    assert all(song.dtype == np.int32 for song in songs)


def test_a_folder_without_midi_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(NoSongs, match="no MIDI files"):
        list_midi_files(tmp_path)
    with pytest.raises(NoSongs, match="is not a folder"):
        list_midi_files(tmp_path / "none")


def test_a_collection_of_which_nothing_can_be_used_is_told(tmp_path: Path) -> None:
    midi, output = tmp_path / "midi", tmp_path / "out"
    midi.mkdir()
    output.mkdir()
    for name in ("a.mid", "b.mid"):
        (midi / name).write_bytes(b"nothing")
    with pytest.raises(NoSongs, match=r"all 2 MIDI files were rejected \(2 malformed\)"):
        run_preprocess(list_midi_files(midi), output, READING, ENCODING, [])


def test_one_song_is_too_few(tmp_path: Path, write_scale: WriteScale) -> None:
    midi = write_scale(tmp_path / "midi" / "only.mid", 60, 40).parent
    output = tmp_path / "out"
    output.mkdir()
    with pytest.raises(NoSongs, match="only one of 1 MIDI files"):
        run_preprocess(list_midi_files(midi), output, READING, ENCODING, [])


def test_links_that_loop_end(tmp_path: Path, write_scale: WriteScale) -> None:
    midi = write_scale(tmp_path / "a.mid", 60, 40).parent
    (midi / "loop").symlink_to(midi, target_is_directory=True)
    (midi / "self.mid").symlink_to("self.mid")
    assert [song_id for song_id, _ in list_midi_files(midi)] == [b"a.mid", b"self.mid"]
