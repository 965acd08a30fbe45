"""The paper's network behind the protocol of networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tunesmith.components.networks.network import ExportedNetwork, Network, WarmStart
from tunesmith.components.networks.paper.sizes import PaperSizes

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf
    from numpy.typing import NDArray


class PaperNetwork(Network):
    """Three bidirectional GRU layers; as a whole it learns from one target a window.

    That is the paper's way. Its forward halves alone are a causal network that has a target at each
    position.
    """

    def build(self, vocabulary_size: int, sizes: PaperSizes) -> keras.Model:
        """See :meth:`Network.build`."""
        from tunesmith.components.networks.paper.keras_model import build_model

        return build_model(vocabulary_size, sizes)

    def warm_start(self, model: keras.Model) -> WarmStart:
        """See :meth:`Network.warm_start`: the forward halves of all layers."""
        from tunesmith.components.networks.paper.training_graph import PaperModel

        assert isinstance(model, PaperModel)
        model.silence_backward_halves()
        return WarmStart(model.every_position, model.forward_weights())

    def for_serving(self, model: keras.Model, vocabulary_size: int, sizes: PaperSizes) -> tf.Module:
        """See :meth:`Network.for_serving`."""
        from tunesmith.components.networks.paper.forward_pass import ForwardPass

        del vocabulary_size
        return ForwardPass(model.get_weights(), sizes)

    def from_export(
        self, variables: Mapping[str, NDArray[np.float32]], window: int
    ) -> ExportedNetwork | None:
        """See :meth:`Network.from_export`."""
        from tunesmith.components.networks.gru.forward_pass import exported_weights

        weights = exported_weights(variables, directions=2, dense=4)
        if weights is None:
            return None
        sizes = PaperSizes(
            window=window,
            embedding=weights[0].shape[1],
            units=weights[2].shape[0],
            layers=(len(weights) - 5) // 6,
            dense=len(weights[-3]),
        )
        return ExportedNetwork(sizes, weights)


NETWORK = PaperNetwork()
