"""Writes NOTICE: the works of others that the wheel holds, and their licences.

    python tools/notices.py NOTICE

A file of a package that is neither Python nor listed here is an error, so that nothing is bundled
without its notice. A library that pip installs beside tunesmith comes with its own licence.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Work:
    """A work of others, of which files here are adaptations.

    Args:
        name: of the work.
        address: where it is published.
        copyright: its notice, as its licence file has it.
        licence: SPDX identifier.
        files: path patterns of the adaptations, from the root of the repository.
        changes: what was taken, and what is different here.
    """

    name: str
    address: str
    copyright: str
    licence: str
    files: tuple[str, ...]
    changes: str


WORKS = (
    Work(
        "TensorFlow",
        "https://github.com/tensorflow/tensorflow",
        "Copyright 2021 The TensorFlow Authors.  All rights reserved.",
        "Apache-2.0",
        (
            "client/protos/tunesmith_wire*",
            "components/records/protos/example*",
            "components/trainer/export/protos/warmup*",
        ),
        "Taken: names, numbers and types of fields of messages. New: packages, comments.",
    ),
    Work(
        "TensorFlow Serving",
        "https://github.com/tensorflow/serving",
        "Copyright 2018, The TensorFlow Serving Authors.",
        "Apache-2.0",
        (
            "client/protos/tunesmith_wire*",
            "components/trainer/export/protos/warmup*",
            "serving/protos/batching_parameters*",
            "serving/protos/ssl_config*",
        ),
        "Taken: names, numbers and types of fields of messages. New: packages, comments.",
    ),
)

OWN = ("*/templates/*.html", "serving/config/*")
"""Patterns of files that are no Python, and tunesmith's own work."""

_PYTHON = frozenset({".py", ".pyi", ".pyc", ".typed"})

_HEAD = """\
tunesmith
Licensed under the Apache License, Version 2.0: see LICENSE.

This file is written by `make notices` (tools/notices.py).

What the distribution holds of the works of others follows. Their licence, Apache-2.0, is that of
LICENSE. All other files are tunesmith's own: its pages and their JavaScript hold no library and no
font, and neither songs, nor models, nor soundfonts are bundled. The corpus of `tunesmith demo` is
read from the package music21, which pip installs under its own licence, as it does every library.
"""


class NotListed(Exception):
    """A file is bundled, and nothing says whose work it is."""


def packages() -> list[Path]:
    """Return the folders that are packages, from the root of the repository."""
    return sorted(path.parent for path in ROOT.glob("*/py.typed"))


def bundled() -> Iterator[str]:
    """Yield the path of each file of the packages, from the root of the repository, sorted."""
    for package in packages():
        for path in sorted(package.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                yield path.relative_to(ROOT).as_posix()


def is_adapted(path: str) -> bool:
    """Return whether a file holds what others have written."""
    return any(fnmatch(path, pattern) for work in WORKS for pattern in work.files)


def notice() -> str:
    """Return the text of NOTICE.

    Raises:
        NotListed: a file is neither Python nor in :data:`WORKS` or :data:`OWN`.
    """
    paths = list(bundled())
    for path in paths:
        own = Path(path).suffix in _PYTHON or any(fnmatch(path, pattern) for pattern in OWN)
        if not own and not is_adapted(path):
            raise NotListed(f"{path} is bundled: add it to WORKS or OWN of tools/notices.py")
    return _HEAD + "".join(_section(work, paths) for work in WORKS)


def _section(work: Work, paths: list[str]) -> str:
    found = [path for path in paths if any(fnmatch(path, pattern) for pattern in work.files)]
    lines = [
        "",
        "-" * 72,
        "",
        f"{work.name} <{work.address}>",
        work.copyright,
        f"Licence: {work.licence}",
        work.changes,
        "",
        *(f"    {_installed(path)}" for path in found),
    ]
    return "\n".join(lines) + "\n"


def _installed(path: str) -> str:
    return path if path.startswith("tunesmith/") else f"tunesmith/{path}"


if __name__ == "__main__":
    try:
        Path(sys.argv[1]).write_text(notice(), "utf-8")
    except NotListed as error:
        sys.exit(f"tools/notices.py: error: {error}")
