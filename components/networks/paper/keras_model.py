"""The network: three bidirectional GRU layers over a window of tokens, as the paper has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

WINDOW = 50
"""Frames that the network sees before the one it predicts (the paper's sequence length)."""


@dataclass(frozen=True)
class Architecture:
    """Sizes of the network; the defaults are the paper's.

    Args:
        embedding: width of a token's embedding.
        units: width of each GRU direction.
        layers: bidirectional GRU layers; the last returns its final state only.
        dense: width of the hidden layer before the softmax.
        dropout: share dropped after each GRU layer while training, 0 up to 1.
        leak: slope of the LeakyReLU below zero.
        window: frames in the input.
    """

    embedding: int = 100
    units: int = 128
    layers: int = 3
    dense: int = 64
    dropout: float = 0.3
    leak: float = 0.3
    window: int = WINDOW

    def __post_init__(self) -> None:
        for name in ("embedding", "units", "layers", "dense", "window"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be from 0 up to 1, not {self.dropout}")


def build_model(
    vocabulary_size: int, architecture: Architecture, portable: bool = False
) -> keras.Model:
    """Return the untrained network: tokens int32 [batch, window] to float32 [batch, V].

    At V = 201 and the paper's sizes it has 819,149 parameters. The GRU is Keras's default
    ``reset_after`` form, the one that cuDNN computes. Weights and their order are Keras's: the
    embedding; kernel, recurrent kernel and bias of each layer's forward and backward direction; the
    two dense layers.

    Args:
        vocabulary_size: V, tokens known.
        architecture: sizes.
        portable: Keras's own graph without the cuDNN kernel, slower than the default, which takes
            that kernel on a GPU and our graph of
            :mod:`tunesmith.components.networks.paper.training_graph` on a CPU.
    """
    import keras

    from tunesmith.components.networks.paper.training_graph import Network

    use_cudnn = False if portable else "auto"
    tokens = keras.Input((architecture.window,), dtype="int32", name="tokens")
    hidden = keras.layers.Embedding(vocabulary_size, architecture.embedding)(tokens)
    for layer in range(architecture.layers):
        gru = keras.layers.GRU(
            architecture.units,
            return_sequences=layer < architecture.layers - 1,
            use_cudnn=use_cudnn,
        )
        hidden = keras.layers.Bidirectional(gru)(hidden)
        hidden = keras.layers.Dropout(architecture.dropout)(hidden)
    hidden = keras.layers.Dense(architecture.dense)(hidden)
    hidden = keras.layers.LeakyReLU(negative_slope=architecture.leak)(hidden)
    probabilities = keras.layers.Dense(vocabulary_size, activation="softmax", dtype="float32")(
        hidden
    )
    kind = keras.Model if portable else Network
    return kind(tokens, probabilities, name="tunesmith")
