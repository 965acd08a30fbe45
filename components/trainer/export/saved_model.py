"""The SavedModel that is served: six signatures, no custom op, warm-up requests.

It must load in a stock TensorFlow Serving, which runs signatures through the C++ loader and a
Session: no Python function, no XLA-compiled function, and every variable owned by the exported
object (a Keras model passed to ``tf.saved_model.save`` loses them there).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.encodings.encoding import TokenVocabulary
from tunesmith.components.ngram.packing import Songs, drafter_signature, pack_ngram
from tunesmith.components.sampling import RecommendedSampling
from tunesmith.components.trainer.component import ServedSettings
from tunesmith.components.trainer.export.protos import warmup_pb2
from tunesmith.music.degeneration import LIMIT_FRAMES, measure_limits

if TYPE_CHECKING:
    import tensorflow as tf

MODEL_NAME = "tunesmith"
"""Default name under which the model is served."""

WARMUP_BATCHES = (1, 16)
"""Sizes of the warm-up requests: a single song, and several at once."""

LIMIT_SONGS = 2000
"""Number of songs for the limits: enough for a quantile, and read within a second."""


def export_model(
    forward: tf.Module,
    window: int,
    vocabulary: TokenVocabulary,
    settings: ServedSettings,
    directory: Path,
    songs: Songs = (),
    sampling: RecommendedSampling | None = None,
    generate: tf.types.experimental.GenericFunction | None = None,
) -> None:
    """Write a trained network as a SavedModel into `directory`, which must not exist.

    Args:
        forward: what :meth:`tunesmith.components.networks.network.Network.for_serving` returned, or
            its :class:`tunesmith.components.mixture.mixture.Mixture`.
        window: frames that it sees.
        vocabulary: the tokens, and how the corpus was read.
        settings: of the exported model.
        directory: the folder to write.
        songs: tokens of the training songs, integers [n] each, of which the drafter is counted;
            without any, or with no bytes for it, the model has none. The limits of a song are
            measured over the first :data:`LIMIT_SONGS`.
        sampling: what a client draws with by default; None for the model's own distribution.
        generate: the signature of that name of the same `forward`, where there is one already.

    Signatures, each with the batch as every first dimension:

    - ``serving_default``: ``tokens`` int32 [batch, window] to ``probabilities`` float32 [batch, V],
      rows summing to one; a row with a token out of range is NaN and leaves the others alone.
    - ``vocabulary``: ``token_ids`` int32 [batch] to ``frames`` string [batch]; empty for an id out
      of range.
    - ``settings``: ``token_ids`` int32 [batch] to ``frames_per_second`` float32 [batch], ``track``
      string [batch], and int32 [batch] each: ``program``, ``frames_per_beat`` (0 for a grid of
      seconds), ``keep_short_notes`` (0 or 1), ``lowest_pitch``, ``highest_pitch``,
      ``transpose_from``, ``transpose_to``; and the recommended sampling: ``temperature`` float32,
      ``top_k`` int32 (0 for all), ``top_p`` float32 (1 for all). Where there are training songs,
      float32 ``rest_share_limit`` and ``longest_run_limit``, beyond which a song is degenerate
      (:mod:`tunesmith.music.degeneration`). Where frames say which pitches are struck,
      ``encoding`` string and ``keep_onsets`` int32.
    - ``generate``: a song a row in one call. ``tokens`` int32 [batch, window], what went before;
      and [batch] each: ``steps`` int32, at most ``generation.MAXIMUM_STEPS``; ``temperature``
      float32; ``top_k`` int32, 0 for all; ``top_p`` float32, 1 for all; ``seed`` int64, which with
      the step decides the row's draws. To ``tokens`` int32 [batch, longest steps], -1 after a
      row's last, and ``log_probabilities`` float32 of the same shape, the model's own
      (temperature 1), 0 after a row's last. A row with an input out of range is -1 throughout.
    - ``parts``, of a mixture: ``tokens`` int32 [batch, window] to ``network``, ``training_songs``
      and ``window``, float32 [batch, V] each: what each says alone, likewise.
    - ``drafter``, where the model has one: ``token_ids`` int32 [batch] to ``format`` int32 [batch]
      and, for token 0 alone, the counted n-gram as two compressed arrays (docs/model.md):
      ``contexts`` and ``followers``, string [batch], empty for any other token.
    """
    import tensorflow as tf

    from tunesmith.components.mixture.mixture import Mixture
    from tunesmith.components.trainer.export.generate import generate_signature

    songs = iter(songs)
    first = list(islice(songs, LIMIT_SONGS))
    served = {
        "program": np.int32(settings.program),
        **(sampling or RecommendedSampling()).served(),
        **_served_limits(vocabulary, first),
    }
    signatures = _signatures(forward, window, vocabulary, served)
    signatures["generate"] = generate or generate_signature(forward, window, len(vocabulary))
    if isinstance(forward, Mixture):
        signatures["parts"] = _by_window("parts", forward.parts, window, len(vocabulary))
    asked = ["vocabulary", "settings"]
    if settings.drafter_bytes:
        packed = pack_ngram(
            chain(first, songs), len(vocabulary), settings.drafter_bytes, vocabulary.rests
        )
        if packed is not None:
            signatures["drafter"] = drafter_signature(packed)
            asked.append("drafter")
    # Traced before, or tf.saved_model.save would trace each once more, with all that it calls.
    traced = {name: each.get_concrete_function() for name, each in signatures.items()}
    tf.saved_model.save(forward, str(directory), signatures=traced)
    _write_warmup(directory, window, asked)


def _served_limits(
    vocabulary: TokenVocabulary, songs: Sequence[NDArray[np.integer[Any]]]
) -> dict[str, np.float32]:
    """Return the outputs of ``settings`` that say what the songs do at most; none without songs."""
    tokens = LIMIT_FRAMES * len(vocabulary.rests)
    limits = measure_limits(vocabulary.decode(song[:tokens]) for song in songs)
    if limits is None:
        return {}
    return {
        "rest_share_limit": np.float32(limits.rest_share),
        "longest_run_limit": np.float32(limits.longest_run),
    }


def _signatures(
    forward: Any,
    window: int,
    vocabulary: TokenVocabulary,
    own: Mapping[str, np.float32 | np.int32],
) -> dict[str, tf.types.experimental.GenericFunction]:
    import tensorflow as tf

    size = len(vocabulary)
    ids = tf.TensorSpec([None], tf.int32, name="token_ids")
    corpus = {
        name: value if isinstance(value, str) else np.int32(value)
        for name, value in vocabulary.corpus.served().items()
    }
    speed = {"frames_per_second": np.float32(vocabulary.frames_per_second)}
    served: dict[str, Any] = {**corpus, **speed, **own}

    serving_default = _by_window(
        "serving_default", lambda tokens: {"probabilities": forward(tokens)}, window, size
    )

    @tf.function(input_signature=[ids], autograph=False)
    def names(token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        known = (token_ids >= 0) & (token_ids < size)
        frames = tf.gather(tf.constant(vocabulary.names), tf.clip_by_value(token_ids, 0, size - 1))
        return {"frames": tf.where(known, frames, "")}

    @tf.function(input_signature=[ids], autograph=False)
    def served_settings(token_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        batch = tf.shape(token_ids)
        return {name: tf.fill(batch, value) for name, value in served.items()}

    return {"serving_default": serving_default, "vocabulary": names, "settings": served_settings}


def _by_window(
    name: str, answer: Callable[[Any], dict[str, Any]], window: int, size: int
) -> tf.types.experimental.GenericFunction:
    """Return a signature of windows; the rows of one with a token out of range are NaN.

    Args:
        name: of the signature, which its function is called by.
        answer: tokens int32 [batch, window], each from 0 up to V, to float32 [batch, V] by name.
        window: see above.
        size: V.
    """
    import tensorflow as tf

    def served(tokens: tf.Tensor) -> dict[str, tf.Tensor]:
        known = tf.reduce_all((tokens >= 0) & (tokens < size), axis=1, keepdims=True)
        rows = answer(tf.clip_by_value(tokens, 0, size - 1))
        return {key: tf.where(known, row, np.float32("nan")) for key, row in rows.items()}

    served.__name__ = name
    signature = [tf.TensorSpec([None, window], tf.int32, "tokens")]
    return tf.function(served, input_signature=signature, autograph=False)


def _write_warmup(directory: Path, window: int, by_token: list[str]) -> None:
    """Write the requests that a server runs before a version takes traffic.

    `by_token` names the signatures that are asked about a token.
    """
    import tensorflow as tf

    requests: list[tuple[str, str, tuple[int, ...]]] = [
        ("serving_default", "tokens", (batch, window)) for batch in WARMUP_BATCHES
    ]
    requests += [(signature, "token_ids", (1,)) for signature in by_token]
    extra = directory / "assets.extra"
    extra.mkdir()
    with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
        for signature, name, shape in requests:
            record = warmup_pb2.WarmupRecord()
            request = record.predict_log.request
            request.model_spec.name = MODEL_NAME
            request.model_spec.signature_name = signature
            tensor = tf.make_tensor_proto(np.zeros(shape, dtype=np.int32))
            request.inputs[name] = tensor.SerializeToString()
            writer.write(record.SerializeToString(deterministic=True))
