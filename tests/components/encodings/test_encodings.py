"""Encodings behind their protocol: the paper's, and a second one that is a folder and no more."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.components import encodings
from tunesmith.components.artifacts import SPLITS, Artifact, Examples, MidiFolder, Sequences
from tunesmith.components.component import Context, ParameterError
from tunesmith.components.encodings.encoding import (
    encoding_modules,
    encoding_names,
    load_encoding,
    read_vocabulary,
    vocabulary_json,
)
from tunesmith.components.evaluator.baselines import count_baselines
from tunesmith.components.evaluator.comparison import difference
from tunesmith.components.evaluator.likelihood import score
from tunesmith.components.example_gen.component import (
    EXAMPLE_GEN,
    ExampleGenInputs,
    ExampleGenParameters,
)
from tunesmith.components.infra_validator.checks import RequestData
from tunesmith.components.networks.paper.sizes import PaperSizes
from tunesmith.components.progress import SilentProgress
from tunesmith.components.records.eval_windows import EvalWindows
from tunesmith.components.records.padding import padding
from tunesmith.components.records.songs import read_frames
from tunesmith.components.records.tfrecord import read_records, read_songs, read_tokens
from tunesmith.components.saved_predictor import SavedPredictor
from tunesmith.components.statistics_gen.component import (
    STATISTICS_GEN,
    StatisticsGenInputs,
    StatisticsGenParameters,
)
from tunesmith.components.trainer.component import (
    TRAINER,
    ServedSettings,
    TrainerInputs,
    TrainerParameters,
)
from tunesmith.components.transform.component import (
    TRANSFORM,
    TransformInputs,
    TransformParameters,
)
from tunesmith.music import CorpusSettings, Vocabulary, write_midi
from tunesmith.music.frames import pack_frames, packed_keys, unpack_frames
from tunesmith.pipeline.planner import Planner
from tunesmith.pipeline.store import ExecutionStore

BACKWARDS = '''
"""Whole frames, numbered backwards: the rest is the last token."""

from tunesmith.components.encodings.frames.encoding import ENCODING as FRAMES


class Backwards:
    def __init__(self, vocabulary):
        self.forwards = vocabulary
        self.names = vocabulary.names[::-1]
        self.rests = (len(vocabulary) - 1,)
        self.ranges = (range(len(vocabulary)),)
        self.frames_per_second = vocabulary.frames_per_second
        self.corpus = vocabulary.corpus

    def __len__(self):
        return len(self.forwards)

    def encode_song(self, distinct, ids):
        tokens, mapped = self.forwards.encode_song(distinct, ids)
        return len(self) - 1 - tokens, mapped

    def decode(self, tokens):
        return self.forwards.decode([len(self) - 1 - token for token in tokens])


class BackwardsEncoding:
    needs_onsets = False

    def fit(self, counts, frames_per_second, corpus, **limits):
        return Backwards(FRAMES.fit(counts, frames_per_second, corpus, **limits))

    def from_names(self, names, frames_per_second, corpus):
        return Backwards(FRAMES.from_names(names[::-1], frames_per_second, corpus))


ENCODING = BackwardsEncoding()
'''


@pytest.fixture(scope="module")
def backwards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of an encoding whose folder is all that there is of it."""
    folder = tmp_path_factory.mktemp("encodings")
    (folder / "backwards").mkdir()
    (folder / "backwards" / "__init__.py").touch()
    (folder / "backwards" / "encoding.py").write_text(BACKWARDS)
    encodings.__path__.append(str(folder))
    yield "backwards"
    encodings.__path__.remove(str(folder))
    for name in ("backwards", "backwards.encoding"):
        sys.modules.pop(f"{encodings.__name__}.{name}", None)


