"""The console script ``tunesmith``, which is also there where the command line's extra is not.

A base install has the script, but not the libraries of the command line. Nothing is imported here
that the base install lacks, so that the script can say what to install.
"""

from __future__ import annotations

import sys

LIBRARIES = ("click", "rich")
"""Top-level modules of the extra ``cli``."""


def main() -> None:
    """Run the command line and exit; without its libraries, exit with 1 and name the extra."""
    try:
        from tunesmith.cli.main import main as run
    except ModuleNotFoundError as error:
        if error.name not in LIBRARIES:
            raise
        sys.exit(f"tunesmith: error: {_missing(error.name)}")
    run()


def _missing(library: str) -> str:
    return f"the command line needs {library}: pip install 'tunesmith[cli]'"
