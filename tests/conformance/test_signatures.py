"""The answers of a composer: probabilities, the vocabulary, the settings, whole songs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf

# Rows computed in another batch may be summed in another order.
CLOSE = {"rtol": 1e-3, "atol": 1e-5}
# TensorFlow Serving refuses more calls at once than four threads a core (--grpc_max_threads).
AT_ONCE = 4


def described(tensors: Any) -> dict[str, tuple[str, list[int]]]:
    return {
        name: (tf.dtypes.as_dtype(info.dtype).name, [dim.size for dim in info.tensor_shape.dim])
        for name, info in tensors.items()
    }


def test_the_metadata_is_the_contracts(server: Any) -> None:
    default, names = server.signatures["serving_default"], server.signatures["vocabulary"]
    settings = server.signatures["settings"]
    assert described(default.inputs) == {"tokens": ("int32", [-1, server.window])}
    assert described(default.outputs) == {"probabilities": ("float32", [-1, server.size])}
    assert described(names.inputs) == {"token_ids": ("int32", [-1])}
    assert described(names.outputs) == {"frames": ("string", [-1])}
    assert described(settings.inputs) == {"token_ids": ("int32", [-1])}
    assert described(settings.outputs)["frames_per_second"] == ("float32", [-1])
    for signature in (default, names, settings):
        assert signature.method_name == "tensorflow/serving/predict"
    assert server.window > 0
    assert server.size > 1


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_probabilities_of_a_batch(server: Any, batch: int) -> None:
    windows = server.windows(batch, seed=batch)
    answer = server.ask(tokens=windows)
    assert list(answer) == ["probabilities"]
    probabilities = answer["probabilities"]
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (batch, server.size)
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    for row in {0, batch // 2, batch - 1}:
        alone = server.probabilities(windows[row : row + 1])[0]
        np.testing.assert_allclose(probabilities[row], alone, **CLOSE)


def test_an_empty_batch_is_answered_or_its_deadline_passes(server: Any) -> None:
    """TensorFlow Serving never completes one when it batches: no task fills the batch."""
    request = server.request(tokens=np.zeros((0, server.window), np.int32))
    response, code, _ = server.outcome(request, timeout=2 if server.place.foreign else 60)
    if response is None:
        assert server.place.foreign
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    else:
        answer = tf.make_ndarray(response.outputs["probabilities"])
        assert answer.shape == (0, server.size)
    assert server.still_answers()


def test_more_rows_than_the_largest_batch_are_all_answered_or_refused(server: Any) -> None:
    """TensorFlow Serving that batches refuses over max_batch_size, 1,000 unless told otherwise.

    tensorflow/core/kernels/batching_util/shared_batch_scheduler.h, Schedule; unless it may split
    them (enable_large_batch_splitting).
    """
    windows = server.windows(1001, seed=4)
    response, code, _ = server.outcome(server.request(tokens=windows))
    if response is None:
        assert code is grpc.StatusCode.INVALID_ARGUMENT
    else:
        answer = tf.make_ndarray(response.outputs["probabilities"])
        assert answer.shape == (1001, server.size)
        for part in (slice(0, 3), slice(998, 1001)):
            np.testing.assert_allclose(answer[part], server.probabilities(windows[part]), **CLOSE)
    assert server.still_answers()


@pytest.mark.parametrize("token", [-1, "V", 2**31 - 1, -(2**31)])
def test_a_token_out_of_range_spoils_its_own_row_at_most(server: Any, token: Any) -> None:
    """Either the request is refused, and the message names the row, or that row alone is NaN."""
    windows = server.windows(5, seed=3)
    right = server.probabilities(windows)
    windows[3, 1] = server.size if token == "V" else token
    response, code, details = server.outcome(server.request(tokens=windows))
    if response is None:
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "row 3" in details
    else:
        answer = tf.make_ndarray(response.outputs["probabilities"])
        assert np.isnan(answer[3]).all()
        others = [0, 1, 2, 4]
        np.testing.assert_allclose(answer[others], right[others], **CLOSE)


def test_calls_made_at_once_get_their_own_answers_whatever_the_others_ask(server: Any) -> None:
    """Batching joins calls of several clients; a bad one may not fail or change its neighbours."""
    windows = server.windows(24, seed=5)
    right = server.probabilities(windows)

    def ask(row: int) -> Any:
        tokens = windows[row : row + 1].copy()
        if row % 4 == 3:
            tokens[0, 0] = server.size + row
        response, code, _ = server.outcome(server.request(tokens=tokens))
        return code if response is None else tf.make_ndarray(response.outputs["probabilities"])[0]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(ask, range(len(windows))))
    for row, answer in enumerate(answers):
        if row % 4 == 3:
            assert answer is grpc.StatusCode.INVALID_ARGUMENT or np.isnan(answer).all()
        else:
            np.testing.assert_allclose(answer, right[row], **CLOSE)


def test_the_vocabulary_names_each_token_and_nothing_else(server: Any) -> None:
    ids = np.arange(-1, server.size + 1, dtype=np.int32)
    frames = [name.decode() for name in server.ask("vocabulary", token_ids=ids)["frames"]]
    unknown, rest, *sounding, beyond = frames
    assert (unknown, rest, beyond) == ("", "e", "")
    assert len(set(sounding)) == server.size - 1
    for name in sounding:
        pitches = [int(pitch) for pitch in name.split(",")]
        assert ",".join(map(str, pitches)) == name
        assert all(0 <= pitch < 128 for pitch in pitches)
        assert all(lower < higher for lower, higher in pairwise(pitches))


def test_a_token_has_one_name_whatever_batch_it_is_asked_in(server: Any) -> None:
    ids = np.array([3, 0, 1, 3, 1, 1, 0], np.int32) % server.size
    together = server.ask("vocabulary", token_ids=ids)["frames"]
    alone = [server.ask("vocabulary", token_ids=ids[i : i + 1])["frames"][0] for i in range(3)]
    assert together[:3].tolist() == alone
    assert together[[3, 4, 5, 6]].tolist() == together[[0, 2, 2, 1]].tolist()


@pytest.mark.parametrize("batch", [1, 7])
def test_the_settings_are_one_value_for_all_and_as_many_as_asked(server: Any, batch: int) -> None:
    answer = server.ask("settings", token_ids=np.zeros(batch, np.int32))
    assert {value.shape for value in answer.values()} == {(batch,)}
    assert all(len(set(value.tolist())) == 1 for value in answer.values())
    assert answer["frames_per_second"].dtype == np.float32
    assert answer["frames_per_second"][0] > 0


class TestGenerate:
    """A song in one call, on models that have the signature."""

    @pytest.fixture(autouse=True)
    def _is_there(self, server: Any) -> None:
        if "generate" not in server.signatures:
            pytest.skip("the served model was exported without the signature generate")

    def songs(self, server: Any, batch: int, **changes: Any) -> Any:
        inputs = {
            "tokens": server.windows(batch, seed=9),
            "steps": np.full(batch, 5, np.int32),
            "temperature": np.full(batch, 1, np.float32),
            "top_k": np.zeros(batch, np.int32),
            "top_p": np.ones(batch, np.float32),
            "seed": np.arange(batch, dtype=np.int64),
        }
        return server.ask("generate", **(inputs | changes))

    def test_a_row_has_as_many_tokens_as_it_asked_for(self, server: Any) -> None:
        answer = self.songs(server, 3, steps=np.int32([4, 1, 6]))
        tokens, logarithms = answer["tokens"], answer["log_probabilities"]
        assert tokens.dtype == np.int32
        assert tokens.shape == logarithms.shape == (3, 6)
        for row, steps in enumerate([4, 1, 6]):
            assert ((tokens[row, :steps] >= 0) & (tokens[row, :steps] < server.size)).all()
            assert (tokens[row, steps:] == -1).all()
            assert (logarithms[row, steps:] == 0).all()

    def test_greedy_songs_are_the_most_probable_tokens_one_by_one(self, server: Any) -> None:
        answer = self.songs(server, 2, temperature=np.zeros(2, np.float32))
        windows = server.windows(2, seed=9)
        for step in range(5):
            probabilities = server.probabilities(windows)
            drawn = answer["tokens"][:, step]
            chosen = probabilities[np.arange(2), drawn]
            np.testing.assert_allclose(chosen, probabilities.max(axis=1), **CLOSE)
            np.testing.assert_allclose(
                answer["log_probabilities"][:, step], np.log(chosen), rtol=1e-3, atol=1e-4
            )
            windows = np.concatenate([windows[:, 1:], drawn[:, np.newaxis]], axis=1)

    def test_a_seed_gives_its_song_whatever_batch_it_is_in(self, server: Any) -> None:
        together = self.songs(server, 3)["tokens"]
        row = {"tokens": server.windows(3, seed=9)[2:], "seed": np.array([2], np.int64)}
        assert self.songs(server, 1, **row)["tokens"][0].tolist() == together[2].tolist()
