"""A component's code version covers all that its executor imports or runs, and nothing else."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from textwrap import dedent

import pytest

from tunesmith.pipeline.code_version import (
    LIBRARIES,
    CodeVersion,
    changed,
    code_version,
    library_versions,
)
from tunesmith.pipeline.source_code import parse_source

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("music", "client", "components", "pipeline", "serving", "cli")


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write source files, each folder below `folder` that holds one a package."""
    for name, source in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(source), "utf-8")
        if file.suffix == ".py":
            for package in (each for each in file.parents if folder in each.parents):
                (package / "__init__.py").touch()
    return folder


def version_of(folder: Path, *roots: str) -> CodeVersion:
    return code_version(roots, "sample", [folder])


def modules_of(folder: Path, *roots: str) -> set[str]:
    return set(version_of(folder, *roots).modules)


def executor(name: str) -> str:
    return f"tunesmith.components.{name}.executor"


# Small packages.


def test_imports_are_followed_from_module_to_module(tmp_path: Path) -> None:
    files = {
        "sample/start.py": "import sample.near\nimport json",
        "sample/near.py": "def play():\n    from sample.deep.far import play",
        "sample/deep/far.py": "from sample import start",
        "sample/deep/unused.py": "",
        "sample/unused.py": "import sample.start",
    }
    assert modules_of(write(tmp_path, files), "sample.start") == {
        *("sample", "sample.start", "sample.near", "sample.deep", "sample.deep.far"),
    }


def test_a_name_is_a_module_or_else_belongs_to_the_package(tmp_path: Path) -> None:
    files = {
        "sample/start.py": "from sample.songs import Song, reading",
        "sample/songs/__init__.py": "from .song import Song",
        "sample/songs/song.py": "class Song: pass",
        "sample/songs/reading.py": "from . import midi as m",
        "sample/songs/midi.py": "from ..grid import Grid",
        "sample/grid.py": "class Grid: pass",
    }
    assert modules_of(write(tmp_path, files), "sample.start") == {
        *("sample", "sample.start", "sample.grid", "sample.songs"),
        *("sample.songs.song", "sample.songs.reading", "sample.songs.midi"),
    }


def test_importing_a_module_executes_the_packages_above_it(tmp_path: Path) -> None:
    files = {
        "sample/start.py": "import sample.a.b.c",
        "sample/a/b/c.py": "",
        "sample/a/__init__.py": "from sample import setting",
        "sample/setting.py": "",
    }
    assert modules_of(write(tmp_path, files), "sample.start") == {
        *("sample", "sample.start", "sample.setting"),
        *("sample.a", "sample.a.b", "sample.a.b.c"),
    }


def test_what_a_package_imports_lazily_counts_when_the_package_is_reached(tmp_path: Path) -> None:
    files = {
        "sample/start.py": "from sample.songs import Song",
        "sample/songs/__init__.py": """
            def __getattr__(name):
                from sample.songs import reading
                return getattr(reading, name)
            """,
        "sample/songs/reading.py": "",
    }
    assert "sample.songs.reading" in modules_of(write(tmp_path, files), "sample.start")


def test_what_only_a_type_checker_imports_does_not_count(tmp_path: Path) -> None:
    files = {
        "sample/start.py": """
            from typing import TYPE_CHECKING
            if TYPE_CHECKING:
                from sample.types import Song
            """,
        "sample/types.py": "",
    }
    assert modules_of(write(tmp_path, files), "sample.start") == {"sample", "sample.start"}


def test_modules_imported_by_a_string_count(tmp_path: Path) -> None:
    files = {
        "sample/start.py": "import importlib\nimportlib.import_module('sample.player')",
        "sample/player.py": "",
    }
    assert "sample.player" in modules_of(write(tmp_path, files), "sample.start")


def test_modules_that_are_declared_to_run_count_with_their_imports(tmp_path: Path) -> None:
    files = {
        "sample/start.py": "ALSO_RUNS = ('sample.server', 'sample.tool')",
        "sample/server.py": "import sample.port",
        "sample/port.py": "",
        "sample/tool/__main__.py": "",
    }
    assert modules_of(write(tmp_path, files), "sample.start") == {
        *("sample", "sample.start", "sample.server", "sample.port"),
        *("sample.tool", "sample.tool.__main__"),
    }


