"""Parameters out of text and out of the record: back as they were, or refused by name."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pytest

from tunesmith.components.component import ParameterSet, dependent, parameter
from tunesmith.components.example_gen.component import ExampleGenParameters, GridParameters
from tunesmith.components.networks.paper.sizes import PaperSizes
from tunesmith.components.parameter_values import leaves, parameters_from, value_from
from tunesmith.components.trainer.component import TrainerParameters
from tunesmith.components.transform.component import TransformParameters


@dataclass(frozen=True)
class Inner(ParameterSet):
    width: int = parameter(1, "Width.")
    rate: float = parameter(0.5, "Rate.", most=9)


@dataclass(frozen=True)
class Other(ParameterSet):
    depth: int = parameter(3, "Depth.")


@dataclass(frozen=True)
class Parameters(ParameterSet):
    inner: Inner = field(default_factory=Inner)
    bound: float | None = parameter(None, "Bound.")
    names: tuple[str, ...] = parameter((), "Names.")
    shape: Literal["flat", "round"] = parameter("flat", "Shape.", choices=("flat", "round"))
    loud: bool = parameter(False, "Loud.")
    title: str = parameter("1", "Title.")
    kind: str = parameter("inner", "Kind.")
    sizes: Any = dependent("kind", lambda: {"inner": Inner, "other": Other})


def texts(*assignments: str) -> dict[str, Any]:
    """``inner.rate=2`` and the like as nested dictionaries of texts."""
    found: dict[str, Any] = {}
    for assignment in assignments:
        path, _, text = assignment.partition("=")
        *folders, name = path.split(".")
        level = found
        for folder in folders:
            level = level.setdefault(folder, {})
        level[name] = text
    return found


@pytest.mark.parametrize(
    "parameters",
    [
        Parameters(Inner(2, 3.0), 1.0, ("a", "b"), "round", True, "null"),
        TrainerParameters(architecture=PaperSizes(units=8), clip_norm=1.0, precision="bfloat16"),
        TransformParameters(transpose="-5..6"),
        ExampleGenParameters(
            track="all", grid=GridParameters(3.0, pitch_range=(20, 90)), test_fraction=0.25
        ),
        Parameters(kind="other", sizes=Other(7)),
    ],
)
def test_what_was_recorded_comes_back(parameters: Any) -> None:
    recorded = json.loads(json.dumps(asdict(parameters)))
    assert parameters_from(type(parameters), recorded) == parameters


def test_text_is_read_as_the_parameter_is_typed() -> None:
    told = texts(
        *("inner.rate=2", "inner.width=05", "bound=.001", 'names=["x"]', "title=7", "loud=true")
    )
    assert parameters_from(Parameters, told) == Parameters(
        Inner(5, 2.0), 0.001, ("x",), "flat", True, "7"
    )
    assert parameters_from(Parameters, texts("bound=none")).bound is None


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        (
            "depth=1",
            "depth is not a parameter: The parameters are: inner, bound, names, shape, loud",
        ),
        ("shpae=flat", "shpae is not a parameter: did you mean shape"),
        ("inner.depth=1", "inner.depth is not a parameter: .*The parameters are: width, rate"),
        ("inner.rate=10", "inner.rate must be at most 9, not 10"),
        ("sizes.depth=1", "sizes.depth is not a parameter"),
        ("kind=third", "kind must be one of inner, other, not 'third'"),
        ("inner.width=many", "inner.width must be a whole number, not 'many'"),
        ("inner.width=1.5", "inner.width must be a whole number, not 1.5"),
        ("inner=1", "inner is a group of parameters: set inner.NAME=VALUE"),
        ("shape=square", "shape must be one of flat, round, not 'square'"),
        ("loud=1", "loud must be true or false, not 1"),
        ("names=[1]", "names must be text, not 1"),
        ("names=1", "names must be a list"),
    ],
)
def test_what_does_not_fit_is_named(assignment: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parameters_from(Parameters, texts(assignment))


def test_what_the_component_refuses_is_told_in_its_words() -> None:
    with pytest.raises(ValueError, match="epochs must be at least 1, not 0"):
        parameters_from(TrainerParameters, texts("epochs=0"))


def test_a_range_and_a_list_are_written_as_on_the_command_line() -> None:
    assert parameters_from(GridParameters, {"pitch_range": "20..90"}).pitch_range == (20, 90)
    assert parameters_from(Parameters, {"names": "a, b"}).names == ("a", "b")
    assert parameters_from(Parameters, {"names": "none"}).names == ()


def test_nested_parameters_follow_the_parameter_that_decides() -> None:
    chosen = parameters_from(Parameters, {"sizes": {"depth": 5}, "kind": "other"})
    assert chosen.sizes == Other(5)
    assert parameters_from(Parameters, {}).sizes == Inner()


def test_a_pair_has_two() -> None:
    with pytest.raises(ValueError, match="pitch_range must be a list of 2 items, not 3"):
        parameters_from(GridParameters, texts("pitch_range=[1,2,3]"))


def test_a_range_that_is_none_is_told_how_to_write_one() -> None:
    with pytest.raises(ValueError, match=r"pitch_range must be LOW..HIGH, such as"):
        parameters_from(GridParameters, texts("pitch_range=4-8"))


def test_lengths_are_no_range() -> None:
    assert value_from(tuple[int, ...], "8,16,32", "lengths") == (8, 16, 32)
    with pytest.raises(ValueError, match=r"lengths must be a whole number, not '8..32'"):
        value_from(tuple[int, ...], "8..32", "lengths")


def test_text_stands_for_nothing_else_where_there_are_types() -> None:
    for hint, value in ((int, 5), (float | None, 0.5), (tuple[int, int], [1, 2]), (bool, True)):
        assert value_from(hint, value, "x", reads_text=False) == value_from(hint, value, "x")
        with pytest.raises(ValueError, match=r'must be .*, not "'):
            value_from(hint, str(value), "x", reads_text=False)
    assert value_from(float | None, "none", "x", reads_text=False) is None
    assert value_from(str, "5", "x", reads_text=False) == "5"


def test_nested_values_have_dotted_names() -> None:
    assert leaves({"a": 1, "b": {"c": {"d": 2}, "e": []}}) == {"a": 1, "b.c.d": 2, "b.e": []}
