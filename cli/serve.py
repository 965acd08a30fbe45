"""``tunesmith serve``: host a model, with the best engine present."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tunesmith.cli.options import given
from tunesmith.cli.ready_file import Ready, write_when_it_answers
from tunesmith.cli.serving import serving_options
from tunesmith.serving.addresses import join
from tunesmith.serving.options import ServerOptions

if TYPE_CHECKING:
    from tunesmith.serving.engines import DockerImage, EngineChoice
    from tunesmith.serving.server import EmbeddedServer

EVERY_INTERFACE = ("0.0.0.0", "::")


@click.command("serve")
@serving_options
def command(
    model_dir: Path | None,
    engine: EngineChoice,
    image: str | None,
    gpu: bool,
    log_level: str,
    ready_file: Path | None,
    dry_run: bool,
    **values: Any,
) -> None:
    """Serve a model over gRPC until interrupted; new versions are taken up as they appear.

    The engines, best first: the tensorflow_model_server program, which listens on every interface
    and so is taken by itself only with --host 0.0.0.0; Docker, if the image of Dockerfile.serving
    is there; the embedded server.
    """
    from tunesmith.serving.engines import DEFAULT_IMAGE, DockerImage, choose_engine

    options = _server_options(values)
    _require_one_source(model_dir, options)
    container = DockerImage(name=image or DEFAULT_IMAGE, gpu=gpu)
    # What would be run can be said of an engine that is not here.
    named = dry_run and engine != "auto"
    chosen = (
        engine
        if named
        else choose_engine(
            engine, container, every_interface=options.host in EVERY_INTERFACE, options=options
        )
    )
    if ready_file is not None and not dry_run:
        ready_file.unlink(missing_ok=True)
    if chosen == "embedded":
        _serve_embedded(model_dir, options, log_level, ready_file, dry_run=dry_run)
        return
    if log_level != "info":
        raise click.UsageError(f"--log-level is for the embedded engine, and this one is {chosen}")
    line = _command_line(model_dir, options, container if chosen == "docker" else None)
    if dry_run:
        click.echo(shlex.join(line))
        return
    if ready_file is not None:
        host = options.host if options.host not in EVERY_INTERFACE else "127.0.0.1"
        address = join(host, options.port) if options.port else f"unix:{options.socket}"
        write_when_it_answers(
            ready_file, _ready(chosen, address, options), options.ssl_config_file is not None
        )
    sys.stderr.flush()
    os.execvp(line[0], line)


def _server_options(values: dict[str, Any]) -> ServerOptions:
    """Return what was said as a server's options; what was not keeps its default."""
    said = {name: value for name, value in values.items() if value is not None}
    if values["socket"] is not None:
        said.setdefault("port", None)
    return ServerOptions(**given(ServerOptions, said))


def _require_one_source(model_dir: Path | None, options: ServerOptions) -> None:
    if (model_dir is None) == (options.model_config_file is None):
        raise click.UsageError(
            "name either --model-dir, the folder of one model's versions, or --model-config-file"
        )


def _command_line(
    model_dir: Path | None, options: ServerOptions, container: DockerImage | None
) -> list[str]:
    """Return the command line of TensorFlow Serving, in a container if one is given."""
    from tunesmith.serving.engines import docker_command, program_command
    from tunesmith.serving.loading import require_models
    from tunesmith.serving.tls import read_certificates

    # TensorFlow Serving would wait for a model for ever, and end without a word about a file.
    require_models(model_dir, options)
    if options.ssl_config_file is not None:
        read_certificates(options.ssl_config_file)
    if container is not None:
        return docker_command(model_dir, options, container)
    if options.host not in EVERY_INTERFACE:
        click.echo("note: tensorflow_model_server listens on every interface", err=True)
    return program_command(model_dir, options)


def _ready(engine: str, address: str, options: ServerOptions) -> Ready:
    model = options.model_name if options.model_config_file is None else None
    return Ready(engine, address, model, os.getpid())


def _serve_embedded(
    model_dir: Path | None,
    options: ServerOptions,
    log_level: str,
    ready_file: Path | None,
    *,
    dry_run: bool,
) -> None:
    from tunesmith.serving import logs
    from tunesmith.serving.foreground import serve
    from tunesmith.serving.server import EmbeddedServer

    if dry_run:
        server = EmbeddedServer(model_dir, options)
        server.check()
        what = options.model_config_file or model_dir
        click.echo(f"the embedded server would serve {what} on {' and '.join(server.addresses)}")
        return
    logs.configure(options.log_format, getattr(logging, log_level.upper()))

    def ready(server: EmbeddedServer) -> None:
        if ready_file is not None:
            _ready("embedded", server.address, options).write(ready_file)
        if options.log_format == "json":
            return
        what = options.model_config_file or options.model_name
        click.echo(f"serving {what} on {server.address}; stop with Ctrl-C", err=True)
        if options.ssl_config_file is None:
            line = f"tunesmith generate --server {server.address} --out song.mid"
            click.echo(f"next: {line}", err=True)

    serve(model_dir, options, ready=ready)
