"""Runs a Beam job, and says in one line why it failed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions

from tunesmith.components.errors import ComponentError

COUNTERS = "tunesmith"
"""Namespace of the Beam metrics."""

JobCounters = dict[str, int]
"""The Beam metrics of a job by name; empty where the runner keeps none."""


def run_job(build: Callable[[beam.Pipeline], None], options: Sequence[str]) -> JobCounters:
    """Run what `build` adds to a pipeline, and return its counters.

    Args:
        build: adds the steps.
        options: for Beam, untouched.

    Raises:
        ComponentError: the job failed.
    """
    # A failing job is told in one line, by the error below; Beam would log its whole stack first.
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    try:
        pipeline = beam.Pipeline(options=PipelineOptions(list(options)))
        build(pipeline)
        result = pipeline.run()
        state = result.wait_until_finish() or result.state
    except Exception as error:
        # Beam rethrows whatever a worker raised, with the worker's stack in the message.
        last = str(error).strip().splitlines()[-1] if str(error).strip() else repr(error)
        raise ComponentError(f"the Beam job failed: {last}") from error
    if state not in (None, beam.runners.runner.PipelineState.DONE):
        raise ComponentError(f"the Beam job ended as {state}: see the runner's own log")
    return _counters(result)


def _counters(result: Any) -> JobCounters:
    try:
        found = result.metrics().query(MetricsFilter().with_namespace(COUNTERS))["counters"]
    except NotImplementedError:
        return {}
    counters: JobCounters = {}
    for each in found:
        name = each.key.metric.name
        counters[name] = counters.get(name, 0) + (each.result or 0)
    return dict(sorted(counters.items()))


def check_written(output: Path, names: Iterable[str]) -> None:
    """See that the workers wrote these files into the folder `output`.

    Raises:
        ComponentError: one is not there.
    """
    for name in names:
        if not (output / name).is_file():
            raise ComponentError(
                f"the workers did not write {name} into {output}: name folders that every worker "
                "sees under the same path"
            )
