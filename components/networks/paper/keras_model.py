"""The network: three bidirectional GRU layers over a window of tokens, as the paper has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunesmith.components.networks.paper.sizes import PaperSizes

if TYPE_CHECKING:
    import keras


def build_model(vocabulary_size: int, sizes: PaperSizes, portable: bool = False) -> keras.Model:
    """Return the untrained network: tokens int32 [batch, window] to float32 [batch, V].

    At V = 201 and the paper's sizes it has 819,149 parameters. The GRU is Keras's default
    ``reset_after`` form, the one that cuDNN computes. Weights and their order are Keras's: the
    embedding; kernel, recurrent kernel and bias of each layer's forward and backward direction; the
    two dense layers.

    Args:
        vocabulary_size: V, tokens known.
        sizes: of the network.
        portable: Keras's own graph without the cuDNN kernel, slower than the default, which takes
            that kernel on a GPU and our graph of
            :mod:`tunesmith.components.networks.paper.training_graph` on a CPU.
    """
    import keras

    from tunesmith.components.networks.paper.training_graph import PaperModel

    use_cudnn = False if portable else "auto"
    tokens = keras.Input((sizes.window,), dtype="int32", name="tokens")
    hidden = keras.layers.Embedding(vocabulary_size, sizes.embedding)(tokens)
    for layer in range(sizes.layers):
        gru = keras.layers.GRU(
            sizes.units,
            return_sequences=layer < sizes.layers - 1,
            use_cudnn=use_cudnn,
        )
        hidden = keras.layers.Bidirectional(gru)(hidden)
        hidden = keras.layers.Dropout(sizes.dropout)(hidden)
    hidden = keras.layers.Dense(sizes.dense)(hidden)
    hidden = keras.layers.LeakyReLU(negative_slope=sizes.leak)(hidden)
    probabilities = keras.layers.Dense(vocabulary_size, activation="softmax", dtype="float32")(
        hidden
    )
    kind = keras.Model if portable else PaperModel
    return kind(tokens, probabilities, name="tunesmith")
