"""A dry run says what a run would execute, and why; --from, --until and --rerun of a run."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tunesmith.components.artifacts import Artifact, Blessing, MidiFolder, folder_digest
from tunesmith.components.component import Component, ParameterSet, condition, parameter
from tunesmith.components.errors import GateClosed
from tunesmith.components.progress import SilentProgress
from tunesmith.pipeline.dag import PipelineConfig, connect, producers
from tunesmith.pipeline.run import MissingArtifact, plan_pipeline, run_pipeline

STEPS = '''
"""Three executors."""
import json
from tunesmith_toys import rules

def count(inputs, parameters, context):
    names = sorted(path.name for path in inputs.midi.path.iterdir())
    (context.output / "names.txt").write_text("\\n".join(names[: parameters.most]))

def check(inputs, parameters, context):
    found = len((inputs.names.path / "names.txt").read_text().split())
    passed = found >= parameters.least
    checks = [{"name": "enough", "passed": passed, "why": f"{found} names"}]
    (context.output / "finding.json").write_text(json.dumps({"checks": checks}))

def shout(inputs, parameters, context):
    text = (inputs.names.path / "names.txt").read_text()
    (context.output / "loud.txt").write_text(rules.loud(text))
'''


class Names(Artifact):
    """Names of files."""


class Finding(Blessing):
    """Whether there are enough of them."""

    FILE = "finding.json"


class Loud(Artifact):
    """The names in capitals."""


@dataclass(frozen=True)
class FromMidi:
    midi: MidiFolder


@dataclass(frozen=True)
class FromNames:
    names: Names


@dataclass(frozen=True)
class FromBoth:
    names: Names
    finding: Finding | None = condition()


@dataclass(frozen=True)
class Most(ParameterSet):
    most: int = parameter(9, "Names at most.", least=1)
    colour: str = parameter("red", "Of no effect.", affects_result=False)


@dataclass(frozen=True)
class Least(ParameterSet):
    least: int = parameter(1, "Names at least.")


@dataclass(frozen=True)
class Nothing(ParameterSet):
    pass


COUNT: Component[Any, Any, Names] = Component(
    "Count", FromMidi, Most, Names, "tunesmith_toys.steps:count"
)
CHECK: Component[Any, Any, Finding] = Component(
    "Check", FromNames, Least, Finding, "tunesmith_toys.steps:check"
)
SHOUT: Component[Any, Any, Loud] = Component(
    "Shout", FromBoth, Nothing, Loud, "tunesmith_toys.steps:shout"
)
TOYS = (COUNT, CHECK, SHOUT)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The source of the executors, in a package of its own."""
    folder = tmp_path / "source" / "tunesmith_toys"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "steps.py").write_text(STEPS)
    (folder / "rules.py").write_text("def loud(text):\n    return text.upper()\n")
    monkeypatch.syspath_prepend(str(folder.parent))
    yield folder
    for name in [name for name in sys.modules if name.startswith("tunesmith_toys")]:
        del sys.modules[name]


@pytest.fixture
def config(package: Path, tmp_path: Path) -> PipelineConfig:
    assert (package / "steps.py").is_file()
    midi = tmp_path / "midi"
    midi.mkdir()
    for name in ("a.mid", "b.mid", "c.mid"):
        (midi / name).write_bytes(name.encode())
    importlib.invalidate_caches()
    return PipelineConfig(midi, tmp_path / "root", components=TOYS)


def run(config: PipelineConfig) -> None:
    run_pipeline(config, SilentProgress())


def planned(config: PipelineConfig) -> dict[str, tuple[bool | None, str]]:
    return {
        step.component: (step.executed, "; ".join(step.reasons)) for step in plan_pipeline(config)
    }


def with_most(config: PipelineConfig, most: int) -> PipelineConfig:
    return replace(config, parameters={"Count": Most(most)})


def test_in_a_new_root_everything_would_be_executed_and_nothing_is(config: PipelineConfig) -> None:
    assert planned(config) == dict.fromkeys(
        ("Count", "Check", "Shout"), (True, "never executed here")
    )
    assert not config.root.exists()


def test_what_is_done_would_be_skipped(config: PipelineConfig) -> None:
    run(config)
    before = folder_digest(config.root)
    assert planned(config) == {
        "Count": (False, "done before (execution 1)"),
        "Check": (False, "done before (execution 2)"),
        "Shout": (False, "done before (execution 3)"),
    }
    assert folder_digest(config.root) == before


def test_a_parameter_that_changed_is_named_and_what_follows_waits_for_it(
    config: PipelineConfig,
) -> None:
    run(config)
    waits = (None, "only if the artifact of Count changes")
    assert planned(with_most(config, 2)) == {
        "Count": (True, "parameter most changed from 9 to 2"),
        "Check": waits,
        "Shout": waits,
    }


