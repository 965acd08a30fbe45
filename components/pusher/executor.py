"""Pusher's executor: copies a blessed model."""

from __future__ import annotations

import shutil

from tunesmith.components.artifacts import PushedModel
from tunesmith.components.component import Context
from tunesmith.components.errors import GateClosed
from tunesmith.components.progress import Progress
from tunesmith.components.pusher.component import PusherInputs, PusherParameters
from tunesmith.components.pusher.versions import Origin, now, reclaim, write_origin


def execute(inputs: PusherInputs, parameters: PusherParameters, context: Context) -> None:
    """Copy the SavedModel into the output folder, with its origin file.

    Raises:
        GateClosed: a blessing refuses the model, or belongs to another model.
        OSError: the model cannot be copied.
    """
    del parameters
    if not inputs.blessings:
        context.progress.say("warning: the model is pushed without any blessing")
    for blessing in inputs.blessings:
        objection = blessing.objection([inputs.model])
        if objection:
            raise GateClosed(f"not pushed: {objection}")
    shutil.copytree(inputs.model.saved_model, context.output, dirs_exist_ok=True)
    write_origin(context.output, Origin(model=inputs.model.digest, published=now()))


def tidy_up(pushed: PushedModel, parameters: PusherParameters, progress: Progress) -> None:
    """Remove the oldest versions beyond `parameters.keep`."""
    for version in reclaim(pushed.path.parent, parameters.keep):
        progress.say(f"version {version} of {parameters.model_name} was removed")
