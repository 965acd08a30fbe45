"""The base path of a model, as a server expects it, from any folder of the model."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def base_path(folder: Path) -> Iterator[Path]:
    """Yield TensorFlow Serving's base path, ``BASE/<version>/saved_model.pb``, for a folder.

    Args:
        folder: such a base path, which is yielded as it is; or one version of a model, or the
            Trainer's artifact with its ``saved_model``, which get a base path for the duration of
            the block, as the version that the folder's name says, or else as version 1.

    Raises:
        OSError: the temporary folder cannot be made.
    """
    saved = next(
        (each for each in (folder, folder / "saved_model") if (each / "saved_model.pb").is_file()),
        None,
    )
    if saved is None:
        yield folder
        return
    is_version = saved.name.isascii() and saved.name.isdigit()
    with tempfile.TemporaryDirectory(prefix="tunesmith-") as base:
        Path(base, saved.name if is_version else "1").symlink_to(saved.absolute())
        yield Path(base)
