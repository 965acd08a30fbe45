"""Which model was blessed before another: what a candidate is held against."""

from __future__ import annotations

from pathlib import Path

from tunesmith.components.artifacts import PushedModel, TrainedModel
from tunesmith.pipeline.store import STORE_NAME, connect

_PUSHES = """
SELECT made.path, made.digest, taken.digest FROM executions
JOIN artifacts AS made ON made.execution = executions.id
JOIN inputs ON inputs.execution = executions.id AND inputs.name = 'model'
JOIN artifacts AS taken ON taken.id = inputs.artifact
WHERE executions.component = 'Pusher' AND executions.outcome = 'complete'
ORDER BY executions.id
"""


def last_blessed(root: Path, model_name: str, candidate: TrainedModel) -> PushedModel | None:
    """Return the version that was pushed last before `candidate`, if it is still there.

    A candidate that was pushed already is held against what it was held against then, so that a
    run done again finds its evaluation done.

    Args:
        root: the pipeline's.
        model_name: whose versions count.
        candidate: the model to be judged.

    Raises:
        RecordError: the record cannot be read.
    """
    with connect(root / STORE_NAME) as connection:
        pushes = connection.execute(_PUSHES).fetchall()
    last = None
    for path, digest, model in pushes:
        folder = root / path
        if folder.parent.name != model_name:
            continue
        if model == candidate.digest:
            break
        if folder.is_dir():
            last = PushedModel(folder, digest)
    return last
