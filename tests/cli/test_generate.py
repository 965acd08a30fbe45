"""``tunesmith generate``: its options reach the song, and Ctrl-C leaves what there is."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pretty_midi
import pytest
import trustme
from google.protobuf import text_format

from tunesmith.cli import main
from tunesmith.client import Composer, Song
from tunesmith.client.pitches import pitch_name
from tunesmith.plugins import set_plugin_path
from tunesmith.serving import EmbeddedServer, ServerOptions
from tunesmith.serving.protos.ssl_config_pb2 import SslConfig

Run = Callable[..., tuple[int, str, str]]

ENDLESS = 1_000_000

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run ``tunesmith generate`` in this process: exit code, standard output and error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tunesmith", "generate", *map(str, arguments)])
        # A server of the test itself may have logged something.
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main.main()
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return int(ended.value.code or 0), printed.out, printed.err

    return call


def same_files(song: Song, path: Path, tmp_path: Path) -> bool:
    """Return whether `path` holds what the library writes of `song`."""
    song.write(tmp_path / "expected.mid")
    return path.read_bytes() == (tmp_path / "expected.mid").read_bytes()


def test_the_options_reach_the_song(run: Run, server_address: str, tmp_path: Path) -> None:
    drawing = ["--temperature", 1.4, "--top-k", 12, "--top-p", 0.95, "--max-repeats", 2]
    playing = ["--program", "40", "--velocity", "70", "--tempo", 100, "--play-fps", 4.0]
    arguments = ["--server", server_address, "--steps", 25, "--seed", 5, "--max-rests", 1]
    files = ["--out", "a.mid", "--png", "a.png", "--html", "a.html"]
    code, out, _ = run(*arguments, *drawing, *playing, *files, "--start-chord", "67,60,64")
    assert code == 0
    with Composer(server_address) as composer:
        song = composer.generate(
            25,
            seed=5,
            start_chord=(60, 64, 67),
            temperature=1.4,
            top_k=12,
            top_p=0.95,
            max_repeats=2,
            max_rests=1,
        )
    played = song.played(program=40, velocity=70, tempo=100.0, frames_per_second=4.0)
    assert same_files(played, tmp_path / "a.mid", tmp_path)
    assert (tmp_path / "a.png").read_bytes() == played.picture()
    assert (tmp_path / "a.html").read_text() == played.player()
    assert out == f"a.mid: {played.summary()}, seed 5, version 1\n"


def test_each_out_is_written_in_the_format_of_its_suffix(
    run: Run, server_address: str, tmp_path: Path
) -> None:
    arguments = ["--server", server_address, "--steps", 12, "--seed", 5, "--min-p", 0.01]
    files = [f"song.{suffix}" for suffix in ("mid", "png", "wav", "html", "json", "musicxml")]
    code, out, _ = run(*arguments, *(word for name in files for word in ("--out", name)))
    assert code == 0
    with Composer(server_address) as composer:
        song = composer.generate(12, seed=5, min_p=0.01)
    assert out == f"{', '.join(files)}: {song.summary()}, seed 5, version 1\n"
    assert {path.name for path in tmp_path.iterdir()} == set(files)
    assert same_files(song, tmp_path / "song.mid", tmp_path)
    assert (tmp_path / "song.png").read_bytes() == song.picture()
    assert (tmp_path / "song.wav").read_bytes() == song.sound()
    assert json.loads((tmp_path / "song.json").read_text())["sampling"]["min_p"] == 0.01
    assert (tmp_path / "song.musicxml").read_bytes().startswith(b"<?xml")


def test_several_songs_get_numbers_in_every_format(
    run: Run, server_address: str, tmp_path: Path
) -> None:
    files = ["--out", "a.mid", "--out", "b.json", "--png", "c.png"]
    code, out, _ = run("--server", server_address, "--steps", 6, "--count", 2, "--seed", 2, *files)
    assert code == 0
    assert [line.partition(":")[0] for line in out.splitlines()] == [
        f"a-{number}.mid, b-{number}.json" for number in (1, 2)
    ]
    kinds = {"a": "mid", "b": "json", "c": "png"}
    names = {f"{stem}-{number}.{kind}" for stem, kind in kinds.items() for number in (1, 2)}
    assert {path.name for path in tmp_path.iterdir()} == names


@pytest.fixture
def _no_plugin_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TUNESMITH_PLUGIN_PATH", "")
    yield
    set_plugin_path([])


@pytest.mark.usefixtures("_no_plugin_path")
def test_a_format_and_a_filter_of_ones_own(run: Run, server_address: str, tmp_path: Path) -> None:
    own = [
        *("--plugin-path", EXAMPLES, "--format", "pitch_names_format:PitchNames"),
        *("--filter", "repetition_penalty:Penalty=1e9"),
    ]
    arguments = ["--server", server_address, "--steps", 24, "--seed", 5, *own]
    assert run(*arguments, "--out", "song.txt", "--out", "song.json")[0] == 0
    frames = [tuple(each) for each in json.loads((tmp_path / "song.json").read_text())["frames"]]
    lines = (tmp_path / "song.txt").read_text().splitlines()
    assert lines == [" ".join(map(pitch_name, frame)) or "-" for frame in frames]
    # A frame never comes again within the next eight.
    assert len(frames) == 24
    assert all(frame not in frames[place + 1 : place + 9] for place, frame in enumerate(frames))
    code, _, err = run(*arguments, "--loop", "server")
    assert code == 1
    assert "no other filters" in err


def test_several_songs_get_numbers(run: Run, server_address: str, tmp_path: Path) -> None:
    code, out, _ = run("--server", server_address, "--steps", 8, "--count", 10, "--seed", 2)
    assert code == 0
    names = [f"song-{number:02}.mid" for number in range(1, 11)]
    assert [line.partition(":")[0] for line in out.splitlines()] == names
    with Composer(server_address) as composer:
        songs = composer.generate_many(10, 8, seed=2)
    assert all(
        same_files(song, tmp_path / name, tmp_path) for song, name in zip(songs, names, strict=True)
    )


def test_a_degenerate_song_is_written_and_told_by_its_own_exit_code(
    run: Run, server_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_rests(_: Composer, count: int, steps: int, **__: object) -> list[Song]:
        return [Song(((60,),) * steps, 5.0), *[Song(((),) * steps, 5.0)] * (count - 1)]

    monkeypatch.setattr(Composer, "generate_many", only_rests)
    arguments = ["--server", server_address, "--loop", "server", "--steps", 9]
    assert run(*arguments)[0] == 0
    code, out, err = run(*arguments, "--count", 2)
    assert code == 4
    assert len(out.splitlines()) == 2
    assert err == (
        "tunesmith: warning: song-2.mid is silent: all 9 frames are rests; try another --seed\n"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"song.mid", "song-1.mid", "song-2.mid"}


def test_the_models_own_loop(run: Run, server_address: str, tmp_path: Path) -> None:
    arguments = ["--server", server_address, "--loop", "server", "--steps", 12, "--seed", 4]
    assert run(*arguments, "--start-note", 70, "--top-p", 0.9)[0] == 0
    with Composer(server_address) as composer:
        song = composer.generate(12, loop="server", seed=4, start_note=70, top_p=0.9)
    assert same_files(song, tmp_path / "song.mid", tmp_path)
    code, _, err = run(*arguments, "--max-repeats", 2)
    assert code == 1
    assert "the server loop does not support max_repeats: use the client loop" in err
    code, _, err = run(*arguments, "--min-p", 0.1, "--max-rests", 3)
    assert code == 1
    assert "the server loop does not support max_rests and min_p" in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--start-chord", "60;64"), 2, "not whole numbers joined by commas"),
        (("--tls-cert", "a.pem"), 1, "give both"),
        (("--tls-ca", "absent.pem"), 1, "cannot read the TLS file absent.pem"),
        (("--program", "200"), 1, "program"),
        (("--tempo", "-3"), 1, "--tempo must be 4 to 1000 beats per minute"),
        (("--deadline", "0"), 1, "deadline must be a positive number"),
        (("--server", "localhost"), 1, "write HOST:PORT"),
        (("--out", "song.mp3"), 2, "song.mp3: the suffix .mp3 is unknown: choose .mid, "),
        (("--out", "song"), 2, "song: it has no suffix: choose .mid, "),
        (("--out", "a.mid", "--wav", "a.mid"), 2, "a.mid is given twice"),
        (("--format", "absent:Text"), 2, "'--format': there is no module absent"),
        (("--filter", "absent"), 2, "'--filter': no installed package has"),
        (("--top-k", "0"), 2, "'--top-k': must be at least 1, not 0"),
        (("--min-p", "1.5"), 2, "'--min-p': must be at least 0 and at most 1, not 1.5"),
        (("--max-rests", "a"), 2, "'--max-rests': 'a' is not a valid integer"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_mistake_is_told_before_anything_is_composed(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    ended, out, err = run(*arguments)
    assert (ended, out) == (code, "")
    assert words in err
    assert len(err.splitlines()) == 1
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("module", "suffix", "line"),
    [
        ("PIL", "png", "(PNG) needs Pillow: pip install 'tunesmith[pictures]'"),
        ("music21", "musicxml", "(MusicXML) needs music21: pip install 'tunesmith[scores]'"),
    ],
)
def test_a_missing_library_is_told_before_a_server_is_started(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, suffix: str, line: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    # The folder has no model, which is not looked at.
    code, out, err = run("--model-dir", tmp_path, "--out", f"song.{suffix}")
    assert (code, out) == (1, "")
    assert err == f"tunesmith: error: song.{suffix} {line}\n"
    assert not [*tmp_path.iterdir()]


def test_mutual_tls(run: Run, model_dir: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    server, client = authority.issue_cert("localhost"), authority.issue_cert("client")
    config = SslConfig(
        server_key=server.private_key_pem.bytes().decode(),
        server_cert=b"".join(part.bytes() for part in server.cert_chain_pems).decode(),
        custom_ca=authority.cert_pem.bytes().decode(),
        client_verify=True,
    )
    (tmp_path / "ssl.config").write_text(text_format.MessageToString(config))
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    client.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    client.private_key_pem.write_to_path(tmp_path / "key.pem")
    options = ServerOptions(port=0, ssl_config_file=tmp_path / "ssl.config")
    with EmbeddedServer(model_dir, options) as embedded:
        reached = ["--server", f"localhost:{embedded.port}", "--steps", 3, "--tls-ca", "ca.pem"]
        code, _, err = run(*reached)
        assert code == 1
        assert "check the address and the TLS certificates" in err
        assert run(*reached, "--tls-cert", "cert.pem", "--tls-key", "key.pem")[0] == 0
    assert len(pretty_midi.PrettyMIDI(str(tmp_path / "song.mid")).instruments) == 1


@pytest.fixture
def endless(server_address: str, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A song of a million frames, begun in a process of its own."""
    # A shell starts what it runs in the background, this test perhaps, with Ctrl-C ignored.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from tunesmith.cli.main import main; main()"
    )
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", program, "generate", "--server", server_address),
            *("--steps", str(ENDLESS), "--seed", "3", "--start-note", "72"),
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "composing ...\n"
    time.sleep(0.5)
    try:
        yield process
    finally:
        process.kill()