def test_an_unknown_root_and_an_unknown_declaration_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {"sample/start.py": "ALSO_RUNS = ('sample.gone',)"})
    with pytest.raises(ModuleNotFoundError, match=r"no source of sample\.absent$"):
        version_of(tmp_path, "sample.absent")
    with pytest.raises(ModuleNotFoundError, match=r"sample\.gone, which ALSO_RUNS of sample\.sta"):
        version_of(tmp_path, "sample.start")


def test_a_module_that_is_not_there_is_passed_over(tmp_path: Path) -> None:
    source = "try:\n    import sample.gone\nexcept ImportError:\n    pass"
    assert "sample.gone" not in modules_of(write(tmp_path, {"sample/a.py": source}), "sample.a")


def test_data_files_count_for_the_package_that_holds_them(tmp_path: Path) -> None:
    files = {
        "sample/pages/page.py": "",
        "sample/pages/templates/deep/page.html": "<p>",
        "sample/pages/song.proto": "message Song {}",
        "sample/pages/py.typed": "",
        "sample/pages/song_pb2.pyi": "",
        "sample/pages/.hidden": "",
        "sample/pages/inner/inner.py": "",
        "sample/pages/inner/inner.txt": "",
        "sample/other/other.py": "",
        "sample/other/other.txt": "",
    }
    assert modules_of(write(tmp_path, files), "sample.pages.page") == {
        *("sample", "sample.pages", "sample.pages.page"),
        *("sample.pages/templates/deep/page.html", "sample.pages/song.proto"),
    }


def test_a_changed_data_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"sample/page.py": "", "sample/templates/page.html": "<p>"})
    old = version_of(tmp_path, "sample.page")
    (tmp_path / "sample/templates/page.html").write_text("<b>", "utf-8")
    new = version_of(tmp_path, "sample.page")
    assert changed(old.modules, new.modules) == ["sample/templates/page.html"]
    assert old.digest != new.digest


def test_added_removed_and_changed_modules_are_named(tmp_path: Path) -> None:
    write(tmp_path, {"sample/a.py": "import sample.b", "sample/b.py": "", "sample/c.py": ""})
    old = version_of(tmp_path, "sample.a")
    write(tmp_path, {"sample/a.py": "import sample.c"})
    new = version_of(tmp_path, "sample.a")
    assert changed(old.modules, new.modules) == ["sample.a", "sample.b", "sample.c"]
    assert changed(new.modules, new.modules) == []


def test_a_comment_in_a_module_below_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"sample/a.py": "import sample.b", "sample/b.py": "x = 1"})
    old = version_of(tmp_path, "sample.a")
    write(tmp_path, {"sample/b.py": "x = 1  # as it is"})
    assert version_of(tmp_path, "sample.a") == old
    write(tmp_path, {"sample/b.py": "x = 2"})
    assert changed(old.modules, version_of(tmp_path, "sample.a").modules) == ["sample.b"]


def test_neither_the_folder_nor_the_order_of_the_roots_counts(tmp_path: Path) -> None:
    files = {"sample/a.py": "import sample.b", "sample/b.py": "", "sample/c.py": ""}
    here, there = write(tmp_path / "here", files), write(tmp_path / "there", files)
    roots = ("sample.a", "sample.c")
    assert version_of(here, *roots) == version_of(there, *reversed(roots), "sample.b")


def test_a_network_of_the_user_counts_with_its_own_modules_and_the_package(tmp_path: Path) -> None:
    files = {
        "mine/net.py": "import mine.layers\nimport sample.network\nimport others.tools",
        "mine/layers.py": "",
        "others/tools.py": "",
        "sample/network.py": "import mine.hook",
        "mine/hook.py": "",
        "single.py": "",
    }
    assert modules_of(write(tmp_path, files), "mine.net", "single") == {
        *("mine", "mine.net", "mine.layers", "sample", "sample.network", "single"),
    }


def test_a_network_of_the_user_is_found_where_python_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"usersnet/net.py": "raise SystemExit", "usersnet/__init__.py": "raise SystemExit"}
    monkeypatch.syspath_prepend(str(write(tmp_path, files)))
    assert set(code_version(["usersnet.net"]).modules) == {"usersnet", "usersnet.net"}


