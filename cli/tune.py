"""``tunesmith tune``: fine-tunes a published model on a few songs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from tunesmith.cli.derived_command import DerivedCommand
from tunesmith.cli.options import (
    BEAM_OPTIONS,
    DRY_RUN,
    LOG_FORMAT,
    NO_WAIT,
    PRINT_CONFIG,
)
from tunesmith.cli.run import given_for_run, pipeline_options, run_as_set

if TYPE_CHECKING:
    from pathlib import Path

    from tunesmith.pipeline.configuration import Setting, Settings

RECIPE = "tune"


def _derived() -> Sequence[click.Parameter]:
    return pipeline_options(
        *("parent", "midi_dir", "root", "until", "rerun", "gates", "plugin_path")
    )


@click.command(
    "tune",
    cls=DerivedCommand,
    derive=_derived,
    epilog="To repeat a run of this command: tunesmith run --again. See docs/tuning.md.",
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
    """Fine-tune a published model on a few songs of a style.

    --model is the parent: a version of any model that tunesmith has published, in any --root. The
    new model has the parent's vocabulary and the frames of the songs, and starts from the parent's
    weights and n-gram counts. It passes the same gates as any other model and is published in
    --root; tunesmith lineage shows its parent. Track, grid, encoding and network are the parent's;
    only --track can be changed. Defaults are those of --recipe tune.
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
    """Return the settings of a parent model: track, grid, encoding, network and its sizes.

    Raises:
        ComponentError: the model cannot be tuned.
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
"""Keys that may differ from the parent's: the choice of instruments does not change the meaning of
a frame."""


def _joined(parent: Settings, given: Settings) -> dict[str, Setting]:
    """Return the settings of both.

    Raises:
        ConfigurationError: a given setting contradicts the parent's.
    """
    from tunesmith.cli.derived_options import value_text
    from tunesmith.pipeline.configuration import ConfigurationError

    for key in parent.keys() & given.keys() - set(MAY_DIFFER):
        asked, has = given[key].value, parent[key].value
        if asked != has:
            raise ConfigurationError(
                f"{given[key].name} must be {value_text(has)}, as in the parent model, not "
                f"{value_text(asked)}"
            )
    return {**parent, **given}
