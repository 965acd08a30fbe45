"""The causal network behind the protocol of networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tunesmith.components.networks.causal.sizes import CausalSizes
from tunesmith.components.networks.network import EveryPosition, ExportedNetwork, Network

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf
    from numpy.typing import NDArray


class CausalNetwork(Network):
    """GRU layers that run forward alone, so that every frame of a window can be a target."""

    def build(self, vocabulary_size: int, sizes: CausalSizes) -> keras.Model:
        """See :meth:`Network.build`."""
        from tunesmith.components.networks.causal.keras_model import build_model

        return build_model(vocabulary_size, sizes)

    def every_position(self, model: keras.Model) -> EveryPosition:
        """See :meth:`Network.every_position`."""
        every_position: EveryPosition = model.every_position
        return every_position

    def for_serving(
        self, model: keras.Model, vocabulary_size: int, sizes: CausalSizes
    ) -> tf.Module:
        """See :meth:`Network.for_serving`."""
        from tunesmith.components.networks.causal.forward_pass import ForwardPass

        del vocabulary_size
        return ForwardPass(model.get_weights(), sizes)

    def from_export(
        self, variables: Mapping[str, NDArray[np.float32]], window: int
    ) -> ExportedNetwork | None:
        """See :meth:`Network.from_export`."""
        from tunesmith.components.networks.gru.forward_pass import exported_weights

        weights = exported_weights(variables, directions=1, dense=2)
        if weights is None:
            return None
        sizes = CausalSizes(
            window=window,
            embedding=weights[0].shape[1],
            units=weights[2].shape[0],
            layers=(len(weights) - 3) // 3,
        )
        return ExportedNetwork(sizes, weights)


NETWORK = CausalNetwork()
