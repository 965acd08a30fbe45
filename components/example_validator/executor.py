"""ExampleValidator's executor: records every anomaly, and whether it stops the run.

The anomalies are defined in :mod:`tunesmith.components.example_validator.anomalies`.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from tunesmith.components.artifacts import ExampleAnomalies
from tunesmith.components.component import Context
from tunesmith.components.example_validator.anomalies import (
    ADVISORY,
    COMPARISONS,
    find_anomalies,
)
from tunesmith.components.example_validator.component import (
    ExampleValidatorInputs,
    ExampleValidatorParameters,
)


def execute(
    inputs: ExampleValidatorInputs, parameters: ExampleValidatorParameters, context: Context
) -> None:
    """Write ``anomalies.json`` of an ExampleAnomalies artifact into the output folder.

    ``passed`` says whether training may begin. ``anomalies`` has the fields of each anomaly,
    ``stops`` (whether it stops a run of this collection) and ``allowed`` (ignored by name).
    ``parameters`` has the thresholds.

    Raises:
        OSError: the statistics cannot be read, or the output cannot be written.
    """
    content = inputs.statistics.content()
    few = content["splits"]["train"]["songs"] < parameters.minimum_songs
    advisory = ADVISORY | COMPARISONS if few else ADVISORY
    described = [
        {
            **asdict(anomaly),
            "stops": anomaly.name not in advisory,
            "allowed": anomaly.name in parameters.allow,
        }
        for anomaly in find_anomalies(content, parameters)
    ]
    passed = not any(each["stops"] and not each["allowed"] for each in described)
    report = {"passed": passed, "anomalies": described, "parameters": asdict(parameters)}
    (context.output / ExampleAnomalies.FILE).write_text(json.dumps(report, indent=2), "utf-8")
    for each in described:
        kind = "allowed" if each["allowed"] else "anomaly" if each["stops"] else "note"
        context.progress.say(f"{kind} {each['name']}: {each['message']}")
