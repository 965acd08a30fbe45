"""Models, policies and labels change by HandleReloadConfigRequest while requests run."""

from __future__ import annotations

import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import text_format

from tunesmith.serving import EmbeddedServer, ServerOptions
from tunesmith.serving.runtime import get_model_status_pb2, model_management_pb2, tf

LOADING, AVAILABLE, UNLOADING, END = 20, 30, 40, 50
TOKENS = np.arange(50)[None] % 41


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


def refusal(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory, publish: Any) -> Path:
    """Versions 1 to 4 of a model, which answer differently; only to be read or copied."""
    base = tmp_path_factory.mktemp("stock")
    for version in (1, 2, 3, 4):
        publish(base, version, flavour=float(version))
    return base


def put(stock: Path, version: int, base: Path, number: int | None = None) -> None:
    """Publish a version of the stock in `base`, complete at once."""
    aside = base / ".aside"
    shutil.copytree(stock / str(version), aside)
    aside.rename(base / str(number or version))


@pytest.fixture
def base(tmp_path: Path, stock: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    put(stock, 1, folder)
    return folder


@pytest.fixture
def server(base: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(base, ServerOptions(port=0, poll_seconds=0.05)) as running:
        yield running


class Operator:
    """Someone who asks a server's models, and changes them."""

    def __init__(self, caller: Any) -> None:
        self.caller = caller

    def reload(self, *configs: str) -> Any:
        """Ask for these models, each the text of a ModelConfig."""
        listed = "".join(f" config {{ {each} }}" for each in configs)
        request = text_format.Parse(
            f"config {{ model_config_list {{{listed}}} }}",
            model_management_pb2.ReloadConfigRequest(),
        )
        return self.caller.models.HandleReloadConfigRequest(request, timeout=60)

    def predict(self, model: str, version: int | None = None, label: str | None = None) -> Any:
        request = self.caller.request(tokens=TOKENS)
        request.model_spec.name = model
        if version is not None:
            request.model_spec.version.value = version
        if label is not None:
            request.model_spec.version_label = label
        return self.caller.prediction.Predict(request, timeout=60)

    def version(self, model: str, version: int | None = None, label: str | None = None) -> int:
        return int(self.predict(model, version, label).model_spec.version.value)

    def states(self, model: str, label: str | None = None) -> dict[int, int]:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        if label is not None:
            request.model_spec.version_label = label
        found = self.caller.models.GetModelStatus(request, timeout=60)
        return {each.version: each.state for each in found.model_version_status}


@pytest.fixture
def operator(server: EmbeddedServer, connect: Any) -> Operator:
    return Operator(connect(server))


def entry(name: str, base: Path, rest: str = "") -> str:
    return f"name: '{name}' base_path: '{base}' model_platform: 'tensorflow' {rest}"


def specific(*versions: int) -> str:
    numbers = " ".join(f"versions: {each}" for each in versions)
    return f"model_version_policy {{ specific {{ {numbers} }} }}"


def labels(**numbers: int) -> str:
    return " ".join(
        f"version_labels {{ key: '{label}' value: {number} }}" for label, number in numbers.items()
    )


def test_a_model_is_added_and_available_when_the_answer_comes(
    operator: Operator, base: Path, stock: Path
) -> None:
    response = operator.reload(entry("tunesmith", base), entry("other", stock))
    assert response.HasField("status")
    assert response.status.error_code == 0
    assert operator.version("other") == 4
    assert operator.version("tunesmith") == 1


def test_a_model_that_is_not_listed_any_more_is_unloaded(
    operator: Operator, base: Path, stock: Path, hold: Any
) -> None:
    running = operator.caller.prediction.Predict.future(
        operator.caller.request("held", folder=hold.folder), timeout=120
    )
    hold.wait_for_start()
    operator.reload(entry("other", stock))
    assert refusal(lambda: operator.version("tunesmith")) == (
        grpc.StatusCode.NOT_FOUND,
        "Servable not found for request: Latest(tunesmith)",
    )
    assert not running.done()
    hold.release()
    assert list(running.result().outputs["done"].int_val) == [1]
    # What became of it can still be asked, as with TensorFlow Serving's servable_state_monitor.cc.
    until(lambda: operator.states("tunesmith") == {1: END})
    operator.reload(entry("tunesmith", base))
    assert operator.version("tunesmith") == 1
    assert operator.states("tunesmith") == {1: AVAILABLE}


def test_no_models_at_all_may_be_asked_for(operator: Operator, base: Path) -> None:
    operator.reload()
    assert refusal(lambda: operator.version("tunesmith"))[0] is grpc.StatusCode.NOT_FOUND
    operator.reload(entry("tunesmith", base))
    assert operator.version("tunesmith") == 1


def test_a_policy_says_which_versions_serve_side_by_side(operator: Operator, stock: Path) -> None:
    def serving(policy: str) -> set[int]:
        operator.reload(entry("m", stock, policy))
        states = operator.states("m")
        return {version for version, state in states.items() if state == AVAILABLE}

    assert serving("") == {4}
    assert serving("model_version_policy { latest { num_versions: 2 } }") == {4, 3}
    assert serving("model_version_policy { all {} }") == {4, 3, 2, 1}
    assert [operator.version("m", each) for each in (1, 2, 3, 4)] == [1, 2, 3, 4]
    answers = {operator.predict("m", each).outputs["probabilities"].float_val[0] for each in (1, 4)}
    assert len(answers) == 2
    # TensorFlow Serving warns of a version that is not there and serves the others.
    assert serving(specific(1, 3, 9)) == {3, 1}
    assert operator.version("m") == 3
    assert refusal(lambda: operator.version("m", 4)) == (
        grpc.StatusCode.NOT_FOUND,
        "Servable not found for request: Specific(m, 4)",
    )


def test_a_policy_is_kept_to_as_versions_come_and_go(
    operator: Operator, base: Path, stock: Path
) -> None:
    two = "model_version_policy { latest { num_versions: 2 } }"
    operator.reload(entry("two", base, two), entry("chosen", base, specific(1, 3)))
    put(stock, 2, base)
    until(lambda: operator.states("two") == {2: AVAILABLE, 1: AVAILABLE})
    put(stock, 3, base)
    until(lambda: operator.states("two") == {3: AVAILABLE, 2: AVAILABLE, 1: END})
    until(lambda: operator.states("chosen") == {3: AVAILABLE, 1: AVAILABLE})
    (base / "4").mkdir()
    until(lambda: operator.states("two").get(4) == END)
    assert operator.states("two") == {4: END, 3: AVAILABLE, 2: AVAILABLE, 1: END}
    shutil.rmtree(base / "2")
    until(lambda: operator.states("two") == {4: END, 3: AVAILABLE, 2: END, 1: AVAILABLE})
    shutil.rmtree(base / "3")
    until(lambda: operator.states("chosen") == {3: END, 1: AVAILABLE})
    assert operator.version("chosen") == 1


def test_a_label_is_a_name_for_a_version(operator: Operator, stock: Path) -> None:
    policy = specific(1, 2)
    operator.reload(entry("m", stock, policy + labels(stable=1, canary=2)))
    assert operator.version("m", label="stable") == 1
    assert operator.version("m", label="canary") == 2
    operator.reload(entry("m", stock, policy + labels(stable=2)))
    assert operator.version("m", label="stable") == 2
    for model, label in (("m", "canary"), ("m", ""), ("nope", "stable")):
        assert refusal(lambda model=model, label=label: operator.version(model, label=label)) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            f"Unrecognized servable version label: {label}",
        )


def test_a_label_whose_version_went_away_finds_nothing(
    operator: Operator, base: Path, stock: Path
) -> None:
    put(stock, 2, base)
    operator.reload(entry("m", base, specific(1, 2) + labels(stable=2)))
    shutil.rmtree(base / "2")
    until(lambda: operator.states("m")[2] == END)
    assert refusal(lambda: operator.version("m", label="stable")) == (
        grpc.StatusCode.NOT_FOUND,
        "Servable not found for request: Specific(m, 2)",
    )


def test_a_label_is_only_for_a_version_that_serves(operator: Operator, stock: Path) -> None:
    """As in server_core.cc, which refuses those of versions that the same request loads, too."""
    operator.reload(entry("m", stock, specific(1, 2) + labels(stable=1)))
    for number in (3, 9, -1):
        wrong = entry("m", stock, specific(1, 2) + labels(stable=1, canary=number))
        assert refusal(lambda wrong=wrong: operator.reload(wrong)) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            f"Request to assign label to version {number} of model m, which is not currently "
            "available for inference",
        )
        assert operator.version("m", label="stable") == 1
    operator.reload(entry("m", stock, specific(1, 2, 3) + labels(stable=1, canary=3)))
    assert operator.version("m", label="canary") == 3


