"""The paper's network behind the protocol of networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.components.networks.network import Network
from tunesmith.components.networks.paper.sizes import PaperSizes

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class PaperNetwork(Network):
    """Three bidirectional GRU layers; it learns from one target a window, as in the paper."""

    def build(self, vocabulary_size: int, sizes: PaperSizes) -> keras.Model:
        """See :meth:`Network.build`."""
        from tunesmith.components.networks.paper.keras_model import build_model

        return build_model(vocabulary_size, sizes)

    def for_serving(self, model: keras.Model, vocabulary_size: int, sizes: PaperSizes) -> tf.Module:
        """See :meth:`Network.for_serving`."""
        from tunesmith.components.networks.paper.forward_pass import ForwardPass

        del vocabulary_size
        return ForwardPass(model.get_weights(), sizes)


NETWORK = PaperNetwork()