Run = Callable[..., Any]


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> Sequences:
    """Songs with rests, and with chords that few of them have."""
    midi = tmp_path_factory.mktemp("midi")
    for number in range(10):
        chord = (50 + number, 54 + number) if number % 3 == 0 else (60,)
        tune = [(60,), (), (62,), (64,), (), (67,), chord] * 4
        write_midi(tune[number % 4 * 2 :], midi / f"{number}.mid", 5.0)
    folder = tmp_path_factory.mktemp("sequences")
    inputs, parameters = ExampleGenInputs(MidiFolder(midi, "")), ExampleGenParameters()
    EXAMPLE_GEN.execute(inputs, parameters, context(folder))
    return Sequences(folder, "songs")


def context(folder: Path) -> Context:
    return Context(folder, folder.parent, SilentProgress())


def made(component: Any, inputs: Any, parameters: Any, folder: Path) -> Any:
    """Execute a component and return its artifact."""
    folder.mkdir(parents=True)
    component.execute(inputs, parameters, context(folder))
    written: Artifact = component.output(folder, "")
    return component.output(folder, written.content_digest())


def transformed(sequences: Sequences, folder: Path, encoding: str) -> Examples:
    parameters = TransformParameters(encoding=encoding, minimum_count=6)
    examples: Examples = made(TRANSFORM, TransformInputs(sequences), parameters, folder)
    return examples


@pytest.fixture(scope="module")
def both(
    sequences: Sequences, backwards: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Examples]:
    """The same songs in both encodings."""
    folder = tmp_path_factory.mktemp("examples")
    return {name: transformed(sequences, folder / name, name) for name in ("frames", backwards)}


