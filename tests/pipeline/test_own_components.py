"""A user's own network and gates: their parameters are keys, and their code counts."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tunesmith.components.artifacts import Blessing, TrainedModel
from tunesmith.components.component import ParameterError
from tunesmith.components.networks import network
from tunesmith.components.networks.network import load_network, network_modules
from tunesmith.components.pusher.component import PUSHER
from tunesmith.components.trainer.component import TRAINER, TrainerParameters
from tunesmith.pipeline import dag
from tunesmith.pipeline.code_version import changed, code_version
from tunesmith.pipeline.configuration import ConfigurationError, pipeline_config
from tunesmith.pipeline.configuration_file import (
    configuration_text,
    parse_configuration,
    read_configuration,
)
from tunesmith.pipeline.dag import choose_gates, connect, pipeline_components
from tunesmith.plugins import PATH_VARIABLE, PluginError, plugin_names, set_plugin_path

NETWORK = """
from dataclasses import dataclass
from tunesmith.components.component import parameter
from tunesmith.components.networks.network import Network, NetworkSizes

@dataclass(frozen=True)
class Sizes(NetworkSizes):
    knots: int = parameter(7, "Knots.", least=1)

class Net(Network):
    sizes = Sizes

class NoSizes(Network):
    pass
"""

GATE = """
from dataclasses import dataclass
from tunesmith.components.artifacts import Blessing, TrainedModel
from tunesmith.components.component import Component, ParameterSet, parameter

@dataclass(frozen=True)
class Inputs:
    model: TrainedModel

@dataclass(frozen=True)
class Parameters(ParameterSet):
    patience: int = parameter(1, "Patience.", least=0)

class Taste(Blessing):
    FILE = "taste.json"

GATE = Component("Taste", Inputs, Parameters, Taste, "toy_gate:execute")
SAME_NAME = Component("Trainer", Inputs, Parameters, Taste, "toy_gate:execute")
NO_GATE = Component("Taste2", Inputs, Parameters, TrainedModel, "toy_gate:execute")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of plug-ins; what a test chooses of them is forgotten after it."""
    monkeypatch.setenv(PATH_VARIABLE, "")
    monkeypatch.setattr(dag, "_gates", {})
    monkeypatch.setattr(network, "_chosen", [])
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "toy_network.py").write_text(NETWORK)
    (folder / "toy_gate.py").write_text(GATE)
    yield folder
    set_plugin_path([])
    for name in ("toy_network", "toy_gate", "toy_package"):
        sys.modules.pop(name, None)


TOML = """
midi_dir = "songs"
root = "root"
plugin_path = ["plugins"]
gates = ["toy_gate:GATE"]

[trainer]
network = "toy_network:Net"

[trainer.architecture]
knots = 11

[taste]
patience = 3
"""


def test_a_configuration_file_sets_their_parameters_and_says_them_again(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.toml"
    file.write_text(TOML)
    settings = read_configuration(file)
    config = pipeline_config(settings)
    assert [each.name for each in config.components][-2:] == ["Taste", "Pusher"]
    assert config.parameters["Trainer"].architecture.knots == 11
    assert config.parameters["Taste"].patience == 3
    text = configuration_text(settings)
    again = pipeline_config(parse_configuration(text, "run 1", "run 1", Path("/elsewhere")))
    assert again == config


def test_a_gate_is_refused_if_it_is_none(folder: Path) -> None:
    set_plugin_path([folder])
    with pytest.raises(PluginError, match="toy_gate:SAME_NAME is called Trainer, as another"):
        choose_gates(["toy_gate:SAME_NAME"])
    with pytest.raises(PluginError, match="toy_gate:NO_GATE is not a gate: it must be a Component"):
        choose_gates(["toy_gate:NO_GATE"])


def test_pusher_takes_the_blessing_of_a_gate_as_a_condition(folder: Path) -> None:
    set_plugin_path([folder])
    choose_gates(["toy_gate:GATE"])
    gate = pipeline_components()[-2]
    made = gate.output(folder, "a")
    assert isinstance(made, Blessing)
    inputs = connect(PUSHER, [TrainedModel(folder, "m"), made])
    assert inputs.blessings == (made,)


def test_a_network_is_refused_if_it_is_none(folder: Path) -> None:
    set_plugin_path([folder])
    with pytest.raises(PluginError, match="toy_network:NoSizes does not say its sizes"):
        load_network("toy_network:NoSizes")
    with pytest.raises(PluginError, match="toy_network:Sizes is not a network"):
        load_network("toy_network:Sizes")
    with pytest.raises(ParameterError, match="network must be one of causal, paper, or module"):
        TrainerParameters(network="absent")
    with pytest.raises(ParameterError, match="cannot be absent:Net: there is no module absent"):
        TrainerParameters(network="absent:Net")


def test_the_size_of_another_network_is_refused(folder: Path) -> None:
    set_plugin_path([folder])
    text = '[trainer]\nnetwork = "toy_network:Net"\n[trainer.architecture]\nunits = 3\n'
    with pytest.raises(ConfigurationError, match="units is a parameter of the network"):
        pipeline_config(parse_configuration(f'midi_dir="a"\nroot="b"\n{text}', "f", "f", Path()))


Install = Callable[[str, str], None]


@pytest.fixture
def install(folder: Path, tmp_path: Path) -> Install:
    """Installs a package of a network with pip, into the folder of plug-ins."""

    def call(version: str, code: str) -> None:
        project = tmp_path / f"project-{version}"
        (project / "toy_package").mkdir(parents=True)
        (project / "toy_package" / "__init__.py").write_text("")
        (project / "toy_package" / "network.py").write_text(code)
        (project / "pyproject.toml").write_text(
            '[build-system]\nrequires = ["setuptools"]\n'
            f'[project]\nname = "toy-package"\nversion = "{version}"\n'
            '[project.entry-points."tunesmith.networks"]\ntoy = "toy_package.network:Net"\n'
            '[tool.setuptools]\npackages = ["toy_package"]\n'
        )
        # pip would leave what the version before says of itself.
        shutil.rmtree(folder)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
        options = ["--no-deps", "--no-build-isolation", "--target", str(folder)]
        subprocess.run([*pip, *options, str(project)], check=True, capture_output=True)
        set_plugin_path([folder])

    return call


def test_an_installed_network_counts_with_its_code_and_its_version(install: Install) -> None:
    install("1.0", NETWORK)
    assert plugin_names("networks") == ["toy"]
    parameters = TrainerParameters(network="toy")
    assert parameters.architecture.knots == 7
    assert network_modules("toy") == ("toy_package.network",)

    def modules() -> dict[str, str]:
        executor = TRAINER.executor.partition(":")[0]
        return dict(code_version((executor, *TRAINER.modules(parameters))).modules)

    first = modules()
    assert {"toy_package", "toy_package.network", "distribution toy-package"} <= first.keys()
    install("1.1", NETWORK)
    assert changed(first, modules()) == ["distribution toy-package"]
    install("1.1.1", NETWORK.replace("knots", "nodes"))
    assert changed(first, modules()) == ["distribution toy-package", "toy_package.network"]
