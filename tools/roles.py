"""Extension of griffe: the cross-references of docstrings, ``:class:`Name```, as links of the site.

A reference names its target from the module or the class that it stands in, or in full. One to
something that does not exist is a warning, and so an error of ``make site``.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from typing import Any

import griffe

_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`(~?)([\w.]+)`")

_logger = griffe.get_logger("tunesmith.roles")


class Roles(griffe.Extension):
    """Replaces the roles once the whole package is loaded, so that every target is known."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Replace the roles in all docstrings of a package."""
        if pkg.path != "tunesmith":
            return
        for each in _objects(pkg):
            if each.docstring is not None:
                each.docstring.value = _ROLE.sub(
                    lambda match, owner=each: _link(pkg, owner, match), each.docstring.value
                )


def _objects(parent: griffe.Object) -> Iterator[griffe.Object]:
    yield parent
    for member in parent.members.values():
        if isinstance(member, griffe.Object):
            yield from _objects(member)


def _link(package: griffe.Module, owner: griffe.Object, match: re.Match[str]) -> str:
    short, name = match[1], match[2].lstrip(".")
    text = name.rpartition(".")[2] if short else name
    if name.partition(".")[0] in sys.stdlib_module_names:
        return f"`{text}`"
    target = _found(package, owner, name)
    if target is None:
        _logger.warning("%s: there is no %s", owner.path, name)
        return f"`{text}`"
    return f'<autoref identifier="{target}" optional><code>{text}</code></autoref>'


def _found(package: griffe.Module, owner: griffe.Object, name: str) -> str | None:
    """Return the full path of what a docstring calls `name`, or None."""
    scope: griffe.Object | None = owner
    while scope is not None:
        path = f"{scope.path}.{name}"
        if _is_there(package, path) or (scope.is_module and name in _assigned_together(scope)):
            return path
        scope = scope.parent
    return name if _is_there(package, name) else None


def _is_there(package: griffe.Module, path: str) -> bool:
    if path == package.path:
        return True
    try:
        package[path.removeprefix(f"{package.path}.")]
    except (KeyError, griffe.GriffeError):
        return False
    return path.startswith(f"{package.path}.")


def _assigned_together(module: griffe.Object) -> set[str]:
    """Return the constants of a module that griffe does not see: those of ``A, B = 1, 2``."""
    tuples = (
        target
        for statement in ast.parse(module.source).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Tuple)
    )
    return {each.id for names in tuples for each in names.elts if isinstance(each, ast.Name)}
