"""The page of the messages is that of the commands and of the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from tunesmith.cli.main import SUBCOMMANDS
from tunesmith.cli.message_source import Message, MessageReader
from tunesmith.pipeline.dag import COMPONENTS

PAGE = Path(__file__).parents[2] / "docs" / "messages.md"


def read(source: str) -> list[Message]:
    tree = ast.parse(source)
    return MessageReader([tree]).read(tree)


def test_the_page_is_up_to_date(tmp_path: Path) -> None:
    # In a process of its own: click remembers the help option that a command had elsewhere.
    written = tmp_path / "messages.md"
    subprocess.run([sys.executable, "-m", "tunesmith.cli.messages_page", written], check=True)
    assert PAGE.read_text("utf-8") == written.read_text("utf-8"), "make docs writes it"


def test_every_command_has_its_help_on_the_page() -> None:
    text = PAGE.read_text("utf-8")
    for name in (*SUBCOMMANDS, *(f"component {each.name}" for each in COMPONENTS)):
        assert f"\n### tunesmith {name}\n" in text


def test_options_of_a_component_are_printed_once() -> None:
    text = PAGE.read_text("utf-8")
    assert text.count("  --learning-rate FLOAT") == 1
    assert "Trainer:\n  See tunesmith run." in text


def test_values_of_a_message_are_named() -> None:
    source = """
class Missing(LookupError): ...
FILE = "store.sqlite"
def find(root, names):
    what = "model" if names else "version"
    raise Missing(f"{root.path} holds no {what} {', '.join(map(str, names))}: make {FILE}")
"""
    text = "{root.path} holds no (model | version) {names}: make store.sqlite"
    assert read(source) == [Message("Missing", text)]


def test_both_texts_of_a_condition_are_messages() -> None:
    source = """
import click
def check(both):
    raise click.UsageError("give --a or --b, " + ("not both" if both else "one of them"))
"""
    assert read(source) == [
        Message("UsageError", "give --a or --b, not both"),
        Message("UsageError", "give --a or --b, one of them"),
    ]


def test_the_text_of_an_exception_may_stand_in_its_class() -> None:
    source = """
class Old(Exception):
    def __init__(self, path):
        super().__init__(f"{path} is old: make it again")
def unknown(name) -> Old:
    return Old(name)
raise unknown("the name is unknown")
"""
    assert read(source) == [
        Message("Old", "{path} is old: make it again"),
        Message("unknown", "the name is unknown"),
    ]


def test_lines_warnings_checks_and_returned_sentences_are_messages() -> None:
    source = """
def run(progress, log_lines, found) -> str:
    progress.say(f"run {found} was killed")
    log_lines.warn("nothing is kept")
    Check("rows", False, f"{len(found)} rows are wrong", 1.0, 2.0, "most")
    return f"train again with {found} and a lower rate"
"""
    assert read(source) == [
        Message("check", "rows: {found} rows are wrong"),
        Message("line", "run {found} was killed"),
        Message("text", "train again with {found} and a lower rate"),
        Message("warning", "nothing is kept"),
    ]