def test_the_status_of_a_label_is_that_of_every_version(operator: Operator, stock: Path) -> None:
    """get_model_status_impl.cc looks for a version number and at nothing else."""
    operator.reload(entry("m", stock, specific(1, 2) + labels(stable=1)))
    assert operator.states("m", label="stable") == {2: AVAILABLE, 1: AVAILABLE}
    assert operator.states("m", label="nope") == {2: AVAILABLE, 1: AVAILABLE}


def test_a_request_without_a_platform_is_taken_and_so_is_the_next(
    operator: Operator, base: Path, stock: Path
) -> None:
    """TensorFlow Serving refuses such a request, and every later one with it."""
    operator.reload(f"name: 'tunesmith' base_path: '{base}'", f"name: 'm' base_path: '{stock}'")
    operator.reload(entry("m", stock, specific(2)))
    assert operator.version("m") == 2


def test_a_model_that_moves_is_loaded_anew_under_the_same_number(
    operator: Operator, base: Path, stock: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    put(stock, 3, elsewhere, number=1)

    def answer() -> Any:
        return tf.make_ndarray(operator.predict("tunesmith").outputs["probabilities"])

    before = answer()
    operator.reload(entry("tunesmith", elsewhere))
    assert np.abs(answer() - before).max() > 1e-3
    assert operator.states("tunesmith") == {1: AVAILABLE}
    operator.reload(entry("tunesmith", base))
    np.testing.assert_allclose(answer(), before, atol=1e-6)


@pytest.mark.parametrize(
    ("configs", "code", "words"),
    [
        (
            ["name: 'tunesmith' base_path: '{base}'"] * 2,
            grpc.StatusCode.INVALID_ARGUMENT,
            "Illegal to list model tunesmith multiple times in config list",
        ),
        (
            ["name: 'm' base_path: 'model'"],
            grpc.StatusCode.INVALID_ARGUMENT,
            "Expected model m to have an absolute path or URI; got base_path()=model",
        ),
        (
            ["name: 'm' base_path: '{base}' model_platform: 'xgboost'"],
            grpc.StatusCode.INVALID_ARGUMENT,
            "Model m requests unsupported platform xgboost",
        ),
        (
            ["base_path: '{base}'"],
            grpc.StatusCode.INVALID_ARGUMENT,
            "Expected a model name of printable characters; got ''",
        ),
        # TensorFlow Serving would wait for these two for ever; the codes are those of
        # file_system_storage_path_source.cc where it is told to fail.
        (
            ["name: 'm' base_path: '{base}/nope'"],
            grpc.StatusCode.INVALID_ARGUMENT,
            "nope is not a model folder (No such file or directory)",
        ),
        (
            ["name: 'm' base_path: '{base}/1'"],
            grpc.StatusCode.NOT_FOUND,
            "is a version folder",
        ),
        (
            ["name: 'm' base_path: '{stock}'", "name: 'n' base_path: '{broken}'"],
            grpc.StatusCode.UNKNOWN,
            "1 model(s) did not become available: {{version 7 of model n in {broken} does not load",
        ),
        (
            ["name: 'tunesmith' base_path: '{stock}'", "name: 'n' base_path: '{broken}'"],
            grpc.StatusCode.UNKNOWN,
            "1 model(s) did not become available",
        ),
    ],
    ids=[
        "twice",
        "relative",
        "platform",
        "no name",
        "no folder",
        "no version",
        "broken beside a good one",
        "broken beside one that changes",
    ],
)
def test_a_request_that_is_refused_changes_nothing(
    operator: Operator, base: Path, stock: Path, tmp_path: Path, configs: Any, code: Any, words: str
) -> None:
    (tmp_path / "broken" / "7").mkdir(parents=True)
    paths = {"base": base, "stock": stock, "broken": tmp_path / "broken"}
    found, said = refusal(lambda: operator.reload(*(each.format(**paths) for each in configs)))
    assert found is code
    assert words.format(**paths) in said
    assert "\n" not in said
    assert operator.version("tunesmith") == 1
    for model in ("m", "n"):
        assert refusal(lambda model=model: operator.version(model)) == (
            grpc.StatusCode.NOT_FOUND,
            f"Servable not found for request: Latest({model})",
        )


def test_only_lists_of_models_are_taken(operator: Operator) -> None:
    custom = model_management_pb2.ReloadConfigRequest()
    custom.config.custom_model_config.type_url = "type.googleapis.com/tensorflow.serving.Model"
    for request in (model_management_pb2.ReloadConfigRequest(), custom):
        assert refusal(
            lambda request=request: operator.caller.models.HandleReloadConfigRequest(request)
        ) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only "
            "ModelConfigList is currently supported",
        )