def test_encodings_are_found_by_their_folders_without_numpy(backwards: str) -> None:
    assert set(encoding_names()) >= {"frames", backwards}
    assert encoding_modules("frames") == ("tunesmith.components.encodings.frames.encoding",)
    with pytest.raises(
        ParameterError, match="encoding must be one of backwards, frames, struck, not 'x'"
    ):
        load_encoding("x")
    with pytest.raises(ParameterError, match="encoding must be one of"):
        TransformParameters(encoding="x")
    program = (
        "import sys\nfrom tunesmith.components.transform.component import TransformParameters\n"
        "TransformParameters(encoding='frames')\nprint('numpy' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert found.stdout.split() == [b"False"]


def test_songs_come_back_from_the_tokens_of_either_encoding(
    sequences: Sequences, both: dict[str, Examples], backwards: str
) -> None:
    songs = {
        song.song_id: unpack_frames(song.distinct[song.ids])
        for split in ("train", "eval")
        for shard in sequences.shards(split)
        for song in map(read_frames, read_records(shard))
    }
    decoded: dict[str, dict[bytes, Any]] = {}
    for name, examples in both.items():
        vocabulary = examples.vocabulary()
        assert vocabulary.corpus.encoding == name
        decoded[name] = {
            song.song_id: vocabulary.decode(song.tokens)
            for split in ("train", "eval")
            for song in read_songs(examples.shards(split))
        }
    assert decoded["frames"] == decoded[backwards]
    assert songs.keys() == decoded["frames"].keys()
    known = set(both["frames"].vocabulary().decode(range(len(both["frames"].vocabulary()))))
    unchanged = {
        song_id
        for song_id, frames in songs.items()
        if set(frames) <= known and decoded["frames"][song_id] == frames
    }
    assert unchanged == {song_id for song_id, frames in songs.items() if set(frames) <= known}
    assert 0 < len(unchanged) < len(songs)
    assert both["frames"].statistics() == both[backwards].statistics()


def test_nothing_else_knows_which_token_is_the_rest(
    sequences: Sequences, both: dict[str, Examples], backwards: str, tmp_path: Path
) -> None:
    """Numbering the tokens otherwise changes no statistic, no baseline and no request."""
    statistics, baselines, windows = {}, {}, {}
    for name, examples in both.items():
        inputs = StatisticsGenInputs(examples, sequences)
        found = made(STATISTICS_GEN, inputs, StatisticsGenParameters(), tmp_path / name)
        statistics[name] = found.content()
        vocabulary = examples.vocabulary()
        train, held_out = (read_tokens(examples.shards(split)) for split in SPLITS)
        eval_windows = EvalWindows.of(held_out, 4, vocabulary.rests)
        counted = count_baselines(train, len(vocabulary), 4, vocabulary.rests)
        baselines[name] = [score(each, eval_windows).nats.mean() for each in counted.values()]
        rows = RequestData(held_out, vocabulary).windows(20, 6)
        windows[name] = [vocabulary.decode(row) for row in rows]
    drift, other = (statistics[name].pop("drift")["eval"] for name in ("frames", backwards))
    # Sums over tokens, in the tokens' order.
    assert all(drift[each] == pytest.approx(other[each]) for each in drift)
    assert statistics["frames"] == statistics[backwards]
    assert statistics["frames"]["splits"]["train"]["rest_share"] > 0.1
    assert baselines["frames"] == pytest.approx(baselines[backwards])
    assert windows["frames"] == windows[backwards]
    assert windows["frames"][0] == [()] * 6
    first, second = (both[name].vocabulary() for name in ("frames", backwards))
    assert difference(first, second) == "encoding backwards, now frames"


def test_a_model_says_which_encoding_its_tokens_are_in(
    both: dict[str, Examples], backwards: str, tmp_path: Path
) -> None:
    sizes = PaperSizes(embedding=4, units=4, layers=1, dense=4, window=4)
    settings = ServedSettings(sampling_seconds=0)
    parameters = TrainerParameters(architecture=sizes, epochs=1, settings=settings)
    model = made(TRAINER, TrainerInputs(both[backwards]), parameters, tmp_path / "model")
    served = SavedPredictor.load(model.saved_model)
    vocabulary = both[backwards].vocabulary()
    assert served.vocabulary.corpus == vocabulary.corpus
    assert served.vocabulary.corpus.encoding == backwards
    assert served.vocabulary.names == vocabulary.names
    assert served.vocabulary.rests == vocabulary.rests == (len(vocabulary) - 1,)
    rows = served.probabilities(np.full((1, 4), vocabulary.rests[0], np.int32))
    assert rows.shape == (1, len(vocabulary))


def test_the_code_of_an_encoding_counts_for_what_reads_its_songs(
    both: dict[str, Examples], backwards: str, tmp_path: Path
) -> None:
    (tmp_path / "root").mkdir()
    planner = Planner(tmp_path / "root", ExecutionStore(tmp_path / "root"))
    plan = planner.plan(TRAINER, TrainerInputs(both["frames"]), TrainerParameters())
    assert both["frames"].modules() == encoding_modules("frames")
    assert set(encoding_modules("frames")) <= set(json.loads(plan.execution.modules))
    assert both[backwards].modules() == encoding_modules(backwards)
    assert TRANSFORM.modules(TransformParameters(encoding=backwards)) == encoding_modules(backwards)


def test_the_papers_encoding_writes_what_older_readers_know() -> None:
    songs = [(60,), (), (60, 64), (60,)]
    counts = Counter(packed_keys(pack_frames(songs)))
    corpus = CorpusSettings()
    limits = {"maximum_frames": 1000, "minimum_count": 1}
    fitted = load_encoding("frames").fit(counts, 5.0, corpus, **limits)
    text = vocabulary_json(fitted)
    assert "encoding" not in text
    assert "encoding" not in corpus.served()
    assert text == Vocabulary(((), (60,), (60, 64)), 5.0).to_json()
    assert read_vocabulary(text) == fitted == Vocabulary.from_json(text)


def test_padding_ends_with_a_whole_frame() -> None:
    assert padding((0,), 3).tolist() == [0, 0, 0]
    assert padding((0, 7), 4).tolist() == [0, 7, 0, 7]
    assert padding((0, 7, 9), 4).tolist() == [9, 0, 7, 9]
    assert padding((0, 7), 0).tolist() == []
    assert padding((0, 7), 3).dtype == np.int32
