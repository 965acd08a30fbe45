"""Models, version policies and labels from a file in TensorFlow Serving's text format."""

from __future__ import annotations

import logging
import subprocess
import sys
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
    ServingError,
)
from tunesmith.serving.errors import ConfigInvalid, LabelNotAssignable
from tunesmith.serving.model_config import ModelConfig, VersionPolicy
from tunesmith.serving.model_config_file import parse
from tunesmith.serving.runtime import model_management_pb2

TOKENS = np.arange(50)[None] % 41


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.02)


def parsed(text: str) -> tuple[ModelConfig, ...]:
    return parse(text.encode(), Path("/etc/models.config"))


def test_a_file_as_tensorflow_serving_takes_it() -> None:
    text = """
        # One model plainly, the others with all there is.
        model_config_list: {
          config: { name: 'plain', base_path: '/models/plain', model_platform: 'tensorflow' },
          config {
            name: "some" base_path: "/models/some" model_type: TENSORFLOW
            model_version_policy { specific { versions: 3 versions: 7 } }
            version_labels { key: 'stable' value: 3 }
            version_labels { key: 'canary' value: 7 }
          }
          config { name: "every" base_path: "/e" model_version_policy { all {} } }
          config { name: "two" base_path: "/t" model_version_policy { latest { num_versions: 2 } } }
          config { name: "unset" base_path: "/u" model_version_policy { latest { } } }
        }
    """
    assert parsed(text) == (
        ModelConfig("plain", Path("/models/plain"), VersionPolicy(limit=1)),
        ModelConfig(
            "some",
            Path("/models/some"),
            VersionPolicy(limit=None, numbers=frozenset({3, 7})),
            {"stable": 3, "canary": 7},
        ),
        ModelConfig("every", Path("/e"), VersionPolicy(limit=None)),
        ModelConfig("two", Path("/t"), VersionPolicy(limit=2)),
        ModelConfig("unset", Path("/u"), VersionPolicy(limit=1)),
    )


def test_a_relative_base_path_starts_at_the_files_folder() -> None:
    text = "model_config_list { config { name: 'a' base_path: '../songs' } }"
    assert parsed(text)[0].base == Path("/etc/../songs")


def test_a_list_of_no_models_is_one() -> None:
    assert parsed("model_config_list {}") == ()


def listed(*configs: str) -> str:
    return "model_config_list {" + "".join(f" config {{ {each} }}" for each in configs) + " }"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no model_config_list: add one with at least one config"),
        ("custom_model_config { type_url: 'x' }", "has no model_config_list"),
        ("model_config_list {", '1:19 : Expected "}"'),
        (listed("name: 'a' path: '/a'"), 'has no field named "path"'),
        (
            listed("name: 'a' base_path: '/a' model_version_policy { latest {} all {} }"),
            'Field "all" is specified along with field "latest"',
        ),
        # From here on the words and the cases are server_core.cc's, where it has them.
        (listed(*["name: 'a' base_path: '/a'"] * 2), "Illegal to list model a multiple times"),
        (
            listed("name: 'a' base_path: '/a' model_platform: 'xgboost'"),
            "Model a requests unsupported platform xgboost",
        ),
        (
            listed("name: 'a' base_path: '/a' model_platform: 'tensorflow' model_type: TENSORFLOW"),
            "Illegal setting both ModelServerConfig::model_type",
        ),
        (
            listed("name: 'a' base_path: '/a' model_type: OTHER"),
            "ModelServerConfig::model_type choice 2 not supported",
        ),
        # It has none for these: it would serve a model that no request can name, wait for ever for
        # versions of a folder that is not one, or look for a bucket with no way to reach it.
        (listed("base_path: '/a'"), "Expected a model name of printable characters; got ''"),
        (listed("name: 'a\\nb' base_path: '/a'"), r"printable characters; got 'a\\nb'"),
        (listed("name: 'a'"), r"Expected model a to have a base_path; got base_path\(\)=''"),
        (listed("name: 'a' base_path: '/a\\000b'"), r"got base_path\(\)='/a\\x00b'"),
        (listed("name: 'a' base_path: 'gs://bucket/a'"), "to have a local folder"),
        (
            listed("name: 'a' base_path: '/a' model_version_policy { specific {} }"),
            "Expected model a to name versions in its specific policy",
        ),
        (
            listed(
                "name: 'a' base_path: '/a' version_labels { key: 'x' value: 9223372036854775808 }"
            ),
            "Value out of range: 9223372036854775808",
        ),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(ConfigInvalid, match=words) as caught:
        parsed(text)
    assert str(caught.value).startswith("/etc/models.config")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match="not a model configuration: it is not a text file"):
        parse(b"\xff\xfe", Path("models.config"))


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory, publish: Any) -> Path:
    """Versions 1, 2 and 3 of a model, which answer differently; only to be read."""
    base = tmp_path_factory.mktemp("stock")
    for version in (1, 2, 3):
        publish(base, version, flavour=float(version))
    return base