def test_a_broken_model_is_reported_and_tried_again_at_the_next_request(
    operator: Operator, base: Path, stock: Path, tmp_path: Path
) -> None:
    new = tmp_path / "new"
    (new / "5").mkdir(parents=True)
    configs = entry("tunesmith", base), entry("new", new)
    assert refusal(lambda: operator.reload(*configs))[0] is grpc.StatusCode.UNKNOWN
    assert operator.states("new") == {5: END}
    assert refusal(lambda: operator.reload(*configs))[0] is grpc.StatusCode.UNKNOWN
    shutil.copytree(stock / "1", new / "5", dirs_exist_ok=True)
    operator.reload(*configs)
    assert operator.version("new") == 5
    assert operator.states("new") == {5: AVAILABLE}


def test_two_models_change_under_load_without_a_failed_request(
    operator: Operator, base: Path, stock: Path, connect: Any, server: EmbeddedServer
) -> None:
    """One follows its folder, the other its label, while threads ask both all the time."""
    two = stock, "labelled"

    def labelled(number: int) -> str:
        return entry(two[1], two[0], specific(number) + labels(stable=number))

    def follow(rest: str) -> None:
        operator.reload(entry("tunesmith", base), rest)

    follow(labelled(1))
    answers: dict[tuple[str, int], list[Any]] = defaultdict(list)
    failures: list[Exception] = []
    stop = threading.Event()

    def ask(model: str, label: str | None) -> None:
        asker = Operator(connect(server))
        while not stop.is_set():
            try:
                response = asker.predict(model, label=label)
            except grpc.RpcError as error:
                failures.append(error)
            else:
                probabilities = tf.make_ndarray(response.outputs["probabilities"])
                answers[model, response.model_spec.version.value].append(probabilities)

    askers = [("tunesmith", None), ("labelled", "stable")] * 3
    threads = [threading.Thread(target=ask, args=each) for each in askers]
    for thread in threads:
        thread.start()
    try:
        for number in (2, 3, 4):
            put(stock, number, base)
            follow(labelled(number))
            until(
                lambda number=number: (
                    {("tunesmith", number), ("labelled", number)} <= answers.keys()
                )
            )
        follow(labelled(1))
        shutil.rmtree(base / "4")
        until(lambda: operator.version("tunesmith") == 3)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    for number in (1, 2, 3, 4):
        both = np.concatenate([*answers["tunesmith", number], *answers["labelled", number]])
        # Up to the rounding that a batch brings.
        np.testing.assert_allclose(both, np.broadcast_to(both[0], both.shape), atol=1e-6)
        assert np.abs(both[0] - answers["labelled", number % 4 + 1][0]).max() > 1e-3


