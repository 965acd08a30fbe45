"""The parts of a module's source that count as code, and the imports seen in it."""

from __future__ import annotations

from textwrap import dedent

import pytest

from tunesmith.pipeline.source_code import parse_source


def digest(source: str) -> str:
    return parse_source(dedent(source).encode(), "sample").digest


def imports(source: str, package: str = "sample") -> set[str]:
    return set(parse_source(dedent(source).encode(), package).imports)


PLAIN = """
from __future__ import annotations
LIMIT = 12
def songs(count, names=("a",)):
    if count:
        return f"{count:>{LIMIT}} songs"
class Player(list):
    velocity: int = 90
    def play(self):
        return self
"""

WORDY = '''
"""The module's docstring."""

from __future__ import annotations

LIMIT = 12  # a comment
"""The purpose of the limit."""


def songs(
    count,
    names=(
        'a',
    ),
):
    """Count the songs."""
    if (count):
        pass
        return (f"{count:>{LIMIT}}"
                " songs")


class Player(list):
    """Plays."""

    velocity: int = 90
    """Of each note."""

    def play(self):
        """Play."""
        return self
'''


def test_comments_docstrings_and_formatting_do_not_count() -> None:
    assert digest(PLAIN) == digest(WORDY)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("12", "13"),
        ("12", "12.0"),
        ("12", "'12'"),
        (" songs", " Songs"),
        ('"a"', '"b"'),
        (":>", ":<"),
        ("(list)", "(tuple)"),
        ("return self", "return None"),
        ("velocity: int", "velocity: float"),
        ("if count", "while count"),
        ("names=", "*, names="),
    ],
)
def test_whatever_is_executed_counts(old: str, new: str) -> None:
    changed = PLAIN.replace(old, new, 1)
    assert changed != PLAIN
    assert digest(changed) != digest(PLAIN)


def test_a_string_that_is_no_statement_of_its_own_counts() -> None:
    assert digest("TITLE = 'one'") != digest("TITLE = 'two'")
    assert digest("print('one')") != digest("print('two')")


def test_statements_keep_their_place_and_their_nesting() -> None:
    assert digest("a()\nb()") != digest("b()\na()")
    assert digest("if x:\n    a()\nb()") != digest("if x:\n    a()\n    b()")
    assert digest("f(a, b)") != digest("f(a)(b)")
    assert digest("if x:\n    a()\nelse:\n    pass") == digest("if x:\n    a()")
    assert digest("if x:\n    a()") != digest("if x:\n    pass\nelse:\n    a()")


