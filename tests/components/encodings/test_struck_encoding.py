"""The encoding that keeps onsets, from MIDI files to tokens and back."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.components.artifacts import SPLITS, Examples, MidiFolder, Sequences
from tunesmith.components.component import Context
from tunesmith.components.encodings.encoding import load_encoding, read_vocabulary, vocabulary_json
from tunesmith.components.encodings.struck.encoding import ENCODING
from tunesmith.components.errors import ComponentError
from tunesmith.components.evaluator.comparison import compare, difference
from tunesmith.components.evaluator.song_measures import describe_music
from tunesmith.components.example_gen.component import (
    EXAMPLE_GEN,
    ExampleGenInputs,
    ExampleGenParameters,
    GridParameters,
)
from tunesmith.components.progress import SilentProgress
from tunesmith.components.records.songs import SongFrames, read_frames, write_frames
from tunesmith.components.records.tfrecord import read_records, read_songs
from tunesmith.components.statistics_gen.component import (
    STATISTICS_GEN,
    StatisticsGenInputs,
    StatisticsGenParameters,
)
from tunesmith.components.transform.component import (
    TRANSFORM,
    TransformInputs,
    TransformParameters,
)
from tunesmith.components.transform.song_tokens import transposed
from tunesmith.music import (
    CorpusSettings,
    Frame,
    Grid,
    StruckFrame,
    TrackChoice,
    notes_from_frames,
    read_song,
    write_midi,
)
from tunesmith.music.frames import packed_keys
from tunesmith.music.struck import pack_struck, parse_struck, plain_frames, struck_name
from tunesmith.music.struck_vocabulary import StruckVocabulary

ONSETS = GridParameters(keep_onsets=True)


def tune(*names: str) -> list[Frame]:
    return [parse_struck(name) for name in names]


@pytest.fixture(scope="module")
def midi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten songs in which most notes are repeated without a gap."""
    folder = tmp_path_factory.mktemp("midi")
    for number in range(10):
        chord = f"{50 + number % 3}!,64~"
        phrase = tune("60!", "60!", "60~", "62!", "62!,64!", chord, "e", "60!")
        write_midi(phrase[number % 4 :] * (2 + number), folder / f"{number}.mid", 5.0)
    return folder


def executed(component: Any, inputs: Any, parameters: Any, folder: Path) -> Any:
    folder.mkdir(parents=True)
    component.execute(inputs, parameters, Context(folder, folder.parent, SilentProgress()))
    return component.output(folder, component.output(folder, "").content_digest())


@pytest.fixture(scope="module")
def read(midi: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Sequences]:
    """The songs, read with onsets and without."""
    folder = tmp_path_factory.mktemp("sequences")
    return {
        keep: executed(
            EXAMPLE_GEN,
            ExampleGenInputs(MidiFolder(midi, "")),
            ExampleGenParameters(grid=GridParameters(keep_onsets=keep)),
            folder / str(keep),
        )
        for keep in (True, False)
    }


def examples(sequences: Sequences, folder: Path, **parameters: Any) -> Examples:
    chosen = TransformParameters(**parameters)
    found: Examples = executed(TRANSFORM, TransformInputs(sequences), chosen, folder)
    return found


@pytest.fixture(scope="module")
def struck(read: dict[bool, Sequences], tmp_path_factory: pytest.TempPathFactory) -> Examples:
    return examples(read[True], tmp_path_factory.mktemp("made") / "struck", encoding="struck")


def songs_of(made: Examples) -> dict[bytes, list[Frame]]:
    vocabulary = made.vocabulary()
    return {
        song.song_id: vocabulary.decode(song.tokens)
        for split in SPLITS
        for song in read_songs(made.shards(split))
    }


def test_the_notes_of_a_file_come_back_from_its_tokens(midi: Path, struck: Examples) -> None:
    songs = songs_of(struck)
    assert struck.vocabulary().corpus.encoding == "struck"
    assert len(songs) == 10
    grid, first = Grid(keep_onsets=True), TrackChoice("first")
    for song_id, frames in songs.items():
        reading = read_song(midi / song_id.decode(), first, grid)
        notes = notes_from_frames(frames)
        assert notes == notes_from_frames(reading.frames)
        assert len(notes) == reading.notes.kept == reading.notes.total
        assert len(notes_from_frames(plain_frames(frames))) <= len(notes) - 3


def test_the_same_songs_are_held_out_as_without_onsets(read: dict[bool, Sequences]) -> None:
    def split_songs(sequences: Sequences) -> dict[str, set[bytes]]:
        return {
            split: {
                read_frames(each).song_id
                for path in sequences.shards(split)
                for each in read_records(path)
            }
            for split in SPLITS
        }

    assert split_songs(read[True]) == split_songs(read[False])
    with_onsets, without = (read[keep].notes() for keep in (True, False))
    assert with_onsets is not None
    assert without is not None
    assert with_onsets.kept == without.kept + without.repeated


def test_songs_read_with_onsets_are_the_papers_examples_to_its_encoding(
    read: dict[bool, Sequences], tmp_path: Path
) -> None:
    made = {keep: examples(read[keep], tmp_path / str(keep)) for keep in (True, False)}
    assert made[True].digest == made[False].digest


def test_songs_read_without_onsets_are_refused(read: dict[bool, Sequences], tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="needs songs with onsets: execute ExampleGen"):
        examples(read[False], tmp_path / "refused", encoding="struck")


