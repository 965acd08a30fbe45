"""Bounds of figures and measures that a model can be asked to meet."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tunesmith.components.component import ParameterError
from tunesmith.components.evaluator.blessing import check_model
from tunesmith.components.evaluator.component import BlessingParameters
from tunesmith.components.evaluator.likelihood import Figures
from tunesmith.components.evaluator.requirements import FIGURES as NAMED_FIGURES
from tunesmith.components.evaluator.requirements import Requirement, required_names
from tunesmith.components.evaluator.song_measures import describe_music
from tunesmith.music import Vocabulary

FIGURES = Figures(10, 2.0, 0.5, 0.9, 0.1, (), 0.0)
MUSIC: dict[str, Any] = {
    "one_frame_note_share": {"model": {"values": [0.5, 0.7], "mean": 0.6}},
    "leap_share": {"model": {"values": [math.nan], "mean": None}},
}


def check(text: str, figures: Figures = FIGURES, music: dict[str, Any] | None = None) -> Any:
    requirements = BlessingParameters(beat=(), require=(text,))
    music = MUSIC if music is None else music
    return check_model(figures, {}, None, requirements, music)[-1]


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("one_frame_note_share<=0.6", True),
        ("one_frame_note_share<=0.59", False),
        ("one_frame_note_share >= 0.6", True),
        ("one_frame_note_share>=.61", False),
        ("nats<=2", True),
        ("nats<=1.99", False),
        ("top5>=0.9", True),
        ("perplexity<=7.3", False),
        ("expected_calibration_error<=1e-1", True),
    ],
)
def test_a_figure_is_held_against_its_bound(text: str, passed: bool) -> None:
    assert check(text).passed is passed


def test_the_check_tells_the_value_and_the_bound() -> None:
    found = check("one_frame_note_share<=0.5")
    assert (found.name, found.bound) == ("one_frame_note_share<=0.5", "most")
    assert (found.value, found.threshold) == (0.6, 0.5)
    assert found.why == (
        "one_frame_note_share is 0.600 on average over 2 songs: at most 0.5 is required"
    )
    assert check("nats>=3").why == "nats is 2.000 on the eval split: at least 3 is required"


def test_what_has_no_value_fails() -> None:
    assert not check("leap_share<=1").passed
    assert not check("leap_share<=1", music={}).passed
    assert not check("nats<=9", Figures(10, math.nan, 0.5, 0.9, 0.1, (), 0.0)).passed


def test_each_bound_is_a_check_after_the_others() -> None:
    asked = BlessingParameters(beat=(), require=("top1>=0.4", "top1<=0.6"))
    names = [each.name for each in check_model(FIGURES, {}, None, asked, MUSIC)]
    assert names[-2:] == ["top1>=0.4", "top1<=0.6"]
    assert len(names) == 5


@pytest.mark.parametrize("text", ["nats", "nats<2", "nats==2", "<=2", "nats<=much", "nats<=nan"])
def test_text_of_another_form_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ParameterError, match="must be NAME<=VALUE or NAME>=VALUE, such as nats<="):
        BlessingParameters(require=(text,))


def test_a_measure_that_there_is_not_is_refused_with_a_list_of_those_there_are() -> None:
    with pytest.raises(ParameterError) as refused:
        BlessingParameters(require=("happiness>=1",))
    assert "\n" not in str(refused.value)
    for name in ("nats", "one_frame_note_share", "longest_run", "copied_share"):
        assert name in str(refused.value)


def test_everything_measured_can_be_required() -> None:
    song = [np.array([1, 2, 1], dtype=np.int32)]
    vocabulary = Vocabulary(((), (60,), (62,)), 5.0)
    measured = describe_music(vocabulary, song, song, song, song, 3, 25)
    assert set(measured) == set(required_names()) - set(NAMED_FIGURES)
    for name in required_names():
        assert Requirement.parse(f"{name}<=1").name == name
