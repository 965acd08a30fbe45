"""Hooks of mkdocs for the site: the packages are copied for the reference, and links are checked.

Run as `python -P -m mkdocs build`, so that Python finds the installed packages.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

import tunesmith

PACKAGES = Path(__file__).resolve().parent.parent / "build" / "site" / "tunesmith"
"""Where mkdocs.yml has the reference read from."""

_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s:#]+)\)")


def on_startup(**_: Any) -> None:
    """Copy the packages before anything is built."""
    copy_packages(PACKAGES)


def copy_packages(target: Path) -> None:
    """Copy the installed packages into one folder, which is emptied first.

    An editable install links the files of several folders, and griffe follows the links to folders
    that lack the packages beside them.
    """
    installed = next(path for path in tunesmith.__path__ if Path(path, "music").is_dir())
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(installed, target, ignore=shutil.ignore_patterns("__pycache__"))


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Return the page's Markdown without links that leave docs/ or lead to a folder.

    Pages are read in the repository, too, where such a link opens a file that the site lacks.
    """
    folder = PurePosixPath(page.file.src_uri).parent

    def without_link(match: re.Match[str]) -> str:
        text, target = match.groups()
        depth = len(folder.parts)
        for part in PurePosixPath(target).parts:
            depth += -1 if part == ".." else 1
            if depth < 0:
                return text
        return match[0] if PurePosixPath(target).suffix else text

    return _LINK.sub(without_link, markdown)
