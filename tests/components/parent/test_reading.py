"""A model is read back out of its SavedModel, exactly, or is refused in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tunesmith.components.errors import ComponentError
from tunesmith.components.networks.causal.sizes import CausalSizes
from tunesmith.components.networks.network import NetworkSizes, load_network
from tunesmith.components.networks.paper.sizes import PaperSizes
from tunesmith.components.networks.portable_graph import PortableGraph
from tunesmith.components.parent.reading import UnfitParent, read_parent
from tunesmith.components.saved_predictor import SavedPredictor
from tunesmith.components.trainer.component import ServedSettings
from tunesmith.components.trainer.export.saved_model import export_model
from tunesmith.music import CorpusSettings, Grid, TrackChoice, Vocabulary

CORPUS = CorpusSettings(TrackChoice.parse("name:PIANO"), Grid(3.3, 0, True, 20, 100))
VOCABULARY = Vocabulary(((), *((pitch,) for pitch in range(40, 60))), 3.3, CORPUS)
SIZES: dict[str, NetworkSizes] = {
    "paper": PaperSizes(embedding=6, units=8, layers=2, dense=5, window=4),
    "causal": CausalSizes(embedding=6, units=8, layers=3, window=4),
}


def exported(folder: Path, name: str, sizes: NetworkSizes) -> Any:
    """Export an untrained network, and return it."""
    keras.utils.set_random_seed(2)
    model = load_network(name).build(len(VOCABULARY), sizes)
    served = load_network(name).for_serving(model, len(VOCABULARY), sizes)
    export_model(served, sizes.window, VOCABULARY, ServedSettings(), folder)
    return model


@pytest.mark.parametrize("name", SIZES)
def test_an_exported_network_is_read_back_with_the_same_weights(name: str, tmp_path: Path) -> None:
    model = exported(tmp_path / "1", name, SIZES[name])
    parent = read_parent(tmp_path / "1")
    assert (parent.network, parent.sizes) == (name, SIZES[name])
    assert parent.vocabulary == VOCABULARY
    assert parent.table is None
    for one, other in zip(parent.weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    # And so it says the same, which is asked of the model that is served.
    again = load_network(name).build(len(VOCABULARY), parent.sizes)
    again.set_weights(parent.weights)
    windows = np.random.default_rng(1).integers(0, len(VOCABULARY), (9, 4)).astype(np.int32)
    said = SavedPredictor.load(tmp_path / "1").probabilities(windows)
    np.testing.assert_allclose(np.asarray(again(windows)), said, atol=1e-6)


def test_a_network_that_no_variable_describes_is_refused(tmp_path: Path) -> None:
    sizes = PaperSizes(window=4, units=8, layers=1)
    exported(tmp_path / "leaking", "paper", replace(sizes, leak=0.9))
    model = load_network("paper").build(len(VOCABULARY), sizes)
    plain = PortableGraph(
        lambda: load_network("paper").build(len(VOCABULARY), sizes), model.get_weights()
    )
    export_model(plain, 4, VOCABULARY, ServedSettings(), tmp_path / "plain")
    for name in ("leaking", "plain"):
        with pytest.raises(UnfitParent, match="its network is not one of causal, paper") as refused:
            read_parent(tmp_path / name)
        assert "\n" not in str(refused.value)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="is not a tunesmith model"):
        read_parent(tmp_path)


def test_a_model_of_release_0_1_0_can_be_tuned(release_0_1_0: Path) -> None:
    parent = read_parent(release_0_1_0 / "root" / "models" / "tunesmith" / "1")
    assert parent.sizes == PaperSizes(embedding=4, units=4, dense=4)
    assert len(parent.vocabulary) == len(parent.weights[0]) == 83
    assert parent.vocabulary.frames_per_second == 5.0
