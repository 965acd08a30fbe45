"""What a server is asked to serve: a name, a base path, a version policy and labels for each model.

Plain values; they know the folders that they name, but no file format and no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tunesmith.serving.errors import ModelVersionMissing
from tunesmith.serving.folder import require_versions

Found = TypeVar("Found")


@dataclass(frozen=True)
class VersionPolicy:
    """Which of the versions on disk are served side by side.

    The three policies are those of TensorFlow Serving's file_system_storage_path_source.proto.

    Attributes:
        most: how many, the newest that load; None for as many as there are.
        only: the numbers that come into question; None for every number.
    """

    most: int | None = 1
    only: frozenset[int] | None = None

    @staticmethod
    def latest(count: int = 1) -> VersionPolicy:
        """Serve the `count` newest versions that load; 0 means 1, as an unset field does."""
        return VersionPolicy(most=max(count, 1))

    @staticmethod
    def every() -> VersionPolicy:
        """Serve every version on disk."""
        return VersionPolicy(most=None)

    @staticmethod
    def specific(*versions: int) -> VersionPolicy:
        """Serve these versions, as far as they are on disk."""
        return VersionPolicy(most=None, only=frozenset(versions))

    def candidates(self, found: Mapping[int, Found]) -> dict[int, Found]:
        """Return those of `found` that come into question, in its order."""
        if self.only is None:
            return dict(found)
        return {number: each for number, each in found.items() if number in self.only}


@dataclass(frozen=True)
class ModelConfig:
    """One model of a server.

    Attributes:
        name: the name that requests put into ``model_spec``; a key and never a path.
        base: the folder that holds ``<version>/saved_model.pb``.
        policy: which versions are served.
        labels: names for version numbers, for requests' ``version_label``.
    """

    name: str
    base: Path
    policy: VersionPolicy = field(default_factory=VersionPolicy.latest)
    labels: Mapping[str, int] = field(default_factory=dict)

    def require_versions(self) -> dict[int, Path]:
        """Return the versions on disk that are asked for, the newest first, at least one.

        Raises:
            ModelFolderMissing: the base path is not a folder that can be read.
            ModelVersionMissing: none of the versions asked for is in it.
        """
        found = self.policy.candidates(require_versions(self.base))
        if not found:
            asked = ", ".join(map(str, sorted(self.policy.only or ())))
            raise ModelVersionMissing(
                f"{self.base} holds none of the versions that model {self.name} is to serve "
                f"({asked}): publish one, or name others"
            )
        return found