def test_a_namespace_package_may_lie_in_several_folders(tmp_path: Path) -> None:
    for name in ("one", "two"):
        part = tmp_path / name / "spread" / name
        part.mkdir(parents=True)
        (part / "__init__.py").touch()
    (tmp_path / "one/spread/one/start.py").write_text("import spread.two", "utf-8")
    found = code_version(["spread.one.start"], "spread", [tmp_path / "one", tmp_path / "two"])
    assert set(found.modules) == {"spread.one", "spread.one.start", "spread.two"}


# The components.


@pytest.mark.parametrize(
    ("component", "modules"),
    [
        (
            "trainer",
            "ngram.packing ngram.counting records.tfrecord trainer.checkpoints "
            "trainer.export.saved_model networks.portable_graph",
        ),
        ("evaluator", "evaluator.likelihood evaluator.baselines ngram.counting"),
        (
            "transform",
            "transform.statistics_report charts.shapes charts/templates/chart.html "
            "transform/templates/statistics.html",
        ),
        (
            "example_gen",
            "example_gen.reading example_gen.read_ahead sources.source "
            "records.protos/example.proto records.protos.example_pb2",
        ),
    ],
)
def test_a_component_counts_what_it_runs_and_bakes_in(component: str, modules: str) -> None:
    expected = {f"tunesmith.components.{each}" for each in modules.split()}
    assert expected <= set(code_version([executor(component)]).modules)


def test_the_server_that_infra_validator_starts_is_code_of_it() -> None:
    found = code_version([executor("infra_validator")]).modules
    assert {
        "tunesmith.components.infra_validator.supervised",
        "tunesmith.cli.serve",
        "tunesmith.serving.server",
        "tunesmith.serving.batching",
        "tunesmith.serving/config/batching.config",
        "tunesmith.client.connection",
    } <= set(found)


def test_the_digests_are_those_of_the_source_wherever_it_is_installed(copied: Path) -> None:
    assert code_version([executor("trainer")], path=[copied]) == code_version([executor("trainer")])


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A folder with a copy of the source, which a test may change."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "tunesmith", tmp_path / "tunesmith", ignore=ignored)
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, tmp_path / "tunesmith" / package, ignore=ignored)
    return tmp_path


def changes(folder: Path, file: str, old: str, new: str) -> set[str]:
    """Replace text in a copied file; return the components whose code version changed by it."""
    components = ("example_gen", "transform", "statistics_gen", "trainer", "evaluator", "pusher")
    before = {each: code_version([executor(each)], path=[folder]) for each in components}
    path = folder / "tunesmith" / file
    source = path.read_text("utf-8")
    assert old in source
    path.write_text(source.replace(old, new), "utf-8")
    after = {each: code_version([executor(each)], path=[folder]) for each in components}
    return {each for each in components if before[each].digest != after[each].digest}


def test_another_counting_of_the_ngram_changes_trainer_and_evaluator(copied: Path) -> None:
    counting = "components/ngram/counting.py"
    assert changes(copied, counting, "\nORDER = 5\n", "\nORDER = 6\n") == {
        *("trainer", "evaluator"),
    }


def test_another_template_changes_the_component_that_draws_it(copied: Path) -> None:
    template = "components/transform/templates/statistics.html"
    assert changes(copied, template, "</body>", "<p></p></body>") == {"transform"}


def test_another_docstring_or_comment_changes_no_component(copied: Path) -> None:
    for file in (copied / "tunesmith").rglob("*.py"):
        source = file.read_text("utf-8")
        if source.startswith('"""'):
            source = source.replace('"""', '"""Otherwise: ', 1)
        file.write_text(source + "\n# The end.\n", "utf-8")
    for component in ("example_gen", "transform", "trainer", "evaluator"):
        now = code_version([executor(component)], path=[copied])
        assert changed(code_version([executor(component)]).modules, now.modules) == []


