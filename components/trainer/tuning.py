"""Fine-tuning: a network that starts from the weights of another model, its parent."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.artifacts import PushedModel
from tunesmith.components.encodings.encoding import TokenVocabulary
from tunesmith.components.errors import ComponentError
from tunesmith.components.parent.reading import Parent, read_parent
from tunesmith.components.trainer.component import TrainerParameters
from tunesmith.components.trainer.near_tokens import nearest_known

NEW_FRAME_BIAS = 2.0
"""Difference of the output bias between a new frame and the known frame that it is copied from, in
nats: initially it is a seventh as probable."""

NOT_EXPORTED = ("dropout",)
"""Sizes that an exported model does not have."""


def parent_of(
    given: PushedModel | None, parameters: TrainerParameters, vocabulary: TokenVocabulary
) -> Parent | None:
    """Return the parent model; None without one.

    Raises:
        ComponentError: it cannot be read, the parameters are of another network, or the vocabulary
            does not begin with its tokens.
    """
    if given is None:
        return None
    parent = read_parent(given.path)
    if vocabulary.names[: len(parent.vocabulary)] != parent.vocabulary.names:
        raise ComponentError(
            f"the vocabulary of the examples does not begin with that of the parent {given.path}: "
            "execute Transform with the same parent"
        )
    chosen, sizes = parameters.architecture, parent.sizes
    names = [each.name for each in fields(sizes) if each.name not in NOT_EXPORTED]
    if parameters.network != parent.network or any(
        getattr(chosen, name) != getattr(sizes, name) for name in names
    ):
        described = ", ".join(f"{name} {getattr(sizes, name)}" for name in names)
        raise ComponentError(
            f"the network of the parent {given.path} is {parent.network} with {described}: use "
            "the same network and sizes"
        )
    return parent


def starting_weights(parent: Parent, vocabulary: TokenVocabulary) -> list[NDArray[np.float32]]:
    """Return the parent's weights, extended for new tokens.

    A new frame has the embedding and the output column of the known frame with the largest overlap,
    and an output bias lower by :data:`NEW_FRAME_BIAS`.

    Args:
        parent: the model.
        vocabulary: the parent's tokens, followed by the new ones.
    """
    known = known_to(parent, vocabulary)
    nearest = nearest_known(vocabulary, known)
    # A parent whose vocabulary is the rest alone has no near frame.
    nearest = np.where(nearest < known.sum(), nearest, vocabulary.rests[0])
    embeddings, *between, kernel, bias = parent.weights
    lowered = (bias[nearest] - NEW_FRAME_BIAS * ~known).astype(np.float32)
    return [embeddings[nearest], *between, kernel[:, nearest], lowered]


def known_to(parent: Parent | None, vocabulary: TokenVocabulary) -> NDArray[np.bool_]:
    """Return which tokens are in the parent's vocabulary, bool [V]; all false without a parent."""
    count = 0 if parent is None else len(parent.vocabulary)
    return np.arange(len(vocabulary)) < count
