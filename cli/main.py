"""The ``tunesmith`` command: imports the subcommand, and reports errors in one line.

Exit codes: 0 done, 1 failed, 2 the command line or the configuration is wrong, 3 a gate refused,
4 a degenerate song was written, 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import Any

import click

from tunesmith.cli import log_lines
from tunesmith.cli.argument_names import name_as_given
from tunesmith.cli.environment import PREFIX, EnvironmentGroup
from tunesmith.cli.signals import INTERRUPTED, Ended, terminated_like_interrupted, tidied_up
from tunesmith.plugins import leave_out_current_folder

SUBCOMMANDS = {
    "demo": "demo",
    "run": "pipeline",
    "tune": "pipeline",
    "preprocess": "beam",
    "serve": "serving",
    "generate": "serving",
    "runs": "cli",
    "lineage": "cli",
    "versions": "cli",
    "component": "pipeline",
    "rollback": "cli",
}
"""The extra with the libraries of each subcommand; a subcommand is the module of its name."""

EXTRAS = {"rich": "cli", "PIL": "pictures"}
"""The extra of each library that several subcommands use."""

DEBUG_VARIABLE = "TUNESMITH_DEBUG"

FAILED, USAGE, REFUSED = 1, 2, 3


class LazyGroup(EnvironmentGroup):
    """Imports a subcommand when it is called: the client must start without TensorFlow or Beam."""

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

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand."""
        with tidied_up():
            return super().invoke(ctx)


@click.group(cls=LazyGroup, prefix=PREFIX, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tunesmith", prog_name="tunesmith")
def cli() -> None:
    """Train a model that composes on a folder of MIDI files, and serve it."""


def main() -> None:
    """Run the command line and exit."""
    # What lies in the current folder is no part of the program, however it was started.
    leave_out_current_folder()
    # Libraries log warnings at import; problems that concern the user are raised as errors.
    logging.getLogger().addHandler(logging.NullHandler())
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    log_lines.use_format("text")
    with terminated_like_interrupted():
        code = _run()
    sys.exit(code)


def _run() -> int:
    try:
        cli.main(prog_name="tunesmith", standalone_mode=False)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "tunesmith"
        return _fail(f"{_usage_message(error)} (see {where} --help)", USAGE)
    except click.ClickException as error:
        return _fail(error.format_message(), FAILED)
    except click.Abort:
        return _fail("interrupted", INTERRUPTED)
    except Ended as ended:
        (code,) = ended.args
        return _fail("interrupted" if code == INTERRUPTED else "terminated", code)
    except BrokenPipeError:
        # The reader has closed the pipe. Python would raise again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        return _fail(_explain(error), REFUSED if _is_refusal(error) else FAILED)
    return 0


def _fail(message: str, code: int) -> int:
    log_lines.fail(message)
    return code


def _usage_message(error: click.UsageError) -> str:
    """Return the message, with the name of the environment variable that set a wrong value."""
    if isinstance(error, click.BadParameter) and isinstance(error.param, click.Option):
        name = name_as_given(error.param, error.ctx)
        if name == error.param.envvar:
            error.param_hint = name
    return error.format_message()


def _is_refusal(error: Exception) -> bool:
    from tunesmith.components.errors import GateClosed

    return isinstance(error, GateClosed)


def _explain(error: Exception) -> str:
    """Return the one-line message of an error that ended a command."""
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("tunesmith"):
        command = next((each for each in sys.argv[1:] if each in SUBCOMMANDS), "demo")
        library = (error.name or "").partition(".")[0]
        extra = EXTRAS.get(library, SUBCOMMANDS[command])
        return f"{library} is not installed: pip install 'tunesmith[{extra}]'"
    if type(error).__module__.startswith("tunesmith."):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error} ({DEBUG_VARIABLE}=1 shows where)"


if __name__ == "__main__":
    main()
