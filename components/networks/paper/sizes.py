"""Sizes of the paper's network; the defaults are the paper's."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.components.component import parameter
from tunesmith.components.networks.network import NetworkSizes


@dataclass(frozen=True)
class PaperSizes(NetworkSizes):
    """See :func:`tunesmith.components.networks.paper.keras_model.build_model`."""

    embedding: int = parameter(100, "Width of a token's embedding.", least=1, option="--embedding")
    units: int = parameter(128, "Units of each GRU direction.", least=1, option="--units")
    layers: int = parameter(3, "Bidirectional GRU layers.", least=1, option="--layers")
    dense: int = parameter(
        64, "Units of the dense layer before the output layer.", least=1, option="--dense"
    )
    dropout: float = parameter(
        0.3, "Dropout after each GRU layer.", least=0, below=1, option="--dropout"
    )
    leak: float = parameter(0.3, "Slope of the LeakyReLU below zero.")


SIZES = PaperSizes
