"""ExampleValidator: the songs that it stops, those it warns of, and those it passes."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tunesmith.components.artifacts import ExampleAnomalies, Examples, ExampleStatistics, Sequences
from tunesmith.components.component import Context
from tunesmith.components.example_gen.component import ExampleGenParameters
from tunesmith.components.example_gen.executor import run_example_gen
from tunesmith.components.example_validator.anomalies import find_anomalies
from tunesmith.components.example_validator.component import (
    ANOMALIES,
    ExampleValidatorInputs,
    ExampleValidatorParameters,
)
from tunesmith.components.example_validator.executor import execute as validate_examples
from tunesmith.components.progress import SilentProgress
from tunesmith.components.sources.source import list_songs
from tunesmith.components.statistics_gen.component import (
    StatisticsGenInputs,
    StatisticsGenParameters,
)
from tunesmith.components.statistics_gen.executor import execute as generate_statistics
from tunesmith.components.transform.component import TransformParameters
from tunesmith.components.transform.executor import run_transform


def _split(songs: int, frames: int, mapped: float, rests: float) -> dict[str, Any]:
    return {
        "songs": songs,
        "records": songs,
        "frames": frames,
        "mapped_share": mapped,
        "rest_share": rests,
        "largest_songs": [{"song_id": "a.mid", "frames": frames // 7, "share": 1 / 7}],
        "songs_of_rests": {"count": 0, "first": []},
        "songs_of_one_frame": {"count": 0, "first": []},
    }


PAPER: dict[str, Any] = {
    # Of the paper's 22 songs, as StatisticsGen measured them.
    "vocabulary_size": 262,
    "distinct_sounding_frames": 261,
    "files": {"found": 22, "rejected": 0, "rejected_by_reason": {}},
    "splits": {"train": _split(18, 10283, 0.0, 0.159), "eval": _split(4, 1589, 0.135, 0.088)},
    "drift": {
        "eval": {
            "tokens": {"bits": 0.338, "expected_bits": 0.323, "chance": 0.405},
            "pitch_classes": {"bits": 0.051, "expected_bits": 0.103, "chance": 0.82},
        }
    },
    "copies": {
        "eval": [
            {"frames": 8, "known_share": 0.001, "most_known_songs": []},
            {
                "frames": 32,
                "known_share": 0.0,
                "most_known_songs": [{"song_id": "b.mid", "known_share": 0.0}],
            },
        ]
    },
}


def changed(*path: str | int, to: Any) -> dict[str, Any]:
    """Return the paper's statistics with one value changed."""
    content = copy.deepcopy(PAPER)
    place: Any = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return content


def validate(folder: Path, content: dict[str, Any], **parameters: Any) -> ExampleAnomalies:
    for name in ("in", "out"):
        (folder / name).mkdir(parents=True)
    (folder / "in" / "statistics.json").write_text(json.dumps(content))
    validate_examples(
        ExampleValidatorInputs(ExampleStatistics(folder / "in", "")),
        ExampleValidatorParameters(**parameters),
        Context(folder / "out", folder, SilentProgress()),
    )
    return ExampleAnomalies(folder / "out", "")


DRIFT = {"bits": 0.4, "expected_bits": 0.1, "chance": 0.005}

STOPPING = [
    ("empty-split", changed("splits", "eval", to=_split(0, 0, 0.0, 0.0))),
    ("empty-split", changed("splits", "train", to=_split(0, 0, 0.0, 0.0))),
    (
        "too-few-windows",
        changed("splits", "train", to=_split(2, 63, 0.0, 0.1)) | {"vocabulary_size": 9},
    ),
    (
        "too-many-rejected-files",
        changed("files", to={"found": 9, "rejected": 5, "rejected_by_reason": {"malformed": 5}}),
    ),
    ("dominant-song", changed("splits", "train", "largest_songs", 0, "share", to=0.51)),
    ("nearly-all-rests", changed("splits", "eval", "rest_share", to=0.91)),
    ("nearly-all-rests", changed("splits", "train", "rest_share", to=1.0)),
    (
        "one-frame-songs",
        changed("splits", "train", "songs_of_one_frame", to={"count": 2, "first": ["a", "b"]}),
    ),
    ("vocabulary-too-small", changed("vocabulary_size", to=2)),
    ("vocabulary-too-large", changed("vocabulary_size", to=3428)),
    # --track all of the same songs.
    ("high-mapped-share", changed("splits", "eval", "mapped_share", to=0.835)),
    ("high-mapped-share", changed("splits", "train", "mapped_share", to=0.306)),
    ("token-drift", changed("drift", "eval", "tokens", to=DRIFT)),
    ("pitch-drift", changed("drift", "eval", "pitch_classes", to=DRIFT)),
    ("copies-across-splits", changed("copies", "eval", 1, "known_share", to=0.21)),
]


