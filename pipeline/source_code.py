"""The code of a module: a digest of its syntax tree, and its imports.

Two sources with the same digest behave the same. The digest leaves out comments, formatting,
docstrings, blocks for a type checker, and the help text and bounds of a parameter. Type annotations
count: dataclasses, named tuples and Beam's coders depend on them.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

_ALSO_RUNS = "ALSO_RUNS"
"""Name of a module's constant: a tuple of the modules that it runs without an import statement,
such as those that it starts as programs, or that these import by name."""

_PARAMETER = ("tunesmith.components.component", "parameter")
_WORDS_AND_BOUNDS = frozenset(
    {"help", "unit", "option", "least", "above", "most", "below", "choices", "plugins"}
)
"""Arguments of :func:`tunesmith.components.component.parameter` that cannot change a result: texts
and bounds. The value itself is part of the fingerprint."""

_IMPORTING = frozenset({"import_module", "__import__", "run_module", "files", "PackageLoader"})
"""Functions that import the module that their first argument names."""

_IGNORED_FIELDS = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
"""Fields of a syntax tree that follow from the place of a node, or have no effect."""


@dataclass(frozen=True)
class SourceCode:
    """A module's code.

    Args:
        digest: of the code, 32 hex digits; the same under each version of Python.
        imports: full names of all imports in it, within functions as well, whether or not they are
            modules: ``from a import b`` gives ``a`` and ``a.b``. A star gives ``a`` alone.
        also_runs: the modules in its constant ``ALSO_RUNS``.
    """

    digest: str
    imports: frozenset[str]
    also_runs: tuple[str, ...]


def parse_source(source: bytes, package: str, filename: str = "<source>") -> SourceCode:
    """Parse a module.

    Args:
        source: its source, in the encoding that it declares.
        package: its own name if it is a package, else that of its package; the base of relative
            imports.
        filename: for the message of an error.

    Raises:
        SyntaxError: it cannot be parsed.
        ValueError: its ``ALSO_RUNS`` is no tuple of literal strings.
    """
    tree = ast.parse(source, filename)
    reader = _Reader(package)
    code = "\n".join(reader.read(tree)).encode()
    return SourceCode(
        hashlib.blake2b(code, digest_size=16).hexdigest(),
        frozenset(reader.imports),
        tuple(_also_runs(tree, filename)),
    )


def _also_runs(tree: ast.Module, filename: str) -> Iterator[str]:
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            targets = statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        else:
            continue
        if not any(isinstance(each, ast.Name) and each.id == _ALSO_RUNS for each in targets):
            continue
        if not isinstance(statement.value, ast.Tuple):
            raise ValueError(f"{filename}: {_ALSO_RUNS} must be a tuple of literal strings")
        for item in statement.value.elts:
            if not isinstance(item, ast.Constant) or not isinstance(item.value, str):
                raise ValueError(f"{filename}: {_ALSO_RUNS} must be a tuple of literal strings")
            yield item.value


class _Reader:
    """Serialises the code of a syntax tree, and collects its imports."""

    def __init__(self, package: str) -> None:
        self.imports: set[str] = set()
        self._package = package
        self._parameter: set[str] = set()
        """Names under which the module knows :func:`~tunesmith.components.component.parameter`."""

    def read(self, tree: ast.Module) -> list[str]:
        """Return the code of `tree` as a list of words: node types, field names and values."""
        words = []
        # An explicit stack: the tree of a long sum is deeper than Python's recursion limit.
        waiting: list[str | ast.AST] = [tree]
        while waiting:
            part = waiting.pop()
            if isinstance(part, str):
                words.append(part)
            else:
                waiting += reversed(self._parts(part))
        return words

    def _parts(self, node: ast.AST) -> list[str | ast.AST]:
        match node:
            case ast.Constant():
                return [type(node.value).__name__, ascii(node.value)]
            case ast.Import():
                self.imports.update(alias.name for alias in node.names)
            case ast.ImportFrom():
                self._import_from(node)
            case ast.Call():
                self._import_by_string(node)
                if isinstance(node.func, ast.Name) and node.func.id in self._parameter:
                    node = _without_words_and_bounds(node)
            case ast.JoinedStr():
                node = ast.JoinedStr(list(_joined(node.values)))
        return _fields(node)

    def _import_from(self, node: ast.ImportFrom) -> None:
        module = self._absolute(node.level, node.module or "")
        self.imports.add(module)
        for alias in node.names:
            self.imports.add(f"{module}.{alias.name}")
            if (module, alias.name) == _PARAMETER:
                self._parameter.add(alias.asname or alias.name)

    def _import_by_string(self, node: ast.Call) -> None:
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else ""
        name = function.id if isinstance(function, ast.Name) else name
        if name in _IMPORTING and node.args and isinstance(node.args[0], ast.Constant):
            module = str(node.args[0].value)
            relative = module.lstrip(".")
            self.imports.add(self._absolute(len(module) - len(relative), relative))

    def _absolute(self, level: int, module: str) -> str:
        """Return the full name of an imported module, with `level` leading dots."""
        if not level:
            return module
        above = self._package.split(".")
        above = above[: len(above) - level + 1]
        return ".".join([*above, module] if module else above)


def _fields(node: ast.AST) -> list[str | ast.AST]:
    kind = type(node)
    parts: list[str | ast.AST] = [kind.__name__]
    for name in kind._fields:
        value = getattr(node, name)
        # An older version of Python may not have a field that is empty here.
        if value is None or name in _IGNORED_FIELDS:
            continue
        if isinstance(value, list):
            items = [each if isinstance(each, ast.AST) else ascii(each) for each in _run(value)]
            if items:
                parts += (name, "[", *items, "]")
        else:
            parts += (name, value if isinstance(value, ast.AST) else ascii(value))
    parts.append(".")
    return parts


def _run(items: Iterable[Any]) -> Iterator[Any]:
    """Yield the items of a list, without statements that have no effect."""
    for item in items:
        match item:
            case ast.Pass() | ast.Expr(ast.Constant()):
                continue
            case ast.If(ast.Name("TYPE_CHECKING") | ast.Attribute(_, "TYPE_CHECKING")):
                yield from _run(item.orelse)
            case _:
                yield item


def _joined(values: Iterable[ast.expr]) -> Iterator[ast.expr]:
    """Yield the parts of an f-string, with the text between two values joined.

    Python 3.12 splits it at escapes and at the beginning of a second literal.
    """
    text = ""
    for value in values:
        if isinstance(value, ast.Constant):
            text += str(value.value)
            continue
        if text:
            yield ast.Constant(text)
        text = ""
        yield value
    if text:
        yield ast.Constant(text)


def _without_words_and_bounds(call: ast.Call) -> ast.Call:
    # The second argument is the help text.
    keywords = [each for each in call.keywords if each.arg not in _WORDS_AND_BOUNDS]
    return ast.Call(call.func, call.args[:1], keywords)