def test_of_what_waits_the_parameters_that_changed_are_named(config: PipelineConfig) -> None:
    run(config)
    both = replace(config, parameters={"Count": Most(2, colour="blue"), "Check": Least(2)})
    assert planned(both)["Count"] == (True, "parameter most changed from 9 to 2")
    assert planned(both)["Check"] == (
        None,
        "parameter least changed from 1 to 2; also if the artifact of Count changes",
    )


def test_a_change_without_effect_stops_where_it_has_none(config: PipelineConfig) -> None:
    run(config)
    result = run_pipeline(with_most(config, 8), SilentProgress())
    assert result.of(COUNT).path.name == "4"
    assert result.of(CHECK).path.name == "2"
    assert result.of(SHOUT).path.name == "3"


def test_a_parameter_of_no_effect_executes_nothing(config: PipelineConfig) -> None:
    run(config)
    blue = replace(config, parameters={"Count": Most(colour="blue")})
    assert [step.executed for step in plan_pipeline(blue)] == [False, False, False]


def test_songs_that_changed_are_named(config: PipelineConfig) -> None:
    run(config)
    (config.midi_dir / "d.mid").write_bytes(b"d")
    assert planned(config)["Count"] == (True, "input midi changed")


def test_code_that_changed_is_named_by_its_module(config: PipelineConfig, package: Path) -> None:
    run(config)
    (package / "rules.py").write_text("def loud(text):\n    return text.upper() + '!'\n")
    # What imports the package is told apart by what it says, not by when it was written.
    found = planned(config)
    assert found["Count"][1] == "code of tunesmith_toys.rules changed"


def test_a_comment_that_changed_executes_nothing(config: PipelineConfig, package: Path) -> None:
    run(config)
    (package / "rules.py").write_text(
        '"""Rules."""\n\n\ndef loud(text):  # capitals\n    return text.upper()\n'
    )
    assert [step.executed for step in plan_pipeline(config)] == [False, False, False]


def test_until_ends_a_run_and_from_begins_one(config: PipelineConfig) -> None:
    result = run_pipeline(replace(config, last="Check"), SilentProgress())
    assert set(result.artifacts) == {"Count", "Check"}
    # The songs are gone, and nobody looks at them.
    for path in config.midi_dir.iterdir():
        path.unlink()
    result = run_pipeline(replace(config, first="Shout"), SilentProgress())
    assert result.of(SHOUT).path.name == "3"
    assert result.of(COUNT).path.name == "1"


def test_a_run_cannot_begin_behind_what_was_never_made(config: PipelineConfig) -> None:
    with pytest.raises(MissingArtifact, match="from Shout needs an artifact of Count"):
        run(replace(config, first="Shout"))


def test_rerun_executes_what_is_done(config: PipelineConfig) -> None:
    run(config)
    again = replace(config, rerun=frozenset({"Count"}))
    assert planned(again)["Count"] == (True, "rerun requested")
    result = run_pipeline(again, SilentProgress())
    assert result.of(COUNT).path.name == "4"
    # It came to the same, so that nothing else was done again.
    assert result.of(SHOUT).path.name == "3"


def test_a_gate_that_refused_is_known_to_a_dry_run(config: PipelineConfig) -> None:
    strict = replace(config, parameters={"Check": Least(5)})
    with pytest.raises(GateClosed, match="3 names"):
        run(strict)
    found = planned(strict)
    assert found["Check"][0] is False
    assert found["Check"][1].startswith("stops the run: refused before (execution 2)")
    assert "Shout" not in found


def test_a_refused_finding_stops_whoever_is_given_it(config: PipelineConfig) -> None:
    strict = replace(config, parameters={"Check": Least(5)})
    with pytest.raises(GateClosed):
        run(strict)
    # Begun behind the gate, with its finding as it stands.
    with pytest.raises(GateClosed, match="Shout: refused"):
        run(replace(strict, first="Shout"))


def test_the_arrows_follow_from_the_types() -> None:
    assert producers(SHOUT, TOYS) == [COUNT]
    names, finding = Names(Path("n"), "1"), Finding(Path("f"), "2")
    assert connect(SHOUT, [names, finding]) == FromBoth(names, finding)
    with pytest.raises(LookupError, match="Check needs Names"):
        connect(CHECK, [finding])


def test_another_library_is_told_as_a_warning(
    config: PipelineConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed: Callable[[], dict[str, str]] = lambda: {"numpy": "0.1"}  # noqa: E731
    monkeypatch.setattr("tunesmith.pipeline.planner.library_versions", installed)
    run(config)
    monkeypatch.undo()
    monkeypatch.syspath_prepend(str(config.root.parent / "source"))

    class Lines(SilentProgress):
        lines: list[str] = []  # noqa: RUF012

        def say(self, line: str) -> None:
            self.lines.append(line)

    run_pipeline(config, Lines())
    warnings = [line for line in Lines.lines if line.startswith("warning")]
    assert len(warnings) == 3
    assert "Count was executed with numpy 0.1" in warnings[0]
    assert "to execute it again, use tunesmith run --rerun Count" in warnings[0]
