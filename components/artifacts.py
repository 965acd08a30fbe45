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
    tf.train.Example (see :func:`tunesmith.components.records.write_frames`), ``rejected.jsonl``,
    ``summary.json``.
    """


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
        content: dict[str, Any] = json.loads((self.path / "statistics.json").read_text("utf-8"))
        return content


class TrainedModel(Artifact):
    """What Trainer leaves: ``saved_model/`` and ``history.json``."""

    @property
    def saved_model(self) -> Path:
        """The SavedModel's folder."""
        return self.path / "saved_model"

    def history(self) -> dict[str, Any]:
        """Read ``history.json``: settings, losses by epoch, the epoch kept."""
        content: dict[str, Any] = json.loads((self.path / "history.json").read_text("utf-8"))
        return content


class PushedModel(Artifact):
    """What Pusher leaves: one ``<model>/<version>/`` that a server can load."""

    @property
    def version(self) -> int:
        """The version's number."""
        return int(self.path.name)
