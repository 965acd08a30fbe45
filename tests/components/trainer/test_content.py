"""``content.json``: equal for equal models, however TensorFlow writes them, and only for those."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunesmith.components.networks.network import (
    NetworkSizes,
    load_network,
    network_names,
    sizes_kinds,
)
from tunesmith.components.networks.paper.sizes import PaperSizes
from tunesmith.components.trainer.component import ServedSettings
from tunesmith.components.trainer.export.content import saved_model_content
from tunesmith.music import CorpusSettings, TrackChoice, Vocabulary

FRAMES = ((), *((pitch,) for pitch in range(60, 70)))
VOCABULARY = Vocabulary(FRAMES, 5.0)
SMALL = PaperSizes(embedding=4, units=4, layers=1, dense=4, window=6)
SONG = [1, 2, 3, 4, 3, 2] * 5


def export(
    directory: Path,
    *,
    vocabulary: Vocabulary = VOCABULARY,
    settings: ServedSettings | None = None,
    network: str = "paper",
    sizes: NetworkSizes = SMALL,
    song: Sequence[int] = SONG,
    nudge: float = 0.0,
    draws: int = 0,
) -> dict[str, Any]:
    """Export a network of seed 1, and return its content.

    Its last weight is moved by `nudge`, and random numbers are drawn between training and export.
    """
    import keras

    from tunesmith.components.trainer.export.saved_model import export_model

    keras.utils.set_random_seed(1)
    built = load_network(network)
    model = built.build(len(vocabulary), sizes)
    weights = model.get_weights()
    weights[-1][-1] += nudge
    model.set_weights(weights)
    for _ in range(draws):
        random.random()
    forward = built.for_serving(model, len(vocabulary), sizes)
    settings = settings or ServedSettings()
    export_model(forward, sizes.window, vocabulary, settings, directory, [np.array(song)])
    return saved_model_content(directory)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return export(tmp_path_factory.mktemp("model") / "saved_model")


ANOTHER_PROCESS = """
import json, sys
from pathlib import Path
import tensorflow as tf
sys.path.insert(0, sys.argv[1])
from test_content import export
# Functions and variables are numbered through the process.
for number in range(20):
    tf.function(lambda value: value + number)(tf.Variable(1.0))
print(json.dumps(export(Path(sys.argv[2]))))
"""


def test_the_same_model_has_the_same_content_in_any_process(
    content: dict[str, Any], tmp_path: Path
) -> None:
    assert set(content["signatures"]) >= {
        "serving_default",
        "vocabulary",
        "settings",
        "generate",
        "drafter",
    }
    assert export(tmp_path / "again") == content
    program = [sys.executable, "-c", ANOTHER_PROCESS, str(Path(__file__).parent)]
    elsewhere = subprocess.run(
        [*program, str(tmp_path / "elsewhere")], check=True, capture_output=True, text=True
    )
    assert json.loads(elsewhere.stdout) == content
    files = [tmp_path / name / "saved_model.pb" for name in ("again", "elsewhere")]
    assert files[0].read_bytes() != files[1].read_bytes()


@pytest.mark.parametrize("name", network_names())
def test_every_network_has_the_same_content_twice(tmp_path: Path, name: str) -> None:
    import keras

    fields = sizes_kinds()[name].__dataclass_fields__
    small = {"embedding": 4, "units": 4, "layers": 2, "dense": 4, "window": 6}
    sizes = sizes_kinds()[name](**{each: small[each] for each in small if each in fields})
    first = export(tmp_path / "first", network=name, sizes=sizes)
    # Keras numbers its layers through the process, and takes seeds from Python's generator.
    keras.layers.Dropout(0.5)
    assert export(tmp_path / "second", network=name, sizes=sizes, draws=5) == first


def test_the_version_of_tensorflow_is_no_content(content: dict[str, Any], tmp_path: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    export(tmp_path / "model")
    path = tmp_path / "model" / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    info = saved.meta_graphs[0].meta_info_def
    info.tensorflow_version, info.tensorflow_git_version = "99.0.0", "v99"
    path.write_bytes(saved.SerializeToString())
    assert saved_model_content(tmp_path / "model") == content


def changed(content: dict[str, Any], other: dict[str, Any]) -> set[str]:
    """Return the signatures, and the other parts, whose digests differ."""
    before = {**content, **content["signatures"]}
    after = {**other, **other["signatures"]}
    differing = {name for name in before | after if before.get(name) != after.get(name)}
    return differing - {"signatures"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"vocabulary": Vocabulary((*FRAMES[:-1], (90,)), 5.0)}, {"vocabulary"}),
        ({"vocabulary": Vocabulary(FRAMES, 4.0)}, {"settings"}),
        (
            {"vocabulary": Vocabulary(FRAMES, 5.0, CorpusSettings(TrackChoice("all")))},
            {"settings"},
        ),
        ({"settings": ServedSettings(program=1)}, {"settings"}),
        ({"song": SONG[1:]}, {"drafter"}),
        ({"settings": ServedSettings(drafter_bytes=0)}, {"drafter", "warmup"}),
        ({"nudge": 1e-6}, {"weights", "serving_default", "generate"}),
        # The same weights in another graph.
        (
            {"sizes": replace(SMALL, leak=0.2)},
            {"serving_default", "generate"},
        ),
        (
            {"sizes": replace(SMALL, window=7)},
            {"serving_default", "generate", "warmup"},
        ),
        # It is a matter of training alone.
        ({"sizes": replace(SMALL, dropout=0.1)}, set()),
    ],
)
def test_what_changes_in_the_model_changes_in_the_content(
    content: dict[str, Any], tmp_path: Path, changes: dict[str, Any], expected: set[str]
) -> None:
    assert changed(content, export(tmp_path / "model", **changes)) == expected
