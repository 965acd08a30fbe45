"""Docstrings and help texts begin with a noun or a verb."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tunesmith.pipeline.configuration_keys import known_keys

ROOT = Path(__file__).resolve().parent.parent

PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/py.typed"))
OTHERS = ("tests", "benchmarks", "tools", "docs")

RIDDLES = ("What", "Whoever", "Nobody")


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of every docstring, those of constants included."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        for place, statement in enumerate(body):
            match statement:
                case ast.Expr(ast.Constant(value=str() as text)):
                    if (documented and place == 0) or isinstance(
                        body[place - 1], ast.Assign | ast.AnnAssign
                    ):
                        yield statement.lineno, text


@pytest.mark.parametrize("package", [*PACKAGES, *OTHERS])
def test_no_docstring_begins_with_what(package: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for line, text in docstrings(ast.parse(path.read_text("utf-8")))
        if text.strip().startswith(RIDDLES)
    ]
    assert found == []


def test_a_docstring_of_a_constant_is_found() -> None:
    source = '"""A module."""\nLIMIT = 1\n"""What is allowed."""\n"no docstring"\n'
    assert list(docstrings(ast.parse(source))) == [(1, "A module."), (3, "What is allowed.")]


def test_no_help_of_a_parameter_begins_with_what() -> None:
    helps = [field.declared.help for fields in known_keys().values() for field in fields]
    assert [each for each in helps if each.startswith(RIDDLES) or not each] == []
