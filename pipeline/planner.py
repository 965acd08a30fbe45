"""The planner: whether a component has to be executed, and why.

It reads the metadata store and writes nothing, so that a dry run and a run decide alike.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from tunesmith.components.artifacts import Artifact, Blessing, SongFiles, TrainedModel, digest_of
from tunesmith.components.component import (
    Component,
    named_inputs,
    parameter_fields,
    result_parameters,
)
from tunesmith.components.errors import GateClosed
from tunesmith.components.parameter_values import leaves
from tunesmith.pipeline.code_version import changed, code_version, library_versions
from tunesmith.pipeline.store import (
    ArtifactRow,
    CachedExecution,
    Execution,
    ExecutionStore,
    recorded_path,
)

Inputs = TypeVar("Inputs")
Parameters = TypeVar("Parameters")
Output = TypeVar("Output", bound=Artifact)

CHECKPOINTS = "checkpoints"
"""Folder of the root for the checkpoints of resumable executions."""


@dataclass(frozen=True)
class Plan:
    """The plan for one component.

    Args:
        execution: as it would be recorded.
        checkpoints: folder of its checkpoints.
        cached: the equal execution that replaces it; None if it would be executed.
    """

    execution: Execution
    checkpoints: Path
    cached: CachedExecution | None


class Planner:
    """Decides which executions are needed.

    Args:
        root: of the pipeline.
        store: its metadata store.
        rerun: components to execute even if an equal execution is recorded.
    """

    def __init__(self, root: Path, store: ExecutionStore, rerun: Collection[str] = ()) -> None:
        self._root = root
        self._store = store
        self._rerun = frozenset(rerun)
        self.libraries = library_versions()

    def plan(
        self,
        component: Component[Inputs, Parameters, Any],
        inputs: Inputs,
        parameters: Parameters,
        run: int = 0,
    ) -> Plan:
        """Return whether the component has to be executed.

        Raises:
            GateClosed: a blessing among the inputs refuses, or is of another model.
            StoreError: the metadata store cannot be read.
        """
        artifacts = [each.artifact for each in named_inputs(inputs)]
        models = [each for each in artifacts if isinstance(each, TrainedModel)]
        for each in artifacts:
            objection = each.objection(models) if isinstance(each, Blessing) else None
            if objection:
                raise GateClosed(f"{component.name}: {objection}")
        execution = self._describe(run, component, inputs, parameters)
        cached = self._store.find(execution.fingerprint)
        if component.name in self._rerun or (
            cached is not None and cached.outcome == "refused" and component.retry_refusals
        ):
            cached = None
        return Plan(execution, self._root / CHECKPOINTS / execution.fingerprint, cached)

    def newest(
        self, component: Component[Any, Any, Output]
    ) -> tuple[CachedExecution, Output] | None:
        """Return the newest execution of a component that has an artifact, and the artifact."""
        found = self._store.newest(component.name)
        if found is None:
            return None
        return found, component.output(self._root / found.path, found.digest)

    def reasons(self, component: Component[Any, Any, Any], plan: Plan) -> tuple[str, ...]:
        """Return the reasons for a planned execution: the differences from the newest one."""
        last = self._store.newest(component.name)
        if last is None:
            return ("never executed here",)
        execution = plan.execution
        reasons = _changed_parameters(component, last.parameters, execution.parameters)
        if last.modules == "{}":
            reasons.append("executed by release 0.1.0, which did not record its code modules")
        else:
            modules = changed(json.loads(last.modules), json.loads(execution.modules))
            reasons += [
                f"version of {module} changed"
                if module.startswith("distribution ")
                else f"code of {module} changed"
                for module in modules
            ]
        for name, artifact in execution.inputs.items():
            before = last.inputs.get(name)
            if before is None:
                reasons.append(f"input {name} is new")
            elif before != artifact.digest:
                reasons.append(f"input {name} changed")
        reasons += [
            f"input {name} was removed" for name in last.inputs if name not in execution.inputs
        ]
        if component.name in self._rerun:
            reasons.insert(0, "rerun requested")
        elif last.outcome == "refused" and not reasons:
            reasons.append("was refused; the gate is executed again in each run")
        return tuple(reasons) or ("its fingerprint differs from that of the newest execution",)

    def was_executed(self, component: Component[Any, Any, Any]) -> bool:
        """Return whether an execution of the component with an artifact is recorded."""
        return self._store.newest(component.name) is not None

    def changed_parameters(
        self, component: Component[Any, Parameters, Any], parameters: Parameters
    ) -> tuple[str, ...]:
        """Return the parameters that differ from the newest execution's, a line each.

        Used for a component whose inputs do not exist yet. Empty if it was never executed.
        """
        last = self._store.newest(component.name)
        if last is None:
            return ()
        now = json.dumps(asdict(parameters), default=str)  # type: ignore[call-overload]
        return tuple(_changed_parameters(component, last.parameters, now))

    def recorded_path(self, path: Path) -> str:
        """Return a path in the form that the metadata store records."""
        return recorded_path(self._root, path)

    def _describe(
        self,
        run: int,
        component: Component[Inputs, Parameters, Any],
        inputs: Inputs,
        parameters: Parameters,
    ) -> Execution:
        executor = component.executor.partition(":")[0]
        named = named_inputs(inputs)
        decisive = [each for each in named if not each.is_condition]
        read_by = [module for each in decisive for module in each.artifact.modules()]
        code = code_version((executor, *component.modules(parameters), *read_by))
        result = json.dumps(result_parameters(parameters), sort_keys=True, default=str)
        digests = [part for each in decisive for part in (each.name, each.artifact.digest)]
        rows = {each.name: self._row(each.artifact) for each in named}
        # A change of the publishing code must not publish the same model again.
        counted = code.digest if component.model_dir is None else ""
        return Execution(
            run,
            component.name,
            digest_of([component.name, counted, result, *digests]),
            json.dumps(asdict(parameters), sort_keys=True, default=str),  # type: ignore[call-overload]
            code.digest,
            rows,
            json.dumps(dict(code.modules), sort_keys=True),
            json.dumps(self.libraries, sort_keys=True),
        )

    def _row(self, artifact: Artifact) -> ArtifactRow:
        listed = artifact.listed if isinstance(artifact, SongFiles) else None
        files = () if listed is None else listed.digests
        return ArtifactRow(
            type(artifact).__name__, self.recorded_path(artifact.path), artifact.digest, files
        )


def changed_libraries(before: str, now: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return (library, recorded version, installed version) of each library that changed.

    Args:
        before: the recorded versions, as JSON.
        now: the installed versions.
    """
    recorded: dict[str, str] = json.loads(before)
    return [
        (library, version, now[library])
        for library, version in sorted(recorded.items())
        if library in now and now[library] != version
    ]


def _changed_parameters(component: Component[Any, Any, Any], before: str, now: str) -> list[str]:
    """Return a line for each parameter that differs and affects the result."""
    old, new = leaves(json.loads(before)), leaves(json.loads(now))
    without_effect = {
        field.name
        for field in parameter_fields(component.parameters)
        if not field.declared.affects_result
    }
    return [
        f"parameter {name} changed from {json.dumps(old.get(name))} to {json.dumps(new.get(name))}"
        for name in sorted((old.keys() | new.keys()) - without_effect)
        if old.get(name) != new.get(name)
    ]
