"""docs/client.md and docs/examples/: every program in them runs, against a real server."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pretty_midi
import pytest
import trustme
from google.protobuf import text_format
from PIL import Image

import tunesmith.client
from tunesmith.client import ComposerError
from tunesmith.serving import EmbeddedServer, ServerOptions
from tunesmith.serving.protos.ssl_config_pb2 import SslConfig

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "client.md"


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """The fenced blocks of a language: the line that each begins on, and its text."""
    text = page.read_text(encoding="utf-8")
    return [
        (text.count("\n", 0, found.start(1)), found[1])
        for found in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    ]


@pytest.fixture(scope="module")
def address(table_model: Path) -> Iterator[str]:
    with EmbeddedServer(table_model, ServerOptions(port=0)) as embedded:
        yield embedded.address


@pytest.fixture
def secure_address(table_model: Path, tmp_path: Path) -> Iterator[str]:
    """A server that asks for certificates; those of a client lie in the folder of the test."""
    authority = trustme.CA()
    server, client = (authority.issue_cert("localhost") for _ in range(2))
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    client.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    client.private_key_pem.write_to_path(tmp_path / "client.key")
    config = SslConfig(
        server_key=server.private_key_pem.bytes().decode(),
        server_cert=server.cert_chain_pems[0].bytes().decode(),
        custom_ca=authority.cert_pem.bytes().decode(),
        client_verify=True,
    )
    (tmp_path / "ssl.config").write_text(text_format.MessageToString(config))
    options = ServerOptions(host="localhost", port=0, ssl_config_file=tmp_path / "ssl.config")
    with EmbeddedServer(table_model, options) as embedded:
        yield f"localhost:{embedded.address.rpartition(':')[2]}"


def test_the_page_is_one_program_that_runs(
    address: str,
    secure_address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    found = blocks(PAGE, "python")
    assert len(found) > 12
    for line, text in found:
        program = text.replace("localhost:8500", address)
        program = program.replace("localhost:8501", secure_address)
        # The line numbers of a failure are those of the page.
        exec(compile("\n" * line + program, str(PAGE), "exec"), names)
    assert pretty_midi.PrettyMIDI("song.mid").get_tempo_changes()[1] == pytest.approx(
        [90], rel=1e-4
    )
    assert [each.program for each in pretty_midi.PrettyMIDI("song.mid").instruments] == [73, 0]
    with Image.open("song.png") as picture:
        assert picture.width > 1200
    assert "Twenty-one" in Path("song.html").read_text(encoding="utf-8")
    assert Path("song.wav").stat().st_size > 20 * 44_100 * 2
    assert len(list(Path().glob("song-?.mid"))) == 8
    assert Path("song.musicxml").read_bytes().startswith(b"<?xml")
    assert len(Path("song.txt").read_text().splitlines()) == 60
    printed = capsys.readouterr().out
    assert "tunesmith version 1 50" in printed
    assert "tunesmith serve" in printed


def test_the_page_has_no_other_kind_of_block() -> None:
    languages = re.findall(r"^```(\w+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(languages) == {"python", "text"}


def test_the_table_of_errors_is_complete() -> None:
    told = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    kinds = {
        name
        for name in tunesmith.client.__all__
        if isinstance(kind := getattr(tunesmith.client, name), type)
        and issubclass(kind, ComposerError)
    }
    assert kinds - told == {"ComposerError"}
    assert {name for name in told if name[0].isupper()} <= kinds


def test_every_link_of_the_page_leads_somewhere() -> None:
    for page in (PAGE, DOCS / "protocol.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (DOCS / target).exists(), f"{page.name}: {target}"


def run_example(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: str) -> None:
    """Run an example as a user does, in this process, which has TensorFlow loaded already."""
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(DOCS / "examples" / name), run_name="__main__")


def test_a_caller_without_anything_of_ours(
    address: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = (DOCS / "examples" / "plain_grpc.py").read_text(encoding="utf-8")
    assert not re.search(r"^\s*(from|import) tunesmith", source, re.MULTILINE)
    path = tmp_path / "plain.mid"
    run_example(monkeypatch, "plain_grpc.py", address, "tunesmith", str(path))
    assert capsys.readouterr().out == f"{path}: 12 s, by tunesmith version 1\n"
    [part] = pretty_midi.PrettyMIDI(str(path)).instruments
    assert part.notes
    assert part.get_end_time() <= 12.01


def test_a_song_drawn_in_a_terminal(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_example(monkeypatch, "stream_to_terminal.py", address)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 60
    assert lines[0].index("█") == 72 - 36
