"""Executors for tests of the runner: small, and found by their names as those of components are."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

from tunesmith.components.component import Context


def write(_: Any, parameters: Any, context: Context) -> None:
    """Write as many zeros as `size` says."""
    (context.output / "zeros").write_bytes(bytes(parameters.size))


def write_and_fail(_: Any, __: Any, context: Context) -> None:
    """Fail, with half of the artifact written."""
    (context.output / "half").touch()
    raise RuntimeError("no")


def write_and_die(_: Any, __: Any, context: Context) -> None:
    """Kill the process, with half of the artifact written."""
    (context.output / "half").touch()
    os.kill(os.getpid(), signal.SIGKILL)


def repeat_text(inputs: Any, parameters: Any, context: Context) -> None:
    """Repeat the text of the input."""
    text = (inputs.source.path / "text").read_text()
    (context.output / "text").write_text(text * parameters.times)


def judge(inputs: Any, parameters: Any, context: Context) -> None:
    """Find whether the song is short enough; ``looks`` in the root counts how often."""
    with (context.pipeline_root / "looks").open("a") as looks:
        looks.write(".")
    length = len((inputs.song.path / "song").read_text())
    passed = length <= parameters.longest
    why = f"the song has {length} notes: at most {parameters.longest}"
    check = {"name": "short", "passed": passed, "why": why}
    (context.output / "finding.json").write_text(json.dumps({"checks": [check]}))


def run_a_lap(_: Any, parameters: Any, context: Context) -> None:
    """Run one lap, and fail unless it was the last."""
    assert context.checkpoints is not None
    context.checkpoints.mkdir(parents=True, exist_ok=True)
    laps = len(list(context.checkpoints.iterdir())) + 1
    (context.checkpoints / str(laps)).touch()
    if laps < parameters.laps:
        raise RuntimeError("out of breath")
    (context.output / "laps").write_text(str(laps))


def touch(_: Any, __: Any, context: Context) -> None:
    """Leave an empty file."""
    (context.output / "done").touch()


def learn(_: Any, parameters: Any, context: Context) -> None:
    """Leave a model, whose loss falls with its units."""
    touch(_, parameters, context)
    saved_model = context.output / "saved_model"
    saved_model.mkdir()
    (saved_model / "saved_model.pb").write_text(str(parameters.sizes.units))
    units = parameters.sizes.units
    epoch = {"epoch": 1, "train_loss": 2.5, "cut_loss": 20 / units, "seconds": 0.5}
    history = {
        "epochs": [epoch],
        "best_epoch": 1,
        "parameters": {"batch": 64},
        "model_parameters": units,
        "windows": {"train": 99, "cut": 9},
    }
    (context.output / "history.json").write_text(json.dumps(history))


def evaluate(inputs: Any, parameters: Any, context: Context) -> None:
    """Bless a model whose loss is no larger than `most`."""
    nats = inputs.model.history()["epochs"][0]["cut_loss"] - 0.5
    passed = nats <= parameters.most
    check = {"name": "loss", "passed": passed, "why": f"{nats} nats, [at most] {parameters.most}"}
    found = {"nats": nats, "perplexity": None, "top1": 0.25}
    content = {
        "checks": [check],
        "model_digest": inputs.model.digest,
        "splits": {"eval": found},
        "songs": [],
    }
    (context.output / "evaluation.json").write_text(json.dumps(content))


def measure(_: Any, __: Any, context: Context) -> None:
    """Leave the evaluation of two songs, one of them as restful as those of the corpus."""
    figures = {"nats": 1.5, "perplexity": 4.5, "top1": 0.5, "top5": 0.9}
    figures["expected_calibration_error"] = 0.1
    quantiles = {"low": 0.0, "lower_quartile": 0.1, "median": 0.2, "upper_quartile": 0.3}
    content = {
        "checks": [{"name": "loss", "passed": True, "why": "1.5 nats"}],
        "splits": {"eval": figures},
        "baselines": {"repeat": {"eval": figures}},
        "music": {
            "rest_share": {
                "unit": "share",
                "meaning": "frames in which nothing sounds",
                "model": {"values": [0.25, 1.0], "mean": 0.625, "median": 0.625, "within": 1},
                "corpus": {"of": "train", **quantiles, "high": 0.4, "songs": 9},
            }
        },
        "songs": ["songs/01.mid", "songs/02.mid"],
        "composed_frames": 300,
    }
    (context.output / "evaluation.json").write_text(json.dumps(content))
