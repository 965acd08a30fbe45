"""MusicXML and ABC as songs: parts, pitches and times as a musician hears them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pretty_midi
import pytest

from tunesmith.components.artifacts import Scores
from tunesmith.components.example_gen.component import ExampleGenParameters
from tunesmith.components.example_gen.read_ahead import ReadAhead
from tunesmith.components.example_gen.song_files import Rejection, Song, read_song_file
from tunesmith.components.records.songs import read_frames
from tunesmith.components.sources.source import list_songs, read_source
from tunesmith.music import TrackChoice
from tunesmith.music.frames import unpack_frames

MUSICXML = """<?xml version="1.0" encoding="UTF-8"?>
<score-partwise version="3.1">
<part-list>
<score-part id="P1"><part-name>Solo Flute</part-name></score-part>
<score-part id="P2"><part-name>Clarinet in B</part-name></score-part>
</part-list>
<part id="P1"><measure number="1">
<attributes><divisions>2</divisions><time><beats>4</beats><beat-type>4</beat-type></time></attributes>
<direction><sound tempo="60"/></direction>
<note><pitch><step>C</step><octave>5</octave></pitch><duration>8</duration>
<tie type="start"/><type>whole</type></note></measure>
<measure number="2"><note><pitch><step>C</step><octave>5</octave></pitch><duration>8</duration>
<tie type="stop"/><type>whole</type></note></measure></part>
<part id="P2"><measure number="1"><attributes><divisions>2</divisions>
<transpose><diatonic>-1</diatonic><chromatic>-2</chromatic></transpose></attributes>
<note><pitch><step>D</step><octave>4</octave></pitch><duration>8</duration><type>whole</type></note>
</measure><measure number="2">
<note><pitch><step>E</step><octave>4</octave></pitch><duration>4</duration><type>half</type></note>
<note><rest/><duration>4</duration></note></measure></part>
</score-partwise>
"""

ABC = """% two tunes
M:2/4
L:1/4
Q:1/4=60

X:1
T:Up
K:C
|: C D | E F :| G2 |

X:2
T:Down
K:D
c B | A G | F E | D2 |]
"""

CONTAINER = '<container><rootfiles><rootfile full-path="music/score.xml"/></rootfiles></container>'


def mxl(score: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("META-INF/container.xml", CONTAINER)
        file.writestr("music/score.xml", score)
    return packed.getvalue()


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scores") / "scores"
    folder.mkdir()
    (folder / "duet.musicxml").write_text(MUSICXML)
    (folder / "packed.mxl").write_bytes(mxl(MUSICXML))
    (folder / "tunes.abc").write_text(ABC)
    (folder / "broken.musicxml").write_text(MUSICXML[:300])
    (folder / "empty.mxl").write_bytes(mxl("")[:40])
    return folder


@pytest.fixture(scope="module")
def played(scores: Path) -> dict[str, pretty_midi.PrettyMIDI]:
    """The scores that can be read, as MIDI."""
    listed = list_songs(scores, "scores")
    source = listed.source.open()
    return {
        song_id.decode(): pretty_midi.PrettyMIDI(io.BytesIO(source.read(location)))
        for song_id, location in listed.files
        if song_id.startswith((b"duet", b"packed", b"tunes"))
    }


def notes(instrument: Any) -> list[tuple[int, float, float]]:
    return [(n.pitch, round(n.start, 3), round(n.end, 3)) for n in instrument.notes]


@pytest.mark.parametrize("name", ["duet.musicxml", "packed.mxl"])
def test_parts_sound_at_their_pitch_under_their_names(
    played: dict[str, pretty_midi.PrettyMIDI], name: str
) -> None:
    flute, clarinet = played[name].instruments
    assert (flute.name, clarinet.name) == ("Solo Flute", "Clarinet in B")
    # A tie is one note.
    assert notes(flute) == [(72, 0.0, 8.0)]
    # Written D and E: a clarinet in B flat sounds a whole tone lower.
    assert notes(clarinet) == [(60, 0.0, 4.0), (62, 4.0, 6.0)]


def test_each_tune_of_an_abc_file_is_a_song_with_its_repeats(
    played: dict[str, pretty_midi.PrettyMIDI],
) -> None:
    assert {name for name in played if "abc" in name} == {"tunes.abc#1", "tunes.abc#2"}
    (up,) = played["tunes.abc#1"].instruments
    repeated = [(p, float(t), t + 1.0) for t, p in enumerate((60, 62, 64, 65) * 2)]
    assert notes(up) == [*repeated, (67, 8.0, 10.0)]
    (down,) = played["tunes.abc#2"].instruments
    assert [note.pitch for note in down.notes] == [73, 71, 69, 67, 66, 64, 62]


def test_a_track_is_chosen_by_the_parts_name(scores: Path) -> None:
    listed = list_songs(scores, "scores")
    source = listed.source.open()
    parameters = ExampleGenParameters(track="name:clarinet in b", minimum_frames=1)
    found = {
        song_id: read_song_file(song_id, location, parameters, source)
        for song_id, location in listed.files
    }
    duet = found[b"duet.musicxml"]
    assert isinstance(duet, Song)
    frames = read_frames(duet.record)
    assert unpack_frames(frames.distinct[frames.ids[:1]]) == [(60,)]
    tune = found[b"tunes.abc#1"]
    assert isinstance(tune, Rejection)
    assert tune.reason == "no such track"
    assert TrackChoice.parse(parameters.track).name == "clarinet in b"
    for name in (b"broken.musicxml", b"empty.mxl"):
        broken = found[name]
        assert isinstance(broken, Rejection)
        assert broken.reason == "malformed"


def test_scores_are_read_by_other_processes_and_out_of_an_archive(
    scores: Path, tmp_path: Path
) -> None:
    path = tmp_path / "scores.zip"
    with zipfile.ZipFile(path, "w") as file:
        for each in sorted(scores.iterdir()):
            file.write(each, f"scores/{each.name}")
    artifact = read_source(path, "scores")
    assert isinstance(artifact, Scores)
    assert artifact.digest == read_source(scores, "scores").digest
    assert artifact.listed is not None
    with ReadAhead(artifact.listed, ExampleGenParameters(minimum_frames=1), 1) as ahead:
        found = {each.song_id: type(each) for each in ahead.results()}
    assert {name for name, kind in found.items() if kind is Song} == {
        b"duet.musicxml",
        b"packed.mxl",
        b"tunes.abc#1",
        b"tunes.abc#2",
    }
