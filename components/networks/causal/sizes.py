"""Sizes of the causal network."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.components.component import parameter
from tunesmith.components.networks.network import NetworkSizes


@dataclass(frozen=True)
class CausalSizes(NetworkSizes):
    """See :func:`tunesmith.components.networks.causal.keras_model.build_model`."""

    embedding: int = parameter(100, "Width of a token's embedding.", least=1, option="--embedding")
    units: int = parameter(128, "Units of each GRU layer.", least=1, option="--units")
    layers: int = parameter(3, "Forward GRU layers.", least=1, option="--layers")
    dropout: float = parameter(
        0.3, "Dropout after each GRU layer.", least=0, below=1, option="--dropout"
    )


SIZES = CausalSizes
