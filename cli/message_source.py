"""Messages in the source of modules: texts that are raised, printed, or recorded by a gate.

A message is the text among the arguments of a call that makes one: an exception of the project or
of click, a function that returns such an exception, a function that writes a line, and a check or
an anomaly of a gate; or a sentence that a function returns. Nothing is imported.
"""

from __future__ import annotations

import ast
import builtins
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

_CLICK = ("UsageError", "BadParameter", "ClickException")

_NOT_FOR_USERS = frozenset({"AttributeError", "NotImplementedError", "TypeError", "KeyError"})
"""Exceptions that mean a mistake in a program which calls the package."""

_WRITERS = {"say": "line", "echo": "line", "warn": "warning", "warning": "warning", "fail": "error"}
_LOGGED = dict.fromkeys(("debug", "info", "error", "exception", "critical"), "log")
_FINDINGS = {"Check": "check", "Anomaly": "anomaly", "Comparison": "check"}

_OF_ARGUMENTS = ("ArgumentError", "ParameterError")
"""Exceptions that take the name of an argument, then the rest of the sentence about it."""

_MOST_TEXTS = 6
"""Combinations of alternative texts that are spelt out for one message."""

_FEWEST_WORDS = 4
"""Words of a text that a function returns and that counts as a message."""


class Message(NamedTuple):
    """A message.

    Attributes:
        kind: the exception's name, or ``line``, ``warning``, ``error``, ``log``, ``check``,
            ``anomaly``, or ``text`` for a text that is part of others.
        text: with ``{name}`` for a value.
    """

    kind: str
    text: str


def exception_names(modules: Iterable[ast.Module]) -> frozenset[str]:
    """Return the names of the exceptions that `modules` define, and of functions that return one.

    A class is an exception if one of its bases is, directly or by way of others.
    """
    trees = list(modules)
    builtin = frozenset(name for name, kind in vars(builtins).items() if _is_exception(kind))
    known = _with_subclasses(trees, builtin)
    functions = {
        node.name
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and _returned(node) in known
    }
    return frozenset((known - builtin) | functions | {"ValueError", *_CLICK})


def _with_subclasses(trees: Iterable[ast.Module], names: Iterable[str]) -> frozenset[str]:
    """Return the names of classes and of those that derive from them, directly or not."""
    known = set(names)
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    size = 0
    while size != len(known):
        size = len(known)
        known |= {each.name for each in classes if any(_name(base) in known for base in each.bases)}
    return frozenset(known)


def _is_exception(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseException)


def _returned(function: ast.FunctionDef) -> str:
    annotation = function.returns
    return _name(annotation) if annotation is not None else ""


class MessageReader:
    """Reads the messages of modules.

    Args:
        modules: the syntax trees of all modules.
    """

    def __init__(self, modules: Iterable[ast.Module]) -> None:
        trees = list(modules)
        self._exceptions = exception_names(trees)
        self._of_arguments = _with_subclasses(trees, _OF_ARGUMENTS)
        self._constants = _constants(trees)

    def read(self, module: ast.Module) -> list[Message]:
        """Return the messages of a module, sorted, each once."""
        found = set()
        for scope, node in _nodes(module, _Scope("", {})):
            texts = _Texts({**self._constants, **scope.assigned})
            if isinstance(node, ast.Call):
                kind = self._kind(node, scope)
                spoken = texts.of_call(node, names_first=kind in self._of_arguments)
                found |= {Message(kind, text) for text in spoken if kind}
            elif isinstance(node, ast.Return) and node.value is not None and scope.returns_text:
                sentences = texts.alternatives(node.value)
                found |= {Message("text", each) for each in sentences if _is_sentence(each)}
        return sorted(found)

    def _kind(self, call: ast.Call, scope: _Scope) -> str:
        name = _name(call.func)
        if name in self._exceptions and name not in _NOT_FOR_USERS:
            return name.strip("_")
        if name == "__init__" and scope.owner in self._exceptions:
            return scope.owner
        if name in _FINDINGS:
            return _FINDINGS[name]
        of = _name(call.func.value) if isinstance(call.func, ast.Attribute) else ""
        if name in _LOGGED and "log" in of.lower():
            return _LOGGED[name]
        if name in _WRITERS and (of or name == "say"):
            return "log" if "logger" in of.lower() else _WRITERS[name]
        return ""


class _Scope(NamedTuple):
    """Where a node stands.

    Attributes:
        owner: the class around it; empty without one.
        assigned: the values that its function assigns to each variable.
        returns_text: whether its function returns text.
    """

    owner: str
    assigned: Mapping[str, Sequence[ast.expr]]
    returns_text: bool = False


def _nodes(node: ast.AST, scope: _Scope) -> Iterator[tuple[_Scope, ast.AST]]:
    """Yield each node below `node`, with where it stands."""
    for child in ast.iter_child_nodes(node):
        yield scope, child
        inner = scope
        if isinstance(child, ast.ClassDef):
            inner = _Scope(child.name, {})
        elif isinstance(child, ast.FunctionDef):
            returned = ast.unparse(child.returns) if child.returns is not None else ""
            inner = _Scope(scope.owner, _assigned(child), "str" in returned)
        yield from _nodes(child, inner)


def _is_sentence(text: str) -> bool:
    words = re.findall(r"\b[a-z]+\b", re.sub(r"{.*?}", "", text))
    return len(words) >= _FEWEST_WORDS and "\n" not in text