@pytest.fixture
def file(tmp_path: Path, stock: Path) -> Path:
    """A file of two models: ``one`` beside it, the versions 1 and 2 of ``two`` elsewhere."""
    (tmp_path / "one").symlink_to(stock)
    path = tmp_path / "models.config"
    path.write_text(
        listed(
            "name: 'one' base_path: 'one'",
            f"name: 'two' base_path: '{stock}' "
            "model_version_policy { specific { versions: 1 versions: 2 } } "
            "version_labels { key: 'stable' value: 1 }",
        )
    )
    return path


@pytest.fixture
def server(file: Path) -> Iterator[EmbeddedServer]:
    options = ServerOptions(
        port=0, model_config_file=file, model_config_poll_seconds=0.05, poll_seconds=0.05
    )
    # The base path is for servers of one model; that of this file's models is in the file.
    with EmbeddedServer(Path("/nonexistent"), options) as running:
        yield running


def version_of(caller: Any, model: str, label: str = "") -> int:
    request = caller.request(tokens=TOKENS)
    request.model_spec.name = model
    if label:
        request.model_spec.version_label = label
    return int(caller.prediction.Predict(request, timeout=60).model_spec.version.value)


def serves(caller: Any, model: str) -> bool:
    try:
        version_of(caller, model)
    except grpc.RpcError:
        return False
    return True


