"""The files and commands of docs/serving.md and docs/security.md, used as they are written."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from google.protobuf import text_format

from tunesmith.cli.serve import command
from tunesmith.serving.metrics import FAMILIES
from tunesmith.serving.model_config import VersionPolicy
from tunesmith.serving.model_config_file import parse
from tunesmith.serving.protos.ssl_config_pb2 import SslConfig
from tunesmith.serving.tls import read_certificates

ROOT = Path(__file__).parents[2]


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page of docs/ in one language, or in none."""
    text = (ROOT / "docs" / page).read_text()
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for marked, block in found if marked == language]


def test_the_documented_model_config_means_the_same_to_both_servers() -> None:
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

    (text,) = blocks("serving.md", "textproto")
    config = text_format.Parse(text, ModelServerConfig())
    theirs = [(model.name, model.base_path) for model in config.model_config_list.config]
    bach, lin = parse(text.encode(), Path("/srv/models.config"))
    assert [(model.name, str(model.base)) for model in (bach, lin)] == theirs
    assert bach.policy == VersionPolicy.specific(3, 4)
    assert bach.labels == {"stable": 3, "canary": 4}
    assert lin.policy == VersionPolicy.latest()


@pytest.mark.parametrize("mutual", [False, True])
def test_the_documented_script_makes_a_tls_config(tmp_path: Path, mutual: bool) -> None:
    (script,) = blocks("security.md", "python")
    authority = trustme.CA()
    own = authority.issue_cert("localhost")
    texts = [own.private_key_pem.bytes(), own.cert_chain_pems[0].bytes()]
    if mutual:
        texts.append(authority.cert_pem.bytes())
    files = [tmp_path / str(number) for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_bytes(text)
    ran = subprocess.run(
        [sys.executable, "-c", script, *files], capture_output=True, text=True, check=True
    )
    config = tmp_path / "ssl.config"
    config.write_text(ran.stdout)
    # With the plain parser: TensorFlow Serving's takes it, too.
    message = text_format.Parse(ran.stdout, SslConfig())
    assert message.client_verify is mutual
    certificates = read_certificates(config)
    assert [certificates.key, certificates.chain] == texts[:2]
    assert certificates.client_authorities == (texts[2] if mutual else None)


def test_the_documented_engine_is_the_example() -> None:
    """Which InfraValidator's tests start, and those of ``tunesmith serve``."""
    example = ROOT / "docs" / "examples" / "low_priority_engine.py"
    assert blocks("serving.md", "python") == [example.read_text()]


@pytest.mark.parametrize("page", ["serving.md", "security.md"])
def test_documented_options_are_there(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    served = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    flags = (Path(__file__).parent / "tensorflow_serving_flags.txt").read_text()
    dockers = {"--init", "--target", "--build", "--build-arg"}
    for name in re.findall(r"`[^`\n]*?(--\w[\w-]*)", text):
        assert name in served | dockers or re.search(rf"^{name[2:]} ", flags, re.MULTILINE), name


def test_documented_metrics_are_served() -> None:
    text = (ROOT / "docs" / "serving.md").read_text()
    served = {each.name for family in FAMILIES for each in family.collect()}
    named = set(re.findall(r":tensorflow:\w+:\w+(?::\w+)?", text))
    assert {name.removesuffix("_bucket") for name in named} <= served


def test_docker_takes_the_documented_run(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None:
        pytest.skip("Docker's command line is not installed")
    (text,) = (each for each in blocks("serving.md", "") if "docker run" in each)
    line = text[text.index("docker run") :].replace("\\\n", " ")
    # Words are looked at before the engine is, so that only the engine is missed.
    ran = subprocess.run(
        shlex.split(line.replace("$PWD", str(tmp_path))),
        env={**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/nobody.sock"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "nobody.sock" in ran.stderr
