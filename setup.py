"""Which packages there are: the folder ``tunesmith`` as the package of that name, and every folder
of Python below the other top-level ones, as ``tunesmith.*``.

All else stands in pyproject.toml. The list is made here so that a new folder needs no entry.
"""

from pathlib import Path

from setuptools import setup

TOP_LEVEL = ("music", "client", "components", "pipeline", "serving", "cli")

folders = sorted({path.parent for top in TOP_LEVEL for path in Path(top).rglob("__init__.py")})

setup(
    packages=["tunesmith", *(".".join(("tunesmith", *folder.parts)) for folder in folders)],
    package_dir={"tunesmith": "tunesmith", **{f"tunesmith.{top}": top for top in TOP_LEVEL}},
)
