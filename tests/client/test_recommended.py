"""A model's recommended sampling is used where the caller gives none, and only there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tunesmith.client import BadOption, BadResponse, Composer, Sampling, Song
from tunesmith.client.protos import tunesmith_wire_pb2 as wire
from tunesmith.music.degeneration import SongLimits

ONE_ROW = wire.TensorShapeProto(dim=[{"size": 1}])


def whole(value: int) -> wire.TensorProto:
    return wire.TensorProto(dtype=wire.DT_INT32, tensor_shape=ONE_ROW, int_val=[value])


def single(value: float) -> wire.TensorProto:
    return wire.TensorProto(dtype=wire.DT_FLOAT, tensor_shape=ONE_ROW, float_val=[value])


@pytest.fixture
def recommend(contract: Any, address: str) -> Iterator[Callable[..., Composer]]:
    """A composer of a model whose settings have these outputs as well."""
    composers = []

    def begin(**outputs: wire.TensorProto) -> Composer:
        settings = {"frames_per_second": single(8.0), **outputs}
        contract.settings = lambda: settings
        composers.append(Composer(address))
        return composers[-1]

    yield begin
    for composer in composers:
        composer.close()


def test_a_model_that_recommends_nothing_is_drawn_from_as_it_is(recommend: Any) -> None:
    composer = recommend()
    assert composer.generate(5, seed=1).sampling == Sampling()
    assert composer.model().settings.limits is None


def test_what_is_recommended_holds_where_nothing_is_given(recommend: Any) -> None:
    composer = recommend(temperature=single(0.9), top_k=whole(3), top_p=single(0.95))
    recommended = Sampling(0.9, 3, 0.95)
    song = composer.generate(30, seed=1)
    assert song.sampling == recommended
    assert song == composer.generate(30, seed=1, sampling=recommended)
    assert "temperature 0.9, top-k 3, top-p 0.95" in song.origin()


def test_what_is_given_is_drawn_as_it_is_without_what_is_recommended(recommend: Any) -> None:
    composer = recommend(temperature=single(0.5), top_k=whole(2), top_p=single(0.9))
    for given, used in (
        ({"temperature": 1.0}, Sampling()),
        ({"temperature": 0.0}, Sampling(0.0)),
        ({"top_p": 1.0}, Sampling(top_p=1.0)),
        ({"top_k": 5, "max_rests": 3}, Sampling(top_k=5, max_rests=3)),
        ({"min_p": 0.1}, Sampling(min_p=0.1)),
        ({"sampling": Sampling()}, Sampling()),
    ):
        song = composer.generate(20, seed=1, **given)
        assert song.sampling == used
        assert song == composer.generate(20, seed=1, sampling=used)


def test_limits_leave_the_sampling_to_the_model(recommend: Any) -> None:
    composer = recommend(temperature=single(0.5), top_k=whole(2), top_p=single(0.9))
    song = composer.generate(4, seed=1, max_rests=3, max_repeats=2)
    assert song.sampling == Sampling(0.5, 2, 0.9, max_repeats=2, max_rests=3)


def test_filters_of_ones_own_and_the_usual_sampling_do_not_go_together(recommend: Any) -> None:
    composer = recommend(temperature=single(0.5))
    assert composer.generate(4, sampling=[Sampling()]).sampling is None
    with pytest.raises(BadOption, match="either sampling or temperature"):
        composer.generate(4, sampling=Sampling(), temperature=1.0)
    with pytest.raises(TypeError, match="heat"):
        composer.generate(4, heat=1.0)


def test_a_song_is_extended_as_the_model_recommends(recommend: Any) -> None:
    composer = recommend(temperature=single(0.7))
    song = composer.generate(20, seed=3)
    assert composer.extend(composer.generate(8, seed=3), 12) == song
    assert composer.extend(song, 3, temperature=0).sampling == Sampling(0.0)


@pytest.mark.parametrize(
    "outputs",
    [{"temperature": single(-1.0)}, {"top_p": single(1.5)}, {"top_k": whole(-2)}],
    ids=["temperature", "top_p", "top_k"],
)
def test_a_recommendation_that_makes_no_sense_is_told(recommend: Any, outputs: Any) -> None:
    with pytest.raises(BadResponse, match="invalid recommended sampling"):
        recommend(**outputs).model()


def test_a_song_is_held_against_the_limits_of_its_model(recommend: Any) -> None:
    limits = {"rest_share_limit": single(0.2), "longest_run_limit": single(2.5)}
    composer = recommend(**limits)
    assert composer.model().settings.limits == SongLimits(0.2, 2.5)
    # The greedy song is e, 60, 62, 64, chord, e, ...: it never stands still.
    assert composer.generate(20, temperature=0).degenerate is None
    resting = composer.generate(20, sampling=lambda rows, _: rows * [1, 0, 0, 0, 0])
    assert resting.degenerate == "is silent: all 20 frames are rests"
    held = composer.generate(4, sampling=lambda rows, _: rows * [0, 1, 0, 0, 0])
    assert held.degenerate == (
        "repeats one frame for too long: for 4 of 4 frames, in training songs for at most 2"
    )


def test_a_song_of_no_model_is_told_for_silence_alone() -> None:
    assert Song(((),) * 4, 5.0).degenerate == "is silent: all 4 frames are rests"
    assert Song(((60,),) * 400, 5.0).degenerate is None
    assert Song((), 5.0).degenerate is None
