"""A model is served from its folder of versions, from one of them, or from what Trainer left."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tunesmith.cli.model_folder import base_path
from tunesmith.client import Composer
from tunesmith.serving import EmbeddedServer, ServerOptions


@pytest.fixture
def trained(model_dir: Path, tmp_path: Path) -> Path:
    """A folder as Trainer leaves it."""
    shutil.copytree(model_dir / "1", tmp_path / "Trainer" / "5" / "saved_model")
    return tmp_path / "Trainer" / "5"


def test_a_folder_of_versions_is_taken_as_it_is(model_dir: Path, tmp_path: Path) -> None:
    for folder in (model_dir, tmp_path, tmp_path / "none"):
        with base_path(folder) as base:
            assert base == folder


def test_what_the_trainer_left_can_be_served(trained: Path) -> None:
    with base_path(trained) as base:
        options = ServerOptions(port=0)
        with EmbeddedServer(base, options) as server, Composer(server.address) as composer:
            assert len(composer.generate(3).frames) == 3
            assert composer.model().servable.version == 1
    assert not base.exists()
    assert (trained / "saved_model" / "saved_model.pb").is_file()


def test_a_version_keeps_its_number(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = (trained / "saved_model").rename(trained / "12")
    monkeypatch.chdir(trained)
    with base_path(Path("12")) as base:
        (only,) = base.iterdir()
        assert (only.name, only.resolve()) == ("12", version.resolve())
        assert (only / "saved_model.pb").is_file()