def refusal(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def test_the_models_of_a_file_are_served(server: EmbeddedServer, connect: Any) -> None:
    caller = connect(server)
    assert version_of(caller, "one") == 3
    assert version_of(caller, "two") == 2
    assert version_of(caller, "two", label="stable") == 1
    assert refusal(lambda: version_of(caller, "tunesmith")) == (
        grpc.StatusCode.NOT_FOUND,
        "Servable not found for request: Latest(tunesmith)",
    )


def test_a_file_that_changes_is_followed(
    polled: Any,
    server: EmbeddedServer,
    connect: Any,
    file: Path,
    stock: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caller = connect(server)
    good = file.read_text()
    moved = good.replace("'stable' value: 1", "'stable' value: 2").replace(
        "'one' base", "'uno' base"
    )
    broken = (
        (moved[:-3], "Expected"),
        ("", "has no model_config_list"),
        (moved.replace(str(stock), "/nonexistent"), "is not a model folder"),
        (
            moved.replace("value: 2", "value: 3"),
            "Request to assign label to version 3 of model two",
        ),
    )
    for text, words in broken:
        caplog.clear()
        file.write_text(text)
        until(lambda words=words: words in caplog.text)
        polled("config-polling")
        assert caplog.text.count("model config kept") == 1, "a complaint each time it looks"
        assert version_of(caller, "one") == 3
        assert version_of(caller, "two", label="stable") == 1
    file.unlink()
    until(lambda: "cannot read the model configuration" in caplog.text)
    file.write_text(moved)
    until(lambda: version_of(caller, "two", label="stable") == 2)
    assert version_of(caller, "uno") == 3
    assert refusal(lambda: version_of(caller, "one"))[0] is grpc.StatusCode.NOT_FOUND
    file.write_text(good)
    until(lambda: version_of(caller, "two", label="stable") == 1)
    assert version_of(caller, "one") == 3


def test_a_file_that_names_a_model_too_early_is_applied_once_it_is_there(
    server: EmbeddedServer, connect: Any, file: Path, stock: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caller = connect(server)
    file.write_text(listed(f"name: 'late' base_path: '{file.parent}/late'"))
    until(lambda: "late is not a model folder" in caplog.text)
    assert version_of(caller, "one") == 3
    (file.parent / "late").symlink_to(stock)
    caplog.set_level(logging.INFO)
    until(lambda: "model config applied" in caplog.text)
    assert version_of(caller, "late") == 3
    assert refusal(lambda: version_of(caller, "one"))[0] is grpc.StatusCode.NOT_FOUND


def test_what_a_request_changed_stays_until_the_file_changes(
    polled: Any, server: EmbeddedServer, connect: Any, file: Path, stock: Path
) -> None:
    """TensorFlow Serving goes back to its file at each look (model_servers/server.cc)."""
    caller = connect(server)
    request = model_management_pb2.ReloadConfigRequest()
    request.config.model_config_list.config.add(name="asked", base_path=str(stock))
    caller.models.HandleReloadConfigRequest(request, timeout=60)
    polled("config-polling")
    assert version_of(caller, "asked") == 3
    file.write_text(file.read_text() + "# changed")
    until(lambda: serves(caller, "one"))
    until(lambda: not serves(caller, "asked"))


@pytest.mark.parametrize(
    ("config", "error", "words"),
    [
        ("base_path: '/nonexistent'", ModelFolderMissing, "No such file or directory"),
        (
            "base_path: '{stock}' "
            "model_version_policy {{ specific {{ versions: 8 versions: 9 }} }}",
            ModelVersionMissing,
            r"has none of the versions configured for model new \(8, 9\)",
        ),
        ("base_path: '{empty}'", ModelVersionMissing, "has no model version"),
        ("base_path: '{broken}'", ModelNotLoadable, "version 4 of model new in .* does not load"),
        (
            "base_path: '{stock}' version_labels {{ key: 'stable' value: 2 }}",
            LabelNotAssignable,
            "Request to assign label to version 2 of model new, which is not currently available "
            "for inference",
        ),
    ],
    ids=["no folder", "no such version", "no version", "broken", "label of an unserved version"],
)
def test_a_start_without_one_of_the_models_says_so_in_one_line(
    tmp_path: Path,
    stock: Path,
    config: str,
    error: type[ServingError],
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for folder in ("empty", "broken/4"):
        (tmp_path / folder).mkdir(parents=True)
    file = tmp_path / "models.config"
    new = config.format(stock=stock, empty=tmp_path / "empty", broken=tmp_path / "broken")
    file.write_text(listed(f"name: 'good' base_path: '{stock}'", f"name: 'new' {new}"))
    with pytest.raises(error, match=words) as caught:
        EmbeddedServer(stock, ServerOptions(port=0, model_config_file=file)).start()
    assert "\n" not in str(caught.value)
    assert "WARNING" not in caplog.text, "a second line"


LOOK = """
import sys
from pathlib import Path
from tunesmith.serving import EmbeddedServer, ServerOptions, ServingError
try:
    EmbeddedServer(Path("."), ServerOptions(port=0, model_config_file=Path(sys.argv[1]))).start()
except ServingError as error:
    print(error)
print("tensorflow" in sys.modules)
"""


def test_a_wrong_file_is_refused_before_tensorflow_is_imported(tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    file.write_text(listed("name: 'a' base_path: 'missing'"))
    said = subprocess.run(
        [sys.executable, "-c", LOOK, str(file)], capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines() == [
        f"{tmp_path}/missing is not a model folder (No such file or directory): use the folder "
        "that contains <version>/saved_model.pb",
        "False",
    ]
    assert said.stderr == ""
