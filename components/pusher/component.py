"""Pusher: publishes a blessed model under the next version number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tunesmith.components.artifacts import Blessing, PushedModel, TrainedModel
from tunesmith.components.component import (
    Component,
    ParameterError,
    ParameterSet,
    condition,
    parameter,
)

DEFAULT_KEEP = 5
"""Versions that stay; two are needed to go back, and a model of the paper's size takes 8 MB."""

FEWEST_KEPT = 2
"""The newest, and the one that a server goes on with until it has loaded the newest."""


@dataclass(frozen=True)
class PusherInputs:
    """The model and the blessings of its gates; a model that no gate has seen may be pushed too."""

    model: TrainedModel
    blessings: tuple[Blessing, ...] = condition(())


@dataclass(frozen=True)
class PusherParameters(ParameterSet):
    """Where the model goes: ``<root>/models/<model_name>/<version>/``."""

    model_name: str = parameter(
        "tunesmith", "Name that the model is published and served under.", option="--model-name"
    )
    keep: int = parameter(
        DEFAULT_KEEP,
        f"Number of versions to keep, at least {FEWEST_KEPT}; 0 = all.",
        least=0,
        option="--keep",
        affects_result=False,
    )

    def check(self) -> None:
        """Check that the name is one folder, and that a server keeps its version."""
        # It becomes a folder below the root, which it may not leave.
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.model_name):
            raise ParameterError(
                "model_name",
                f"must be letters, digits, '.', '_' and '-', not {self.model_name!r}",
            )
        check_keep(self.keep)


def check_keep(keep: int) -> int:
    """Return `keep` if so many versions may be kept.

    Raises:
        ParameterError: a server may still need the version that would go.
    """
    if keep < 0 or 0 < keep < FEWEST_KEPT:
        raise ParameterError(
            "keep",
            f"must be at least {FEWEST_KEPT} (a server goes on with the older version until it "
            f"has loaded the newer) or 0 for all, not {keep}",
        )
    return keep


def _model_dir(root: Path, parameters: PusherParameters) -> Path:
    return root / "models" / parameters.model_name


PUSHER: Component[PusherInputs, PusherParameters, PushedModel] = Component(
    "Pusher",
    PusherInputs,
    PusherParameters,
    PushedModel,
    "tunesmith.components.pusher.executor:execute",
    model_dir=_model_dir,
    afterwards="tunesmith.components.pusher.executor:tidy_up",
)
