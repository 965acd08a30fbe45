"""``tunesmith tune``: what it takes over from the parent, and what it refuses."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Invoke = Callable[..., Result]


@pytest.fixture(scope="module", autouse=True)
def _read_once() -> Iterator[None]:
    """Reading a model takes seconds: let all tests have what the first reading found."""
    from tunesmith.cli import tune

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tune, "_of_parent", cache(tune._of_parent))
        yield


def printed(invoke: Invoke, model: Path, *arguments: object) -> dict[str, Any]:
    """Return the configuration that ``tunesmith tune`` would run."""
    given = ("--model", model, "--midi-dir", "m", "--root", "r", *arguments)
    done = invoke("tune", *given, "--print-config")
    assert done.exit_code == 0, (done.output, done.exception)
    return tomllib.loads(done.stdout)


def test_reading_and_network_are_those_of_the_parent(invoke: Invoke, model_dir: Path) -> None:
    found = printed(invoke, model_dir / "1", "--track", "all", "--dropout", "0.5")
    assert found["parent"] == str(model_dir / "1")
    assert found["recipe"] == "tune"
    assert found["trainer"]["architecture"] == {
        "window": 50,
        "embedding": 8,
        "units": 8,
        "layers": 3,
        "dense": 8,
        "dropout": 0.5,
        "leak": 0.3,
    }
    assert found["example_gen"]["grid"]["frames_per_second"] == 5.0
    # Which instruments are the music may differ from song to song.
    assert found["example_gen"]["track"] == "all"
    trainer = found["trainer"]
    assert (trainer["maximum_seconds"], trainer["learning_rate"]) == (240.0, 0.0003)
    assert trainer["warm_start"]["share"] == 0


def test_a_base_path_names_its_newest_version(invoke: Invoke, model_dir: Path) -> None:
    assert printed(invoke, model_dir)["parent"] == str(model_dir / "1")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--fps", "4"), "--fps must be 5, as in the parent model, not 4"),
        (("--units", "16"), "--units must be 8, as in the parent model, not 16"),
        (("--network", "causal"), "--network must be paper, as in the parent model, not causal"),
        (("--encoding", "struck"), "--encoding must be frames, as in the parent model, not struck"),
    ],
)
def test_an_option_that_contradicts_the_parent_is_refused(
    invoke: Invoke, model_dir: Path, options: tuple[str, ...], sentence: str
) -> None:
    done = invoke("tune", "--model", model_dir, "--midi-dir", "m", "--root", "r", *options)
    assert done.exit_code == 2
    assert sentence in done.output


def test_a_parent_is_needed(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("tune", "--midi-dir", "m", "--root", "r")
    assert done.exit_code == 2
    assert "Missing option '--model'" in done.output
    done = invoke("tune", "--model", tmp_path, "--midi-dir", "m", "--root", "r")
    assert done.exit_code == 1
    assert f"--model {tmp_path} is not a model: give a version" in str(done.exception)
