"""The ``tunesmith`` command: finds the subcommand, and tells errors in one line.

Exit codes: 0 done, 1 it could not be done, 2 the command line itself is wrong, 130 interrupted.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from importlib.metadata import version

import click

SUBCOMMANDS = {
    "demo": "pipeline,serving,demo",
    "run": "pipeline",
    "preprocess": "beam",
    "serve": "serving",
    "generate": "serving",
    "runs": "pipeline",
    "lineage": "pipeline",
    "component": "pipeline",
    "rollback": "pipeline",
}
"""Each subcommand, in a module of its name, and the extras that it can need."""

DEBUG_VARIABLE = "TUNESMITH_DEBUG"


class LazyGroup(click.Group):
    """Imports a subcommand when it is used: the client must start without TensorFlow or Beam."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in SUBCOMMANDS:
            return None
        module = importlib.import_module(f"tunesmith.cli.{cmd_name}")
        command: click.Command = module.command
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("tunesmith"), prog_name="tunesmith")
def cli() -> None:
    """Learn to compose from a folder of MIDI files, and serve the composer."""


def main() -> None:
    """Run the command line and exit."""
    # Libraries warn about themselves at import; what matters to the user is raised as an error.
    logging.getLogger().addHandler(logging.NullHandler())
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    sys.exit(_run())


def _run() -> int:
    try:
        cli(prog_name="tunesmith", standalone_mode=False)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "tunesmith"
        return _fail(f"{error.format_message()} (see {where} --help)", 2)
    except click.ClickException as error:
        return _fail(error.format_message(), 1)
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", 130)
    except BrokenPipeError:
        # Whoever read the output has seen enough. Python would complain again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        return _fail(_explain(error), 1)
    return 0


def _fail(message: str, code: int) -> int:
    line = " ".join(message.split())
    click.echo(f"tunesmith: error: {line}", err=True)
    return code


def _explain(error: Exception) -> str:
    """Return the one line for an error that reached the command line."""
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("tunesmith"):
        command = next((each for each in sys.argv[1:] if each in SUBCOMMANDS), "demo")
        return f"{error.name} is not installed: pip install 'tunesmith[{SUBCOMMANDS[command]}]'"
    if type(error).__module__.startswith("tunesmith."):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error} ({DEBUG_VARIABLE}=1 shows where)"


if __name__ == "__main__":
    main()