def test_ctrl_c_leaves_what_was_composed(
    endless: subprocess.Popen[str], server_address: str, tmp_path: Path
) -> None:
    endless.send_signal(signal.SIGINT)
    out, err = endless.communicate(timeout=60)
    assert endless.returncode == 130
    told = re.fullmatch(
        rf"tunesmith: interrupted after (\d+) of {ENDLESS} frames, which are written\n", err
    )
    assert told, err
    length = int(told[1])
    assert 1 <= length < ENDLESS
    with Composer(server_address) as composer:
        song = composer.generate(length, seed=3, start_note=72)
    assert same_files(song, tmp_path / "song.mid", tmp_path)
    assert out == f"song.mid: {song.summary()}, seed 3, version 1\n"


def test_ctrl_c_again_and_again_leaves_no_half_file(
    endless: subprocess.Popen[str], tmp_path: Path
) -> None:
    while endless.poll() is None:
        endless.send_signal(signal.SIGINT)
        time.sleep(0.02)
    endless.communicate(timeout=60)
    # Python itself may be interrupted while it ends, and then ends by the signal.
    assert endless.returncode in (130, -signal.SIGINT)
    for path in tmp_path.iterdir():
        assert path.name == "song.mid"
        assert pretty_midi.PrettyMIDI(str(path)).instruments[0].notes
