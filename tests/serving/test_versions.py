"""Versions come and go on disk while requests run."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tunesmith.serving import (
    EmbeddedServer,
    ModelFolderMissing,
    ModelNotLoadable,
    ModelVersionMissing,
    ServerOptions,
)
from tunesmith.serving.folder import versions_in
from tunesmith.serving.runtime import get_model_status_pb2, tf
from tunesmith.serving.versions import State

AVAILABLE, END = 30, 50
TOKENS = np.arange(50)[None] % 41


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


@pytest.fixture
def base(tmp_path: Path, publish: Any) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    publish(folder, 1)
    return folder


@pytest.fixture
def server(base: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(base, ServerOptions(port=0, poll_seconds=0.05)) as running:
        yield running


def version_of(caller: Any) -> int:
    return int(caller.predict(tokens=TOKENS).model_spec.version.value)


def test_a_new_version_takes_over_without_a_failed_request(
    server: EmbeddedServer, base: Path, connect: Any, publish: Any
) -> None:
    caller = connect(server)
    answers: list[tuple[int, Any]] = []
    failures: list[Exception] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                response = caller.predict(tokens=TOKENS)
            except grpc.RpcError as error:
                failures.append(error)
            else:
                probabilities = tf.make_ndarray(response.outputs["probabilities"])
                answers.append((response.model_spec.version.value, probabilities))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for version in (2, 3, 4):
            publish(base, version, flavour=float(version))
            until(lambda wanted=version: bool(answers) and answers[-1][0] == wanted)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    of_version = dict(answers)
    assert set(of_version) == {1, 2, 3, 4}
    for version, probabilities in answers:
        # A row's last bit depends on the batch that it was computed in.
        np.testing.assert_allclose(probabilities, of_version[version], atol=1e-6)
    until(lambda: caller.statuses()[3][0] == END)
    assert {version: state for version, (state, _, _) in caller.statuses().items()} == {
        4: AVAILABLE,
        3: END,
        2: END,
        1: END,
    }


def test_a_broken_version_is_reported_and_the_old_one_serves_on(
    server: EmbeddedServer, base: Path, connect: Any
) -> None:
    caller = connect(server)
    shutil.copytree(base / "1", base / ".aside")
    (base / ".aside" / "variables" / "variables.index").unlink()
    (base / ".aside").rename(base / "2")
    until(lambda: 2 in caller.statuses() and caller.statuses()[2][0] == END)
    _, code, message = caller.statuses()[2]
    assert code != 0
    assert "not a valid checkpoint" in message
    assert caller.statuses()[1] == (AVAILABLE, 0, "")
    assert version_of(caller) == 1


def test_a_broken_version_that_is_put_right_takes_over(
    server: EmbeddedServer, base: Path, connect: Any
) -> None:
    caller = connect(server)
    (base / "2").mkdir()
    until(lambda: 2 in caller.statuses() and caller.statuses()[2][0] == END)
    shutil.copytree(base / "1", base / "2", dirs_exist_ok=True)
    until(lambda: version_of(caller) == 2)
    assert caller.statuses()[2] == (AVAILABLE, 0, "")


def test_deleting_the_newest_brings_the_one_before_back(
    server: EmbeddedServer, base: Path, connect: Any, publish: Any
) -> None:
    caller = connect(server)
    publish(base, 2)
    until(lambda: version_of(caller) == 2)
    shutil.rmtree(base / "2")
    until(lambda: version_of(caller) == 1)
    until(lambda: caller.statuses()[2][0] == END)


def test_deleting_every_version_unloads_and_a_new_one_is_served(
    server: EmbeddedServer, base: Path, connect: Any, publish: Any
) -> None:
    caller = connect(server)
    shutil.rmtree(base / "1")
    until(lambda: caller.statuses()[1][0] == END)
    with pytest.raises(grpc.RpcError) as caught:
        version_of(caller)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "Servable not found for request: Latest(tunesmith)"
    publish(base, 1)
    until(lambda: caller.statuses()[1][0] == AVAILABLE)
    assert version_of(caller) == 1


def test_a_version_is_not_given_up_for_one_that_does_not_load(
    polled: Any, server: EmbeddedServer, base: Path, connect: Any, publish: Any
) -> None:
    """availability_preserving_policy.cc: what is not asked for goes once what is asked for serves.

    A folder of no versions is different: file_system_storage_path_source.cc asks for none of them,
    unless servable_versions_always_present is set.
    """
    caller = connect(server)
    (base / "2").mkdir()
    until(lambda: 2 in caller.statuses() and caller.statuses()[2][0] == END)
    shutil.rmtree(base / "1")
    polled("version-polling")
    assert version_of(caller) == 1
    assert caller.statuses()[1] == (AVAILABLE, 0, "")
    publish(base, 3)
    until(lambda: version_of(caller) == 3)
    until(lambda: caller.statuses()[1][0] == END)


def test_a_version_that_is_a_link_is_served(
    server: EmbeddedServer, base: Path, tmp_path: Path, connect: Any, publish: Any
) -> None:
    caller = connect(server)
    elsewhere = publish(tmp_path, "elsewhere")
    (base / "2").symlink_to(elsewhere)
    until(lambda: version_of(caller) == 2)
    (base / "3").symlink_to(base / "3")
    (base / "4").symlink_to(tmp_path / "nowhere")
    (base / "2").unlink()
    until(lambda: version_of(caller) == 1)
    assert caller.statuses().keys() == {1, 2}


def test_states_are_those_of_tensorflow_serving() -> None:
    numbers = get_model_status_pb2.ModelVersionStatus.State
    assert {state.name: state.value for state in State} == {
        name: number for name, number in numbers.items() if name != "UNKNOWN"
    }


def test_versions_that_wait_and_load_are_seen_as_such(
    tmp_path: Path, publish: Any, connect: Any, warmup_record: Any, hold: Any
) -> None:
    """A warm-up holds the loading until the test has looked."""
    base = tmp_path / "model"
    base.mkdir()
    publish(base, 1)
    file = tmp_path / "models.config"
    text = "model_config_list {{ config {{ name: 'tunesmith' base_path: 'model' {policy} }} }}"
    every = "model_version_policy { all {} }"
    file.write_text(text.format(policy=every))
    options = ServerOptions(port=0, model_config_file=file, poll_seconds=0.05)
    held = (warmup_record("held", folder=hold.folder),)
    aside = tmp_path / "aside"
    aside.mkdir()
    publish(aside, 2)
    publish(aside, 3, warmup=held)
    with EmbeddedServer(base, options) as server:
        caller = connect(server)
        # In one step, so that one look finds both.
        base.rename(tmp_path / "old")
        (tmp_path / "old" / "1").rename(aside / "1")
        aside.rename(base)
        hold.wait_for_start()
        states = {number: state for number, (state, _, _) in caller.statuses().items()}
        assert states == {3: State.LOADING, 2: State.START, 1: State.AVAILABLE}
        assert version_of(caller) == 1
        hold.release()
        until(lambda: version_of(caller) == 3)
        assert {state for state, _, _ in caller.statuses().values()} == {AVAILABLE}


def test_a_folder_that_goes_away_changes_nothing(
    polled: Any, server: EmbeddedServer, base: Path, connect: Any, publish: Any
) -> None:
    caller = connect(server)
    away = base.rename(base.with_name("away"))
    polled("version-polling")
    assert version_of(caller) == 1
    away.rename(base)
    publish(base, 2)
    until(lambda: version_of(caller) == 2)


def test_a_running_request_keeps_its_version_until_it_is_done(
    server: EmbeddedServer, base: Path, connect: Any, hold: Any
) -> None:
    caller = connect(server)
    aside = shutil.copytree(base / "1", base / ".aside")
    request = caller.request("held", folder=hold.folder)
    running = caller.prediction.Predict.future(request, timeout=120)
    hold.wait_for_start()
    aside.rename(base / "2")
    until(lambda: version_of(caller) == 2)
    assert not running.done()
    assert caller.statuses()[1][0] == 40
    hold.release()
    response = running.result()
    assert response.model_spec.version.value == 1
    assert list(response.outputs["done"].int_val) == [1]
    until(lambda: caller.statuses()[1][0] == END)


def test_at_the_start_the_newest_version_that_loads_is_served(
    base: Path, connect: Any, publish: Any, caplog: pytest.LogCaptureFixture
) -> None:
    publish(base, 10)
    (base / "11").mkdir()
    with EmbeddedServer(base, ServerOptions(port=0)) as server:
        caller = connect(server)
        assert version_of(caller) == 10
        assert caller.statuses()[11][0] == END
    assert "version broken model=tunesmith version=11" in caplog.text


def test_names_that_are_no_version_are_passed_over(tmp_path: Path) -> None:
    for name in ("7", "12", "003", "-5", "1.5", "1e3", "٣", ".4", "tmp", "9" * 20):
        (tmp_path / name).mkdir()
    (tmp_path / "99").write_text("a file")
    assert {number: path.name for number, path in versions_in(tmp_path).items()} == {
        12: "12",
        7: "7",
        3: "003",
    }
    assert next(iter(versions_in(tmp_path))) == 12
    (tmp_path / "07").mkdir()
    assert versions_in(tmp_path)[7].name == "7"


@pytest.mark.parametrize(
    ("prepare", "error", "words"),
    [
        (lambda folder: folder.rmdir(), ModelFolderMissing, "No such file or directory"),
        (lambda folder: (folder.rmdir(), folder.write_text("")), ModelFolderMissing, "Not a dir"),
        (lambda _: None, ModelVersionMissing, "has no model version"),
        (
            lambda folder: (folder / "saved_model.pb").write_text(""),
            ModelVersionMissing,
            "use its parent folder",
        ),
        (lambda folder: (folder / "4").mkdir(), ModelNotLoadable, "version 4 of model tunesmith"),
    ],
    ids=["no folder", "a file", "no version", "a version itself", "nothing loads"],
)
def test_a_start_without_a_model_says_so_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, prepare: Any, error: Any, words: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    prepare(folder)
    with pytest.raises(error, match=words) as caught:
        EmbeddedServer(folder, ServerOptions(port=0)).start()
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    # Another test of this process may have turned the server's own reports on.
    assert all(each.levelno < logging.WARNING for each in caplog.records), "a second line"


def test_warm_up_requests_are_replayed(
    tmp_path: Path, publish: Any, warmup_record: Any, connect: Any
) -> None:
    records = (
        warmup_record("", tokens=TOKENS),
        warmup_record("vocabulary", token_ids=[1]),
    )
    publish(tmp_path, 1, warmup=records)
    with EmbeddedServer(tmp_path, ServerOptions(port=0)) as server:
        assert version_of(connect(server)) == 1


@pytest.mark.parametrize(
    ("records", "words"),
    [
        (lambda record: [record("", tokens=[[0] * 49])], "warm-up request 0 failed: input tokens"),
        (lambda record: [record("foo")], 'request 0 failed: Serving signature key "foo"'),
        (lambda record: [record("", tokens=TOKENS), b"\xff"], "Failed to parse warmup record 1"),
        (lambda _: [b""], "log without a type: only predict_log"),
        (lambda record: [record("pair", first=[1], second=[1])] * 1001, "exceeds the maximum"),
    ],
)
def test_a_bad_warm_up_request_fails_the_version(
    tmp_path: Path, publish: Any, warmup_record: Any, records: Any, words: str
) -> None:
    publish(tmp_path, 1, warmup=tuple(records(warmup_record)))
    with pytest.raises(ModelNotLoadable, match=words):
        EmbeddedServer(tmp_path, ServerOptions(port=0)).start()


def test_a_damaged_warm_up_file_fails_the_version(
    tmp_path: Path, publish: Any, warmup_record: Any
) -> None:
    version = publish(tmp_path, 1, warmup=(warmup_record("", tokens=TOKENS),))
    file = version / "assets.extra" / "tf_serving_warmup_requests"
    file.write_bytes(b"?" * 20 + file.read_bytes())
    with pytest.raises(ModelNotLoadable, match="verify your warmup data"):
        EmbeddedServer(tmp_path, ServerOptions(port=0)).start()
