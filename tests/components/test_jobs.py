"""The Beam jobs, run by Beam's own runner on real files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tunesmith.cli.preprocess import describe_songs
from tunesmith.components.artifacts import Sequences
from tunesmith.components.beam_jobs.running import JobCounters
from tunesmith.components.errors import ComponentError, NoSongs
from tunesmith.components.example_gen import executor as example_gen
from tunesmith.components.example_gen.component import ExampleGenParameters
from tunesmith.components.example_gen.executor import run_example_gen
from tunesmith.components.example_gen.read_ahead import ReadAhead
from tunesmith.components.example_gen.reading import Reading, start_reading
from tunesmith.components.example_gen.song_files import read_song_file
from tunesmith.components.preprocess import run_preprocess
from tunesmith.components.records.tfrecord import read_tokens
from tunesmith.components.sources.source import ListedSongs, list_songs
from tunesmith.components.transform import executor as transform
from tunesmith.components.transform.component import TransformParameters
from tunesmith.components.transform.executor import run_transform
from tunesmith.music import TrackChoice, Vocabulary, read_sequence, read_song
from tunesmith.music.note_counts import describe_notes

WriteScale = Callable[[Path, int, int], Path]

READING = ExampleGenParameters()
ENCODING = TransformParameters()


def preprocess(
    midi: Path,
    output: Path,
    *options: str,
    parameters: ExampleGenParameters = READING,
    encoding: TransformParameters = ENCODING,
) -> JobCounters:
    """Run the whole job on a folder."""
    output.mkdir(exist_ok=True)
    with start_reading(list_songs(midi), parameters, options) as reading:
        return run_preprocess(reading, output, encoding)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


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
    """The output of one preprocessing job over `collection`."""
    output = tmp_path_factory.mktemp("preprocessed")
    preprocess(collection, output)
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
    assert Sequences(preprocessed, "").summary()["rejected"] == dict.fromkeys(reasons.values(), 1)


def test_the_notes_of_every_song_that_is_used_are_counted_once(
    collection: Path, preprocessed: Path
) -> None:
    used = songs_of(preprocessed, "train") | songs_of(preprocessed, "eval")
    readings = [read_song(collection / name, TrackChoice("first")) for name in used]
    notes = Sequences(preprocessed, "").notes()
    assert notes is not None
    assert notes.total == sum(reading.notes.total for reading in readings) > 0
    assert notes.kept == sum(reading.notes.kept for reading in readings)
    assert describe_notes(notes) in describe_songs(preprocessed, preprocessed)
    page = (preprocessed / "report.html").read_text()
    assert f'<td class="number">{notes.total:,}</td>' in page


def test_two_jobs_leave_what_one_job_leaves(
    collection: Path, preprocessed: Path, tmp_path: Path
) -> None:
    read, encoded = tmp_path / "read", tmp_path / "encoded"
    for folder in (read, encoded):
        folder.mkdir()
    run_example_gen(list_songs(collection), read, READING, [])
    run_transform(Sequences(read, ""), encoded, ENCODING, [])
    for name in ("vocabulary.json", "statistics.json"):
        assert (encoded / name).read_text() == (preprocessed / name).read_text()
    for split in ("train", "eval"):
        assert songs_of(encoded, split) == songs_of(preprocessed, split)


def test_beam_options_reach_beam(collection: Path, tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="NoSuchRunner"):
        preprocess(collection, tmp_path, "--runner=NoSuchRunner")


def test_tokens_are_read_back_as_arrays(preprocessed: Path) -> None:
    songs = read_tokens(sorted(preprocessed.glob("train-*.tfrecord")))
    written = songs_of(preprocessed, "train").values()
    assert sorted(song.tolist() for song in songs) == sorted(written)
    assert all(song.dtype == np.int32 for song in songs)


def test_a_folder_without_midi_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(NoSongs, match="no MIDI files"):
        list_songs(tmp_path)
    with pytest.raises(NoSongs, match="is not a folder"):
        list_songs(tmp_path / "none")


def test_a_collection_of_which_nothing_can_be_used_is_told(tmp_path: Path) -> None:
    midi, output = tmp_path / "midi", tmp_path / "out"
    midi.mkdir()
    output.mkdir()
    for name in ("a.mid", "b.mid"):
        (midi / name).write_bytes(b"nothing")
    with pytest.raises(NoSongs, match=r"all 2 files were rejected \(2 malformed\)"):
        preprocess(midi, output)


def test_one_song_is_too_few(tmp_path: Path, write_scale: WriteScale) -> None:
    midi = write_scale(tmp_path / "midi" / "only.mid", 60, 40).parent
    output = tmp_path / "out"
    output.mkdir()
    with pytest.raises(NoSongs, match="only one of 1 files"):
        preprocess(midi, output)


def test_links_that_loop_end(tmp_path: Path, write_scale: WriteScale) -> None:
    midi = write_scale(tmp_path / "a.mid", 60, 40).parent
    (midi / "loop").symlink_to(midi, target_is_directory=True)
    (midi / "self.mid").symlink_to("self.mid")
    assert [song_id for song_id, _ in list_songs(midi).files] == [b"a.mid", b"self.mid"]


WORKERS = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, write_scale: WriteScale) -> Path:
    """Sixty songs and a copy: more than one process reads by itself."""
    midi = tmp_path_factory.mktemp("many")
    for number in range(60):
        write_scale(midi / f"{number}.mid", 40 + number % 30, 20 + number)
    write_scale(midi / "copy.mid", 40, 20)
    return midi


def test_the_same_bytes_come_out_however_many_processes_read(many: Path, tmp_path: Path) -> None:
    parameters = ExampleGenParameters(eval_fraction=0.2, test_fraction=0.1)
    transposed = TransformParameters(transpose="-1..1", maximum_frames=20)
    found = {}
    for name, options in {"one": ("--runner=DirectRunner",), "ahead": (), "two": WORKERS}.items():
        counters = preprocess(
            many, tmp_path / name, *options, parameters=parameters, encoding=transposed
        )
        assert counters["songs_read"] == 61
        assert counters["rejected_duplicate"] == 1
        found[name] = contents(tmp_path / name)
    assert found["one"] == found["ahead"] == found["two"]
    assert sorted(found["one"]) == [
        "eval-00000-of-00001.tfrecord",
        "notes.json",
        "rejected.jsonl",
        "report.html",
        "statistics.json",
        "summary.json",
        "test-00000-of-00001.tfrecord",
        "train-00000-of-00001.tfrecord",
        "vocabulary.json",
    ]
    statistics = json.loads(found["one"]["statistics.json"])
    songs = {split: each["songs"] for split, each in statistics["splits"].items()}
    held_out = Sequences(tmp_path / "one", "").summary()["songs"]
    assert songs == held_out | {"train": 3 * held_out["train"]}
    assert held_out["test"] >= 6
    assert held_out["eval"] >= 12


def test_of_very_many_files_the_job_reads_a_list(
    collection: Path, preprocessed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example_gen, "LISTED_IN_THE_GRAPH", 3)
    preprocess(collection, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(preprocessed)


def test_an_output_that_the_workers_do_not_see_is_told(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transform, "shard_names", lambda _: ["train-00001-of-00002.tfrecord"])
    with pytest.raises(ComponentError, match="did not write train-00001-of-"):
        preprocess(collection, tmp_path / "out")


def test_counters_are_those_of_the_statistics(collection: Path, tmp_path: Path) -> None:
    counters = preprocess(
        collection, tmp_path / "out", encoding=TransformParameters(maximum_frames=3)
    )
    splits = json.loads((tmp_path / "out" / "statistics.json").read_text())["splits"]
    assert counters["rejected_too_short"] == counters["rejected_malformed"] == 1
    assert counters["mapped_frames_train"] > 0
    for split, counted in splits.items():
        assert counters[f"frames_{split}"] == counted["frames"]
        assert counters[f"mapped_frames_{split}"] == counted["mapped_frames"]


def test_a_test_split_needs_a_third_song(tmp_path: Path, write_scale: WriteScale) -> None:
    midi = tmp_path / "midi"
    for pitch in (60, 61):
        write_scale(midi / f"{pitch}.mid", pitch, 40)
    with pytest.raises(NoSongs, match="at least 3 songs are needed"):
        preprocess(midi, tmp_path / "out", parameters=ExampleGenParameters(test_fraction=0.1))


def test_a_reading_process_that_is_killed_fails_the_job(many: Path, tmp_path: Path) -> None:
    songs = list_songs(many)
    with ReadAhead(songs, READING, 2) as ahead:
        ahead._processes[0].kill()
        with pytest.raises(ComponentError, match="ended early: signal 9"):
            run_preprocess(Reading(songs, READING, (), ahead), tmp_path, ENCODING)


def test_reading_ahead_tells_of_files_as_reading_does(collection: Path, tmp_path: Path) -> None:
    (collection / "unreadable.mid").mkdir()
    name = b"caf\xe9.mid"
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    odd.write_bytes((collection / "copy.mid").read_bytes())
    songs = list_songs(collection)
    files = [*songs.files, (name, os.fsencode(odd))]
    files.append((b"folder.mid", os.fsencode(collection / "unreadable.mid")))
    os.mkfifo(tmp_path / "pipe.mid")
    files.append((b"pipe.mid", os.fsencode(tmp_path / "pipe.mid")))
    with ReadAhead(replace(songs, files=files), READING, 3) as ahead:
        found = sorted(ahead.results())
    source = songs.source.open()
    assert found == sorted(read_song_file(*file, READING, source) for file in files)
    for name in (b"folder.mid", b"pipe.mid"):
        assert (name, "unreadable", "not a regular file") in found


def test_worker_processes_are_taken_for_many_keys_unless_the_place_is_named(many: Path) -> None:
    songs = list_songs(many)
    few = replace(songs, files=songs.files[:3])
    twelve_keys = replace(songs, files=[file for file in songs.files for _ in range(10)])

    def chosen(songs: ListedSongs, copies: int, *options: str) -> tuple[bool, bool]:
        with start_reading(songs, READING, options, copies) as reading:
            assert set(options) <= set(reading.beam_options)
            several = "--direct_running_mode=multi_processing" in reading.beam_options
            return several, reading.ahead is not None

    assert chosen(few, 1) == (False, False)
    assert chosen(songs, 1, "--job_name=a") == (False, True)
    assert chosen(twelve_keys, 12, "--job_name=a") == ((os.cpu_count() or 1) > 1, False)
    assert chosen(twelve_keys, 12, "--runner=DirectRunner") == (False, False)
