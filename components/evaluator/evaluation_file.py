"""``evaluation.json``, whose structure docs/evaluation.md describes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunesmith.components.artifacts import Check, Split
from tunesmith.components.evaluator.comparison import Comparison
from tunesmith.components.evaluator.likelihood import Figures

FORMAT = 1
"""Incremented when readers have to change."""


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a model.

    Args:
        checks: of the blessing.
        model_digest: digest of the model.
        splits: figures of the model, by split.
        baselines: figures of the baselines, by name and split.
        parts: figures of each part of a mixture alone, by name and split; empty for other models.
        previous_version: the served version; None if none is served.
        previous: the comparison with the served version; None if none is served.
        music: of :func:`tunesmith.components.evaluator.song_measures.describe_music`.
        songs: relative paths of the composed songs.
        composed_frames: frames of each composed song; 0 without songs.
        parameters: of the Evaluator.
        seconds: duration of each part of the evaluation.
    """

    checks: Sequence[Check]
    model_digest: str
    splits: Mapping[Split, Figures]
    baselines: Mapping[str, Mapping[Split, Figures]]
    parts: Mapping[str, Mapping[Split, Figures]]
    previous_version: str | None
    previous: Comparison | None
    music: Mapping[str, Any]
    songs: Sequence[str]
    composed_frames: int
    parameters: Mapping[str, Any]
    seconds: Mapping[str, float]

    @property
    def blessed(self) -> bool:
        """True if all checks are passed."""
        return all(check.passed for check in self.checks)

    def verdict(self) -> str:
        """Return one line: blessed, or each check that the model failed."""
        if self.blessed:
            return f"blessed: {self.checks[0].why}"
        return "not blessed: " + "; ".join(check.why for check in self.checks if not check.passed)

    def write(self, path: Path) -> None:
        """Write the file; numbers that are not finite become null."""
        content = {
            "format": FORMAT,
            "blessed": self.blessed,
            "model_digest": self.model_digest,
            "checks": [asdict(check) for check in self.checks],
            "splits": {split: _table(figures, True) for split, figures in self.splits.items()},
            "baselines": _tables(self.baselines),
            "parts": _tables(self.parts),
            "previous": self.previous
            and {"version": self.previous_version, **asdict(self.previous)},
            "music": self.music,
            "songs": self.songs,
            "composed_frames": self.composed_frames,
            "parameters": self.parameters,
            "seconds": self.seconds,
        }
        path.write_text(json.dumps(_plain(content), indent=2, allow_nan=False), encoding="utf-8")


def _tables(figures: Mapping[str, Mapping[Split, Figures]]) -> dict[str, Any]:
    return {
        name: {split: _table(each, False) for split, each in splits.items()}
        for name, splits in figures.items()
    }


def _table(figures: Figures, with_bins: bool) -> dict[str, Any]:
    table: dict[str, Any] = {
        "windows": figures.windows,
        "nats": figures.nats,
        "perplexity": figures.perplexity,
        "top1": figures.top1,
        "top5": figures.top5,
        "expected_calibration_error": figures.calibration_error,
    }
    if with_bins:
        table["calibration"] = [each._asdict() for each in figures.calibration]
    return table


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
