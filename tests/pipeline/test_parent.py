"""The model that a run tunes, by whichever folder of it is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunesmith.components.artifacts import ORIGIN_FILE, TrainedModel
from tunesmith.pipeline.parent import NoModel, find_version, import_model


def write_model(folder: Path) -> Path:
    """Write what tells a SavedModel from another folder."""
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(folder.name.encode())
    return folder


def test_a_version_a_base_path_and_a_trained_model_name_a_model(tmp_path: Path) -> None:
    second = write_model(tmp_path / "models" / "2")
    tenth = write_model(tmp_path / "models" / "10")
    trained = write_model(tmp_path / "Trainer" / "5" / "saved_model")
    assert find_version(second) == second
    assert find_version(tmp_path / "models") == tenth
    assert find_version(tmp_path / "Trainer" / "5") == find_version(trained) == trained


def test_anything_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    for folder in (tmp_path, tmp_path / "7", tmp_path / "nowhere"):
        with pytest.raises(NoModel, match="is not a model: give a version"):
            find_version(folder)


def test_a_version_has_the_digest_of_the_model_that_was_published(tmp_path: Path) -> None:
    trained = TrainedModel(tmp_path / "Trainer" / "5", "")
    write_model(trained.saved_model)
    (trained.path / "content.json").write_text('{"weights": "abc"}')
    version = write_model(tmp_path / "models" / "1")
    (version / ORIGIN_FILE).parent.mkdir()
    (version / ORIGIN_FILE).write_text(json.dumps({"model": trained.content_digest()}))
    named = import_model(version), import_model(trained.path)
    assert {each.digest for each in named} == {trained.content_digest()}
    foreign = import_model(write_model(tmp_path / "foreign"))
    assert foreign.digest == foreign.content_digest() != trained.content_digest()
