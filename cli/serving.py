"""The options of ``tunesmith serve``, by what they are about."""

from __future__ import annotations

from typing import Any

import click

from tunesmith.cli.options import FILE, FOLDER, Command, add_options
from tunesmith.serving.options import ServerOptions

PORT = click.IntRange(0, 65535)
SECONDS = click.FloatRange(min=0)
COUNT = click.IntRange(min=1)

DEFAULTS = ServerOptions()


class Permissions(click.ParamType):  # type: ignore[type-arg]
    """A file's permissions, as chmod writes them: ``660``."""

    name = "mode"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            mode = int(value, 8)
        except ValueError:
            mode = -1
        if not 0 <= mode <= 0o777:
            self.fail(f"{value!r} is no file mode such as 600 or 660", param, ctx)
        return mode


_MODELS = (
    click.option(
        "--model-dir",
        type=FOLDER,
        help="Folder of a model's versions: DIR/<version>/saved_model.pb.",
    ),
    click.option(
        "--model-name", default="tunesmith", show_default=True, help="Name to serve it under."
    ),
    click.option(
        "--model-config-file",
        type=FILE,
        help="Instead of --model-dir: models, version policies and labels, in TensorFlow Serving's "
        "text format.",
    ),
    click.option(
        "--model-config-poll-seconds",
        type=SECONDS,
        metavar="SECONDS",
        default=0.0,
        show_default=True,
        help="Seconds between two looks at that file; 0 reads it once.",
    ),
    click.option(
        "--reload-requests/--no-reload-requests",
        default=None,
        help="Whether clients may change which models are served.  [default: on loopback or a "
        "socket only]",
    ),
    click.option(
        "--poll-seconds",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        default=1.0,
        show_default=True,
        help="Seconds between two looks for new versions.",
    ),
)

_ADDRESSES = (
    click.option(
        "--port",
        type=PORT,
        metavar="N",
        help="TCP port, 0 for a free one.  [default: 8500, or none with --socket]",
    ),
    click.option(
        "--host",
        default="127.0.0.1",
        show_default=True,
        help="Interface to listen on: this machine.",
    ),
    click.option("--socket", type=FILE, help="Listen on a unix socket of this path, too."),
    click.option(
        "--socket-mode",
        type=Permissions(),
        default="600",
        show_default=True,
        help="Permissions of the socket.",
    ),
    click.option(
        "--ssl-config-file",
        type=FILE,
        help="Key, certificate and whose clients to take, in TensorFlow Serving's text format.",
    ),
    click.option(
        "--metrics-port", type=PORT, metavar="N", help="Serve Prometheus metrics on this port."
    ),
)

_LIMITS = (
    click.option(
        "--batching-parameters-file",
        type=FILE,
        help="How requests are computed together, in TensorFlow Serving's text format.",
    ),
    click.option(
        "--batching/--no-batching",
        default=True,
        show_default=True,
        help="Compute windows of several requests together.",
    ),
    click.option(
        "--max-requests",
        type=COUNT,
        metavar="N",
        default=DEFAULTS.max_requests,
        show_default=True,
        help="Requests in flight at most; one more is refused.",
    ),
    click.option(
        "--workers",
        type=COUNT,
        metavar="N",
        default=DEFAULTS.workers,
        show_default=True,
        help="Requests answered at the same time.",
    ),
    click.option(
        "--max-receive-bytes",
        type=COUNT,
        metavar="N",
        default=DEFAULTS.max_receive_bytes,
        show_default=True,
        help="Longest request message.",
    ),
    click.option(
        "--max-send-bytes",
        type=COUNT,
        metavar="N",
        default=DEFAULTS.max_send_bytes,
        show_default=True,
        help="Longest response message.",
    ),
    click.option(
        "--drain-seconds",
        type=SECONDS,
        metavar="SECONDS",
        default=DEFAULTS.drain_seconds,
        show_default=True,
        help="How long a stop waits for requests that are being answered.",
    ),
)

_PROGRAM = (
    click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Lines of words and key=value pairs, or one JSON object a line.",
    ),
    click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        default="info",
        show_default=True,
        help="debug logs each request.",
    ),
    click.option(
        "--engine",
        type=click.Choice(["auto", "tensorflow-serving", "docker", "embedded"]),
        default="auto",
        show_default=True,
        help="auto: the best one present that keeps to --host.",
    ),
    click.option("--image", help="Container image of the docker engine."),
    click.option(
        "--gpu/--cpu", default=True, show_default=True, help="Hand the GPUs to the container."
    ),
    click.option(
        "--ready-file",
        type=FILE,
        help="When the server answers, write its engine, address, model and process here, as JSON.",
    ),
    click.option(
        "--dry-run", is_flag=True, help="Say what would be run, after looking at everything."
    ),
)


def serving_options(command: Command) -> Command:
    """Add the options that say what is served, where, how much of it and by which engine."""
    return add_options(command, (*_MODELS, *_ADDRESSES, *_LIMITS, *_PROGRAM))
