"""docs/embedded-server.md: its command lines, events, metrics and limits are the program's."""

from __future__ import annotations

import re
import shlex
import sys
import urllib.request
from pathlib import Path

import pytest
import trustme

from tunesmith.cli import main
from tunesmith.serving import ServerOptions
from tunesmith.serving.monitoring import PATHS, MetricsServer, Monitor

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "embedded-server.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


COMMANDS = re.findall(r"^(tunesmith serve .*?)(?: +#.*)?$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_line_of_the_page_is_taken(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "work/models/tunesmith/1").mkdir(parents=True)
    issued = trustme.CA().issue_cert("localhost")
    # As the page's own commands write it, line breaks and all.
    key, chain = issued.private_key_pem.bytes().decode(), issued.cert_chain_pems[0].bytes().decode()
    (tmp_path / "ssl.config").write_text(f'server_key: "{key}"\nserver_cert: "{chain}"\n')
    metrics = ["--metrics-port", "0"] if "--metrics-port" in command else []
    free = ["--dry-run", "--port", "0", *metrics]
    monkeypatch.setattr(sys, "argv", [*shlex.split(command), *free])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert not ended.value.code
    assert "tunesmith.cli.main serve --engine=embedded " in capsys.readouterr().out


def test_the_page_has_command_lines() -> None:
    assert len(COMMANDS) == 3


def test_metrics_of_the_page_are_on_the_page_that_is_scraped() -> None:
    metrics = MetricsServer("127.0.0.1", 0, Monitor())
    try:
        with urllib.request.urlopen(metrics.url, timeout=60) as answer:
            page = answer.read().decode()
    finally:
        metrics.stop()
    names = [re.findall(r"`([a-z_]+)`", row[0])[0] for row in rows("Metrics")]
    assert len(names) == 5
    for name in names:
        assert f"\n# TYPE {name} " in page
    for path in PATHS:
        assert f"`{path}`" in PAGE


def test_limits_of_the_page_are_the_defaults() -> None:
    cells = [row[0] for row in rows("Limits")]
    options = ServerOptions()
    assert cells == [
        f"`--max-requests`, {options.max_requests}",
        f"`--max-receive-bytes`, {options.max_receive_bytes >> 20} MiB",
        f"`--max-send-bytes`, {options.max_send_bytes >> 20} MiB",
    ]
