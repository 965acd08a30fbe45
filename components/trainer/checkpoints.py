"""Checkpoints of a training, from which a killed training resumes exactly.

A checkpoint is a folder ``<epoch>-<step>/`` with ``arrays.npz`` (variables) and ``state.json``
(other state). It is written to a staging folder and renamed, so an existing one is complete.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.components.errors import ComponentError
from tunesmith.components.progress import Progress
from tunesmith.components.publishing import staged_directory

KEPT = 2
"""Number of checkpoints to keep: if one is damaged, there is another."""


@dataclass(frozen=True)
class Checkpoint:
    """The complete state of a training between two steps.

    Args:
        epoch: the current epoch, from 0.
        step: completed steps of the epoch.
        state: other state, as JSON.
        arrays: the variables.
    """

    epoch: int
    step: int
    state: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


class CheckpointFolder:
    """The folder of the checkpoints of one training.

    Args:
        path: the folder.
        fingerprint: of the parameters and the data; it is written into every checkpoint.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self._fingerprint = fingerprint

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder; the lock is released when the process exits.

        Raises:
            ComponentError: another process holds the lock.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ComponentError(
                    f"another process trains with the checkpoints in {self.path}: wait until it "
                    "ends"
                ) from None
            for partial in self.path.glob(".*.partial-*"):
                shutil.rmtree(partial)
            yield

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write `checkpoint`, remove old ones, and return the checkpoint's folder."""
        final = self._folder(checkpoint.epoch, checkpoint.step)
        state = {"fingerprint": self._fingerprint, **checkpoint.state}
        with staged_directory(final, replace=True) as staging:
            np.savez(staging / "arrays.npz", allow_pickle=False, **checkpoint.arrays)
            (staging / "state.json").write_text(json.dumps(state), encoding="utf-8")
        for old in self.folders()[:-KEPT]:
            shutil.rmtree(old)
        return final

    def _folder(self, epoch: int, step: int) -> Path:
        return self.path / f"{epoch:06}-{step:09}"

    def folders(self) -> list[Path]:
        """Return the folders of complete checkpoints, oldest first."""
        if not self.path.is_dir():
            return []
        return sorted(p for p in self.path.iterdir() if re.fullmatch(r"\d{6}-\d{9}", p.name))

    def latest(self, progress: Progress) -> Checkpoint | None:
        """Return the newest readable checkpoint, or None; unreadable ones are reported.

        Raises:
            ComponentError: the checkpoints belong to other parameters or songs.
        """
        for folder in reversed(self.folders()):
            try:
                return self.load(folder)
            except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
                progress.say(
                    f"warning: the checkpoint {folder} is unreadable ({error}) and ignored"
                )
        return None

    def at(self, epoch: int, step: int) -> Checkpoint:
        """Return the checkpoint of an epoch and step.

        Raises:
            ComponentError: there is no such checkpoint.
        """
        folder = self._folder(epoch, step)
        if not folder.is_dir():
            raise ComponentError(
                f"the workers have no common checkpoint ({folder} is missing): remove {self.path} "
                "on every worker to train from the beginning"
            )
        return self.load(folder)

    def load(self, folder: Path) -> Checkpoint:
        """Read one checkpoint.

        Raises:
            ComponentError: it belongs to other parameters or songs.
            OSError, ValueError, KeyError, zipfile.BadZipFile: it is damaged.
        """
        state = json.loads((folder / "state.json").read_text("utf-8"))
        if state.pop("fingerprint") != self._fingerprint:
            raise ComponentError(
                f"{self.path} has checkpoints of a training with other parameters or songs: use "
                "another folder, or remove it"
            )
        with np.load(folder / "arrays.npz", allow_pickle=False) as file:
            arrays = dict(file)
        epoch, step = map(int, folder.name.split("-"))
        return Checkpoint(epoch, step, state, arrays)