def test_a_song_in_another_key_strikes_the_same_notes() -> None:
    reading = SongFrames(
        b"a.mid",
        pack_struck(tune("60!,64~"))[:, :16],
        np.zeros(3, np.int32),
        5.0,
        pack_struck(tune("60!,64~"))[:, 16:],
    )
    again = read_frames(write_frames(reading))
    assert again.packed.tolist() == reading.packed.tolist()
    assert write_frames(again) == write_frames(reading)
    names = [
        struck_name(StruckFrame(*(np.flatnonzero(np.unpackbits(half)) for half in halves)))
        for copy in transposed(again, CorpusSettings(transpose=(-1, 1)))
        for halves in [(copy.packed[0, :16], copy.packed[0, 16:])]
    ]
    assert names == ["59!,63~", "60!,64~", "61!,65~"]


def test_the_vocabulary_holds_the_most_frequent_frames_by_what_they_strike() -> None:
    song = tune("e", "60!", "60~", "60~", "62!", "60!,64~", "60!,64!", "60~")
    counts = Counter(packed_keys(pack_struck([parse_struck(struck_name(f)) for f in song])))  # type: ignore[arg-type]
    corpus = CorpusSettings(grid=Grid(keep_onsets=True), encoding="struck")

    def names(found: dict[bytes, int], maximum: int, least: int = 1) -> tuple[str, ...]:
        limits = {"maximum_frames": maximum, "minimum_count": least}
        return ENCODING.fit(found, 5.0, corpus, **limits).names

    assert names(counts, 9) == ("e", "60~", "60!", "60!,64~", "60!,64!", "62!")
    assert names(dict(reversed(counts.items())), 9) == names(counts, 9)
    assert names(counts, 2) == ("e", "60~", "60!")
    assert names(counts, 9, 2) == ("e", "60~")
    fitted = ENCODING.fit(counts, 5.0, corpus, maximum_frames=9, minimum_count=1)
    text = vocabulary_json(fitted)
    assert json.loads(text)["corpus"]["encoding"] == "struck"
    assert read_vocabulary(text) == fitted
    assert load_encoding("struck") is ENCODING


def test_the_report_counts_what_sounds(struck: Examples, tmp_path: Path, midi: Path) -> None:
    """Pitches, polyphony and rests are those of the plain frames."""
    inputs, parameters = ExampleGenInputs(MidiFolder(midi, "")), ExampleGenParameters()
    sequences = executed(EXAMPLE_GEN, inputs, parameters, tmp_path / "sequences")
    plain = examples(sequences, tmp_path / "plain").statistics()["splits"]["train"]
    found = struck.statistics()["splits"]["train"]
    own = {"repeated_frames", "repeated_share", "mapped_frames", "mapped_share"}
    assert {name: value for name, value in found.items() if name not in own} == {
        name: value for name, value in plain.items() if name not in own
    }
    assert found["repeated_frames"] < plain["repeated_frames"]
    curve = struck.statistics()["vocabulary_coverage"]
    assert curve[0][1] == pytest.approx(found["rest_share"])
    assert curve[-1] == [len(struck.vocabulary()), 1.0]


def test_copies_across_splits_are_the_same_in_both_encodings(
    read: dict[bool, Sequences], struck: Examples, tmp_path: Path
) -> None:
    plain = examples(read[False], tmp_path / "plain")
    found = [
        executed(
            STATISTICS_GEN,
            StatisticsGenInputs(made, read[keep]),
            StatisticsGenParameters(),
            tmp_path / f"statistics-{keep}",
        ).content()["copies"]
        for keep, made in ((True, struck), (False, plain))
    ]
    assert found[0] == found[1]
    assert found[0]["eval"][0]["known_share"] > 0


def test_songs_are_measured_as_plain_frames() -> None:
    """Copied stretches, too: a tune is a copy however its pitches are struck."""
    known = StruckVocabulary(("e", "60!", "60~", "62!", "62~", "64!", "64~"), 5.0)
    learned = np.array([1, 2, 3, 4, 5, 6] * 3, np.int32)
    copied = np.array([1, 1, 3, 3, 5, 5] * 3, np.int32)
    other = np.array([1, 5, 3, 1, 5, 1] * 3, np.int32)
    found = describe_music(known, [copied, other], [learned], [learned], [other], 18, 6)
    assert found["copied_share"]["model"]["values"] == [1.0, 0.0]
    assert found["longest_copied_run"]["model"]["values"][0] == 18
    assert found["one_frame_note_share"]["model"]["values"] == [0.0, pytest.approx(1.0, abs=0.2)]


class Uniform:
    """A model that gives every token the same probability."""

    window = 4

    def __init__(self, *names: str, encoding: str = "struck") -> None:
        corpus = CorpusSettings(grid=Grid(keep_onsets=True), encoding=encoding)
        self.vocabulary = load_encoding(encoding).from_names(names, 5.0, corpus)

    def probabilities(self, windows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.full((len(windows), len(self.vocabulary)), 1 / len(self.vocabulary), np.float32)


def test_models_are_compared_by_the_struck_frames_that_both_know() -> None:
    new, old = Uniform("e", "60!", "60~", "62!"), Uniform("e", "60~", "60!")
    songs = [np.array([1, 2] * 10 + [3], np.int32)]
    found = compare(new, old, songs)
    assert found.skipped is None
    assert found.windows == 20
    assert found.nats == pytest.approx(np.log(3))
    assert found.previous_nats == pytest.approx(np.log(3))
    plain = Uniform("e", "60", encoding="frames")
    assert difference(new.vocabulary, plain.vocabulary) == "encoding frames, now struck"
