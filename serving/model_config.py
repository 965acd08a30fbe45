"""Model configuration: name, base path, version policy and labels of each served model.

Plain dataclasses that can list the version folders; no file format and no TensorFlow here.
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
    """Version policy: selects the versions on disk that are served at the same time.

    The three policies are those of TensorFlow Serving's file_system_storage_path_source.proto.

    Attributes:
        limit: number of newest loadable versions to serve; None serves all of them.
        numbers: version numbers to serve; None means any number.
    """

    limit: int | None = 1
    numbers: frozenset[int] | None = None

    @staticmethod
    def latest(count: int = 1) -> VersionPolicy:
        """Serve the `count` newest versions that load; 0 means 1, as an unset field does."""
        return VersionPolicy(limit=max(count, 1))

    @staticmethod
    def every() -> VersionPolicy:
        """Serve every version on disk."""
        return VersionPolicy(limit=None)

    @staticmethod
    def specific(*versions: int) -> VersionPolicy:
        """Serve those of these versions that are on disk."""
        return VersionPolicy(limit=None, numbers=frozenset(versions))

    def candidates(self, found: Mapping[int, Found]) -> dict[int, Found]:
        """Return the items of `found` that the policy admits, in the same order."""
        if self.numbers is None:
            return dict(found)
        return {number: each for number, each in found.items() if number in self.numbers}


@dataclass(frozen=True)
class ModelConfig:
    """Configuration of one served model.

    Attributes:
        name: model name in ``model_spec`` of requests; a key, never used as a path.
        base: folder that contains ``<version>/saved_model.pb``.
        policy: version policy.
        labels: version numbers by label, for ``version_label`` of requests.
    """

    name: str
    base: Path
    policy: VersionPolicy = field(default_factory=VersionPolicy.latest)
    labels: Mapping[str, int] = field(default_factory=dict)

    def require_versions(self) -> dict[int, Path]:
        """Return the requested versions on disk, the newest first; fail if there is none.

        Raises:
            ModelFolderMissing: the base path is not a readable folder.
            ModelVersionMissing: the base path has none of the requested versions.
        """
        found = self.policy.candidates(require_versions(self.base))
        if not found:
            wanted = ", ".join(map(str, sorted(self.policy.numbers or ())))
            raise ModelVersionMissing(
                f"{self.base} has none of the versions configured for model {self.name} "
                f"({wanted}): publish one of them, or change its version policy"
            )
        return found
