"""Plug-ins are found in installed packages and on the plug-in path, and nowhere else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tunesmith.plugins import (
    PATH_VARIABLE,
    PluginError,
    find_plugin,
    load_plugin,
    plugin_names,
    set_plugin_path,
)


@pytest.fixture(autouse=True)
def _nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(PATH_VARIABLE, "")
    modules = set(sys.modules)
    yield
    set_plugin_path([])
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def install(folder: Path, name: str, version: str, entry_points: str) -> None:
    """Write what pip leaves of a distribution beside its modules."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(entry_points)


def python(code: str, folder: Path, *options: str, **environment: str) -> object:
    """Run `code`, which prints JSON, in a process of its own whose current folder is `folder`."""
    done = subprocess.run(
        [sys.executable, *options, *(["-c", code] if "-m" not in options else [])],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


TRY = """
import json
from tunesmith.plugins import load_plugin, PluginError
try:
    found = load_plugin("formats", "of_the_folder:VALUE")
except PluginError as error:
    found = f"refused: {error}"
print(json.dumps(found))
"""


def test_an_entry_point_of_an_installed_package_is_loaded_by_its_name(tmp_path: Path) -> None:
    install(
        tmp_path, "toy_voices", "1.2", "[tunesmith.formats]\ntoy = toy_voices.text:Text.plain\n"
    )
    (tmp_path / "toy_voices").mkdir()
    (tmp_path / "toy_voices" / "__init__.py").write_text("")
    (tmp_path / "toy_voices" / "text.py").write_text("class Text:\n    plain = 'plain text'\n")
    set_plugin_path([tmp_path])
    assert plugin_names("formats") == ["toy"]
    assert plugin_names("engines") == []
    assert load_plugin("formats", "toy") == "plain text"
    found = find_plugin("formats", "toy")
    assert (found.module, found.object) == ("toy_voices.text", "Text.plain")
    assert (found.distribution, found.version) == ("toy_voices", "1.2")


def test_a_module_of_the_plugin_path_is_loaded_with_the_modules_beside_it(tmp_path: Path) -> None:
    (tmp_path / "toy_first.py").write_text(
        "def late():\n    import toy_second\n    return toy_second.V"
    )
    (tmp_path / "toy_second.py").write_text("V = 7")
    set_plugin_path([tmp_path])
    late = load_plugin("filters", "toy_first:late")
    assert callable(late)
    assert late() == 7


def test_finding_a_plugin_does_not_run_its_module(tmp_path: Path) -> None:
    (tmp_path / "toy_loud.py").write_text("raise RuntimeError('it ran')")
    set_plugin_path([tmp_path])
    assert find_plugin("gates", "toy_loud:X").module == "toy_loud"
    with pytest.raises(PluginError, match="toy_loud cannot be imported: RuntimeError: it ran"):
        load_plugin("gates", "toy_loud:X")


def test_a_child_process_searches_the_same_folders(tmp_path: Path) -> None:
    (tmp_path / "of_the_folder.py").write_text("VALUE = 'from the plug-in path'")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    set_plugin_path([tmp_path])
    assert python(TRY, elsewhere) == "from the plug-in path"


def _as_module(code: str, folder: Path) -> object:
    (folder / "try_it.py").write_text(code)
    return python(code, folder, "-m", "try_it")


START: dict[str, Callable[[str, Path], object]] = {
    "python -c": python,
    "python -m": _as_module,
    "empty entry of PYTHONPATH": lambda code, folder: python(code, folder, PYTHONPATH=os.pathsep),
    "PYTHONPATH=.": lambda code, folder: python(code, folder, PYTHONPATH="."),
    "empty entry of the plug-in path": lambda code, folder: python(
        code, folder, **{PATH_VARIABLE: os.pathsep}
    ),
}
"""Ways to start a program so that Python's own search includes the current folder."""


@pytest.mark.parametrize("start", START)
def test_a_file_of_the_current_folder_is_no_plugin(tmp_path: Path, start: str) -> None:
    (tmp_path / "of_the_folder.py").write_text("VALUE = 'from the current folder'")
    assert START[start](TRY, tmp_path) == (
        "refused: there is no module of_the_folder: the current folder is not searched, "
        "add --plugin-path ."
    )


@pytest.mark.parametrize("start", START)
def test_a_package_of_the_current_folder_offers_no_entry_point(tmp_path: Path, start: str) -> None:
    install(tmp_path, "of_here", "1", "[tunesmith.formats]\nhere = of_the_folder:VALUE\n")
    (tmp_path / "of_the_folder.py").write_text("VALUE = 1")
    code = "import json, tunesmith.plugins as p; print(json.dumps(p.plugin_names('formats')))"
    assert START[start](code, tmp_path) == []


def test_the_current_folder_is_searched_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "of_the_folder.py").write_text("VALUE = 'named'")
    assert python(TRY, tmp_path, **{PATH_VARIABLE: "."}) == "named"


def test_a_module_of_the_plugin_path_replaces_none_of_python_or_of_a_package(
    tmp_path: Path,
) -> None:
    for name in ("json", "numpy"):
        (tmp_path / f"{name}.py").write_text("class Source: pass")
    code = (
        "import json\nfrom tunesmith.plugins import *\nanswers = []\n"
        "for name in ('json', 'numpy'):\n"
        "    try:\n        load_plugin('sources', name + ':Source')\n"
        "    except PluginError as error:\n        answers.append(str(error))\n"
        "import numpy\nprint(json.dumps([*answers, hasattr(numpy, 'array')]))"
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert python(code, elsewhere, **{PATH_VARIABLE: str(tmp_path)}) == [
        f"json has no Source; {tmp_path}/json.py is hidden by a module of Python or an "
        "installed one: rename it",
        f"numpy has no Source; {tmp_path}/numpy.py is hidden by a module of Python or an "
        "installed one: rename it",
        True,
    ]


def test_another_plugin_path_takes_the_place_of_the_first(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"toy_{name}.py").write_text("V = 1")
    set_plugin_path([tmp_path / "first"])
    set_plugin_path([tmp_path / "second"])
    assert load_plugin("gates", "toy_second:V") == 1
    with pytest.raises(PluginError, match="there is no module toy_first"):
        load_plugin("gates", "toy_first:V")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nobody", "no installed package has a plug-in 'nobody' in tunesmith.gates (none is"),
        ("a:", "'a:' is not module:object, such as my_package.my_module:MyClass"),
        ("../a:b", "'../a:b' is not module:object"),
        ("toy_absent.part:X", "there is no module toy_absent.part: install its package, or name"),
        ("json.absent:X", "there is no module json.absent"),
        ("json:absent", "json has no absent"),
    ],
)
def test_a_name_that_leads_nowhere_is_one_line(name: str, message: str) -> None:
    with pytest.raises(PluginError) as caught:
        load_plugin("gates", name)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_one_name_in_two_packages_is_refused(tmp_path: Path) -> None:
    for name in ("toy_a", "toy_b"):
        install(tmp_path, name, "1", f"[tunesmith.formats]\ntoy = {name}:X\n")
    set_plugin_path([tmp_path])
    with pytest.raises(PluginError, match=r"toy of tunesmith\.formats is in toy_a and toy_b"):
        load_plugin("formats", "toy")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="absent of the plug-in path is not a folder"):
        set_plugin_path([tmp_path / "absent"])


def test_plugins_need_the_standard_library_alone() -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "import tunesmith.plugins as p; p.plugin_names('gates')\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "import json; print(json.dumps(sorted(new - set(sys.stdlib_module_names))))"
    )
    assert python(code, Path("/")) == ["tunesmith"]
