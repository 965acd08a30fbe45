"""Reads a parent model: an exported model that another one is fine-tuned from.

Everything is read from the SavedModel, so any published version can be a parent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.encodings.encoding import TokenVocabulary
from tunesmith.components.mixture.counting import ContextTable
from tunesmith.components.networks.network import (
    ExportedNetwork,
    NetworkSizes,
    load_network,
    network_names,
)
from tunesmith.components.parent.predictor import UnfitParent, load_parent
from tunesmith.components.saved_predictor import SavedPredictor

IN_MIXTURE = "_network/"
"""Prefix of the names of the network's variables in an exported mixture."""

_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_PROBES = 8

LARGEST_DIFFERENCE = 1e-4
"""Maximum difference of a probability between the exported network and the one read from it."""


@dataclass(frozen=True)
class Parent:
    """A model that another one is fine-tuned from.

    Args:
        vocabulary: its tokens and corpus settings.
        network: name of its network.
        sizes: of its network; dropout has its default.
        weights: see :class:`tunesmith.components.networks.network.ExportedNetwork`.
        table: n-gram counts of its training songs; None of a network without a mixture.
    """

    vocabulary: TokenVocabulary
    network: str
    sizes: NetworkSizes
    weights: list[NDArray[np.float32]]
    table: ContextTable | None


def read_parent(directory: Path) -> Parent:
    """Return the model in a folder, with the weights of its network.

    Raises:
        ComponentError: see :func:`tunesmith.components.parent.predictor.load_parent`; or its
            network is unknown.
    """
    predictor = load_parent(directory)
    variables = _variables(directory)
    table = ContextTable.from_export(variables, len(predictor.vocabulary))
    of_network = _of_network(variables)
    for name in network_names():
        found = load_network(name).from_export(of_network, predictor.window)
        if found is not None and _is_same(predictor, name, found):
            return Parent(predictor.vocabulary, name, found.sizes, found.weights, table)
    raise UnfitParent(
        f"{directory} cannot be fine-tuned: its network is not one of "
        f"{', '.join(network_names())}; train such a model with tunesmith run"
    )


def _variables(directory: Path) -> dict[str, NDArray[Any]]:
    """Return the variables of the exported module by name."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(directory / "variables" / "variables"))
    return {
        name.removesuffix(_SUFFIX): reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name.endswith(_SUFFIX)
    }


def _of_network(variables: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[np.float32]]:
    """Return the network's variables by their names in its own module."""
    mixed = {
        name.removeprefix(IN_MIXTURE): value
        for name, value in variables.items()
        if name.startswith(IN_MIXTURE)
    }
    return mixed or variables


def _is_same(predictor: SavedPredictor, name: str, found: ExportedNetwork) -> bool:
    """Return whether the network predicts the same as the exported one.

    Settings that are not variables, such as the slope of the LeakyReLU, may differ.
    """
    size = len(predictor.vocabulary)
    model = load_network(name).build(size, found.sizes)
    if [weight.shape for weight in model.get_weights()] != [each.shape for each in found.weights]:
        return False
    model.set_weights(found.weights)
    random = np.random.default_rng(0)
    windows = random.integers(size, size=(_PROBES, predictor.window), dtype=np.int32)
    parts: Mapping[str, Any] = predictor.parts()
    expected = parts.get("network", predictor).probabilities(windows)
    found_rows = np.asarray(model(windows, training=False))
    return bool(np.abs(expected - found_rows).max() < LARGEST_DIFFERENCE)
