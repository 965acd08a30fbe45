"""The ``tunesmith`` command: finds the subcommand, and reports errors in one line.

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
from tunesmith.cli.environment import PREFIX, EnvironmentGroup, told_as
from tunesmith.cli.signals import INTERRUPTED, Ended, terminated_like_interrupted, tidied_up

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
"""Each subcommand, in a module of its name, and the extra that brings all that it can need."""

EXTRAS = {"rich": "cli", "PIL": "pictures"}
"""The extra of each library that is no subcommand's own."""

DEBUG_VARIABLE = "TUNESMITH_DEBUG"

FAILED, USAGE, REFUSED = 1, 2, 3


class LazyGroup(EnvironmentGroup):
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

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand."""
        with tidied_up():
            return super().invoke(ctx)


@click.group(cls=LazyGroup, prefix=PREFIX, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tunesmith", prog_name="tunesmith")
def cli() -> None:
    """Learn to compose from a folder of MIDI files, and serve the composer."""


def main() -> None:
    """Run the command line and exit."""
    # Libraries warn about themselves at import; what matters to the user is raised as an error.
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
        # Whoever read the output has seen enough. Python would complain again when it flushes.
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
    """Return what is wrong, with the variable's name where a value came from the environment."""
    if isinstance(error, click.BadParameter) and isinstance(error.param, click.Option):
        name = told_as(error.param, error.ctx)
        if name == error.param.envvar:
            error.param_hint = name
    return error.format_message()


def _is_refusal(error: Exception) -> bool:
    from tunesmith.components.errors import GateClosed

    return isinstance(error, GateClosed)


def _explain(error: Exception) -> str:
    """Return the one line for an error that reached the command line."""
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
