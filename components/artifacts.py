"""The artifacts that components hand on: a typed name for a folder and what lies in it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tunesmith.music import Vocabulary

Split = Literal["train", "eval", "test"]
"""What is learned from, what decides when to stop and what is kept, and what only judges."""

SPLITS: tuple[Split, ...] = ("train", "eval")
"""Those that are always there."""


@dataclass(frozen=True)
class Artifact:
    """A folder that one execution wrote or, for the first input, that the user brought.

    Args:
        path: the folder.
        digest: names the content: equal digests mean equal content.
    """

    path: Path
    digest: str


class MidiFolder(Artifact):
    """A folder of MIDI files, the user's own; never written to."""


class _SplitRecords(Artifact):
    def shards(self, split: Split) -> list[Path]:
        """The TFRecord files of `split`, in order."""
        return sorted(self.path.glob(f"{split}-*.tfrecord"))


class Sequences(_SplitRecords):
    """What ExampleGen leaves: songs as frames, split, each music once.

    ``train-*.tfrecord``, ``eval-*.tfrecord`` and, where asked for, ``test-*.tfrecord`` of
    tf.train.Example (see :func:`tunesmith.components.records.songs.write_frames`),
    ``rejected.jsonl``, ``summary.json``.
    """

    def summary(self) -> dict[str, Any]:
        """Read ``summary.json``: songs by split, and rejected files by reason."""
        return _read_json(self.path / "summary.json")


class Examples(_SplitRecords):
    """What Transform leaves: songs as tokens, and the vocabulary.

    ``train-*.tfrecord``, ``eval-*.tfrecord`` and, where asked for, ``test-*.tfrecord`` of
    tf.train.Example (``song_id`` bytes, ``tokens`` int64 [n], ``frames_per_second`` float),
    ``vocabulary.json``, ``statistics.json``, ``report.html``.
    """

    def vocabulary(self) -> Vocabulary:
        """Read ``vocabulary.json``."""
        return Vocabulary.read(self.path / "vocabulary.json")

    def statistics(self) -> dict[str, Any]:
        """Read ``statistics.json``."""
        return _read_json(self.path / "statistics.json")


class TrainedModel(Artifact):
    """What Trainer leaves: ``saved_model/`` and ``history.json``."""

    @property
    def saved_model(self) -> Path:
        """The SavedModel's folder."""
        return self.path / "saved_model"

    def history(self) -> dict[str, Any]:
        """Read ``history.json``: settings, losses by epoch, the epoch kept."""
        return _read_json(self.path / "history.json")


class ExampleStatistics(Artifact):
    """What StatisticsGen leaves: ``statistics.json``, all that ExampleValidator looks at."""

    def content(self) -> dict[str, Any]:
        """Read ``statistics.json``."""
        return _read_json(self.path / "statistics.json")


class ExampleAnomalies(Artifact):
    """What ExampleValidator leaves: ``anomalies.json``, what it found and what was allowed."""

    def content(self) -> dict[str, Any]:
        """Read ``anomalies.json``."""
        return _read_json(self.path / "anomalies.json")


class ModelEvaluation(Artifact):
    """What Evaluator leaves: ``evaluation.json``, and songs that the model composed."""

    def content(self) -> dict[str, Any]:
        """Read ``evaluation.json``."""
        return _read_json(self.path / "evaluation.json")

    @property
    def blessed(self) -> bool:
        """Whether the model may be served."""
        return bool(self.content()["blessed"])


class InfraBlessing(Artifact):
    """What InfraValidator leaves: ``infra.json``, how the serving engine took the model."""

    def content(self) -> dict[str, Any]:
        """Read ``infra.json``."""
        return _read_json(self.path / "infra.json")

    @property
    def blessed(self) -> bool:
        """Whether the engine serves the model as it must."""
        return bool(self.content()["blessed"])


class PushedModel(Artifact):
    """What Pusher leaves: one ``<model>/<version>/`` that a server can load."""

    @property
    def version(self) -> int:
        """The version's number."""
        return int(self.path.name)


def _read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content
