"""From a folder of MIDI to a song, with the commands that a user types."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pretty_midi
import pytest

from tunesmith.music import REST, Vocabulary, write_midi
from tunesmith.music.frames import Frame
from tunesmith.pipeline.dag import BY_NAME

TUNESMITH = [sys.executable, "-m", "tunesmith.cli.main"]
SMALL = [
    *("--units", "12", "--embedding", "8", "--layers", "1", "--dense", "12", "--epochs", "2"),
    # The demo, a test of its own, chooses its sampling.
    *("--sampling-seconds", "0"),
]
# Two epochs over five songs beat nothing.
BLESSED = ["--beat", "none"]
# What two epochs teach may dwell, which has an exit code of its own.
WRITTEN = (0, 4)

Done = subprocess.CompletedProcess[str]


def tunesmith(*arguments: object, check: bool = True) -> Done:
    command = [*TUNESMITH, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert "Traceback" not in done.stderr, done.stderr
    codes = WRITTEN if arguments[0] == "generate" else (0,)
    assert done.returncode in codes or not check, done.stderr
    return done


def round_in_thirds(pitch: int, length: int) -> list[Frame]:
    steps = [0, 2, 4, 5, 7, 5, 4, 2]
    frames: list[Frame] = []
    for index in range(length):
        low = pitch + steps[index // 2 % 8]
        frames.append(REST if index % 16 == 15 else (low, low + 4))
    return [*frames, (pitch,)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline's root after one run over six songs and a file that is none."""
    folder = tmp_path_factory.mktemp("end-to-end")
    (folder / "midi").mkdir()
    for number in range(6):
        frames = round_in_thirds(55 + number, 60 + 3 * number)
        write_midi(frames, folder / "midi" / f"{number}.mid", 5.0)
    (folder / "midi" / "diary.mid").write_text("dear diary")
    done = tunesmith(
        "run", "--midi-dir", folder / "midi", "--root", folder / "root", *SMALL, *BLESSED
    )
    assert "6 songs: 5 train, 1 eval" in done.stderr
    assert "rejected: 1 malformed" in done.stderr
    assert re.search(r"\d+ notes in the files, \d+ note starts in the tokens", done.stderr)
    assert "begin in the frames" in (folder / "root" / "report.html").read_text()
    assert "pushed version 1" in done.stderr
    assert "to improve the model: the epochs ended while" in done.stderr
    return folder / "root"


@contextmanager
def serving(model_dir: Path, folder: Path) -> Iterator[str]:
    """``tunesmith serve`` on a free port; ended as a service manager ends it."""
    ready = folder / "ready.json"
    command = [*TUNESMITH, "serve", "--model-dir", str(model_dir), "--port", "0"]
    server = subprocess.Popen([*command, "--ready-file", str(ready)])
    try:
        while not ready.exists():
            assert server.poll() is None
            time.sleep(0.05)
        yield json.loads(ready.read_text())["address"]
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
    finally:
        server.kill()
        server.wait()


def test_a_second_run_skips_what_is_done(root: Path) -> None:
    done = tunesmith("run", "--midi-dir", root.parent / "midi", "--root", root, *SMALL, *BLESSED)
    skipped = re.findall(r"(\w+): done before", done.stderr)
    assert skipped == list(BY_NAME)
    assert [path.name for path in (root / "models" / "tunesmith").iterdir()] == ["1"]


def test_a_model_that_is_not_blessed_is_not_pushed_and_the_report_says_why(root: Path) -> None:
    done = tunesmith(
        *("run", "--midi-dir", root.parent / "midi", "--root", root, *SMALL),
        *("--beat", "5-gram", "--baseline-margin", 3),
        check=False,
    )
    assert done.returncode == 3
    assert "tunesmith: error: the model is not blessed (" in done.stderr
    assert re.findall(r"(\w+): done before", done.stderr) == list(BY_NAME)[:5]
    assert [path.name for path in (root / "models" / "tunesmith").iterdir()] == ["1"]
    page = (root / "report.html").read_text()
    assert "Evaluator: not blessed" in page
    assert "beats 5-gram" in page


