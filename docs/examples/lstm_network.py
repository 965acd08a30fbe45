"""A network of one's own: an embedding, one LSTM layer and a softmax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.components.component import parameter
from tunesmith.components.networks.network import Network, NetworkSizes

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class LstmSizes(NetworkSizes):
    """The window, which every network has, and what else can be set."""

    embedding: int = parameter(100, "Width of a token's embedding.", least=1)
    cells: int = parameter(256, "Cells of the LSTM layer.", least=1, option="--cells")


class Lstm(Network):
    """Exported as the graph of its Keras model, unless it defines ``for_serving``."""

    sizes = LstmSizes

    def build(self, vocabulary_size: int, sizes: LstmSizes) -> keras.Model:
        """Return the network: tokens int32 [batch, window] to probabilities [batch, V]."""
        import keras

        tokens = keras.Input((sizes.window,), dtype="int32")
        series = keras.layers.Embedding(vocabulary_size, sizes.embedding)(tokens)
        state = keras.layers.LSTM(sizes.cells)(series)
        return keras.Model(tokens, keras.layers.Dense(vocabulary_size, "softmax")(state))