def test_all_that_is_imported_in_truth_is_covered() -> None:
    """Python itself says what an import loads; none of these needs TensorFlow or Beam."""
    for root in (
        "tunesmith.components.infra_validator.candidate",
        "tunesmith.client.aio",
        "tunesmith.components.pusher.executor",
        "tunesmith.cli.serve",
    ):
        code = (
            f"import sys, {root}\n"
            "print(*(name for name, module in sys.modules.items() if name.startswith('tunesmith.')"
            " and getattr(module, '__file__', None)))"
        )
        loaded = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        names = set(loaded.stdout.split())
        assert root in names
        assert names <= set(code_version([root]).modules)


def test_nothing_is_imported_to_find_a_code_version() -> None:
    code = (
        "import sys\n"
        "from tunesmith.pipeline.code_version import code_version, library_versions\n"
        f"code_version([{executor('trainer')!r}, {executor('example_gen')!r}])\n"
        "library_versions()\n"
        "print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert {name for name in loaded if name.startswith("tunesmith.")} == {
        *("tunesmith.pipeline", "tunesmith.pipeline.code_version"),
        *("tunesmith.pipeline.source_code", "tunesmith.plugins"),
    }
    assert not loaded & {"numpy", "tensorflow", "keras", "apache_beam", "grpc"}


def test_versions_of_the_libraries_are_those_that_they_tell() -> None:
    import numpy

    found = library_versions()
    assert found["numpy"] == numpy.__version__
    assert set(found) <= set(LIBRARIES)


# What no import shows is declared.


def sources() -> Iterator[tuple[str, Path, ast.Module]]:
    """Yield every module of the repository: its name, its file and its syntax tree."""
    for package in PACKAGES:
        for file in sorted((REPOSITORY / package).rglob("*.py")):
            relative = file.relative_to(REPOSITORY).with_suffix("")
            parts = relative.parts[:-1] if file.name == "__init__.py" else relative.parts
            yield ".".join(("tunesmith", *parts)), file, ast.parse(file.read_bytes())


def started_programs(name: str, tree: ast.Module) -> Iterator[str]:
    """Yield what stands behind a ``-m``: a module, or the expression that gives it, unparsed."""
    for node in ast.walk(tree):
        match node:
            case ast.List(items) | ast.Tuple(items) | ast.Call(args=items):
                for flag, program in pairwise(items):
                    match flag, program:
                        case ast.Constant("-m"), ast.Constant(str(module)):
                            yield module
                        case ast.Constant("-m"), ast.Name("__name__"):
                            yield name
                        case ast.Constant("-m"), _:
                            yield ast.unparse(program)


def test_every_module_that_is_started_as_a_program_is_declared() -> None:
    every = {name for name, _, _ in sources()}
    started = {}
    for name, file, tree in sources():
        strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        source = parse_source(file.read_bytes(), name.rpartition(".")[0])
        named = strings & every if "subprocess" in source.imports else set()
        started[name] = named | set(started_programs(name, tree))
        undeclared = started[name] - {name, *source.also_runs}
        assert not undeclared, f"name {sorted(undeclared)} in ALSO_RUNS of {name}"
    assert "tunesmith.cli.main" in started["tunesmith.components.infra_validator.candidate"]
    assert started["tunesmith.components.example_gen.read_ahead"] == {
        "tunesmith.components.example_gen.read_ahead",
    }


IMPORTS_WHAT_IT_IS_TOLD = {
    # A program; who starts it declares the commands that it is started with.
    "tunesmith.cli.main",
    # The executor, which is the root of a code version.
    "tunesmith.components.component",
    # The encoding and the network that parameters name, which their components declare.
    "tunesmith.components.encodings.encoding",
    "tunesmith.components.networks.network",
    # The engine that a parameter of InfraValidator names, which it declares.
    "tunesmith.serving.engines.engine",
    # The source that the songs were listed by, which their artifact declares.
    "tunesmith.components.sources.source",
}


def test_modules_that_import_what_they_are_told_are_known() -> None:
    found = set()
    for name, _, tree in sources():
        for node in ast.walk(tree):
            match node:
                case ast.Call(
                    ast.Attribute(attr="import_module") | ast.Name("import_module" | "__import__"),
                    [argument, *_],
                ) if not isinstance(argument, ast.Constant):
                    found.add(name)
    assert found == IMPORTS_WHAT_IT_IS_TOLD
