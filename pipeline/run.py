"""Runs the pipeline: executes the components that are not cached, or lists them (dry run)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tunesmith.components.artifacts import Artifact, PushedModel
from tunesmith.components.component import Component
from tunesmith.components.errors import ArgumentError, GateClosed
from tunesmith.components.evaluator.component import EvaluatorInputs
from tunesmith.components.example_gen.component import EXAMPLE_GEN
from tunesmith.components.progress import Progress, executing
from tunesmith.components.sources.source import read_source
from tunesmith.pipeline.dag import (
    PipelineConfig,
    PipelineResult,
    connect,
    producers,
    served_model,
)
from tunesmith.pipeline.parent import import_model
from tunesmith.pipeline.planner import Planner
from tunesmith.pipeline.runner import Runner
from tunesmith.pipeline.store import STORE_NAME, CachedExecution
from tunesmith.pipeline.store_copy import copied_store


class MissingArtifact(ArgumentError):
    """A component before the first one of a run has no artifact."""


def run_pipeline(
    config: PipelineConfig, progress: Progress, wait: bool = True, config_text: str = ""
) -> PipelineResult:
    """Execute the components that are not cached, and return all artifacts.

    Args:
        config: the run.
        progress: where progress is shown.
        wait: whether to wait for another run in the root, or to raise.
        config_text: the configuration file that repeats the run.

    Raises:
        GateClosed: a gate stopped the run; its artifact has the reasons.
        ComponentError: a component failed; the artifacts before it are kept.
        OSError: the root cannot be written.
    """
    recorded = {
        "midi_dir": config.midi_dir,
        "root": config.root,
        "beam_options": config.beam_options,
        **({} if config.parent is None else {"parent": config.parent}),
        **{each.name: asdict(config.parameters_of(each)) for each in config.steps()},
    }
    # Raises before the root is created.
    starting = _starting(config)
    with Runner(
        config.root,
        progress,
        command="run" if config.parent is None else "tune",
        config=recorded,
        config_text=config_text,
        wait=wait,
        beam_options=config.beam_options,
        rerun=config.rerun,
    ) as runner:
        before = starting or _before(config, runner.planner)
        for execution in before.executions:
            runner.take(execution)
        result, made = PipelineResult(dict(before.artifacts)), list(before.made)
        for component in config.steps():
            inputs = _inputs(component, config, made)
            with executing(component.name):
                artifact = runner.run(component, inputs, config.parameters_of(component))
            result.artifacts[component.name] = artifact
            made.append(artifact)
    return result


@dataclass(frozen=True)
class _Before:
    """The artifacts that a run starts from, and the executions that wrote them."""

    artifacts: Mapping[str, Artifact]
    executions: tuple[CachedExecution, ...]
    made: tuple[Artifact, ...]


def _starting(config: PipelineConfig) -> _Before | None:
    """Return the user's songs; None if the run begins with artifacts of earlier runs."""
    earlier = config.before()
    if not earlier:
        if config.midi_dir is None:
            raise ArgumentError("midi_dir", "is missing: give the folder of the MIDI files")
        songs = read_source(config.midi_dir, config.parameters_of(EXAMPLE_GEN).source)
        return _Before({}, (), (songs, *_parent(config)))
    if not (config.root / STORE_NAME).is_file():
        raise _missing_artifact(config, earlier[0])
    return None


def _before(config: PipelineConfig, planner: Planner) -> _Before:
    """Return the newest artifacts of the components before the first one of the run."""
    artifacts: dict[str, Artifact] = {}
    executions = []
    for component in config.before():
        found = planner.newest(component)
        if found is None:
            raise _missing_artifact(config, component)
        executions.append(found[0])
        artifacts[component.name] = found[1]
    return _Before(artifacts, tuple(executions), (*artifacts.values(), *_parent(config)))


def _parent(config: PipelineConfig) -> tuple[PushedModel, ...]:
    """Return the model to fine-tune, if there is one."""
    return () if config.parent is None else (import_model(config.parent),)


def _missing_artifact(
    config: PipelineConfig, component: Component[Any, Any, Any]
) -> MissingArtifact:
    return MissingArtifact(
        "from",
        f"{config.first} needs an artifact of {component.name}, which {config.root} does not have: "
        "begin the run with an earlier component",
    )


def _inputs(
    component: Component[Any, Any, Any], config: PipelineConfig, made: list[Artifact]
) -> Any:
    inputs = connect(component, made)
    if isinstance(inputs, EvaluatorInputs):
        return replace(inputs, previous=served_model(config, made))
    return inputs


@dataclass(frozen=True)
class PlannedStep:
    """One component of a dry run.

    Args:
        component: its name.
        executed: whether it would be executed; None if that depends on components before it.
        reasons: a line each.
    """

    component: str
    executed: bool | None
    reasons: tuple[str, ...]


def plan_pipeline(config: PipelineConfig) -> list[PlannedStep]:
    """Return the components that a run would execute, and why; nothing is executed.

    If a component would be executed, it is not known whether its artifact will change: its
        consumers are executed only if it does. The root is not written to and need not exist.

    Raises:
        ComponentError: see :func:`run_pipeline`.
    """
    starting = _starting(config)
    if not (config.root / STORE_NAME).is_file():
        return [PlannedStep(each.name, True, ("never executed here",)) for each in config.steps()]
    with copied_store(config.root) as store:
        planner = Planner(config.root, store, config.rerun)
        before = starting or _before(config, planner)
        return _planned_steps(config, planner, list(before.made))


def _planned_steps(
    config: PipelineConfig, planner: Planner, made: list[Artifact]
) -> list[PlannedStep]:
    steps: list[PlannedStep] = []
    unknown: set[str] = set()
    for component in config.steps():
        waits = [
            each.name for each in producers(component, config.components) if each.name in unknown
        ]
        if waits:
            steps.append(_waiting_step(component, config, planner, waits))
            unknown.add(component.name)
            continue
        try:
            plan = planner.plan(
                component, _inputs(component, config, made), config.parameters_of(component)
            )
        except GateClosed as gate:
            steps.append(PlannedStep(component.name, False, (f"stops the run: {gate}",)))
            break
        if plan.cached is None:
            steps.append(PlannedStep(component.name, True, planner.reasons(component, plan)))
            unknown.add(component.name)
            continue
        steps.append(PlannedStep(component.name, False, (_cached(plan.cached),)))
        if plan.cached.outcome == "refused":
            break
        made.append(component.output(config.root / plan.cached.path, plan.cached.digest))
    return steps


def _waiting_step(
    component: Component[Any, Any, Any],
    config: PipelineConfig,
    planner: Planner,
    waits: Sequence[str],
) -> PlannedStep:
    """Return the step of a component that reads artifacts of `waits`, to be executed before."""
    if not planner.was_executed(component):
        return PlannedStep(component.name, True, ("never executed here",))
    changed = planner.changed_parameters(component, config.parameters_of(component))
    also = "also" if changed else "only"
    waiting = f"{also} if the artifact of {', '.join(waits)} changes"
    return PlannedStep(component.name, None, (*changed, waiting))


def _cached(execution: CachedExecution) -> str:
    if execution.outcome == "refused":
        return f"stops the run: refused before (execution {execution.id}): {execution.message}"
    return f"done before (execution {execution.id})"
