"""Trained GRU layers for export: one graph with a half for CPUs and a half for GPUs.

Both halves are functions of the same arguments that carry the attributes ``api_implements`` (the
same name) and ``api_preferred_device``. The CPU half is the one called; where the call is placed on
a GPU, TensorFlow's implementation selector (a pass of its graph optimizer, run by every Session)
puts the other half in its place when the model is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tunesmith.components.artifacts import digest_of
from tunesmith.components.networks.gru import cpu_graph, cudnn_graph

Array = NDArray[np.float32]

_DIRECTION_WEIGHTS = 3


class GruLayers(tf.Module):
    """An embedding and GRU layers with their weights as variables; base of what is exported.

    Args:
        weights: as Keras lists them: the embedding; kernel, recurrent kernel and bias of each
            layer's forward and, where there is one, backward direction.
        directions: of a layer, 1 or 2.
        interface: what both halves implement, of its own for each kind of network.
        window: number of tokens.
        last_states: the CPU half: takes tokens int32 [batch, window] and, of each layer, what
            ``cpu_graph.direction_parameters`` returned for its directions; returns the last layer's
            final states, float32 [batch, directions * units], forward first.
    """

    def __init__(
        self,
        weights: Sequence[Array],
        directions: int,
        interface: str,
        window: int,
        last_states: Callable[[Any, Sequence[Sequence[Sequence[Any]]]], Any],
    ) -> None:
        super().__init__(name="forward_pass")
        embeddings, *recurrent = weights
        triples = [
            (recurrent[i], recurrent[i + 1], recurrent[i + 2])
            for i in range(0, len(recurrent), _DIRECTION_WEIGHTS)
        ]
        # Where one process has loaded several models, the selector sees the functions of all of
        # them: those of one name have to be the same function.
        shapes = "_".join("x".join(map(str, each.shape)) for each in weights)
        name = f"{interface}_{window}_{digest_of([shapes])[:12]}"
        self._count = directions
        self._layers = len(triples) // directions
        self._units = int(triples[0][1].shape[0])
        self._last_states = last_states
        self._directions = [
            variables(
                cpu_graph.direction_parameters(*each, embeddings if number < directions else None)
            )
            for number, each in enumerate(triples)
        ]
        self._cudnn = variables([embeddings, cudnn_graph.packed_parameters(triples)])
        halves = [
            tf.function(
                half,
                autograph=False,
                experimental_attributes={
                    "api_implements": name,
                    "api_preferred_device": device,
                },
            )
            for half, device in ((self._cpu_half, "CPU"), (self._gpu_half, "GPU"))
        ]
        # Not as an attribute of its own: tf.saved_model.save would trace and save it once more.
        self._halves: Callable[[], list[Any]] = lambda: halves

    def final_states(self, tokens: Any) -> Any:
        """Return the last layer's final states, float32 [batch, directions * units].

        Args:
            tokens: int32 [batch, window], each in range.
        """
        arguments = (
            tokens,
            [[tf.convert_to_tensor(each) for each in values] for values in self._directions],
            [tf.convert_to_tensor(each) for each in self._cudnn],
        )
        # By their types alone, so that several signatures share what was traced once.
        types = tf.nest.map_structure(lambda each: tf.TensorSpec(each.shape, each.dtype), arguments)
        cpu_half, gpu_half = (half.get_concrete_function(*types) for half in self._halves())
        # Nothing calls the GPU half: it has to be put into the graph's library by hand.
        gpu_half.add_to_graph(tf.compat.v1.get_default_graph())
        return cpu_half(*tf.nest.flatten(arguments))

    def _cpu_half(self, tokens: Any, directions: Any, cudnn: Any) -> Any:
        del cudnn  # An argument of the other half; both have to take the same.
        count = self._count
        layers = [directions[i : i + count] for i in range(0, len(directions), count)]
        return self._last_states(tokens, layers)

    def _gpu_half(self, tokens: Any, directions: Any, cudnn: Any) -> Any:
        del directions
        embeddings, packed = cudnn
        return cudnn_graph.last_states(
            tokens, embeddings, packed, self._layers, self._units, self._count
        )


def exported_weights(
    variables: Mapping[str, Array], directions: int, dense: int
) -> list[Array] | None:
    """Return the weights that a subclass of :class:`GruLayers` was made of, as Keras lists them.

    Args:
        variables: of the exported module by name: ``_cudnn/0``, ``_directions/0/6``, ``_dense/0``.
        directions: of a layer, 1 or 2.
        dense: how many variables follow the GRU layers, ``_dense/0`` and so on.

    Returns:
        The weights; None where the variables are those of other layers.
    """
    try:
        embeddings, packed = (variables[f"_cudnn/{number}"] for number in range(2))
        units = len(variables[f"_directions/0/{2 * cpu_graph.GATES}"])
        after = [variables[f"_dense/{number}"] for number in range(dense)]
    except KeyError:
        return None
    chains = len({name.split("/")[1] for name in variables if name.startswith("_directions/")})
    layers, width = chains // directions, int(embeddings.shape[1])
    if f"_dense/{dense}" in variables or len(after[0]) != directions * units:
        return None
    try:
        triples = cudnn_graph.unpacked_parameters(packed, layers, units, width, directions)
    except ValueError:
        return None
    return [embeddings, *(array for triple in triples for array in triple), *after]


def variables(arrays: Sequence[Array]) -> list[tf.Variable]:
    """Return `arrays` as variables of an exported module."""
    return [tf.Variable(each, trainable=False) for each in arrays]