class _Texts:
    """The texts that expressions can have.

    Args:
        assigned: the values that each variable can have.
    """

    def __init__(self, assigned: Mapping[str, Sequence[ast.expr]]) -> None:
        self._assigned = assigned

    def of_call(self, call: ast.Call, *, names_first: bool) -> list[str]:
        """Return the texts of a message; none if no argument is text.

        Args:
            names_first: whether its first argument is the name that begins the sentence.
        """
        choices: list[list[str]] = []
        for argument in (*call.args, *(each.value for each in call.keywords)):
            texts = self.alternatives(argument)
            if not texts and not choices and names_first:
                texts = [f"{{{self._placeholder(argument)}}}"]
            # A single word after the first is no part of the message, such as a check's bound.
            if texts and (not choices or any(" " in text for text in texts)):
                choices.append(texts)
        if not any(" " in text for texts in choices for text in texts):
            return []
        separator = " " if names_first else ": "
        combined = itertools.islice(itertools.product(*choices), _MOST_TEXTS)
        return [" ".join(separator.join(filter(None, parts)).split()) for parts in combined]

    def alternatives(self, node: ast.expr) -> list[str]:
        """Return the texts that an expression can have; none if it is no text."""
        match node:
            case ast.Constant(value=str() as text):
                return [text]
            case ast.Name(name):
                return [text for each in self._assigned.get(name, ()) for text in self._known(each)]
            case ast.JoinedStr():
                return ["".join(map(self._part, node.values))]
            case ast.BinOp(left, ast.Add(), right):
                first, second = self.alternatives(left), self.alternatives(right)
                return [one + other for one in first for other in second]
            case ast.IfExp(_, body, orelse):
                return [*self.alternatives(body), *self.alternatives(orelse)]
            case ast.BoolOp(ast.Or(), values):
                return [text for each in values for text in self.alternatives(each)]
        return []

    def _known(self, node: ast.expr) -> list[str]:
        """Return the texts of an assigned value, without those of other variables."""
        return _Texts({}).alternatives(node)

    def _part(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            return str(node.value)
        value = node.value if isinstance(node, ast.FormattedValue) else node
        texts = self.alternatives(value)
        if len(texts) == 1 and not isinstance(value, ast.BoolOp):
            return texts[0]
        if len(texts) > 1:
            return f"({' | '.join(filter(None, dict.fromkeys(texts)))})"
        return f"{{{self._placeholder(value)}}}"

    def _placeholder(self, node: ast.expr) -> str:
        """Return a short name for a value: that of the variable that it comes from."""
        match node:
            case ast.Name(name):
                return name.strip("_")
            case ast.Attribute(value, "name" | "path" | "parent" | "value" | "__name__" as name):
                return f"{self._placeholder(value)}.{name.strip('_')}"
            case ast.Attribute(_, name):
                return name.strip("_")
            case ast.Subscript(value, ast.Constant(value=str() as key)):
                return key or self._placeholder(value)
            case ast.Subscript(value, _):
                return self._placeholder(value)
            case ast.Call(ast.Attribute(ast.Constant(), "join"), [argument, *_]):
                return self._placeholder(argument)
            case ast.Call(ast.Name("map" | "sorted"), [*_, argument]):
                return self._placeholder(argument)
            case ast.Call(ast.Attribute(ast.Name("self"), name), []):
                return name.strip("_")
            case ast.Call(ast.Attribute(value, _), []):
                return self._placeholder(value)
            case ast.Call(function, []):
                return self._placeholder(function)
            case ast.Call(_, [argument, *_]):
                return self._placeholder(argument)
            case ast.GeneratorExp(element) | ast.ListComp(element):
                return self._placeholder(element)
            case ast.BinOp(left, _, right):
                return self._placeholder(right if isinstance(left, ast.Constant) else left)
            case ast.JoinedStr():
                return re.sub(r"[{}]", "", "".join(map(self._part, node.values)))
            case ast.IfExp(_, body, orelse):
                return self._placeholder(orelse if isinstance(body, ast.Constant) else body)
            case ast.BoolOp(_, [first, *_]):
                return self._placeholder(first)
            case ast.Starred(value) | ast.UnaryOp(_, value):
                return self._placeholder(value)
        return "value"


def _constants(modules: Iterable[ast.Module]) -> dict[str, list[ast.expr]]:
    """Return the constants of all modules that are literal text, by name."""
    found: dict[str, list[ast.expr]] = {}
    for module in modules:
        for name, values in _assigned(module).items():
            literal = [each for each in values if isinstance(each, ast.Constant)]
            if name.isupper() and literal == values and isinstance(literal[0].value, str):
                found.setdefault(name, []).extend(literal)
    return {name: values for name, values in found.items() if len(values) == 1}


def _assigned(scope: ast.FunctionDef | ast.Module) -> dict[str, list[ast.expr]]:
    """Return the values that a function, or the top of a module, assigns to each variable."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(scope) if isinstance(scope, ast.FunctionDef) else scope.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            for target, value in _pairs(node.targets[0], node.value):
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(value)
    return found


def _pairs(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return list(zip(target.elts, value.elts, strict=False))
    return [(target, value)]


def _name(node: ast.expr) -> str:
    """Return the last name of an expression such as ``click.UsageError``."""
    match node:
        case ast.Name(name) | ast.Attribute(_, name):
            return name
        case ast.Subscript(value, _):
            return _name(value)
        case ast.Constant(value=str() as name):
            return name
    return ""
