"""``tunesmith serve``: host a model, with the best engine present."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunesmith.cli.options import FOLDER

if TYPE_CHECKING:
    from tunesmith.serving.engines import EngineChoice
    from tunesmith.serving.options import ServerOptions
    from tunesmith.serving.server import EmbeddedServer

EVERY_INTERFACE = ("0.0.0.0", "::")


@click.command("serve")
@click.option(
    "--model-dir",
    type=FOLDER,
    required=True,
    help="Folder of a model's versions: DIR/<version>/saved_model.pb.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8500,
    show_default=True,
    help="TCP port; 0 for a free one.",
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Interface to listen on: this machine."
)
@click.option("--model-name", default="tunesmith", show_default=True, help="Name to serve under.")
@click.option(
    "--engine",
    type=click.Choice(["auto", "tensorflow-serving", "docker", "embedded"]),
    default="auto",
    show_default=True,
    help="auto: the best one present that keeps to --host.",
)
def command(model_dir: Path, port: int, host: str, model_name: str, engine: EngineChoice) -> None:
    """Serve a model over gRPC until interrupted; new versions are taken up as they appear.

    The engines, best first: the tensorflow_model_server program, which listens on every interface
    and so is taken by itself only with --host 0.0.0.0; Docker, if the image of Dockerfile.serving
    is there; the embedded server.
    """
    from tunesmith.serving.engines import choose_engine, docker_command, program_command
    from tunesmith.serving.folder import require_versions
    from tunesmith.serving.options import ServerOptions

    options = ServerOptions(model_name=model_name, host=host, port=port)
    everywhere = host in EVERY_INTERFACE
    chosen = choose_engine(engine, every_interface=everywhere)
    if chosen == "embedded":
        _serve_embedded(model_dir, options)
        return
    # TensorFlow Serving would wait for a model for ever, and takes port 0 for no port.
    require_versions(model_dir)
    if port == 0:
        raise click.UsageError(f"--port 0 is for the embedded engine; name a port for {chosen}")
    build = program_command if chosen == "tensorflow-serving" else docker_command
    line = build(model_dir, options)
    if chosen == "tensorflow-serving" and not everywhere:
        click.echo("note: tensorflow_model_server listens on every interface", err=True)
    sys.stderr.flush()
    os.execvp(line[0], line)


def _serve_embedded(model_dir: Path, options: ServerOptions) -> None:
    from tunesmith.serving.foreground import serve

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("tunesmith").setLevel(logging.INFO)

    def ready(server: EmbeddedServer) -> None:
        click.echo(f"serving {options.model_name} on {server.address}; stop with Ctrl-C", err=True)
        click.echo(f"next: tunesmith generate --server {server.address} --out song.mid", err=True)

    serve(model_dir, options, ready=ready)