def test_a_model_that_fell_short_is_heard_by_the_command_that_the_run_names(
    root: Path, tmp_path: Path
) -> None:
    done = tunesmith(
        *("run", "--midi-dir", root.parent / "midi", "--root", root, *SMALL),
        *("--beat", "none", "--require", "nats<=0.001"),
        check=False,
    )
    assert done.returncode == 3
    advice, command, error = done.stderr.splitlines()[-3:]
    assert advice.startswith("to improve the model: the epochs ended while")
    assert "; try --epochs " in advice
    assert "nats is " in error
    assert "train longer" not in done.stderr
    named = command.removeprefix("to listen to the refused model: tunesmith ")
    made = subprocess.run(
        [*TUNESMITH, *shlex.split(named), "--steps", "20"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode in WRITTEN, made.stderr
    assert (tmp_path / "song.mid").is_file()


def test_a_served_model_composes_over_a_socket(root: Path, tmp_path: Path) -> None:
    vocabulary = Vocabulary.read(next(root.glob("Transform/*/vocabulary.json")))
    with serving(root / "models" / "tunesmith", tmp_path) as address:
        files = {kind: tmp_path / f"song.{kind}" for kind in ("mid", "png", "wav")}
        arguments = ["--server", address, "--steps", 60, "--seed", 3]
        outputs = ["--out", files["mid"], "--png", files["png"], "--wav", files["wav"]]
        first = tunesmith("generate", *arguments, *outputs)
        assert re.search(r"song\.mid: \d+ notes, .* 12\.0 s, seed 3, version 1", first.stdout)
        tunesmith("generate", *arguments, "--out", tmp_path / "again.mid")
        tunesmith("generate", *arguments, "--count", 2, "--out", tmp_path / "many.mid")
        primed = tmp_path / "primed.mid"
        tunesmith("generate", *arguments, "--primer", files["mid"], "--out", primed)
    song = pretty_midi.PrettyMIDI(str(files["mid"]))
    assert song.get_end_time() <= 12.0 + 1e-3
    known = {pitch for frame in vocabulary.frames for pitch in frame}
    assert {note.pitch for note in song.instruments[0].notes} <= known
    assert files["mid"].read_bytes() == (tmp_path / "again.mid").read_bytes()
    assert files["png"].read_bytes().startswith(b"\x89PNG")
    assert files["wav"].read_bytes().startswith(b"RIFF")
    assert {path.name for path in tmp_path.glob("many*")} == {"many-1.mid", "many-2.mid"}
    assert pretty_midi.PrettyMIDI(str(primed)).instruments[0].notes


def test_generate_serves_a_model_by_itself(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "song.mid"
    model_dir = root / "models" / "tunesmith"
    tunesmith("generate", "--model-dir", model_dir, "--steps", 20, "--temperature", 0, "--out", out)
    assert pretty_midi.PrettyMIDI(str(out)).instruments[0].notes


def test_preprocess_leaves_the_contracts_files(root: Path, tmp_path: Path) -> None:
    midi, output = root.parent / "midi", tmp_path / "out"
    options = ["--", "--direct_running_mode=in_memory"]
    for _ in range(2):
        done = tunesmith("preprocess", "--midi-dir", midi, "--output", output, *options)
        assert "6 songs: 5 train, 1 eval" in done.stderr
    names = {re.sub(r"-\d+-of-\d+", "-*", path.name) for path in output.iterdir()}
    assert names == {
        "train-*.tfrecord",
        "eval-*.tfrecord",
        "vocabulary.json",
        "statistics.json",
        "summary.json",
        "notes.json",
        "rejected.jsonl",
        "report.html",
    }
    content = json.loads((output / "vocabulary.json").read_text())
    assert content["frames_per_second"] == 5
    assert content["frames"][0] == "e"
    assert list(tmp_path.iterdir()) == [output]
