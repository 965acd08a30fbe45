"""The causal network behind the protocol of networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.components.networks.causal.sizes import CausalSizes
from tunesmith.components.networks.network import EveryPosition, Network

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


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


NETWORK = CausalNetwork()
