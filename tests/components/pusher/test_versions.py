"""Which version a candidate is compared with, and publishers that work at the same time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tunesmith.components.artifacts import ORIGIN_FILE, PushedModel
from tunesmith.components.publishing import staging_folder
from tunesmith.components.pusher.versions import (
    STAGING_NAME,
    NothingToRollBackTo,
    Origin,
    publish_as_next,
    read_origin,
    reclaim,
    roll_back,
    served_before,
    versions_of,
    write_origin,
)


def publish(model_dir: Path, model: str) -> int:
    """Publish a version whose content is a name."""
    with staging_folder(model_dir, STAGING_NAME) as staging:
        (staging / "saved_model.pb").write_text(model)
        write_origin(staging, Origin(model=model))
        return int(publish_as_next(staging, model_dir).name)


def compared_with(model_dir: Path, model: str) -> str | None:
    """Return the version that a candidate is compared with."""
    found = served_before(model_dir, model)
    return None if found is None else found.name


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    return tmp_path / "tunesmith"


def test_the_first_candidate_is_compared_with_none(model_dir: Path) -> None:
    assert served_before(model_dir, "a") is None
    model_dir.mkdir()
    assert served_before(model_dir, "a") is None


def test_a_candidate_is_compared_with_the_version_that_is_served(model_dir: Path) -> None:
    publish(model_dir, "a")
    publish(model_dir, "b")
    assert compared_with(model_dir, "c") == "2"


def test_after_a_rollback_it_is_the_copy_that_is_served(model_dir: Path) -> None:
    publish(model_dir, "a")
    publish(model_dir, "b")
    roll_back(model_dir)
    assert compared_with(model_dir, "c") == "3"
    assert read_origin(model_dir / "3").model == "a"


def test_a_candidate_that_was_published_meets_the_same_model_again(model_dir: Path) -> None:
    def digest_compared_with(model: str) -> str | None:
        found = served_before(model_dir, model)
        return None if found is None else PushedModel(found, "").content_digest()

    met = {}
    for model in "ab":
        met[model] = digest_compared_with(model)
        publish(model_dir, model)
    roll_back(model_dir)
    for model in "cd":
        met[model] = digest_compared_with(model)
        publish(model_dir, model)
    assert met == {"a": None, "b": "a", "c": "a", "d": "c"}
    # The newest two are candidates again; the older ones are held against what is served now.
    assert digest_compared_with("d") == "c"
    roll_back(model_dir)
    roll_back(model_dir)
    assert read_origin(model_dir / "7").model == "a"
    assert digest_compared_with("c") == "a"
    assert digest_compared_with("a") is None


def test_a_copy_of_a_copy_is_the_model_that_was_copied_first(model_dir: Path) -> None:
    for model in "ab":
        publish(model_dir, model)
    roll_back(model_dir)
    publish(model_dir, "c")
    assert roll_back(model_dir, to=3) == 5
    assert read_origin(model_dir / "5").copy_of == 1
    # Version 5 is a itself: what was served before a was published is none.
    assert compared_with(model_dir, "a") is None
    assert compared_with(model_dir, "d") == "5"


@pytest.mark.parametrize("origin", [None, "no JSON", "[1]", '{"model": "x", "mood": "blue"}'])
def test_a_version_of_another_program_is_compared_with_as_well(
    model_dir: Path, origin: str | None
) -> None:
    publish(model_dir, "a")
    foreign = model_dir / "2"
    (foreign / "assets.extra").mkdir(parents=True)
    (foreign / "saved_model.pb").write_text("foreign")
    if origin is not None:
        (foreign / ORIGIN_FILE).write_text(origin)
    assert compared_with(model_dir, "a") == "2"
    assert compared_with(model_dir, "b") == "2"


def test_a_foreign_version_and_its_copy_have_the_same_digest(model_dir: Path) -> None:
    for version in ("1", "2"):
        (model_dir / version).mkdir(parents=True)
        (model_dir / version / "saved_model.pb").write_text(version)
    assert roll_back(model_dir) == 3
    digests = [PushedModel(model_dir / name, "").content_digest() for name in "123"]
    assert digests[0] == digests[2] != digests[1]


def test_a_number_that_another_publisher_takes_is_left_to_it(model_dir: Path) -> None:
    publish(model_dir, "a")
    announced = []

    def be_overtaken(final: Path) -> None:
        announced.append(final.name)
        if len(announced) < 3:
            publish(model_dir, f"of another, {final.name}")

    with staging_folder(model_dir, "mine") as staging:
        (staging / "saved_model.pb").write_text("mine")
        assert publish_as_next(staging, model_dir, be_overtaken).name == "4"
    assert announced == ["2", "3", "4"]
    assert (model_dir / "4" / "saved_model.pb").read_text() == "mine"


def test_a_version_that_is_reclaimed_while_it_is_copied_is_let_go(
    model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for model in "abc":
        publish(model_dir, model)

    def be_overtaken(source: Path, *rest: object, **options: object) -> object:
        monkeypatch.undo()
        publish(model_dir, "d")
        reclaim(model_dir, 2)
        return shutil.copytree(source, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("tunesmith.components.pusher.versions.shutil.copytree", be_overtaken)
    # It set out to copy version 2, which is gone: what was served before the newest is 3 now.
    assert roll_back(model_dir) == 5
    assert read_origin(model_dir / "5").model == "c"
    for model in "ef":
        publish(model_dir, model)
    monkeypatch.setattr("tunesmith.components.pusher.versions.shutil.copytree", be_overtaken)
    with pytest.raises(NothingToRollBackTo, match="has no version 3 older than"):
        roll_back(model_dir, to=3)


WORK = """
import sys
from pathlib import Path
from tunesmith.components.publishing import staging_folder
from tunesmith.components.pusher.versions import (
    STAGING_NAME, NothingToRollBackTo, Origin, publish_as_next, reclaim, roll_back, write_origin
)
model_dir, work, times, name = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
print("ready", flush=True)
sys.stdin.readline()
for number in range(times):
    if work == "push":
        with staging_folder(model_dir, STAGING_NAME) as staging:
            for part in range(3):
                (staging / f"part-{part}").write_text(f"{name} {number}")
            write_origin(staging, Origin(model=f"{name} {number}"))
            print(publish_as_next(staging, model_dir).name)
    elif work == "roll back":
        try:
            print(roll_back(model_dir))
        except NothingToRollBackTo:
            # All that was older is gone by now.
            continue
    if name == "reclaiming":
        reclaim(model_dir, 2)
