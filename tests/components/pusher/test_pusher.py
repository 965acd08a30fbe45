"""Pusher: what it refuses, and versions that come and go under a server that answers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tunesmith.cli.rollback import command as rollback_command
from tunesmith.client.connection import Connection, ModelVersion
from tunesmith.client.errors import ComposerError
from tunesmith.components.artifacts import (
    Blessing,
    InfraBlessing,
    ModelEvaluation,
    PushedModel,
    TrainedModel,
)
from tunesmith.components.component import Context
from tunesmith.components.errors import GateClosed
from tunesmith.components.progress import SilentProgress
from tunesmith.components.publishing import staging_folder
from tunesmith.components.pusher.component import (
    PUSHER,
    PusherInputs,
    PusherParameters,
    check_keep,
)
from tunesmith.components.pusher.executor import execute
from tunesmith.components.pusher.versions import (
    STAGING_NAME,
    NothingToRollBackTo,
    publish_as_next,
    read_origin,
    reclaim,
    roll_back,
    versions_of,
)
from tunesmith.pipeline.runner import Runner


@pytest.fixture
def trained(tmp_path: Path) -> Callable[[str], TrainedModel]:
    """A model whose content is a name; enough where no server looks at it."""

    def make(name: str) -> TrainedModel:
        saved = tmp_path / "trained" / name / "saved_model"
        (saved / "variables").mkdir(parents=True)
        (saved / "saved_model.pb").write_text(name)
        return TrainedModel(saved.parent, f"digest of {name}")

    return make


def publish(model: TrainedModel, model_dir: Path) -> int:
    """Push as the runner does."""
    with staging_folder(model_dir, STAGING_NAME) as staging:
        context = Context(staging, model_dir.parent, SilentProgress())
        execute(PusherInputs(model), PusherParameters(), context)
        return int(publish_as_next(staging, model_dir).name)


def content(model_dir: Path) -> dict[int, str]:
    return {
        version: (model_dir / str(version) / "saved_model.pb").read_text()
        for version in versions_of(model_dir)
    }


Trained = Callable[[str], TrainedModel]


def blessing(
    folder: Path, kind: type[Blessing], model: TrainedModel, *, blessed: bool = True
) -> Blessing:
    """A finding with one check."""
    folder.mkdir(parents=True)
    content = {
        "blessed": blessed,
        "engine": "embedded",
        "model_digest": model.digest,
        "checks": [{"name": "sounds well", "passed": blessed, "why": f"it does: {blessed}"}],
    }
    (folder / kind.FILE).write_text(json.dumps(content))
    made = kind(folder, "")
    return kind(folder, made.content_digest())


def pushed_alone(inputs: PusherInputs, folder: Path) -> list[Path]:
    """Call the executor itself and return what it wrote."""
    folder.mkdir()
    context = Context(folder, folder.parent, SilentProgress())
    execute(inputs, PusherParameters(), context)
    return list(folder.iterdir())


@pytest.mark.parametrize("kind", [ModelEvaluation, InfraBlessing])
def test_a_refused_model_is_not_pushed_whoever_calls_the_executor(
    tmp_path: Path, trained: Trained, kind: type[Blessing]
) -> None:
    model = trained("a")
    good = blessing(tmp_path / "good", ModelEvaluation, model)
    refused = blessing(tmp_path / "refused", kind, model, blessed=False)
    for blessings in ((refused,), (good, refused), (refused, good)):
        folder = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
        with pytest.raises(GateClosed, match=r"not pushed: .*it does: False") as caught:
            pushed_alone(PusherInputs(model, blessings), folder)
        assert "\n" not in str(caught.value)
        assert list(folder.iterdir()) == []


def test_the_blessing_of_another_model_is_none(tmp_path: Path, trained: Trained) -> None:
    of_another = blessing(tmp_path / "other", InfraBlessing, trained("b"))
    with pytest.raises(GateClosed, match="is the blessing of another model than"):
        pushed_alone(PusherInputs(trained("a"), (of_another,)), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_blessed_model_is_pushed_whole(tmp_path: Path, trained: Trained) -> None:
    model = trained("a")
    (model.saved_model / "variables" / "variables.index").write_bytes(b"index")
    blessings = tuple(
        blessing(tmp_path / kind.__name__, kind, model) for kind in (ModelEvaluation, InfraBlessing)
    )
    pushed_alone(PusherInputs(model, blessings), tmp_path / "out")
    files = {path.relative_to(tmp_path / "out") for path in tmp_path.glob("out/**/*.*")}
    assert {str(path) for path in files if path.parts[0] != "assets.extra"} == {
        "saved_model.pb",
        "variables/variables.index",
    }


def run_pusher(
    root: Path, model: TrainedModel, blessings: tuple[Blessing, ...] = (), keep: int = 5
) -> PushedModel:
    runner = Runner(root, SilentProgress())
    return runner.run(PUSHER, PusherInputs(model, blessings), PusherParameters(keep=keep))


def below(model_dir: Path) -> set[str]:
    return {path.name for path in model_dir.iterdir()} if model_dir.exists() else set()


@pytest.mark.parametrize("published", [False, True])
def test_the_runner_publishes_no_refused_model(
    tmp_path: Path, trained: Trained, published: bool
) -> None:
    root, model = tmp_path / "root", trained("a")
    if published:
        run_pusher(root, model)
    before = below(root / "models" / "tunesmith")
    refused = blessing(tmp_path / "refused", ModelEvaluation, model, blessed=False)
    of_another = blessing(tmp_path / "other", ModelEvaluation, trained("b"))
    for wrong in (refused, of_another):
        with pytest.raises(GateClosed):
            run_pusher(root, model, (wrong,))
        assert below(root / "models" / "tunesmith") == before


def test_neither_another_number_to_keep_nor_other_blessings_publish_again(
    tmp_path: Path, trained: Trained
) -> None:
    root = tmp_path / "root"
    model_dir = root / "models" / "tunesmith"
    models = [trained(name) for name in "abcd"]
    for model in models:
        run_pusher(root, model)
    assert versions_of(model_dir) == [1, 2, 3, 4]
    # The versions beyond are reclaimed all the same.
    assert run_pusher(root, models[-1], keep=3).version == 4
    assert versions_of(model_dir) == [2, 3, 4]
    evaluated = blessing(tmp_path / "evaluated", ModelEvaluation, models[-1])
    served = blessing(tmp_path / "served", InfraBlessing, models[-1])
    for blessings in ((evaluated,), (evaluated, served)):
        assert run_pusher(root, models[-1], blessings, keep=2).version == 4
    assert versions_of(model_dir) == [3, 4]


def test_a_version_that_was_reclaimed_is_published_again_under_a_new_number(
    tmp_path: Path, trained: Trained
) -> None:
    root, models = tmp_path / "root", [trained(name) for name in "abc"]
    for model in models:
        run_pusher(root, model, keep=2)
    assert run_pusher(root, models[0], keep=2).version == 4
    assert content(root / "models" / "tunesmith") == {3: "c", 4: "a"}


def test_a_version_says_which_model_it_is(tmp_path: Path, trained: Trained) -> None:
    publish(trained("a"), tmp_path / "m")
    origin = read_origin(tmp_path / "m" / "1")
    assert (origin.model, origin.copy_of, origin.instead_of) == ("digest of a", None, None)
    assert origin.published.endswith("+00:00")


@pytest.mark.parametrize(("keep", "stay"), [(0, 6), (2, 2), (3, 3), (9, 6)])
def test_the_newest_versions_stay(tmp_path: Path, trained: Trained, keep: int, stay: int) -> None:
    model_dir = tmp_path / "m"
    for name in "abcdef":
        publish(trained(name), model_dir)
    (model_dir / "notes").mkdir()
    (model_dir / "99").write_text("a file")
    assert reclaim(model_dir, keep) == list(range(1, 7 - stay))
    assert versions_of(model_dir) == list(range(7 - stay, 7))
    left = {path.name for path in model_dir.iterdir()} - set(map(str, versions_of(model_dir)))
    assert left == {"notes", "99"}
    assert publish(trained("g"), model_dir) == 7


def test_one_version_is_too_few_to_keep(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be at least 2 "):
        reclaim(tmp_path, 1)
    with pytest.raises(ValueError, match="not -1"):
        check_keep(-1)
    assert reclaim(tmp_path / "none", 2) == []


KILLED_WHILE_DELETING = """
import os, shutil, signal, sys
from pathlib import Path
from tunesmith.components.pusher.versions import reclaim

