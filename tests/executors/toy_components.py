"""Declarations that tests of runs share; their executors are those of toy_executors."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.components.artifacts import Artifact
from tunesmith.components.component import ParameterSet, parameter


@dataclass(frozen=True)
class OfSong:
    song: Artifact


@dataclass(frozen=True)
class Width(ParameterSet):
    units: int = parameter(8, "Width.")


@dataclass(frozen=True)
class Learning(ParameterSet):
    sizes: Width = parameter(Width(), "Sizes.")
