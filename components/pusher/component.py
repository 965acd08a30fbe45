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
"""Default number of versions to keep; a rollback needs two, and a version takes 8 MB."""

FEWEST_KEPT = 2
"""The newest version, and the one that servers use until they have loaded the newest."""


@dataclass(frozen=True)
class PusherInputs:
    """The model and the blessings of its gates; a model without blessings can be pushed, too."""

    model: TrainedModel
    blessings: tuple[Blessing, ...] = condition(())


@dataclass(frozen=True)
class PusherParameters(ParameterSet):
    """Parameters of the published version, ``<root>/models/<model_name>/<version>/``."""

    model_name: str = parameter(
        "tunesmith", "Name under which the model is published and served.", option="--model-name"
    )
    keep: int = parameter(
        DEFAULT_KEEP,
        f"Number of versions to keep, at least {FEWEST_KEPT}; 0 = all.",
        least=0,
        option="--keep",
        affects_result=False,
    )

    def check(self) -> None:
        """Check that the name is one folder, and that enough versions are kept."""
        # The name becomes a folder in the root and must not lead out of it.
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.model_name):
            raise ParameterError(
                "model_name",
                f"must consist of letters, digits, '.', '_' and '-', not be {self.model_name!r}",
            )
        check_keep(self.keep)


def check_keep(keep: int) -> int:
    """Return `keep` if it is a valid number of versions to keep.

    Raises:
        ParameterError: it is too small: a server may still use the version that would be removed.
    """
    if keep < 0 or 0 < keep < FEWEST_KEPT:
        raise ParameterError(
            "keep",
            f"must be at least {FEWEST_KEPT} (a server uses the older version until it has loaded "
            f"the newer) or 0 for all, not {keep}",
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
