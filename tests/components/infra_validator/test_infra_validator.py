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
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.components.artifacts import Check, Examples, InfraBlessing, TrainedModel
from tunesmith.components.component import Context, ParameterError
from tunesmith.components.infra_validator.candidate import (
    ServerFactory,
    engine_environment,
    serve_candidate,
)
from tunesmith.components.infra_validator.checks import (
    Answer,
    Arrays,
    Bounds,
    Candidate,
    RequestData,
    Signature,
    run_checks,
)
from tunesmith.components.infra_validator.component import (
    INFRA_VALIDATOR,
    InfraValidatorInputs,
    InfraValidatorParameters,
)
from tunesmith.components.infra_validator.component import engine_names as known_engines
from tunesmith.components.infra_validator.executor import validate
from tunesmith.components.progress import SilentProgress
from tunesmith.components.records.shards import tfrecord
from tunesmith.components.records.songs import write_tokens
from tunesmith.music import Grid, TrackChoice, Vocabulary, parse_frame
from tunesmith.pipeline.code_version import code_version
from tunesmith.plugins import set_plugin_path
from tunesmith.serving import engine_names, load_engine
from tunesmith.serving.engines.engine import AUTO

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
    """The answers of the exported model."""
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
    return TrainedModel(folder, "digest of the model")


@pytest.fixture(scope="module")
def candidate(model_dir: Path) -> Iterator[Candidate]:
    """The exported model behind an engine that was started as the pipeline starts it."""
    with serve_candidate()(model_dir) as served:
        yield served


def checks_of(candidate: Candidate, vocabulary: Vocabulary) -> dict[str, Check]:
    songs = [np.arange(40, dtype=np.int32) % 20]
    found = run_checks(candidate, RequestData(songs, vocabulary), Bounds.of(PARAMETERS))
    return {check.name: check for check in found}


def validated(
    model: TrainedModel,
    examples: Examples,
    output: Path,
    server: ServerFactory,
    parameters: InfraValidatorParameters = PARAMETERS,
) -> InfraBlessing:
    inputs = InfraValidatorInputs(model, examples)
    validate(inputs, parameters, Context(output, output.parent, SilentProgress()), server)
    return InfraBlessing(output, "")


def failed(checks: Mapping[str, Check]) -> list[str]:
    return [name for name, check in checks.items() if not check.passed]


def test_a_good_model_is_blessed(
    candidate: Candidate, model: TrainedModel, examples: Examples, tmp_path: Path
) -> None:
    served: list[Path] = []

    def server(base: Path) -> nullcontext[Candidate]:
        served.append(base / "1" / "saved_model.pb")
        assert served[0].is_file()
        return nullcontext(candidate)

    blessing = validated(model, examples, tmp_path, server)
    content = blessing.content()
    assert blessing.blessed
    assert (content["blessed"], content["engine"]) == (True, "embedded")
    assert blessing.model_digest == "digest of the model"
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
    fields = ["name", "passed", "why", "value", "threshold", "bound", "skipped"]
    assert all(list(check) == fields and check["passed"] for check in content["checks"])
    assert all("\n" not in check["why"] for check in content["checks"])
    assert [path.name for path in tmp_path.iterdir()] == ["infra.json"]


def test_a_model_that_does_not_load_is_a_finding(
    model: TrainedModel, examples: Examples, tmp_path: Path
) -> None:
    broken = tmp_path / "model"
    shutil.copytree(model.path, broken)
    (broken / "saved_model" / "variables" / "variables.index").unlink()
    output = tmp_path / "out"
    output.mkdir()
    blessing = validated(TrainedModel(broken, ""), examples, output, serve_candidate())
    assert not blessing.blessed
    (check,) = blessing.checks()
    assert (check.name, check.passed) == ("starts", False)
    assert "version 1 of model tunesmith in" in check.why
    assert "does not load" in check.why
    assert "\n" not in check.why
    assert "failed validation on embedded: starts: " in blessing.refusal()
    assert [path.name for path in output.iterdir()] == ["infra.json"]


# Stands for Docker's command line, with an image, on whose published port a server answers.
DOCKER = f"""#!{sys.executable}
import os, sys
if sys.argv[1] == "run":
    words = [word.lstrip("-").split("=", 1) for word in sys.argv[2:] if "=" in word]
    host, port, _ = dict(words)["publish"].split(":")
    mounts = [dict(part.partition("=")[::2] for part in value.split(","))
              for name, value in words if name == "mount"]
    (source,) = [each["source"] for each in mounts if each["target"] == "/models/model"]
    os.execv(sys.executable, [
        sys.executable, "-m", "tunesmith.cli.main", "serve", "--engine=embedded", "--host", host,
        "--port", port, "--model-dir", source, "--model-name", dict(words)["model_name"],
    ])
"""


def test_the_engine_that_auto_took_is_recorded(
    model: TrainedModel, examples: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker.parent}:{os.environ['PATH']}")
    output = tmp_path / "out"
    output.mkdir()
    auto = replace(PARAMETERS, engine="auto")
    blessing = validated(model, examples, output, serve_candidate("auto"), auto)
    assert blessing.blessed, blessing.refusal()
    assert blessing.engine == "docker"
    assert blessing.content()["parameters"]["engine"] == "auto"
    assert "docker serves the model" in [check.why for check in blessing.checks()]


