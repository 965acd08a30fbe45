"""The site's handling of links and of the docstrings' cross-references; `make site` builds it."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import griffe
import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """``tool("site")`` loads tools/site.py."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"tools_{name}", ROOT / f"tools/{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.parametrize(
    ("page", "markdown", "shown"),
    [
        ("a.md", "[b](b.md) and [c](b.md#c)", "[b](b.md) and [c](b.md#c)"),
        ("a.md", "[the file](../serving/config/models.config)", "the file"),
        ("a.md", "[examples](examples)", "examples"),
        ("reference/a.md", "[b](../b.md)", "[b](../b.md)"),
        ("reference/a.md", "[b](../../README.md)", "b"),
    ],
)
def test_links_out_of_the_docs_become_text(
    tool: Callable[[str], ModuleType], page: str, markdown: str, shown: str
) -> None:
    file = SimpleNamespace(file=SimpleNamespace(src_uri=page))
    assert tool("site").on_page_markdown(markdown, page=file) == shown


SOURCE = '''\
"""See :class:`Song`, :meth:`~Song.write`, :func:`pathlib.Path.open` and :data:`MANY`."""

FEW, MANY = 1, 2

class Song:
    """Written by :meth:`write`, read by :func:`read`."""

    def write(self):
        """Write."""
'''


def test_references_become_links_and_stale_ones_warn(
    tool: Callable[[str], ModuleType], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "tunesmith").mkdir()
    (tmp_path / "tunesmith" / "__init__.py").write_text("")
    (tmp_path / "tunesmith" / "song.py").write_text(SOURCE)
    extensions = griffe.load_extensions(tool("roles").Roles)
    loader = griffe.GriffeLoader(search_paths=[str(tmp_path)], extensions=extensions)
    with caplog.at_level(logging.WARNING):
        package = loader.load("tunesmith", try_relative_path=False)
    module, song = package["song"].docstring.value, package["song.Song"].docstring.value
    link = '<autoref identifier="tunesmith.song.{}" optional><code>{}</code></autoref>'
    assert module == (
        f"See {link.format('Song', 'Song')}, {link.format('Song.write', 'write')}, "
        f"`pathlib.Path.open` and {link.format('MANY', 'MANY')}."
    )
    assert song == f"Written by {link.format('Song.write', 'write')}, read by `read`."
    assert [each.getMessage() for each in caplog.records] == [
        "tunesmith.song.Song: there is no read"
    ]


def test_every_docstring_is_about_what_is_there(
    tool: Callable[[str], ModuleType], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Arguments that a function has, in sections that are well-formed, in all packages."""
    tool("site").copy_packages(tmp_path / "tunesmith")
    extensions = griffe.load_extensions(tool("roles").Roles)
    loader = griffe.GriffeLoader(search_paths=[str(tmp_path)], extensions=extensions)
    waiting: list[griffe.Object] = [loader.load("tunesmith", try_relative_path=False)]
    with caplog.at_level(logging.WARNING):
        while waiting:
            each = waiting.pop()
            if each.docstring is not None:
                each.docstring.parse("google")
            waiting += [one for one in each.members.values() if isinstance(one, griffe.Object)]
    assert [each.getMessage() for each in caplog.records] == []
