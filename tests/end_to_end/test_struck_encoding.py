"""The encoding that keeps onsets, from a folder of MIDI to songs whose repeated notes are heard."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pretty_midi
import pytest

from tunesmith.client import Composer, Song
from tunesmith.client.errors import UnknownStart
from tunesmith.music import StruckFrame, notes_from_frames, write_midi
from tunesmith.music.struck import parse_struck, plain_frames, struck_name
from tunesmith.music.struck_vocabulary import StruckVocabulary
from tunesmith.serving import EmbeddedServer, ServerOptions

# Three epochs over five songs beat nothing.
SMALL = [
    *("--units", "12", "--embedding", "8", "--layers", "2", "--dense", "12", "--epochs", "3"),
    # What is tested is the encoding.
    *("--beat", "none", "--sampling-seconds", "0", "--warm-start", "0", "--mix", "network"),
]

REPEATED = [*("60!", "60!", "60~", "62!", "62!", "64!", "64!", "64~"), "60!,67!", "60~,67!", "e"]
EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "plain_grpc.py"


def tunesmith(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tunesmith.cli.main", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    # What three epochs teach may dwell, which has an exit code of its own.
    assert done.returncode in ((0, 4) if arguments[0] == "generate" else (0,)), done.stderr
    return done


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline's root after a run over six songs that repeat most notes without a gap."""
    folder = tmp_path_factory.mktemp("struck")
    (folder / "midi").mkdir()
    for number in range(6):
        names = REPEATED[number:] + REPEATED * (5 + number)
        frames = [parse_struck(name) for name in names]
        write_midi(frames, folder / "midi" / f"{number}.mid", 5.0)
    done = tunesmith(
        *("run", "--midi-dir", folder / "midi", "--root", folder / "root", *SMALL),
        *("--encoding", "struck"),
    )
    assert "pushed version 1" in done.stderr
    # Nothing of these files is lost.
    assert "merge" not in done.stderr
    return folder / "root"


@pytest.fixture(scope="module")
def address(root: Path) -> Iterator[str]:
    with EmbeddedServer(root / "models" / "tunesmith", ServerOptions(port=0)) as server:
        yield server.address


def notes_of(path: Path) -> list[tuple[int, int, int]]:
    """The notes of a MIDI file in frames, by start, then pitch."""
    song = pretty_midi.PrettyMIDI(str(path))
    notes = [note for instrument in song.instruments for note in instrument.notes]
    found = [(note.pitch, int(note.start * 5), int(note.end * 5)) for note in notes]
    return sorted(found, key=lambda note: (note[1], note[0]))


def marked(song: Song) -> list[str]:
    """The names of a song's frames."""
    return [struck_name(each) for each in song.frames if isinstance(each, StruckFrame)]


def test_a_song_is_written_with_its_repeated_notes_apart(address: str, tmp_path: Path) -> None:
    with Composer(address) as composer:
        model = composer.model()
        song = composer.generate(steps=200, seed=5)
    assert isinstance(model.vocabulary, StruckVocabulary)
    assert model.settings.encoding == "struck"
    assert model.settings.grid.keep_onsets
    assert len(song.frames) == len(marked(song)) == 200
    path = tmp_path / "song.mid"
    song.write(path)
    assert notes_of(path) == list(song.notes)
    plain = Song(tuple(plain_frames(song.frames)), 5.0)
    assert len(song.notes) > len(plain.notes) + 5
    assert song.picture(title="") != plain.picture(title="")
    assert song.sound() != plain.sound()
    starts = [note[:2] for note in json_of(song.player())["notes"]]
    assert starts == [[note.pitch, note.start] for note in song.notes]
    # What was read again is the song, from its first sounding frame.
    again = Song.read(path)
    first = song.notes[0].start
    assert [(n.pitch, n.start + first) for n in again.notes] == [n[:2] for n in song.notes]


def json_of(page: str) -> Any:
    """The song within a page that plays it."""
    at = page.index('{"speed"')
    return json.JSONDecoder().raw_decode(page, at)[0]


def test_the_same_song_at_one_go_in_parts_and_among_others(address: str) -> None:
    with Composer(address) as composer:
        whole = composer.generate(steps=60, seed=2)
        part = composer.extend(composer.generate(steps=25, seed=2), 35)
        many = composer.generate_many(3, 60, seed=2)
        streamed = list(composer.stream(60, seed=2))
        served = composer.generate(60, seed=2, loop="server")
    assert marked(part) == marked(whole) == marked(many[0])
    assert [getattr(frame, "struck", None) for frame in streamed] == [
        getattr(frame, "struck", None) for frame in whole.frames
    ]
    assert len(marked(served)) == 60


def test_a_song_begins_from_a_note_or_goes_on_from_a_file(
    root: Path, address: str, tmp_path: Path
) -> None:
    primer = root.parent / "midi" / "0.mid"
    with Composer(address) as composer:
        noted = composer.generate(20, start_note=60, seed=1)
        primed = composer.generate(20, primer=primer, seed=1)
        framed = composer.generate(20, start_frames=[(60,), (60,), (62,)], seed=1)
        with pytest.raises(UnknownStart, match="does not contain the frame 61; similar frames: "):
            composer.generate(20, start_note=61)
    assert noted.frames[0] == (60,)
    # The model heard the file's own strikes.
    heard = [struck_name(each) for each in primed.context if isinstance(each, StruckFrame)]
    # A song ends with its last sounding frame.
    assert heard == (REPEATED * 6)[:-1][-len(heard) :]
    assert len(heard) > 40
    assert [struck_name(each) for each in framed.context if isinstance(each, StruckFrame)] == [
        *("60!", "60~", "62!")
    ]
    out = tmp_path / "song.mid"
    for start in (["--start-note", 60], ["--primer", primer], ["--start-random"]):
        tunesmith("generate", "--server", address, "--steps", 30, *start, "--out", out)
        assert out.read_bytes().startswith(b"MThd")
        out.unlink()


def test_the_evaluator_measures_and_writes_songs(root: Path) -> None:
    evaluation = next(root.glob("Evaluator/*/evaluation.json"))
    content = json.loads(evaluation.read_text())
    copied = content["music"]["longest_copied_run"]["model"]["values"]
    assert max(copied) > 0
    songs = sorted(evaluation.parent.glob("songs/*.mid"))
    assert songs
    grids = [Song.read(path) for path in songs]
    assert any(len(notes_from_frames(plain_frames(s.frames))) < len(s.notes) for s in grids)


def test_a_client_of_plain_frames_stops_and_writes_nothing(address: str, tmp_path: Path) -> None:
    """One that knows nothing of tunesmith's and splits names at commas."""
    out = tmp_path / "song.mid"
    command = [sys.executable, str(EXAMPLE), address, "tunesmith", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode != 0
    assert "invalid literal for int" in done.stderr
    assert not out.exists()
