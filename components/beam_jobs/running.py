"""Runs a Beam job, and reports its failure in one line."""

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
"""The Beam metrics of a job by name; empty if the runner has none."""


def run_job(build: Callable[[beam.Pipeline], None], options: Sequence[str]) -> JobCounters:
    """Run the pipeline that `build` constructs, and return its counters.

    Args:
        build: adds the steps to a pipeline.
        options: passed to Beam.

    Raises:
        ComponentError: the job failed.
    """
    # The error below reports a failure in one line; Beam would log its whole stack first.
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    try:
        pipeline = beam.Pipeline(options=PipelineOptions(list(options)))
        build(pipeline)
        result = pipeline.run()
        state = result.wait_until_finish() or result.state
    except Exception as error:
        # Beam raises the error of a worker again, with the worker's stack in the message.
        last = str(error).strip().splitlines()[-1] if str(error).strip() else repr(error)
        raise ComponentError(f"the Beam job failed: {last}") from error
    if state not in (None, beam.runners.runner.PipelineState.DONE):
        raise ComponentError(f"the Beam job ended with state {state}: see the log of the runner")
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
    """Check that the workers wrote these files into the folder `output`.

    Raises:
        ComponentError: a file is missing.
    """
    for name in names:
        if not (output / name).is_file():
            raise ComponentError(
                f"the workers did not write {name} into {output}: use folders that have the same "
                "path on every worker"
            )
