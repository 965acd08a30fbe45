"""``tunesmith tune``: a style from few songs, by a model of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from tunesmith.cli.derived_command import DerivedCommand
from tunesmith.cli.options import BEAM_OPTIONS, DRY_RUN, LOG_FORMAT, NO_WAIT, PRINT_CONFIG
from tunesmith.cli.run import given_for_run, pipeline_options, run_as_set

if TYPE_CHECKING:
    from pathlib import Path

    from tunesmith.pipeline.configuration import Setting, Settings

RECIPE = "tune"


def _derived() -> Sequence[click.Parameter]:
    return pipeline_options("parent", "midi_dir", "root", "until", "rerun")


@click.command(
    "tune",
    cls=DerivedCommand,
    derive=_derived,
    epilog="tunesmith run --again repeats a run of this command; docs/tuning.md tells more.",
)
@PRINT_CONFIG
@DRY_RUN
@LOG_FORMAT
@NO_WAIT
@BEAM_OPTIONS
@click.pass_context
def command(
    ctx: click.Context, /, print_config: bool, dry_run: bool, no_wait: bool, **_: Any
) -> None:
    """Learn a style from few songs, beginning with a model of many.

    --model is a version of a model that tunesmith has pushed, of any corpus and any --root. The new
    model knows its frames and those of the songs, and begins with its weights and counts. It goes
    through the same gates as any other and is pushed into --root, where tunesmith lineage names its
    parent. Track, grid, encoding and network are those of the parent; another track may be given.
    Defaults are those of --recipe tune.
    """
    from tunesmith.cli.derived_options import usage_errors
    from tunesmith.pipeline.configuration import Setting
    from tunesmith.pipeline.parent import find_version

    given = given_for_run(ctx)
    if "parent" not in given:
        raise click.UsageError("Missing option '--model'.")
    version = find_version(given["parent"].value)
    given["parent"] = Setting(version, given["parent"].origin, given["parent"].name)
    with usage_errors():
        own = {"recipe": Setting(RECIPE, "tunesmith tune", "recipe")}
        settings = {**own, **_joined(_of_parent(version), given)}
    run_as_set(settings, given, print_config=print_config, dry_run=dry_run, no_wait=no_wait)


def _of_parent(version: Path) -> dict[str, Setting]:
    """Return what a model says of how its songs were read, and of its network.

    Raises:
        ComponentError: it cannot be tuned.
    """
    from dataclasses import fields

    from tunesmith.components.parent.reading import read_parent
    from tunesmith.components.trainer.tuning import NOT_EXPORTED
    from tunesmith.pipeline.configuration import Setting

    parent = read_parent(version)
    corpus = parent.vocabulary.corpus
    grid = corpus.grid
    values = {
        "example_gen.track": str(corpus.track),
        "example_gen.grid.frames_per_beat": grid.frames_per_beat,
        "example_gen.grid.keep_short_notes": grid.keep_short_notes,
        "example_gen.grid.pitch_range": (grid.lowest, grid.highest),
        "transform.encoding": corpus.encoding,
        "trainer.network": parent.network,
        **{
            f"trainer.architecture.{each.name}": getattr(parent.sizes, each.name)
            for each in fields(parent.sizes)
            if each.name not in NOT_EXPORTED
        },
    }
    if not grid.frames_per_beat:
        values["example_gen.grid.frames_per_second"] = grid.frames_per_second
    return {key: Setting(value, f"model {version}", key) for key, value in values.items()}


MAY_DIFFER = ("example_gen.track",)
"""What songs may have of their own: which instruments are the music does not change what a frame
means."""


def _joined(parent: Settings, given: Settings) -> dict[str, Setting]:
    """Return both; what is given must not contradict the parent.

    Raises:
        ConfigurationError: it does.
    """
    from tunesmith.cli.derived_options import value_text
    from tunesmith.pipeline.configuration import ConfigurationError

    for key in parent.keys() & given.keys() - set(MAY_DIFFER):
        asked, has = given[key].value, parent[key].value
        if asked != has:
            raise ConfigurationError(
                f"{given[key].name} {value_text(asked)} cannot be: the model to tune has "
                f"{value_text(has)}"
            )
    return {**parent, **given}