DECLARED = """
from tunesmith.components.component import parameter

class Parameters:
    epochs: int = parameter(
        50, "Maximum number of epochs.", least=1, most=100, unit="epochs", option="--epochs",
        affects_result=True,
    )
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Maximum number of epochs.", "Most epochs."),
        ('"Maximum number of epochs."', 'help="Maximum number of epochs."'),
        ("least=1", "least=2"),
        ("most=100", "choices=(50, 100)"),
        ('unit="epochs"', 'unit="passes"'),
        (', option="--epochs"', ""),
    ],
)
def test_words_and_bounds_of_a_parameter_do_not_count(old: str, new: str) -> None:
    changed = DECLARED.replace(old, new)
    assert changed != DECLARED
    assert digest(changed) == digest(DECLARED)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("50,", "40,"),
        ("epochs: int", "rounds: int"),
        ("affects_result=True", "affects_result=False"),
    ],
)
def test_default_and_name_of_a_parameter_count(old: str, new: str) -> None:
    changed = DECLARED.replace(old, new)
    assert changed != DECLARED
    assert digest(changed) != digest(DECLARED)


def test_a_parameter_is_known_under_another_name_and_from_a_relative_import() -> None:
    source = "from {} import parameter as p\nx = p(1, '{}')"
    one = source.format("tunesmith.components.component", "one")
    assert digest(one) == digest(one.replace("'one'", "'two'"))
    relative = source.format("..component", "one").encode()
    package = "tunesmith.components.trainer"
    assert (
        parse_source(relative, package).digest
        == parse_source(relative.replace(b"'one'", b"'two'"), package).digest
    )


def test_another_function_called_parameter_keeps_its_words() -> None:
    source = "from elsewhere import parameter\nx = parameter(1, 'one')"
    assert digest(source) != digest(source.replace("'one'", "'two'"))


def test_blocks_for_a_type_checker_neither_count_nor_import() -> None:
    source = """
        import typing
        if TYPE_CHECKING:
            from sample import types
        if typing.TYPE_CHECKING:
            import sample.others
        else:
            import sample.real
        def play():
            if TYPE_CHECKING:
                import sample.inner
            return 1
        """
    without = """
        import typing
        import sample.real
        def play():
            return 1
        """
    assert imports(source) == {"typing", "sample.real"}
    assert digest(source) == digest(without)


def test_imports_are_seen_at_every_place() -> None:
    source = """
        import a.b as c, d
        from e import f
        try:
            import g
        except ImportError:
            pass
        class Player:
            def play(self):
                from h import i as j
        def __getattr__(name):
            if name == "k":
                from sample import k
        """
    assert imports(source) == {"a.b", "d", "e", "e.f", "g", "h", "h.i", "sample", "sample.k"}


def test_relative_imports_start_at_the_package() -> None:
    source = "from . import a\nfrom .b import c\nfrom .. import d\nfrom ..e.f import g"
    assert imports(source, "top.below") == {
        *("top.below", "top.below.a", "top.below.b", "top.below.b.c"),
        *("top", "top.d", "top.e.f", "top.e.f.g"),
    }


@pytest.mark.parametrize(
    "call",
    [
        "importlib.import_module('sample.player')",
        "import_module('sample.player')",
        "import_module('.player', __package__)",
        "__import__('sample.player')",
        "runpy.run_module('sample.player')",
        "resources.files('sample.player')",
        "jinja2.PackageLoader('sample.player', 'templates')",
    ],
)
def test_an_import_by_a_literal_string_is_seen(call: str) -> None:
    assert imports(f"def play():\n    return {call}") == {"sample.player"}


def test_modules_to_run_are_read_without_executing_the_module() -> None:
    source = b"ALSO_RUNS: tuple[str, ...] = ('sample.a', 'sample.b')\nraise SystemExit"
    assert parse_source(source, "sample").also_runs == ("sample.a", "sample.b")


@pytest.mark.parametrize("value", ["NAMES", "('sample.a', NAME)", "('sample.a', 1)", "['sample']"])
def test_modules_to_run_that_are_not_literal_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"player\.py: ALSO_RUNS must be a tuple of literal"):
        parse_source(f"ALSO_RUNS = {value}".encode(), "sample", "player.py")


def test_a_syntax_error_names_the_file() -> None:
    with pytest.raises(SyntaxError) as refused:
        parse_source(b"def", "sample", "player.py")
    assert refused.value.filename == "player.py"


def test_a_long_sum_is_no_deep_recursion() -> None:
    source = "total = 0" + " + 1" * 2000
    assert digest(source) != digest(source + " + 1")


EVERYTHING = '''
from __future__ import annotations
import os.path as p
@decorated(1, *a, k=2, **b)
class Song(Base, metaclass=Meta):
    """Doc."""
    x: int = 1
    async def play(self, a, /, b=1.5, *c, d, e=None, **f) -> None:
        async with a as b, c: await d
        async for i in b: yield i
def walk(*, a, b=...):
    global g
    try: raise E from e
    except (A, B) as e: del a[1:2, ..., ::3]
    else: assert x, "é\\u1f600"
    finally: return [i async for i in x if i], {**a, 1: b"x"}, {1j, -0.0, 1e999}
    try: pass
    except* E: pass
    match a:
        case {"k": [1, *_], **rest} | Point(x=0) if (y := 1): ...
        case _: pass
z = lambda *a: (yield) if not a < b <= c else f"{a!r:>{w}}{{}} {b=}" "tail" rf"\\d{c:%Y}"
while True: break
'''


def test_the_digest_is_the_same_under_each_version_of_python() -> None:
    # A difference here would execute every component of every user again.
    assert digest(EVERYTHING) == "320fb255eae99a768ab80f7ce1a5e67f"