def test_every_anomaly_that_is_known_is_tried() -> None:
    assert {name for name, _ in STOPPING} | {"too-few-songs"} == set(ANOMALIES)


@pytest.mark.parametrize(("name", "content"), STOPPING)
def test_an_anomaly_stops_a_run_unless_it_is_allowed(
    tmp_path: Path, name: str, content: dict[str, Any]
) -> None:
    stopped = validate(tmp_path / "stopped", content)
    assert not stopped.blessed
    assert not stopped.content()["passed"]
    # A split that is empty, or nearly, has few songs too.
    found = [each for each in stopped.content()["anomalies"] if each["name"] != "too-few-songs"]
    assert [(each["name"], each["stops"], each["allowed"]) for each in found] == [
        (name, True, False)
    ]
    assert [check.name for check in stopped.checks() if not check.passed] == [name]
    assert name in stopped.refusal()
    assert "\n" not in stopped.refusal()
    allowed = validate(tmp_path / "allowed", content, allow=(name,))
    assert allowed.blessed
    anomalies = allowed.content()["anomalies"]
    assert [each["allowed"] for each in anomalies if each["name"] == name] == [True]
    others = tuple(set(ANOMALIES) - {name})
    assert not validate(tmp_path / "others", content, allow=others).blessed


def test_the_papers_songs_pass(tmp_path: Path) -> None:
    found = validate(tmp_path, PAPER)
    assert (found.blessed, found.content()["anomalies"]) == (True, [])
    assert found.content()["parameters"]["maximum_mapped_share"] == 0.3


def test_a_drift_that_chance_explains_is_none() -> None:
    drift = {"bits": 0.9, "expected_bits": 0.85, "chance": 0.3}
    content = changed("drift", "eval", "tokens", to=drift)
    assert find_anomalies(content, ExampleValidatorParameters()) == []


def test_second_copies_of_the_same_music_are_no_fault(tmp_path: Path) -> None:
    files = {"found": 44, "rejected": 40, "rejected_by_reason": {"duplicate": 40}}
    assert validate(tmp_path, changed("files", to=files)).content()["anomalies"] == []


def test_two_songs_are_told_that_they_are_few_and_not_stopped(tmp_path: Path) -> None:
    content = changed("splits", "train", to=_split(1, 68, 0.0, 0.0))
    content["splits"]["train"]["largest_songs"][0]["share"] = 1.0
    content["splits"]["eval"]["mapped_share"] = 0.6
    content["vocabulary_size"] = 40
    found = validate(tmp_path, content)
    assert found.blessed
    anomalies = found.content()["anomalies"]
    names = [each["name"] for each in anomalies]
    assert names == ["too-few-songs", "dominant-song", "vocabulary-too-large", "high-mapped-share"]
    assert not any(each["stops"] for each in anomalies)


def test_a_threshold_is_a_parameter(tmp_path: Path) -> None:
    content = changed("splits", "eval", "mapped_share", to=0.5)
    assert not validate(tmp_path / "a", content).blessed
    assert validate(tmp_path / "b", content, maximum_mapped_share=0.5).blessed


def test_a_name_that_is_no_anomaly_cannot_be_allowed() -> None:
    with pytest.raises(ValueError, match=r"allow must be one of empty-split, .*, not 'token-drft'"):
        ExampleValidatorParameters(allow=("token-drift", "token-drft"))
    with pytest.raises(ValueError, match="maximum_rest_share must be at least 0"):
        ExampleValidatorParameters(maximum_rest_share=-0.1)


def test_songs_pass_all_the_way_from_midi(tmp_path: Path, jj_lin: Path) -> None:
    folders = {name: tmp_path / name for name in ("sequences", "examples", "in", "out")}
    for folder in folders.values():
        folder.mkdir()
    run_example_gen(list_songs(jj_lin), folders["sequences"], ExampleGenParameters(), ())
    sequences = Sequences(folders["sequences"], "")
    run_transform(sequences, folders["examples"], TransformParameters(), ())
    generate_statistics(
        StatisticsGenInputs(Examples(folders["examples"], ""), sequences),
        StatisticsGenParameters(),
        Context(folders["in"], tmp_path, SilentProgress()),
    )
    statistics = ExampleStatistics(folders["in"], "")
    assert statistics.content()["splits"]["train"]["distinct_tokens"] == 262
    validate_examples(
        ExampleValidatorInputs(statistics),
        ExampleValidatorParameters(),
        Context(folders["out"], tmp_path, SilentProgress()),
    )
    found = ExampleAnomalies(folders["out"], "")
    assert (found.blessed, found.content()["anomalies"]) == (True, [])
