"""A candidate is served by a real engine in a process of its own, and asked over gRPC."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from tunesmith.components.artifacts import Examples, InfraBlessing, TrainedModel
from tunesmith.components.infra_validator.candidate import candidate_host
from tunesmith.components.infra_validator.checks import (
    Answer,
    Arrays,
    Candidate,
    Check,
    Material,
    Signature,
    examine,
)
from tunesmith.components.infra_validator.executor import (
    Host,
    InfraValidatorParameters,
    failing_sentence,
    validate_infrastructure,
)
from tunesmith.components.progress import SilentProgress
from tunesmith.components.records.shards import tfrecord
from tunesmith.components.records.songs import write_tokens
from tunesmith.music import Vocabulary, parse_frame

# No assertion on time: the bounds are a minute, or nothing at all.
PARAMETERS = InfraValidatorParameters(
    requests=5, batch=8, batch_requests=2, median_ms=6e4, p95_ms=6e4, batch_median_ms=6e4
)

REFUSALS = [
    "refuses-wrong-dtype",
    "refuses-wrong-rank",
    "refuses-missing-input",
    "refuses-unknown-input",
    "refuses-unknown-signature",
    "refuses-too-large-token",
    "refuses-negative-token",
]


@pytest.fixture(scope="module")
def vocabulary(model_dir: Path) -> Vocabulary:
    """What the exported model says."""
    import tensorflow as tf

    signatures = tf.saved_model.load(str(model_dir / "1")).signatures
    size = signatures["serving_default"].structured_outputs["probabilities"].shape[-1]
    names = signatures["vocabulary"](token_ids=tf.range(size))["frames"].numpy()
    return Vocabulary(tuple(parse_frame(name.decode()) for name in names), 5.0)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary) -> Examples:
    folder = tmp_path_factory.mktemp("examples")
    (folder / "vocabulary.json").write_text(vocabulary.to_json())
    songs = [np.arange(length) * 7 % len(vocabulary) for length in (30, 80)]
    records = [tfrecord(write_tokens(b"%d" % len(song), song, 5.0)) for song in songs]
    (folder / "eval-00000-of-00001.tfrecord").write_bytes(b"".join(records))
    return Examples(folder, "")


@pytest.fixture(scope="module")
def model(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(model_dir / "1", folder / "saved_model")
    return TrainedModel(folder, "")


@pytest.fixture(scope="module")
def candidate(model_dir: Path) -> Iterator[Candidate]:
    """The exported model behind an engine that was started as the pipeline starts it."""
    with candidate_host()(model_dir) as served:
        yield served


def checks_of(candidate: Candidate, vocabulary: Vocabulary) -> dict[str, Check]:
    songs = [np.arange(40, dtype=np.int32) % 20]
    found = examine(candidate, Material(songs, vocabulary), PARAMETERS.bounds)
    return {check.name: check for check in found}


def failed(checks: Mapping[str, Check]) -> list[str]:
    return [name for name, check in checks.items() if not check.passed]


def test_a_good_model_is_blessed(
    candidate: Candidate, model: TrainedModel, examples: Examples, tmp_path: Path
) -> None:
    served: list[Path] = []

    def host(base: Path) -> nullcontext[Candidate]:
        served.append(base / "1" / "saved_model.pb")
        assert served[0].is_file()
        return nullcontext(candidate)

    assert validate_infrastructure(model, examples, tmp_path, PARAMETERS, SilentProgress(), host)
    blessing = InfraBlessing(tmp_path, "")
    content = blessing.content()
    assert blessing.blessed
    assert content["engine"] == "embedded"
    assert [check["name"] for check in content["checks"]] == [
        "starts",
        "signatures",
        "vocabulary",
        "settings",
        "probabilities",
        "alone-as-in-a-batch",
        "generate",
        *REFUSALS,
        "still-answers",
        "latency-median",
        "latency-p95",
        "latency-batch-median",
        "stops",
    ]
    assert all(check["passed"] for check in content["checks"])
    assert [path.name for path in tmp_path.iterdir()] == ["infra.json"]


def test_a_model_that_does_not_load_is_a_finding(
    model: TrainedModel, examples: Examples, tmp_path: Path
) -> None:
    broken = tmp_path / "model"
    shutil.copytree(model.path, broken)
    (broken / "saved_model" / "variables" / "variables.index").unlink()
    output = tmp_path / "out"
    output.mkdir()
    blessed = validate_infrastructure(
        TrainedModel(broken, ""), examples, output, PARAMETERS, SilentProgress(), candidate_host()
    )
    assert not blessed
    content = InfraBlessing(output, "").content()
    (check,) = content["checks"]
    assert (check["name"], check["passed"]) == ("starts", False)
    assert "version 1 of model tunesmith in" in check["detail"]
    assert "does not load" in check["detail"]
    assert "\n" not in check["detail"]
    assert "starts: " in failing_sentence(content)
    assert [path.name for path in output.iterdir()] == ["infra.json"]


def test_latency_beyond_its_bound_is_a_finding(
    candidate: Candidate, model: TrainedModel, examples: Examples, tmp_path: Path
) -> None:
    impossible = replace(PARAMETERS, median_ms=0.0)
    host: Host = lambda _: nullcontext(candidate)  # noqa: E731
    assert not validate_infrastructure(
        model, examples, tmp_path, impossible, SilentProgress(), host
    )
    content = InfraBlessing(tmp_path, "").content()
    (check,) = [each for each in content["checks"] if not each["passed"]]
    assert (check["name"], check["bound"]) == ("latency-median", 0.0)
    assert check["value"] > 0
    assert content["log"]


def test_a_vocabulary_that_is_not_the_examples_is_a_finding(
    candidate: Candidate, vocabulary: Vocabulary
) -> None:
    frames = vocabulary.frames
    swapped = replace(vocabulary, frames=(frames[0], frames[2], frames[1], *frames[3:]))
    assert failed(checks_of(candidate, swapped)) == ["vocabulary"]
    faster = replace(vocabulary, frames_per_second=6.0)
    assert failed(checks_of(candidate, faster)) == ["settings"]


@dataclass(frozen=True)
class Altered:
    """The served model with some of its answers altered on their way."""

    served: Candidate
    alter: Callable[[str, Arrays, Answer], Answer]
    hidden: str = ""

    @property
    def engine(self) -> str:
        return self.served.engine

    def signatures(self) -> Mapping[str, Signature]:
        found = self.served.signatures()
        return {name: each for name, each in found.items() if name != self.hidden}

    def ask(self, signature: str, inputs: Arrays) -> Answer:
        return self.alter(signature, inputs, self.served.ask(signature, inputs))

    def last_words(self) -> str:
        return self.served.last_words()


def times(factor: float) -> Callable[[str, Arrays, Answer], Answer]:
    def alter(_: str, __: Arrays, answer: Answer) -> Answer:
        rows = answer.outputs.get("probabilities")
        if rows is None:
            return answer
        return replace(answer, outputs={"probabilities": rows * np.float32(factor)})

    return alter


def pardon(signature: str, inputs: Arrays, answer: Answer) -> Answer:
    """An engine that answers what it must refuse."""
    if signature in ("serving_default", "no_such_signature") and answer.status != "OK":
        rows = len(inputs.get("tokens", [0]))
        return Answer("OK", outputs={"probabilities": np.full((rows, 31), 1 / 31, np.float32)})
    return answer


def depend_on_the_batch(_: str, __: Arrays, answer: Answer) -> Answer:
    rows = answer.outputs.get("probabilities")
    if rows is None or len(rows) > 1:
        return answer
    return replace(answer, outputs={"probabilities": np.roll(rows, 1, axis=1)})


def die_of_a_wrong_dtype() -> Callable[[str, Arrays, Answer], Answer]:
    dead: list[bool] = []

    def alter(_: str, inputs: Arrays, answer: Answer) -> Answer:
        if inputs.get("tokens", np.zeros(1)).dtype == np.int64:
            dead.append(True)
        return Answer("UNAVAILABLE", "connection refused") if dead else answer

    return alter


@pytest.mark.parametrize(
    ("alter", "names"),
    [
        (times(2.0), ["probabilities", "alone-as-in-a-batch", "still-answers"]),
        (times(float("nan")), ["probabilities", "alone-as-in-a-batch", "still-answers"]),
        (pardon, REFUSALS),
        (depend_on_the_batch, ["alone-as-in-a-batch"]),
        (die_of_a_wrong_dtype(), [*REFUSALS, "still-answers"]),
    ],
    ids=["sums", "nan", "accepts anything", "batch", "dies"],
)
def test_each_fault_is_told_by_its_checks(
    candidate: Candidate,
    vocabulary: Vocabulary,
    alter: Callable[[str, Arrays, Answer], Answer],
    names: list[str],
) -> None:
    found = failed(checks_of(Altered(candidate, alter), vocabulary))
    if "probabilities" in names:
        # Spoilt rows may still be twice as far apart as before, but not fewer checks fail.
        assert {"probabilities", "still-answers"} <= set(found) <= {*names, *REFUSALS}
    else:
        assert found == names


def test_a_model_without_a_signature_is_told_and_asked_no_more(
    candidate: Candidate, vocabulary: Vocabulary
) -> None:
    hidden = Altered(candidate, lambda _, __, answer: answer, "settings")
    checks = checks_of(hidden, vocabulary)
    assert failed(checks) == list(checks) == ["signatures"]


def test_the_windows_come_from_all_over_the_songs(vocabulary: Vocabulary) -> None:
    songs = [np.array([1, 2, 3], np.int32), np.array([4, 5], np.int32)]
    windows = Material(songs, vocabulary).windows(5, 2)
    assert windows.tolist() == [[0, 0], [0, 1], [1, 2], [0, 0], [0, 4]]
    assert len(Material(songs, vocabulary).windows(9, 50)) == 9


PARENT = """
import subprocess, sys, time
child = subprocess.Popen(
    [sys.executable, "-m", "tunesmith.components.infra_validator.supervised", sys.executable, "-c",
     "import os, time; print(os.getpid(), flush=True); time.sleep(600)"],
    stdin=subprocess.PIPE,
)
time.sleep(600)
"""


def test_an_engine_does_not_outlive_a_killed_run() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    engine = int(parent.stdout.readline())
    os.kill(engine, 0)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until = time.monotonic() + 60
    while Path(f"/proc/{engine}").exists():
        assert time.monotonic() < until, "the engine is still there"
        time.sleep(0.05)
    parent.stdout.close()


def test_the_supervisor_passes_the_exit_code_on() -> None:
    command = [
        sys.executable,
        "-m",
        "tunesmith.components.infra_validator.supervised",
        sys.executable,
        "-c",
    ]
    held = subprocess.Popen([*command, "raise SystemExit(7)"], stdin=subprocess.PIPE)
    assert held.wait(60) == 7
    asleep = subprocess.Popen([*command, "import time; time.sleep(600)"], stdin=subprocess.PIPE)
    assert asleep.stdin is not None
    asleep.stdin.close()
    assert asleep.wait(60) == 128 + signal.SIGTERM
    assert held.stdin is not None
    held.stdin.close()


@pytest.mark.parametrize("wrong", [{"engine": "torch"}, {"requests": 0}, {"batch": 2}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"engine is auto|at least one request"):
        InfraValidatorParameters(**wrong)  # type: ignore[arg-type]


def test_the_report_is_json_that_anyone_reads(
    candidate: Candidate, model: TrainedModel, examples: Examples, tmp_path: Path
) -> None:
    alter = times(float("nan"))
    host: Host = lambda _: nullcontext(Altered(candidate, alter))  # noqa: E731
    validate_infrastructure(model, examples, tmp_path, PARAMETERS, SilentProgress(), host)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    # NaN and Infinity are no JSON.
    json.loads((tmp_path / "infra.json").read_text(), parse_constant=refuse)
