"""The parts of a model besides its network: n-gram counts and the recommended sampling."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.components.encodings.encoding import TokenVocabulary
from tunesmith.components.progress import Progress
from tunesmith.components.records.song_index import SongIndex
from tunesmith.components.spread import evenly
from tunesmith.components.trainer.component import TrainerParameters
from tunesmith.components.trainer.recommended_sampling import (
    MOST_CORPUS_SONGS,
    STEPS,
    Recommendation,
    draw_by_signature,
    recommend_sampling,
)

if TYPE_CHECKING:
    from tunesmith.components.mixture.counting import ContextTable
    from tunesmith.components.mixture.fitting import Prepared

MEBIBYTE = 2**20


def count_parts(
    parameters: TrainerParameters,
    vocabulary: TokenVocabulary,
    train: SongIndex,
    cut: SongIndex,
    progress: Progress,
    base: ContextTable | None = None,
) -> Prepared | None:
    """Return the counted parts of the mixture; None for the network alone.

    Args:
        parameters: of the Trainer.
        vocabulary: of the songs.
        train: all training songs.
        cut: the validation songs among them.
        progress: where progress is shown.
        base: counts of the parent model.
    """
    if parameters.mixture.mix == "network":
        return None
    from tunesmith.components.mixture.fitting import prepare_mixture
    from tunesmith.components.mixture.occurrences import TrainingSongs

    with progress.task("counting n-grams and fitting their mixture"):
        return prepare_mixture(
            TrainingSongs.read(train, cut, parameters.architecture.window, vocabulary.rests),
            vocabulary.names,
            vocabulary.rests,
            maximum_bytes=int(parameters.mixture.table_mebibytes * MEBIBYTE),
            seed=parameters.seed,
            base=base,
        )


def recommend(
    generate: Callable[..., Mapping[str, Any]],
    index: SongIndex,
    vocabulary: TokenVocabulary,
    window: int,
    seed: int,
    seconds: float,
) -> Recommendation | None:
    """Return the sampling whose songs are most similar to the training songs; None without time.

    Args:
        generate: the signature of the model.
        index: all training songs, of which those in their own key count.
        vocabulary: of the songs.
        window: tokens that the model sees.
        seed: of the composed songs.
        seconds: time limit.
    """
    if not seconds:
        return None
    own = np.flatnonzero(index.original)
    some = own[evenly(len(own), MOST_CORPUS_SONGS)]
    tokens = STEPS * len(vocabulary.rests)
    corpus = [vocabulary.decode(song[:tokens]) for song in index.in_order(some)]
    draw = draw_by_signature(generate, window, vocabulary)
    return recommend_sampling(draw, corpus, seed=seed, seconds=seconds)
