"""Reads a parent: an exported model as the start of another one.

All of it comes out of the SavedModel, so that any version can be a parent, wherever it was made.
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
"""How the names of the network's variables begin in an exported mixture."""

_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_PROBES = 8

LARGEST_DIFFERENCE = 1e-4
"""Of a probability, between the network as it was exported and as it was read back."""


@dataclass(frozen=True)
class Parent:
    """A model that another one is tuned from.

    Args:
        vocabulary: its tokens, and how its corpus was read.
        network: the name of its network.
        sizes: of its network; dropout as by default.
        weights: see :class:`tunesmith.components.networks.network.ExportedNetwork`.
        table: what it counted in its training songs; None of a network alone.
    """

    vocabulary: TokenVocabulary
    network: str
    sizes: NetworkSizes
    weights: list[NDArray[np.float32]]
    table: ContextTable | None


def read_parent(directory: Path) -> Parent:
    """Return the model in a folder, its network with the weights that it was exported with.

    Raises:
        ComponentError: see :func:`tunesmith.components.parent.predictor.load_parent`; or its
            network is none that can be read back.
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
        f"{directory} cannot be tuned: its network is none of {', '.join(network_names())} as they "
        "are exported; train one with tunesmith run"
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
    """Return the network's variables, named as its own module has them."""
    mixed = {
        name.removeprefix(IN_MIXTURE): value
        for name, value in variables.items()
        if name.startswith(IN_MIXTURE)
    }
    return mixed or variables


def _is_same(predictor: SavedPredictor, name: str, found: ExportedNetwork) -> bool:
    """Return whether a network that was read back says what the exported one says.

    What is no variable, such as the slope of the LeakyReLU, may be another.
    """
    size = len(predictor.vocabulary)
    model = load_network(name).build(size, found.sizes)
    if [weight.shape for weight in model.get_weights()] != [each.shape for each in found.weights]:
        return False
    model.set_weights(found.weights)
    random = np.random.default_rng(0)
    windows = random.integers(size, size=(_PROBES, predictor.window), dtype=np.int32)
    parts: Mapping[str, Any] = predictor.parts()
    said = parts.get("network", predictor).probabilities(windows)
    again = np.asarray(model(windows, training=False))
    return bool(np.abs(said - again).max() < LARGEST_DIFFERENCE)
