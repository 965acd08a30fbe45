"""A serving engine of one's own: the embedded server at a lower priority."""

from __future__ import annotations

import shutil
from pathlib import Path

from tunesmith.serving import Engine, EngineOptions, load_engine


class LowPriority(Engine):
    """``nice -n 10`` and the command line of the embedded server."""

    def unavailable(self, options: EngineOptions) -> str | None:
        """Return why this machine cannot serve so; None if it can."""
        if shutil.which("nice") is None:
            return "nice is not on PATH"
        return load_engine("embedded").unavailable(options)

    def command(self, model_dir: Path | None, options: EngineOptions) -> list[str]:
        """Return the command line."""
        return ["nice", "-n", "10", *load_engine("embedded").command(model_dir, options)]
