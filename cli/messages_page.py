"""The page docs/messages.md: the help of every command and every message of every package.

``make docs`` writes it by ``python -m tunesmith.cli.messages_page FILE``; a test compares it. The
messages are read from the source files (:mod:`tunesmith.cli.message_source`), so that the page also
shows those that no test provokes.
"""

from __future__ import annotations

import ast
import importlib.resources
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from tunesmith.cli.main import cli
from tunesmith.cli.message_source import MessageReader
from tunesmith.pipeline.dag import COMPONENTS

PACKAGES = ("cli", "pipeline", "components", "serving", "client", "music")

WIDTH = 100
"""Columns of a help text."""

_TOP = """\
# Messages

`make docs` writes this page: the help of every command, and every message that a user can meet, by
package and module. `{name}` stands for a value that is put in, `(a | b)` for one of several words.

The options of a component are printed once, at `tunesmith run`.

"""

_COMPONENTS = frozenset(each.name for each in COMPONENTS)


def page() -> str:
    """Return the page as Markdown."""
    return _TOP + "".join((*_helps(), *_packages()))


def _helps() -> Iterator[str]:
    """Yield the help of each command; options that were printed before are only referred to."""
    yield "## Help\n"
    printed: dict[str, str] = {}
    for name, text in _help_texts():
        parts = [
            _printed_once(part, name, printed) if part.partition(":")[0] in _COMPONENTS else part
            for part in text.strip().split("\n\n")
        ]
        yield "\n\n".join((f"\n### {name}", "```text\n" + parts[0], *parts[1:])) + "\n```\n"


def _printed_once(section: str, command: str, printed: dict[str, str]) -> str:
    """Return the options of a component, or the command that they were printed at before."""
    # Lines are wrapped according to the longest option of a command.
    first = printed.setdefault("".join(section.split()), command)
    title = section.partition("\n")[0]
    return section if first == command else f"{title}\n  See {first}."


def _help_texts() -> Iterator[tuple[str, str]]:
    """Yield (name, text) of every command and subcommand, the longest list of options first."""
    top = _context(cli, "tunesmith", None)
    yield "tunesmith", cli.get_help(top)
    names = cli.list_commands(top)
    for name in sorted(names, key=lambda each: (each != "run", names.index(each))):
        command = cli.get_command(top, name)
        assert command is not None
        context = _context(command, name, top)
        yield f"tunesmith {name}", command.get_help(context)
        if isinstance(command, click.Group):
            for inner_name in command.list_commands(context):
                inner = command.get_command(context, inner_name)
                assert inner is not None
                text = inner.get_help(_context(inner, inner_name, context))
                yield f"tunesmith {name} {inner_name}", text


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    return click.Context(
        command, parent, name, terminal_width=WIDTH, help_option_names=["-h", "--help"]
    )


def _packages() -> Iterator[str]:
    modules = {package: _modules(package) for package in PACKAGES}
    reader = MessageReader(tree for each in modules.values() for tree in each.values())
    for package, trees in modules.items():
        yield f"\n## Package {package}\n"
        for module, tree in trees.items():
            messages = reader.read(tree)
            if messages:
                lines = [f"- {message.kind}: `` {message.text} ``\n" for message in messages]
                yield f"\n### {module}\n\n{''.join(lines)}"


def _modules(package: str) -> dict[str, ast.Module]:
    """Return the syntax tree of each module by its path, sorted; generated ones are left out."""
    root = Path(str(importlib.resources.files(f"tunesmith.{package}")))
    paths = {f"{package}/{path.relative_to(root).as_posix()}": path for path in root.rglob("*.py")}
    return {
        name: ast.parse(paths[name].read_text("utf-8"))
        for name in sorted(paths)
        if not name.endswith("_pb2.py")
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), "utf-8")
