"""Parameters out of text and out of the record: back as they were, or refused by name."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pytest

from tunesmith.components.example_gen.song_files import ExampleGenParameters
from tunesmith.components.networks.paper.keras_model import Architecture
from tunesmith.components.trainer.executor import TrainerParameters
from tunesmith.components.transform.song_tokens import TransformParameters
from tunesmith.music import Grid
from tunesmith.pipeline.parameters import nested, parameters_from


@dataclass(frozen=True)
class Inner:
    width: int = 1
    rate: float = 0.5


@dataclass(frozen=True)
class Parameters:
    inner: Inner = field(default_factory=Inner)
    bound: float | None = None
    names: tuple[str, ...] = ()
    shape: Literal["flat", "round"] = "flat"
    loud: bool = False
    title: str = "1"


@pytest.mark.parametrize(
    "parameters",
    [
        Parameters(Inner(2, 3.0), 1.0, ("a", "b"), "round", True, "null"),
        TrainerParameters(Architecture(units=8), clip_norm=1.0, precision="bfloat16"),
        TransformParameters(track="all", grid=Grid(3.0, lowest=20), transpose=(-5, 6)),
        ExampleGenParameters(test_fraction=0.25),
    ],
)
def test_what_was_recorded_comes_back(parameters: Any) -> None:
    recorded = json.loads(json.dumps(asdict(parameters)))
    assert parameters_from(type(parameters), recorded) == parameters


def test_text_is_read_as_the_parameter_is_typed() -> None:
    assignments = ["inner.rate=2", "bound=1e-3", 'names=["x"]', "title=7", "loud=true"]
    told = nested(assignments, {"inner": {"width": 5}, "bound": None})
    assert parameters_from(Parameters, told) == Parameters(
        Inner(5, 2.0), 0.001, ("x",), "flat", True, "7"
    )
    assert parameters_from(Parameters, nested(["bound=null"], {"bound": 1.0})).bound is None


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("depth=1", "there is no parameter depth; there are: inner, bound, names, shape, loud"),
        ("inner.depth=1", "there is no parameter inner.depth; there are: inner.width, inner.rate"),
        ("inner.width=many", "inner.width must be a whole number, not 'many'"),
        ("inner.width=1.5", "inner.width must be a whole number, not 1.5"),
        ("inner=1", "inner has parameters of its own: give inner.NAME=VALUE"),
        ("shape=square", "shape must be one of flat, round"),
        ("loud=1", "loud must be true or false, not 1"),
        ("names=a", "names must be a value as JSON has it"),
        ("names=1", "names must be a list"),
        ("bound", "'bound' is not NAME=VALUE"),
    ],
)
def test_what_does_not_fit_is_named(assignment: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        parameters_from(Parameters, nested([assignment], {}))


def test_what_the_component_refuses_is_told_in_its_words() -> None:
    with pytest.raises(ValueError, match="epochs must be at least 1, not 0"):
        parameters_from(TrainerParameters, nested(["epochs=0"], {}))


def test_a_pair_has_two() -> None:
    with pytest.raises(ValueError, match="transpose must be a list of 2, not of 3"):
        parameters_from(TransformParameters, nested(["transpose=[1,2,3]"], {}))