@pytest.fixture
def own_engine() -> Iterator[str]:
    """An engine on the plug-in path: the embedded server, started by another command line."""
    set_plugin_path([Path(__file__).parents[3] / "docs" / "examples"])
    yield "low_priority_engine:LowPriority"
    set_plugin_path([])


def test_a_users_own_engine_validates_and_is_recorded(
    model: TrainedModel, examples: Examples, tmp_path: Path, own_engine: str
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    own = replace(PARAMETERS, engine=own_engine)
    blessing = validated(model, examples, output, serve_candidate(own_engine), own)
    assert blessing.blessed, blessing.refusal()
    assert blessing.engine == own_engine


def test_the_code_of_the_engine_is_code_of_the_component(own_engine: str) -> None:
    def modules(engine: str) -> tuple[str, ...]:
        return INFRA_VALIDATOR.modules(replace(PARAMETERS, engine=engine))

    assert modules(own_engine) == ("low_priority_engine",)
    assert "low_priority_engine" in code_version(modules(own_engine)).modules
    for name in engine_names():
        (module,) = modules(name)
        assert module == type(load_engine(name)).__module__
        assert module in modules("auto")
    assert len(modules("auto")) == len(engine_names())


def test_the_engines_are_those_of_the_command() -> None:
    assert known_engines() == (AUTO, *engine_names())


@pytest.mark.usefixtures("own_engine")
@pytest.mark.parametrize("engine", ["low_priority_engine", "lower_priority:Engine", "a b:c"])
def test_an_engine_that_does_not_exist_is_refused_before_anything_runs(engine: str) -> None:
    with pytest.raises(ParameterError, match=r"or module:object, not|there is no module"):
        replace(PARAMETERS, engine=engine)


def test_latency_beyond_its_bound_is_a_finding(
    candidate: Candidate, model: TrainedModel, examples: Examples, tmp_path: Path
) -> None:
    impossible = replace(PARAMETERS, median_ms=0.0)
    blessing = validated(model, examples, tmp_path, lambda _: nullcontext(candidate), impossible)
    (check,) = [each for each in blessing.checks() if not each.passed]
    assert (check.name, check.bound, check.threshold) == ("latency-median", "most", 0.0)
    assert check.value is not None
    assert check.value > 0
    assert blessing.content()["log"]


def test_a_vocabulary_that_is_not_the_examples_is_a_finding(
    candidate: Candidate, vocabulary: Vocabulary
) -> None:
    frames = vocabulary.frames
    swapped = replace(vocabulary, frames=(frames[0], frames[2], frames[1], *frames[3:]))
    assert failed(checks_of(candidate, swapped)) == ["vocabulary"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"frames_per_second": 6.0}, "frames_per_second is 5.0, expected 6.0"),
        ({"track": TrackChoice("all")}, "track is first, expected all"),
        ({"grid": Grid(frames_per_beat=4)}, "frames_per_beat is 0, expected 4"),
        ({"grid": Grid(keep_short_notes=True)}, "keep_short_notes is 0, expected 1"),
        ({"grid": Grid(lowest=21)}, "lowest_pitch is 0, expected 21"),
        ({"grid": Grid(highest=108)}, "highest_pitch is 127, expected 108"),
        ({"transpose": (-2, 0)}, "transpose_from is 0, expected -2"),
        ({"transpose": (0, 3)}, "transpose_to is 0, expected 3"),
    ],
)
def test_each_setting_that_is_not_the_examples_is_a_finding(
    candidate: Candidate, vocabulary: Vocabulary, changes: dict[str, Any], words: str
) -> None:
    of_corpus = {name: value for name, value in changes.items() if name != "frames_per_second"}
    other = replace(
        vocabulary,
        frames_per_second=changes.get("frames_per_second", 5.0),
        corpus=replace(vocabulary.corpus, **of_corpus),
    )
    checks = checks_of(candidate, other)
    assert failed(checks) == ["settings"]
    assert checks["settings"].why == words


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

    def log_tail(self) -> str:
        return self.served.log_tail()


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
    windows = RequestData(songs, vocabulary).windows(5, 2)
    assert windows.tolist() == [[0, 0], [0, 1], [1, 2], [0, 0], [0, 4]]
    assert len(RequestData(songs, vocabulary).windows(9, 50)) == 9


PARENT = """
import subprocess, sys, time
child = subprocess.Popen(
    [sys.executable, "-m", "tunesmith.components.infra_validator.supervised", sys.executable, "-c",
     "import os, time; print(os.getpid(), flush=True); time.sleep(600)"],
    stdin=subprocess.PIPE,
)
time.sleep(600)
"""


def test_options_of_the_users_own_server_do_not_reach_the_engine() -> None:
    there = {"PATH": "/bin", "TUNESMITH_SERVE_PORT": "tcp://10.0.0.1:8500", "TUNESMITH_DEBUG": "1"}
    assert engine_environment(there) == {"PATH": "/bin", "TUNESMITH_DEBUG": "1"}


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
    with pytest.raises(ParameterError, match=r"engine must be one of|must be at least [13]"):
        InfraValidatorParameters(**wrong)  # type: ignore[arg-type]


def test_the_report_is_json_that_anyone_reads(
    candidate: Candidate, model: TrainedModel, examples: Examples, tmp_path: Path
) -> None:
    alter = times(float("nan"))
    server = partial(nullcontext, Altered(candidate, alter))
    validated(model, examples, tmp_path, lambda _: server())

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    # NaN and Infinity are no JSON.
    json.loads((tmp_path / "infra.json").read_text(), parse_constant=refuse)
