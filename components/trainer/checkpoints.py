"""Checkpoints of a training: what it takes to go on after a kill as if nothing had happened.

A checkpoint is a folder ``<epoch>-<step>/`` with ``arrays.npz`` (numbers) and ``state.json`` (the
rest). It is written aside and renamed, so one that is there is whole.
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
"""Newest checkpoints that stay: should the disk spoil one, there is another."""


@dataclass(frozen=True)
class Checkpoint:
    """The whole state of a training between two steps.

    Args:
        epoch: under way, counted from 0.
        step: steps of it that are done.
        state: what else there is to know, as JSON.
        arrays: the variables.
    """

    epoch: int
    step: int
    state: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


class CheckpointFolder:
    """Where one training keeps its checkpoints.

    Args:
        path: the folder.
        fingerprint: names the parameters and the data; it is written into every checkpoint.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self._fingerprint = fingerprint

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the folder to this process; a kill gives it free.

        Raises:
            ComponentError: another process has it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ComponentError(
                    f"another process trains with the checkpoints in {self.path}: wait for its end"
                ) from None
            for partial in self.path.glob(".*.partial-*"):
                shutil.rmtree(partial)
            yield

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write `checkpoint`, remove what is too old, and return the checkpoint's folder."""
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
        """The folders of whole checkpoints, oldest first."""
        if not self.path.is_dir():
            return []
        return sorted(p for p in self.path.iterdir() if re.fullmatch(r"\d{6}-\d{9}", p.name))

    def latest(self, progress: Progress) -> Checkpoint | None:
        """Return the newest checkpoint that can be read, or None; what is spoilt is told.

        Raises:
            ComponentError: the checkpoints are those of other parameters or other songs.
        """
        for folder in reversed(self.folders()):
            try:
                return self.load(folder)
            except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
                progress.say(f"the checkpoint {folder} cannot be read ({error}): passed over")
        return None

    def at(self, epoch: int, step: int) -> Checkpoint:
        """Return the checkpoint of one position.

        Raises:
            ComponentError: there is none.
        """
        folder = self._folder(epoch, step)
        if not folder.is_dir():
            raise ComponentError(
                f"the workers have no checkpoint in common ({folder} is not there): remove "
                f"{self.path} on every worker to train from the beginning"
            )
        return self.load(folder)

    def load(self, folder: Path) -> Checkpoint:
        """Read one checkpoint.

        Raises:
            ComponentError: it is one of other parameters or other songs.
            OSError, ValueError, KeyError, zipfile.BadZipFile: it is damaged.
        """
        state = json.loads((folder / "state.json").read_text("utf-8"))
        if state.pop("fingerprint") != self._fingerprint:
            raise ComponentError(
                f"{self.path} holds checkpoints of a training with other parameters or songs: "
                "name another folder, or remove it"
            )
        with np.load(folder / "arrays.npz", allow_pickle=False) as file:
            arrays = dict(file)
        epoch, step = map(int, folder.name.split("-"))
        return Checkpoint(epoch, step, state, arrays)
