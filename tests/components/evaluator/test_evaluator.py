"""A small trained model through the whole of Evaluator, and what decides its blessing."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pretty_midi
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from tunesmith.client.sampling import Noise, draw
from tunesmith.components.artifacts import Examples, ModelEvaluation, PushedModel, TrainedModel
from tunesmith.components.component import Context, ParameterError
from tunesmith.components.errors import ComponentError
from tunesmith.components.evaluator.blessing import check_model
from tunesmith.components.evaluator.comparison import Comparison, compare
from tunesmith.components.evaluator.component import (
    BASELINES,
    BlessingParameters,
    EvaluatorInputs,
    EvaluatorParameters,
)
from tunesmith.components.evaluator.composing import compose
from tunesmith.components.evaluator.executor import execute
from tunesmith.components.evaluator.likelihood import Figures, score, score_rows
from tunesmith.components.networks.paper.sizes import PaperSizes
from tunesmith.components.ngram.counting import NGram
from tunesmith.components.progress import SilentProgress
from tunesmith.components.records.eval_windows import EvalWindows
from tunesmith.components.records.songs import write_tokens
from tunesmith.components.sampling import RecommendedSampling
from tunesmith.components.saved_predictor import SavedPredictor
from tunesmith.components.trainer.component import (
    RegularisationParameters,
    ScheduleParameters,
    ServedSettings,
    TrainerInputs,
    TrainerParameters,
    WarmStartParameters,
)
from tunesmith.components.trainer.executor import execute as train
from tunesmith.music import CorpusSettings, Frame, Grid, TrackChoice, Vocabulary

SMALL = PaperSizes(embedding=8, units=8, layers=1, dense=8, dropout=0.1, window=10)
TUNE = [1, 2, 3, 4, 3, 2] * 20
FRAMES: tuple[Frame, ...] = ((), *((60 + step,) for step in range(6)))
VOCABULARY = Vocabulary(FRAMES, 5.0)
QUICK = EvaluatorParameters(
    BlessingParameters(beat=("unigram", "repeat")), songs=3, steps=40, copied_frames=6
)


class Lines(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def write_examples(folder: Path, splits: dict[str, list[list[int]]]) -> Examples:
    folder.mkdir()
    for split, songs in splits.items():
        with tf.io.TFRecordWriter(str(folder / f"{split}-00000-of-00001.tfrecord")) as writer:
            for number, song in enumerate(songs):
                writer.write(write_tokens(f"{number}.mid".encode(), np.array(song), 5.0))
    (folder / "vocabulary.json").write_text(VOCABULARY.to_json())
    return Examples(folder, "")


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    splits = {
        "train": [TUNE, TUNE[3:], TUNE[:51]],
        "eval": [TUNE[:51]],
        "test": [TUNE[2:30], TUNE[4:20]],
    }
    return write_examples(tmp_path_factory.mktemp("tune") / "examples", splits)


@pytest.fixture(scope="module")
def model(examples: Examples, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    folder = tmp_path_factory.mktemp("model")
    parameters = TrainerParameters(
        architecture=SMALL,
        epochs=8,
        batch=16,
        learning_rate=0.01,
        schedule=ScheduleParameters("constant", warmup_steps=0),
        warm_start=WarmStartParameters(share=0),
        regularisation=RegularisationParameters(noise=0),
        settings=ServedSettings(sampling_seconds=0),
    )
    train(TrainerInputs(examples), parameters, Context(folder, folder.parent, SilentProgress()))
    return TrainedModel(folder, "digest of the model")


def evaluated(
    examples: Examples,
    model: TrainedModel,
    output: Path,
    parameters: EvaluatorParameters = QUICK,
    previous: PushedModel | None = None,
) -> tuple[ModelEvaluation, list[str]]:
    output.mkdir()
    progress = Lines()
    inputs = EvaluatorInputs(examples, model, previous)
    execute(inputs, parameters, Context(output, output.parent, progress))
    return ModelEvaluation(output, ""), progress.lines


@pytest.fixture(scope="module")
def evaluation(
    examples: Examples, model: TrainedModel, tmp_path_factory: pytest.TempPathFactory
) -> ModelEvaluation:
    return evaluated(examples, model, tmp_path_factory.mktemp("evaluation") / "out")[0]


def test_a_model_that_learned_a_tune_is_blessed(evaluation: ModelEvaluation) -> None:
    assert evaluation.blessed
    content = evaluation.content()
    assert [check["passed"] for check in content["checks"]] == [True] * 5
    assert {split: each["windows"] for split, each in content["splits"].items()} == {
        "eval": 51,
        "test": 44,
    }
    assert set(content["baselines"]) == set(BASELINES)
    assert set(content["parts"]) == {"network", "training_songs", "window"}
    for part in content["parts"].values():
        assert part["eval"]["windows"] == 51
        assert "calibration" not in part["eval"]
    assert content["previous"] is None
    assert evaluation.model_digest == content["model_digest"] == "digest of the model"
    for split, figures in content["splits"].items():
        assert figures["perplexity"] == pytest.approx(math.exp(figures["nats"]))
        assert figures["top1"] <= figures["top5"]
        assert sum(each["windows"] for each in figures["calibration"]) == figures["windows"]
        assert figures["nats"] < content["baselines"]["repeat"][split]["nats"] < math.log(7) + 1


def test_the_loss_of_the_network_on_a_song_is_the_trainers(
    evaluation: ModelEvaluation, model: TrainedModel
) -> None:
    # The validation song is the eval song, too: its digest is the smallest.
    history = model.history()
    assert history["windows"]["cut"] == 51
    best = history["epochs"][history["best_epoch"] - 1]["cut_loss"]
    network = evaluation.content()["parts"]["network"]["eval"]
    assert network["nats"] == pytest.approx(best, rel=1e-3)


def test_songs_are_measured_and_left_as_midi(evaluation: ModelEvaluation) -> None:
    content = evaluation.content()
    assert content["songs"] == ["songs/01.mid", "songs/02.mid", "songs/03.mid"]
    assert content["composed_frames"] == 40
    for path in content["songs"]:
        song = pretty_midi.PrettyMIDI(str(evaluation.path / path))
        assert {note.pitch for note in song.instruments[0].notes} <= set(range(60, 66))
    music = content["music"]
    assert all(len(each["model"]["values"]) == 3 for each in music.values())
    # The tune has one voice and five pitch classes at most, and the model learned it from there.
    assert music["mean_polyphony"]["model"]["mean"] == 1
    assert music["mean_polyphony"]["corpus"] == {
        "of": "train",
        "low": 1,
        "lower_quartile": 1,
        "median": 1,
        "upper_quartile": 1,
        "high": 1,
        "median_error": 0,
        "songs": 3,
    }
    assert music["mean_polyphony"]["model"]["within"] == 3
    # The held-out songs are cut from the tune: all of what is looked at is in the training split.
    assert music["longest_copied_run"]["corpus"]["high"] > 30
    assert music["copied_share"]["corpus"]["low"] == 1
    assert music["longest_copied_run"]["model"]["mean"] >= 6


def test_a_model_that_falls_short_is_told_why_and_nothing_is_raised(
    examples: Examples, model: TrainedModel, tmp_path: Path
) -> None:
    # Four frames tell all of this tune: no model is better than the n-gram by that much.
    asked = BlessingParameters(beat=("5-gram",), baseline_margin=1)
    strict = replace(QUICK, blessing=asked, songs=1, steps=5)
    result, lines = evaluated(examples, model, tmp_path / "out", strict)
    assert not result.blessed
    (check,) = [each for each in result.checks() if not each.passed]
    assert (check.name, check.bound) == ("beats 5-gram", "least")
    assert check.value is not None
    assert check.threshold is not None
    assert check.value < check.threshold
    assert lines == [f"not blessed: {check.why}"]
    assert result.refusal().startswith(f"the model is not blessed ({check.why}): to publish")


def test_what_is_required_of_the_songs_decides_as_well(
    examples: Examples, model: TrainedModel, tmp_path: Path
) -> None:
    # The tune moves in every frame.
    asked = BlessingParameters(beat=(), require=("mean_polyphony<=1", "one_frame_note_share<=0.5"))
    strict = replace(QUICK, blessing=asked, songs=1, steps=20)
    result, _ = evaluated(examples, model, tmp_path / "out", strict)
    assert [each.passed for each in result.checks()[-2:]] == [True, False]
    assert not result.blessed


def test_a_model_is_as_good_as_itself(
    examples: Examples, model: TrainedModel, evaluation: ModelEvaluation, tmp_path: Path
) -> None:
    quick = replace(QUICK, songs=1, steps=5)
    again, _ = evaluated(
        examples, model, tmp_path / "out", quick, PushedModel(model.saved_model, "")
    )
    previous = again.content()["previous"]
    assert previous["windows"] == 51
    assert previous["common_share"] == 1
    nats = evaluation.content()["splits"]["eval"]["nats"]
    assert previous["nats"] == pytest.approx(nats, abs=1e-6)
    assert previous["previous_nats"] == pytest.approx(nats, abs=1e-6)
    assert again.blessed


def test_an_older_model_that_cannot_be_loaded_is_no_bar(
    examples: Examples, model: TrainedModel, tmp_path: Path
) -> None:
    gone = PushedModel(tmp_path / "models" / "3", "")
    quick = replace(QUICK, songs=1, steps=5)
    result, _ = evaluated(examples, model, tmp_path / "out", quick, gone)
    check = result.content()["checks"][-1]
    assert check["skipped"]
    assert "cannot be compared" in check["why"]
    assert "\n" not in check["why"]
    assert result.content()["previous"]["version"] == "3"


def test_a_model_of_other_examples_is_refused(model: TrainedModel, tmp_path: Path) -> None:
    others = write_examples(tmp_path / "others", {"train": [TUNE], "eval": [TUNE]})
    other = Vocabulary((*FRAMES[:-1], (90,)), 5.0)
    (others.path / "vocabulary.json").write_text(other.to_json())
    with pytest.raises(ComponentError, match="train on these examples"):
        evaluated(others, model, tmp_path / "out")
    empty = write_examples(tmp_path / "empty", {"train": [TUNE], "eval": []})
    with pytest.raises(ComponentError, match="the eval split has no songs"):
        evaluated(empty, model, tmp_path / "out2")


def test_what_a_model_says_of_itself_is_read_from_its_signatures(model: TrainedModel) -> None:
    loaded = SavedPredictor.load(model.saved_model)
    assert (loaded.window, loaded.vocabulary, loaded.program) == (10, VOCABULARY, 0)
    rows = loaded.probabilities(np.zeros((4, 10), dtype=np.int32))
    assert rows.shape == (4, 7)
    with pytest.raises(ComponentError, match="not a tunesmith model"):
        SavedPredictor.load(model.path)


# Blessing


def figures(nats: float, sum_error: float = 0.0) -> Figures:
    return Figures(10, nats, 0.5, 0.9, 0.1, (), sum_error)


BARS = {
    "unigram": figures(4.0),
    "repeat": figures(3.0),
    "5-gram": figures(2.0),
    "5-gram+window": figures(1.7),
}
ASKED = BlessingParameters(baseline_margin=0.1, previous_margin=0.05)


def failed(model: Figures, previous: Comparison | None = None) -> list[str]:
    return [each.name for each in check_model(model, BARS, previous, ASKED) if not each.passed]


def test_each_baseline_is_beaten_by_the_margin_or_named() -> None:
    assert failed(figures(1.55)) == []
    assert failed(figures(1.65)) == ["beats 5-gram+window"]
    assert failed(figures(1.95)) == ["beats 5-gram", "beats 5-gram+window"]
    assert failed(figures(2.95)) == ["beats repeat", "beats 5-gram", "beats 5-gram+window"]


@pytest.mark.parametrize("nats", [math.nan, math.inf])
def test_a_likelihood_that_is_no_number_is_never_blessed(nats: float) -> None:
    alone = BlessingParameters(beat=())
    checks = check_model(figures(nats), BARS, None, alone)
    assert [each.passed for each in checks] == [False, True, True]


def test_rows_that_sum_to_more_than_one_are_never_blessed() -> None:
    assert failed(figures(0.1, sum_error=0.5)) == ["rows sum to one"]
    assert failed(figures(0.1, sum_error=math.nan)) == ["rows sum to one"]


@pytest.mark.parametrize(("before", "passed"), [(1.8, True), (1.46, True), (1.44, False)])
def test_a_model_may_fall_behind_the_last_one_by_the_margin(before: float, passed: bool) -> None:
    comparison = Comparison(None, 10, 1.0, 1.5, before)
    name = "not worse than the served model"
    assert failed(figures(1.5), comparison) == ([] if passed else [name])


@pytest.mark.parametrize(
    "values", [{"beat": ("trigram",)}, {"baseline_margin": -1}, {"previous_margin": math.nan}]
)
def test_conditions_that_make_no_sense_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="must be"):
        BlessingParameters(**values)


@pytest.mark.parametrize("name", ["songs", "steps", "copied_frames", "corpus_songs"])
def test_parameters_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        EvaluatorParameters(**{name: 0})


# Comparison with a model of another vocabulary


@dataclass(frozen=True)
class Counted:
    """An n-gram of its own vocabulary: a model without a network."""

    vocabulary: Vocabulary
    ngram: NGram
    window: int = 6

    @classmethod
    def of(cls, vocabulary: Vocabulary, songs: Sequence[Sequence[Frame]], order: int) -> Counted:
        tokens = [vocabulary.encode(song) for song in songs]
        return cls(vocabulary, NGram.count(tokens, len(vocabulary), order, vocabulary.rests))

    def probabilities(self, windows: NDArray[np.int32]) -> NDArray[np.float64]:
        return self.ngram.probabilities(windows)


SONGS = [[FRAMES[token] for token in song] for song in (TUNE, TUNE[2:], [1, 2, 5, 6] * 9)]
HELD_OUT = [np.array([1, 2, 3, 4, 3, 2] * 9 + [5, 6], dtype=np.int32)]


def test_another_order_of_the_same_frames_changes_nothing() -> None:
    new = Counted.of(VOCABULARY, SONGS, 3)
    shuffled = Vocabulary((FRAMES[0], *FRAMES[:0:-1]), 5.0)
    result = compare(new, Counted.of(shuffled, SONGS, 3), HELD_OUT)
    assert (result.windows, result.common_share) == (56, 1.0)
    assert result.nats == pytest.approx(result.previous_nats)
    direct = score(new, EvalWindows.of(HELD_OUT, new.window, (0,))).nats.mean()
    assert result.nats == pytest.approx(direct)


def test_knowing_fewer_frames_is_neither_an_advantage_nor_a_bar() -> None:
    @dataclass(frozen=True)
    class Constant:
        vocabulary: Vocabulary
        row: NDArray[np.float64]
        window: int = 3

        def probabilities(self, windows: NDArray[np.int32]) -> NDArray[np.float64]:
            return np.tile(self.row, (len(windows), 1))

    row = np.array([0.1, 0.2, 0.3, 0.1, 0.1, 0.1, 0.1])
    fewer = Constant(Vocabulary(FRAMES[:-1], 5.0), row[:-1] / row[:-1].sum())
    for result in (
        compare(Constant(VOCABULARY, row), fewer, HELD_OUT),
        compare(fewer, Constant(VOCABULARY, row), [HELD_OUT[0][:-1]]),
    ):
        assert result.windows == 55
        assert result.nats == pytest.approx(result.previous_nats)


def test_models_of_other_music_are_not_compared() -> None:
    new = Counted.of(VOCABULARY, SONGS, 2)
    piano = CorpusSettings(TrackChoice("name", name="PIANO"))
    beats = CorpusSettings(grid=Grid(frames_per_beat=4))
    for vocabulary, reason in (
        (replace(VOCABULARY, corpus=piano), "track name:PIANO, now first"),
        (replace(VOCABULARY, corpus=beats), "frames per beat 4, now 0"),
        (replace(VOCABULARY, frames_per_second=10.0), "10 frames per second, now 5"),
        (Vocabulary(((), (20,), (21,)), 5.0), "has 0% of the held-out frames"),
    ):
        result = compare(new, Counted.of(vocabulary, SONGS, 2), HELD_OUT)
        assert reason in (result.skipped or "")
        assert result.nats is None
    transposed = CorpusSettings(transpose=(-2, 2))
    keys = Counted.of(replace(VOCABULARY, corpus=transposed), SONGS, 2)
    assert compare(new, keys, HELD_OUT).skipped is None


# Composing


def test_songs_are_those_that_a_client_draws() -> None:
    model = Counted.of(VOCABULARY, SONGS, 2)
    songs = compose(model, 6, (0,), songs=3, steps=12, seed=9, maximum_seconds=60)
    assert songs.shape == (3, 12)
    for index, song in enumerate(songs):
        noise = Noise(9, index, len(VOCABULARY))
        window = np.zeros((1, 6), dtype=np.int32)
        for step, token in enumerate(song):
            rows = model.probabilities(window).astype(np.float64)
            assert draw(rows, noise.steps(step)).tolist() == [token]
            window = np.append(window[:, 1:], [[token]], axis=1).astype(np.int32)
    alone = compose(model, 6, (0,), songs=1, steps=12, seed=9, maximum_seconds=60)
    np.testing.assert_array_equal(alone[0], songs[0])


def test_songs_are_drawn_as_the_model_recommends() -> None:
    model = Counted.of(VOCABULARY, SONGS, 2)
    greedy = RecommendedSampling(temperature=0)
    songs = compose(model, 6, (0,), songs=2, steps=12, seed=9, maximum_seconds=60, sampling=greedy)
    np.testing.assert_array_equal(songs[0], songs[1])
    first = model.probabilities(np.zeros((1, 6), dtype=np.int32)).argmax()
    assert songs[0, 0] == first


def test_songs_follow_the_models_distribution() -> None:
    model = Counted.of(VOCABULARY, SONGS, 1)
    songs = compose(model, 6, (0,), songs=200, steps=100, seed=1, maximum_seconds=60)
    shares = np.bincount(songs.ravel(), minlength=7) / songs.size
    expected = model.probabilities(np.zeros((1, 6), dtype=np.int32))[0]
    np.testing.assert_allclose(shares, expected, atol=0.015)
    # What it drew from itself it foresees as well as its entropy allows.
    entropy = -(expected * np.log(expected)).sum()
    rows = np.tile(expected, (songs.size, 1))
    assert score_rows(rows, songs.ravel()).nats.mean() == pytest.approx(entropy, abs=0.02)


def test_songs_end_when_the_time_is_up() -> None:
    model = Counted.of(VOCABULARY, SONGS, 2)
    assert compose(model, 6, (0,), songs=2, steps=50, seed=0, maximum_seconds=1e-9).shape == (2, 1)


def test_the_file_is_plain_json(evaluation: ModelEvaluation) -> None:
    text = (evaluation.path / "evaluation.json").read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
