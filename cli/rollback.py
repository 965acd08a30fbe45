"""``tunesmith rollback``: publish an older version of a model again."""

from __future__ import annotations

from pathlib import Path

import click

from tunesmith.cli.console import ConsoleProgress
from tunesmith.cli.options import FOLDER


@click.command("rollback")
@click.option(
    "--model-dir",
    type=FOLDER,
    required=True,
    help="Base path of the model, such as ROOT/models/tunesmith.",
)
@click.option(
    "--to",
    type=click.IntRange(min=1),
    metavar="VERSION",
    help="Version to publish again.  [default: the model that was served before the newest]",
)
def command(model_dir: Path, to: int | None) -> None:
    """Publish an older version of a model again, under the next version number.

    Servers serve the highest version number: they load the copy and switch to it without failing a
    request. The version that was rolled back is kept. A second rollback goes back one more model.

    In the root of a pipeline the rollback is recorded, also while a run is in progress.
    """
    from tunesmith.components.pusher.versions import read_origin
    from tunesmith.pipeline.rollback import roll_back

    version = roll_back(model_dir, to, ConsoleProgress())
    origin = read_origin(model_dir / str(version))
    click.echo(
        f"published version {version}, a copy of version {origin.copy_of}, in place of version "
        f"{origin.instead_of} -> {model_dir / str(version)}"
    )
