"""The options of ``tunesmith serve``, by topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tunesmith.cli.options import FILE, FOLDER, PLUGIN_PATH, Command, add_options
from tunesmith.plugins import is_reference, plugin_names
from tunesmith.serving.engines.engine import AUTO, DEFAULT_IMAGE, engine_names
from tunesmith.serving.options import ServerOptions

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

PORT = click.IntRange(0, 65535)
SECONDS = click.FloatRange(min=0)
COUNT = click.IntRange(min=1)

DEFAULTS = ServerOptions()


class Permissions(click.ParamType):  # type: ignore[type-arg]
    """The permissions of a file in octal digits, as chmod takes them: ``660``."""

    name = "mode"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            mode = int(value, 8)
        except ValueError:
            mode = -1
        if not 0 <= mode <= 0o777:
            self.fail(
                f"{value!r} is not a file mode in octal digits, such as 600 or 660", param, ctx
            )
        return mode


class EngineName(click.ParamType):  # type: ignore[type-arg]
    """The name of a serving engine, built-in or a plug-in."""

    name = "engine"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return the names for a --help."""
        del param, ctx
        return f"[{'|'.join((*_engine_names(), 'MODULE:OBJECT'))}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; whether a module:object exists is checked when it is loaded."""
        if value not in _engine_names() and not is_reference(value):
            known = ", ".join(_engine_names())
            self.fail(f"{value!r} is not one of {known}, nor module:object", param, ctx)
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete a name."""
        from click.shell_completion import CompletionItem

        del ctx, param
        return [CompletionItem(each) for each in _engine_names() if each.startswith(incomplete)]


def _engine_names() -> tuple[str, ...]:
    return (AUTO, *engine_names(), *plugin_names("engines"))


_MODELS = (
    click.option(
        "--model-dir",
        type=FOLDER,
        help="Folder of the versions of a model: DIR/<version>/saved_model.pb.",
    ),
    click.option(
        "--model-name", default="tunesmith", show_default=True, help="Model name in requests."
    ),
    click.option(
        "--model-config-file",
        type=FILE,
        help="Models, version policies and labels in TensorFlow Serving's text format, instead of "
        "--model-dir.",
    ),
    click.option(
        "--model-config-poll-seconds",
        type=SECONDS,
        metavar="SECONDS",
        default=0.0,
        show_default=True,
        help="Poll the model configuration file every SECONDS; 0 = never.",
    ),
    click.option(
        "--reload-requests/--no-reload-requests",
        default=None,
        help="Accept requests of clients to change the served models.  [default: only if listening "
        "on loopback or a socket]",
    ),
    click.option(
        "--poll-seconds",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        default=1.0,
        show_default=True,
        help="Poll the model folders for new versions every SECONDS.",
    ),
)

_ADDRESSES = (
    click.option(
        "--port",
        type=PORT,
        metavar="N",
        help="TCP port; 0 = any free port.  [default: 8500, or none with --socket]",
    ),
    click.option(
        "--host",
        default="127.0.0.1",
        show_default=True,
        help="Interface to listen on; 0.0.0.0 = every interface.",
    ),
    click.option("--socket", type=FILE, help="Unix socket to listen on."),
    click.option(
        "--socket-mode",
        type=Permissions(),
        default="600",
        show_default=True,
        help="Permissions of the unix socket, in octal digits.",
    ),
    click.option(
        "--ssl-config-file",
        type=FILE,
        help="Server key, certificate and client CA in TensorFlow Serving's text format.",
    ),
    click.option(
        "--metrics-port",
        type=PORT,
        metavar="N",
        help="TCP port for Prometheus metrics; 0 = any free port.",
    ),
)

_LIMITS = (
    click.option(
        "--batching-parameters-file",
        type=FILE,
        help="Batching parameters in TensorFlow Serving's text format.",
    ),
    click.option(
        "--batching/--no-batching",
        default=True,
        show_default=True,
        help="Compute windows of concurrent requests in one batch.",
    ),
    click.option(
        "--max-requests",
        type=COUNT,
        metavar="N",
        default=DEFAULTS.max_requests,
        show_default=True,
        help="Maximum number of requests in flight; more are refused.",
    ),
    click.option(
        "--workers",
        type=COUNT,
        metavar="N",
        default=DEFAULTS.workers,
        show_default=True,
        help="Number of requests processed at the same time.",
    ),
    click.option(
        "--max-receive-bytes",
        type=COUNT,
        metavar="N",
        default=DEFAULTS.max_receive_bytes,
        show_default=True,
        help="Maximum size of a request message.",
    ),
    click.option(
        "--max-send-bytes",
        type=COUNT,
        metavar="N",
        default=DEFAULTS.max_send_bytes,
        show_default=True,
        help="Maximum size of a response message.",
    ),
    click.option(
        "--drain-seconds",
        type=SECONDS,
        metavar="SECONDS",
        default=DEFAULTS.drain_seconds,
        show_default=True,
        help="Maximum time that a stop waits for running requests.",
    ),
)

_PROGRAM = (
    click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Log format: text with key=value pairs, or one JSON object per line.",
    ),
    click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        default="info",
        show_default=True,
        help="Minimum level of log lines; debug logs each request.",
    ),
    click.option(
        "--engine",
        type=EngineName(),
        default=AUTO,
        show_default=True,
        help="Serving engine; auto = the best available one that listens on --host only.",
    ),
    PLUGIN_PATH,
    click.option(
        "--image",
        default=DEFAULT_IMAGE,
        show_default=True,
        help="Container image (--engine docker).",
    ),
    click.option(
        "--gpu/--cpu",
        default=True,
        show_default=True,
        help="Give the container all GPUs (--engine docker).",
    ),
    click.option(
        "--ready-file",
        type=FILE,
        help="JSON file to write when the server answers: engine, address, model, process ID.",
    ),
    click.option(
        "--dry-run",
        is_flag=True,
        help="Validate the configuration and print the command without running it.",
    ),
)


def serving_options(command: Command) -> Command:
    """Add the options for models, addresses, limits, the log and the engine."""
    return add_options(command, (*_MODELS, *_ADDRESSES, *_LIMITS, *_PROGRAM))