def test_reload_requests_at_the_same_time_leave_one_of_them(
    operator: Operator, stock: Path, base: Path
) -> None:
    def change(number: int) -> None:
        operator.reload(entry("tunesmith", base), entry("m", stock, specific(number)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(change, [1, 2, 3, 4] * 3))
    last = operator.version("m")
    until(lambda: list(operator.states("m").values()).count(END) == 3)
    assert operator.states("m")[last] == AVAILABLE
    assert operator.version("tunesmith") == 1


@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        ({}, True),
        ({"host": "localhost"}, True),
        ({"host": "::1"}, True),
        ({"host": "0.0.0.0", "port": None, "socket": Path("s")}, True),
        ({"host": "0.0.0.0"}, False),
        ({"host": "10.1.2.3", "socket": Path("s")}, False),
        ({"host": "composer.example"}, False),
        ({"host": "0.0.0.0", "reload_requests": True}, True),
        ({"reload_requests": False}, False),
    ],
)
def test_only_this_machine_may_change_the_models_unless_told(
    asked: dict[str, Any], taken: bool
) -> None:
    assert ServerOptions(**asked).takes_reload_requests is taken


def test_a_reload_request_that_is_not_wanted_changes_nothing(base: Path, connect: Any) -> None:
    options = ServerOptions(port=0, reload_requests=False)
    with EmbeddedServer(base, options) as running:
        operator = Operator(connect(running))
        code, message = refusal(lambda: operator.reload(entry("other", base)))
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert "--reload-requests" in message
        assert operator.version("tunesmith") == 1
