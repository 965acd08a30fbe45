"""Tuning: a network that begins with the weights of another model, its parent."""

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
"""What a new frame's output bias is below that of the known frame that it is a copy of, in nats: at
first it is a seventh as probable."""

NOT_EXPORTED = ("dropout",)
"""Sizes that an exported model does not tell."""


def parent_of(
    given: PushedModel | None, parameters: TrainerParameters, vocabulary: TokenVocabulary
) -> Parent | None:
    """Return the model that is to be tuned; None where there is none.

    Raises:
        ComponentError: it cannot be read back, the parameters are of another network, or the
            vocabulary does not begin with its tokens.
    """
    if given is None:
        return None
    parent = read_parent(given.path)
    if vocabulary.names[: len(parent.vocabulary)] != parent.vocabulary.names:
        raise ComponentError(
            f"the songs' tokens do not begin with those of {given.path}: give Transform this "
            "parent, too"
        )
    asked, sizes = parameters.architecture, parent.sizes
    names = [each.name for each in fields(sizes) if each.name not in NOT_EXPORTED]
    if parameters.network != parent.network or any(
        getattr(asked, name) != getattr(sizes, name) for name in names
    ):
        described = ", ".join(f"{name} {getattr(sizes, name)}" for name in names)
        raise ComponentError(
            f"the network of {given.path} is {parent.network} with {described}: train the same"
        )
    return parent


def starting_weights(parent: Parent, vocabulary: TokenVocabulary) -> list[NDArray[np.float32]]:
    """Return the parent's weights, with rows for the tokens that are new.

    A new frame has the embedding and the output column of the known frame that it overlaps most,
    and is :data:`NEW_FRAME_BIAS` less probable.

    Args:
        parent: the model.
        vocabulary: its tokens, and the new ones after them.
    """
    known = known_to(parent, vocabulary)
    nearest = nearest_known(vocabulary, known)
    # A parent that knows nothing but the rest has no frame that is near.
    nearest = np.where(nearest < known.sum(), nearest, vocabulary.rests[0])
    embeddings, *between, kernel, bias = parent.weights
    lowered = (bias[nearest] - NEW_FRAME_BIAS * ~known).astype(np.float32)
    return [embeddings[nearest], *between, kernel[:, nearest], lowered]


def known_to(parent: Parent | None, vocabulary: TokenVocabulary) -> NDArray[np.bool_]:
    """Return which tokens the parent knows, bool [V]; none without a parent."""
    count = 0 if parent is None else len(parent.vocabulary)
    return np.arange(len(vocabulary)) < count
