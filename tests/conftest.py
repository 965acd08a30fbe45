"""Fixtures of several folders: a small exported model, and a real server that hosts it."""

from __future__ import annotations

import os
import sys
import tarfile
from collections.abc import Callable, Iterator
from importlib.abc import MetaPathFinder
from pathlib import Path

import pytest
from hypothesis import settings

FIXTURES = Path(__file__).resolve().parent / "fixtures"
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

# Executors of tests are imported by name, as those of components are, also by other processes.
sys.path.insert(0, str(Path(__file__).resolve().parent / "executors"))

# Those that take longest, before the others: two workers that share the files end together.
LONGEST_FILES = (
    "test_resume.py",
    "test_the_whole_way.py",
    "test_pipeline_kills.py",
    "test_infra_validator.py",
    "test_trainer.py",
    "test_beam_runners.py",
    "test_model_and_export.py",
    "test_faults.py",
    "test_signals.py",
)

NOT_QUICK = (
    "cli/test_errors.py",
    "cli/test_own_components.py",
    "cli/test_runs.py",
    "cli/test_versions.py",
    "client/test_connection.py",
    "client/test_import.py",
    "client/test_libraries.py",
    "docs/test_extending_page.py",
    "docs/test_messages_page.py",
    "evaluator/test_baselines.py",
    "formats/test_html.py",
    "formats/test_png.py",
    "formats/test_wav.py",
    "music/test_note_counts.py",
    "music/test_smf.py",
    "music/test_struck.py",
    "pipeline/test_code_version.py",
    "pipeline/test_configuration_file.py",
    "pipeline/test_dry_run.py",
    "pipeline/test_own_components.py",
    "pipeline/test_report.py",
    "pipeline/test_resumable.py",
    "pipeline/test_rollback.py",
    "pipeline/test_runner.py",
    "pipeline/test_runs.py",
    "sources/test_scores.py",
    "tests/conformance",
    "tests/end_to_end",
    "tests/serving",
    "tests/test_extras.py",
    "tests/test_imports.py",
    "tests/test_site.py",
    "tests/test_wheel.py",
    "trainer/test_recommended_sampling.py",
    "transform/test_statistics.py",
    "tunesmith/test_consumer_types.py",
)
"""Folder and name of what takes seconds or starts programs, or needs TensorFlow throughout."""

# `make test` draws the same examples each time and gives the same verdict; `make fuzz` draws others
# and keeps those that fail in .hypothesis, where the next `make fuzz` tries them first.
settings.register_profile("test", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("fuzz", deadline=None, print_blob=True)
settings.load_profile("test")

CHORDS = ((60, 64, 67), (60, 65, 69), (59, 62, 67), (57, 60, 64), (62, 65, 69))


class _LeaveOut(MetaPathFinder):
    """Leaves out each test that imports one of the libraries that take seconds to import."""

    def find_spec(self, name: str, *_: object) -> None:
        if name in ("apache_beam", "keras", "tensorflow", "tensorflow_serving"):
            pytest.skip(f"needs {name}", allow_module_level=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of `make test-quick`."""
    text = "leave out the tests that import TensorFlow or Beam, and others that take seconds"
    parser.addoption("--quick", action="store_true", help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Keep slow libraries out, if asked to."""
    if config.getoption("--quick"):
        sys.meta_path.insert(0, _LeaveOut())
        config.option.markexpr = "not long"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what takes seconds for other reasons, if asked to."""
    left_out = f"{collection_path.parent.name}/{collection_path.name}" in NOT_QUICK
    return True if left_out and config.getoption("--quick") else None


_skips: list[str] = []
"""Tests that were skipped and may not be, where TUNESMITH_NO_SKIPS is set."""


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember the tests that were skipped, but for those that need a GPU or a foreign server."""
    allowed = "gpu" in report.keywords or report.nodeid.startswith("tests/conformance/")
    if report.skipped and not allowed and not hasattr(report, "wasxfail"):
        assert isinstance(report.longrepr, tuple)
        _skips.append(f"{report.nodeid}: {report.longrepr[2]}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run for a skipped test, as .ci/run asks; two workers leave that to their leader."""
    is_leader = not hasattr(session.config, "workerinput")
    if is_leader and _skips and os.environ.get("TUNESMITH_NO_SKIPS") and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that were skipped and may not be."""
    if _skips and os.environ.get("TUNESMITH_NO_SKIPS"):
        terminalreporter.section("skipped, which TUNESMITH_NO_SKIPS makes a failure")
        for each in _skips:
            terminalreporter.line(each)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first."""
    places = {name: place for place, name in enumerate(LONGEST_FILES)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture(scope="session")
def jj_lin() -> Path:
    """The paper's 22 songs; they are no part of the repository."""
    folder = SHARED / "jj_lin"
    if not folder.is_dir():
        pytest.skip("the paper's songs are not beside this checkout (../shared/data/jj_lin)")
    return folder


@pytest.fixture(scope="session")
def extract_release_0_1_0() -> Callable[[Path], Path]:
    """Extracts into a folder what release 0.1.0 left, and returns where it is.

    That is ``root/``, ``songs/`` and ``song.mid``; see fixtures/README.md.
    """

    def extract(folder: Path) -> Path:
        with tarfile.open(FIXTURES / "root-0.1.0.tar.xz") as archive:
            archive.extractall(folder, filter="data")
        return folder / "root-0.1.0"

    return extract


@pytest.fixture
def release_0_1_0(tmp_path: Path, extract_release_0_1_0: Callable[[Path], Path]) -> Path:
    """The files of release 0.1.0, for one test."""
    return extract_release_0_1_0(tmp_path)


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base path with one version: an untrained, narrow network of the contract's signatures."""
    from tunesmith.components.runtime import load_tensorflow

    load_tensorflow()
    import keras

    from tunesmith.components.networks.paper.network import NETWORK
    from tunesmith.components.networks.paper.sizes import PaperSizes
    from tunesmith.components.trainer.export.saved_model import ServedSettings, export_model
    from tunesmith.music import REST, Vocabulary

    keras.utils.set_random_seed(1)
    frames = (REST, *((pitch,) for pitch in range(60, 85)), *CHORDS)
    vocabulary = Vocabulary(frames, frames_per_second=5.0)
    architecture = PaperSizes(embedding=8, units=8, dense=8)
    base = tmp_path_factory.mktemp("models") / "tunesmith"
    base.mkdir()
    model = NETWORK.build(len(vocabulary), architecture)
    forward = NETWORK.for_serving(model, len(vocabulary), architecture)
    export_model(forward, architecture.window, vocabulary, ServedSettings(), base / "1")
    return base


@pytest.fixture(scope="session")
def server_address(model_dir: Path) -> Iterator[str]:
    """The address of an embedded server that hosts `model_dir`."""
    from tunesmith.serving import EmbeddedServer, ServerOptions

    with EmbeddedServer(model_dir, ServerOptions(port=0)) as server:
        yield server.address
