"""``tunesmith serve``: serve a model with one of the serving engines."""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import click

from tunesmith.cli.options import given
from tunesmith.cli.ready_file import Ready, write_when_it_answers
from tunesmith.cli.serving import serving_options
from tunesmith.plugins import PluginError
from tunesmith.serving.addresses import join, require_free
from tunesmith.serving.engines.engine import (
    AUTO,
    EVERY_INTERFACE,
    Engine,
    EngineLimit,
    EngineOptions,
    EngineUnknown,
    InProcessEngine,
    choose_engine,
    load_engine,
)
from tunesmith.serving.errors import EngineMissing


@click.command("serve")
@serving_options
def command(
    model_dir: Path | None,
    engine: str,
    ready_file: Path | None,
    dry_run: bool,
    **values: Any,
) -> None:
    """Serve a model over gRPC until interrupted; new versions are loaded as they appear."""
    options = _engine_options(values)
    _require_one_source(model_dir, options)
    # A program that is started has to be given a port; this process can find a free one itself.
    with_port = _with_port(options)
    name = choose_engine(with_port) if engine == AUTO else engine
    chosen = _loaded(name)
    if not isinstance(chosen, InProcessEngine):
        options = with_port
    line = _command_line(chosen, model_dir, options)
    if not chosen.keeps_host and options.host not in EVERY_INTERFACE:
        click.echo(f"note: {name} listens on every interface, not only on --host", err=True)
    if dry_run:
        click.echo(shlex.join(line))
        return
    _require_available(name, chosen, line, options)
    if ready_file is not None:
        ready_file.unlink(missing_ok=True)
    if isinstance(chosen, InProcessEngine):
        _serve_here(name, chosen, model_dir, options, ready_file)
        return
    if ready_file is not None:
        host = options.host if options.host not in EVERY_INTERFACE else "127.0.0.1"
        address = join(host, options.port) if options.port else f"unix:{options.socket}"
        write_when_it_answers(
            ready_file, _ready(name, address, options), options.ssl_config_file is not None
        )
    sys.stderr.flush()
    os.execvp(line[0], line)


def _engine_options(values: dict[str, Any]) -> EngineOptions:
    """Return the options that were given; the others keep their defaults."""
    options = {name: value for name, value in values.items() if value is not None}
    if values["socket"] is not None:
        options.setdefault("port", None)
    return EngineOptions(**given(EngineOptions, options))


def _require_one_source(model_dir: Path | None, options: EngineOptions) -> None:
    if (model_dir is None) == (options.model_config_file is None):
        raise click.UsageError(
            "give either --model-dir, the folder of one model's versions, or --model-config-file"
        )


def _with_port(options: EngineOptions) -> EngineOptions:
    if options.port != 0:
        return options
    require_free(options.host, 0)
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    with socket.create_server((options.host, 0), family=family) as probe:
        return dataclasses.replace(options, port=int(probe.getsockname()[1]))


def _loaded(name: str) -> Engine:
    try:
        return load_engine(name)
    except (EngineUnknown, PluginError) as error:
        raise click.UsageError(f"--engine {name}: {error}") from error


def _command_line(engine: Engine, model_dir: Path | None, options: EngineOptions) -> list[str]:
    """Return the engine's command line, and check the models and certificates.

    TensorFlow Serving would wait for a missing model for ever, and stop without naming a file.
    """
    from tunesmith.serving.loading import require_models
    from tunesmith.serving.tls import read_certificates

    try:
        line = engine.command(model_dir, options)
    except EngineLimit as error:
        raise click.UsageError(str(error)) from error
    require_models(model_dir, options)
    if options.ssl_config_file is not None:
        read_certificates(options.ssl_config_file)
    return line


def _require_available(name: str, engine: Engine, line: list[str], options: EngineOptions) -> None:
    reason = engine.unavailable(options)
    if reason is None and shutil.which(line[0]) is None:
        reason = f"the engine {name} starts {line[0]}, which is not on PATH"
    if reason is not None:
        raise EngineMissing(reason)


def _ready(engine: str, address: str, options: EngineOptions) -> Ready:
    model = options.model_name if options.model_config_file is None else None
    return Ready(engine, address, model, os.getpid())


def _serve_here(
    name: str,
    engine: InProcessEngine,
    model_dir: Path | None,
    options: EngineOptions,
    ready_file: Path | None,
) -> None:
    def ready(address: str) -> None:
        if ready_file is not None:
            _ready(name, address, options).write(ready_file)
        if options.log_format == "json":
            return
        models = options.model_config_file or options.model_name
        click.echo(f"serving {models} on {address}; stop with Ctrl-C", err=True)
        if options.ssl_config_file is None:
            line = f"tunesmith generate --server {address} --out song.mid"
            click.echo(f"next: {line}", err=True)

    engine.serve(model_dir, options, ready)
