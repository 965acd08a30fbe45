"""``tunesmith rollback``: serve an older model again."""

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
    help="Folder of the model's versions, such as ROOT/models/tunesmith.",
)
@click.option(
    "--to",
    type=click.IntRange(min=1),
    metavar="VERSION",
    help="Version to go back to.  [default: the model that was served before the newest]",
)
def command(model_dir: Path, to: int | None) -> None:
    """Publish an older version's model again, under a new number that servers take up.

    A server serves the highest number, so it takes the copy up, and no request fails. The version
    that was rolled back stays. Running it again goes one model further back.

    It is recorded where the folder lies in the --root of a pipeline, also while a run is at work.
    """
    from tunesmith.components.pusher.versions import read_origin
    from tunesmith.pipeline.rollback import roll_back

    version = roll_back(model_dir, to, ConsoleProgress())
    origin = read_origin(model_dir / str(version))
    click.echo(
        f"version {version} is the model of version {origin.copy_of} again, instead of "
        f"{origin.instead_of} -> {model_dir / str(version)}"
    )
