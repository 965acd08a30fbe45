"""ExampleValidator: what is wrong with the Examples, found before a training spends hours on them.

A threshold can be moved, an anomaly allowed by name. Nothing is raised for a finding: whoever runs
the pipeline closes the gate. The anomalies themselves are
:mod:`tunesmith.components.example_validator.anomalies`.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tunesmith.components.artifacts import ExampleStatistics
from tunesmith.components.example_validator.anomalies import (
    ADVISORY,
    COMPARISONS,
    ExampleValidatorParameters,
    find_anomalies,
)
from tunesmith.components.progress import Progress

__all__ = ["ExampleValidatorParameters", "stopping_sentence", "validate_examples"]

ANOMALIES_FILE = "anomalies.json"


def validate_examples(
    statistics: ExampleStatistics,
    output: Path,
    parameters: ExampleValidatorParameters,
    progress: Progress,
) -> bool:
    """Write ``anomalies.json`` of an ExampleAnomalies artifact into the folder `output`.

    ``passed`` says whether training may begin; ``anomalies`` holds each one's fields, ``stops``
    (whether it is of a kind that stops a run of this collection) and ``allowed`` (by name);
    ``parameters`` the thresholds.

    Returns:
        ``passed``: no anomaly stops that is not allowed.

    Raises:
        OSError: the statistics cannot be read, or the output not be written.
    """
    content = statistics.content()
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
    (output / ANOMALIES_FILE).write_text(json.dumps(report, indent=2), "utf-8")
    for each in described:
        kind = "allowed" if each["allowed"] else "anomaly" if each["stops"] else "note"
        progress.say(f"{kind} {each['name']}: {each['message']}")
    return passed


def stopping_sentence(anomalies: dict[str, Any]) -> str:
    """Return one line on what stops a run, from the content of ``anomalies.json``.

    It is what a closed gate says: every anomaly that stops, and how to allow it.
    """
    stopping = [each for each in anomalies["anomalies"] if each["stops"] and not each["allowed"]]
    names = sorted({each["name"] for each in stopping})
    messages = "; ".join(f"{each['name']}: {each['message']}" for each in stopping)
    return f"{messages} (or allow it by name: {', '.join(names)})"