def delete_one_file_and_die(path, *_, **__):
    (Path(path) / "saved_model.pb").unlink()
    os.kill(os.getpid(), signal.SIGKILL)

shutil.rmtree = delete_one_file_and_die
reclaim(Path(sys.argv[1]), 2)
"""


def test_a_kill_while_deleting_leaves_no_half_version(tmp_path: Path, trained: Trained) -> None:
    model_dir = tmp_path / "m"
    for name in "abc":
        publish(trained(name), model_dir)
    command = [sys.executable, "-c", KILLED_WHILE_DELETING, str(model_dir)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert content(model_dir) == {2: "b", 3: "c"}
    assert len(list(model_dir.iterdir())) == 3
    assert reclaim(model_dir, 2) == []
    assert {path.name for path in model_dir.iterdir()} == {"2", "3"}


def test_rolling_back_goes_from_model_to_model(tmp_path: Path, trained: Trained) -> None:
    model_dir = tmp_path / "m"
    for name in "abc":
        publish(trained(name), model_dir)
    assert roll_back(model_dir) == 4
    assert roll_back(model_dir) == 5
    assert content(model_dir) == {1: "a", 2: "b", 3: "c", 4: "b", 5: "a"}
    origin = read_origin(model_dir / "5")
    assert (origin.model, origin.copy_of, origin.instead_of) == ("digest of a", 1, 4)
    with pytest.raises(NothingToRollBackTo, match="no version older than 5, a copy of 1: give"):
        roll_back(model_dir)
    publish(trained("d"), model_dir)
    # What was served before the newest was a itself, though as a copy.
    assert roll_back(model_dir) == 7
    origin = read_origin(model_dir / "7")
    assert (content(model_dir)[7], origin.copy_of, origin.instead_of) == ("a", 1, 6)
    assert roll_back(model_dir, to=3) == 8
    assert content(model_dir)[8] == "c"
    assert replace(read_origin(model_dir / "8"), published="").copy_of == 3


@pytest.mark.parametrize(("to", "words"), [(None, "no version older than 1"), (5, "no versi")])
def test_without_an_older_version_nothing_changes(
    tmp_path: Path, trained: Trained, to: int | None, words: str
) -> None:
    model_dir = tmp_path / "m"
    with pytest.raises(NothingToRollBackTo, match="has no version"):
        roll_back(model_dir, to)
    publish(trained("a"), model_dir)
    with pytest.raises(NothingToRollBackTo, match=words) as caught:
        roll_back(model_dir, to)
    assert "\n" not in str(caught.value)
    assert [path.name for path in model_dir.iterdir()] == ["1"]


def test_a_version_pushed_by_another_program_can_be_gone_back_to(tmp_path: Path) -> None:
    for version in ("07", "8"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "saved_model.pb").write_text(version)
    assert roll_back(tmp_path) == 9
    assert (tmp_path / "9" / "saved_model.pb").read_text() == "07"
    assert read_origin(tmp_path / "9").copy_of == 7


def test_the_command_says_what_it_did(tmp_path: Path, trained: Trained) -> None:
    model_dir = tmp_path / "m"
    for name in "ab":
        publish(trained(name), model_dir)
    done = CliRunner().invoke(rollback_command, ["--model-dir", str(model_dir)])
    assert done.exit_code == 0, done.output
    assert done.output.startswith(
        "published version 3, a copy of version 1, in place of version 2 -> "
    )
    origin = json.loads((model_dir / "3" / "assets.extra" / "tunesmith_origin.json").read_text())
    assert origin["copy_of"] == 1


@pytest.fixture(scope="module")
def servable(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], TrainedModel]:
    """A model that a server loads, and that answers its own number."""
    import tensorflow as tf

    def export(number: int) -> TrainedModel:
        folder = tmp_path_factory.mktemp("trained")
        module = tf.Module()
        module.number = tf.Variable(number)
        spec = tf.TensorSpec([None], tf.int32, "ids")
        answer = tf.function(lambda ids: {"number": ids * 0 + module.number}, [spec])
        signatures = {"serving_default": answer.get_concrete_function()}
        tf.saved_model.save(module, str(folder / "saved_model"), signatures=signatures)
        return TrainedModel(folder, str(number))

    return export


class Asking:
    """Asks a server without a pause, and keeps what it said."""

    def __init__(self, address: str) -> None:
        self._connection = Connection(address)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(2)]
        self.answers: list[int] = []
        self.failures: list[ComposerError] = []

    def __enter__(self) -> Asking:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._connection.close()

    def _ask(self) -> None:
        model, ids = ModelVersion("tunesmith"), {"ids": np.zeros(1, np.int32)}
        while not self._stop.is_set():
            try:
                answer = self._connection.predict(model, "serving_default", ids)
            except ComposerError as error:
                self.failures.append(error)
            else:
                self.answers.append(int(answer["number"][0]))

    def until(self, number: int, version: int) -> None:
        """Wait until that number is the answer, and that version the only one loaded."""
        end = time.monotonic() + 60
        while self.answers[-1:] != [number] or self._connection.available_versions("tunesmith") != [
            version
        ]:
            assert time.monotonic() < end, (number, self.answers[-1:], self.failures[:1])
            time.sleep(0.02)


@pytest.fixture
def asking(tmp_path: Path, servable: Callable[[int], TrainedModel]) -> Iterator[Asking]:
    from tunesmith.serving import EmbeddedServer, ServerOptions

    model_dir = tmp_path / "tunesmith"
    publish(servable(10), model_dir)
    options = ServerOptions(port=0, poll_seconds=0.05)
    with EmbeddedServer(model_dir, options) as server, Asking(server.address) as asking:
        yield asking


def test_a_server_follows_pushes_and_roll_backs_without_a_failed_request(
    tmp_path: Path, servable: Callable[[int], TrainedModel], asking: Asking
) -> None:
    model_dir = tmp_path / "tunesmith"
    asking.until(10, 1)
    publish(servable(20), model_dir)
    asking.until(20, 2)
    assert roll_back(model_dir) == 3
    asking.until(10, 3)
    for number, version in ((30, 4), (40, 5)):
        publish(servable(number), model_dir)
        reclaim(model_dir, 2)
        asking.until(number, version)
    assert versions_of(model_dir) == [4, 5]
    assert roll_back(model_dir) == 6
    reclaim(model_dir, 2)
    asking.until(30, 6)
    assert asking.failures == []
    assert set(asking.answers) == {10, 20, 30, 40}