"""


def work_at_once(model_dir: Path, *works: Sequence[object]) -> list[list[int]]:
    """Let processes begin at the same moment, and return the versions that each published."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORK, str(model_dir), *map(str, work)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for work in works
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    published = []
    for process in processes:
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        published.append([int(line) for line in output.split()])
    return published


def assert_whole(model_dir: Path) -> None:
    """Check that each version is of one publication, and that nothing else lies there."""
    for path in model_dir.iterdir():
        assert path.name.isdecimal()
        model = json.loads((path / ORIGIN_FILE).read_text())["model"]
        assert {each.read_text() for each in path.glob("part-*")} == {model}
        assert len(list(path.glob("part-*"))) == 3


def test_two_publishers_at_once_end_in_versions_of_their_own(model_dir: Path) -> None:
    first, second = work_at_once(model_dir, ("push", 25, "one"), ("push", 25, "two"))
    assert sorted(first + second) == list(range(1, 51)) == versions_of(model_dir)
    assert_whole(model_dir)
    models = [read_origin(model_dir / str(version)).model for version in range(1, 51)]
    assert len(set(models)) == 50


def test_a_publisher_a_rollback_and_a_reclaim_at_once_end_in_versions_of_their_own(
    model_dir: Path,
) -> None:
    work_at_once(model_dir, ("push", 2, "before"))
    published = work_at_once(
        model_dir, ("push", 15, "one"), ("roll back", 15, "two"), ("push", 15, "reclaiming")
    )
    assert [len(published[0]), len(published[2])] == [15, 15]
    assert published[1]
    versions = sorted(version for each in published for version in each)
    assert versions == list(range(3, 3 + len(versions)))
    assert versions_of(model_dir)[-1] == versions[-1]
    assert_whole(model_dir)
