"""Versions that come and go, and the configuration that a request changes.

These write into the model's folder and have the server serve that model alone, so a server
elsewhere is left alone unless TUNESMITH_MODEL_DIR names its folder.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tensorflow_serving.apis import model_management_pb2
from tensorflow_serving.config import model_server_config_pb2

AVAILABLE, END = 30, 50
NOT_FOUND = grpc.StatusCode.NOT_FOUND
INVALID = grpc.StatusCode.INVALID_ARGUMENT
# TensorFlow Serving looks for versions once a second, and loading one takes a while.
PATIENCE = 60.0


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.05)


class Operator:
    """An operator, who may change the models of a server.

    Attributes:
        first: the version that is there from the start.
        second: the number of another copy of it.
    """

    def __init__(self, server: Any, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self.first = server.version
        self.second = server.version + 1

    def publish_second(self) -> None:
        aside = self._folder / ".writing"
        shutil.copytree(self._folder / str(self.first), aside)
        aside.rename(self._folder / str(self.second))

    def withdraw_second(self) -> None:
        shutil.rmtree(self._folder / str(self.second), ignore_errors=True)

    def reload(self, *names: str, side_by_side: int = 1, **labels: int) -> Any:
        """Have the server serve the folder under each of `names`, or under the model's own."""
        request = model_management_pb2.ReloadConfigRequest()
        entries = request.config.model_config_list
        for name in names or (self._server.place.model,):
            entry = entries.config.add(name=name, base_path=str(self._folder))
            entry.model_platform = "tensorflow"
            entry.model_version_policy.latest.num_versions = side_by_side
            entry.version_labels.update(labels)
        return self._server.models.HandleReloadConfigRequest(request, timeout=PATIENCE)

    def answering(self, name: str | None = None, **spec: Any) -> int:
        """Return the version that answers."""
        request = self._server.request(tokens=self._server.windows(1))
        if name is not None:
            request.model_spec.name = name
        if "version" in spec:
            request.model_spec.version.value = spec["version"]
        if "label" in spec:
            request.model_spec.version_label = spec["label"]
        return self._server.predict(request).model_spec.version.value


@pytest.fixture
def operator(server: Any) -> Iterator[Operator]:
    """An operator of the server, whose changes are taken back."""
    if server.place.folder is None:
        pytest.skip("TUNESMITH_MODEL_DIR does not say that this server may be changed")
    operator = Operator(server, server.place.folder)
    yield operator
    operator.withdraw_second()
    operator.reload()
    until(lambda: operator.answering() == operator.first)


def refusal(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def test_a_new_version_takes_over_and_its_end_brings_the_one_before_back(
    server: Any, operator: Operator
) -> None:
    operator.publish_second()
    until(lambda: operator.answering() == operator.second)
    until(lambda: server.states() == {operator.second: AVAILABLE, operator.first: END})
    code, details = refusal(lambda: operator.answering(version=operator.first))
    assert code is NOT_FOUND
    assert f", {operator.first})" in details
    operator.withdraw_second()
    until(lambda: server.states()[operator.first] == AVAILABLE)
    until(lambda: operator.answering() == operator.first)


def test_labels_are_names_for_versions_that_serve(server: Any, operator: Operator) -> None:
    operator.publish_second()
    operator.reload(side_by_side=2)
    both = {operator.second: AVAILABLE, operator.first: AVAILABLE}
    until(lambda: server.states() == both)
    operator.reload(side_by_side=2, stable=operator.first, canary=operator.second)
    assert operator.answering(label="stable") == operator.first
    assert operator.answering(label="canary") == operator.second
    assert operator.answering() == operator.second
    # server_core.cc: the whole request is refused.
    wrong = {"stable": operator.first, "young": operator.second + 1}
    code, details = refusal(lambda: operator.reload(side_by_side=2, **wrong))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "not currently available for inference" in details
    operator.reload(side_by_side=2, stable=operator.second)
    assert operator.answering(label="stable") == operator.second
    code, details = refusal(lambda: operator.answering(label="canary"))
    assert code is INVALID
    assert "Unrecognized servable version label: canary" in details


def test_models_come_and_go_with_the_configuration(server: Any, operator: Operator) -> None:
    operator.reload(server.place.model, "alias")
    assert operator.answering("alias") == operator.first
    operator.reload()
    until(lambda: refused(operator, "alias"))
    code, details = refusal(lambda: operator.answering("alias"))
    assert code is NOT_FOUND
    assert "Servable not found for request: Latest(alias)" in details
    assert operator.answering() == operator.first


def refused(operator: Operator, name: str) -> bool:
    try:
        operator.answering(name)
    except grpc.RpcError:
        return True
    return False


def test_a_model_twice_in_a_configuration_is_refused(server: Any, operator: Operator) -> None:
    """ValidateModelConfigList in model_servers/server_core.cc."""
    name = server.place.model
    code, details = refusal(lambda: operator.reload(name, name))
    assert code is INVALID
    assert name in details
    assert operator.answering() == operator.first


def test_a_configuration_that_is_no_list_of_models_is_refused(server: Any) -> None:
    """model_servers/model_service_impl.cc; it changes nothing, so any server may be asked."""
    nothing = model_management_pb2.ReloadConfigRequest()
    custom = model_management_pb2.ReloadConfigRequest(
        config=model_server_config_pb2.ModelServerConfig(custom_model_config={})
    )
    for request in (nothing, custom):
        code, details = server.refusal(request, server.models.HandleReloadConfigRequest)
        assert code is INVALID
        assert "ModelConfigList" in details
    assert server.still_answers()
