"""Models whose frames say which pitches are struck, as a client reads and draws them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from tunesmith.client import BadResponse, Composer, NotAComposer, Song, UnknownStart
from tunesmith.client.protos import tunesmith_wire_pb2 as wire
from tunesmith.music import StruckFrame, write_midi
from tunesmith.music.struck import parse_struck, struck_name

ONE_ROW = wire.TensorShapeProto(dim=[{"size": 1}])
NAMES = ["e", "60!", "60~", "60!,64!", "60~,64~"]
# What the server prefers after each frame: the next one of its list.
GREEDY: dict[str, Any] = {"temperature": 0}


def settings(encoding: str) -> dict[str, wire.TensorProto]:
    return {
        "frames_per_second": wire.TensorProto(
            dtype=wire.DT_FLOAT, tensor_shape=ONE_ROW, float_val=[5.0]
        ),
        "encoding": wire.TensorProto(
            dtype=wire.DT_STRING, tensor_shape=ONE_ROW, string_val=[encoding.encode()]
        ),
        "keep_onsets": wire.TensorProto(dtype=wire.DT_INT32, tensor_shape=ONE_ROW, int_val=[1]),
    }


@pytest.fixture
def struck(contract: Any, address: str) -> str:
    """The address of a model of struck frames, which prefers the next of its frames."""
    contract.frames = NAMES
    contract.settings = lambda: settings("struck")
    return address


def marked(frames: Any) -> list[str]:
    return [struck_name(each) for each in frames if isinstance(each, StruckFrame)]


def test_songs_say_which_pitches_are_struck(struck: str) -> None:
    with Composer(struck) as composer:
        song = composer.generate(5, **GREEDY)
        assert marked(song.frames) == ["60!", "60~", "60!,64!", "60~,64~", "e"]
        assert marked(composer.stream(5, **GREEDY)) == marked(song.frames)
        assert song.notes == ((60, 0, 2), (60, 2, 4), (64, 2, 4))
        longer = composer.extend(song, 2, **GREEDY)
    assert marked(longer.frames[5:]) == ["60!", "60~"]


def test_plain_frames_are_struck_where_their_pitches_begin(struck: str, contract: Any) -> None:
    with Composer(struck) as composer:
        song = composer.generate(1, start_frames=[(60,), (60,), (64, 60)], **GREEDY)
        noted = composer.generate(2, start_note=60, **GREEDY)
        with pytest.raises(UnknownStart, match="similar frames: 60,64; 60"):
            composer.generate(1, start_chord=[61, 65])
    # The model has no frame that holds 60 and strikes 64: the most frequent one sounds so.
    assert contract.windows[0].tolist() == [[0, 0, 0, 1, 2, 3]]
    assert marked(song.context) == ["60!", "60~", "60!,64!"]
    assert marked(song.frames) == ["60~,64~"]
    assert noted.notes == ((60, 0, 2),)


def test_a_primer_is_heard_with_its_repeated_notes(
    struck: str, contract: Any, tmp_path: Path
) -> None:
    primer = tmp_path / "primer.mid"
    write_midi([parse_struck(name) for name in ("60!", "60!", "60~", "60!,64!")], primer, 5.0)
    with Composer(struck) as composer:
        composer.generate(1, primer=primer, **GREEDY)
    assert contract.windows[0].tolist() == [[0, 0, 1, 1, 2, 3]]


def test_a_song_is_written_and_read_with_its_repeated_notes(struck: str, tmp_path: Path) -> None:
    with Composer(struck) as composer:
        song = composer.generate(9, **GREEDY)
    song.write(tmp_path / "song.mid")
    read = Song.read(tmp_path / "song.mid")
    assert read.notes == song.notes
    assert marked(read.frames) == marked(song.frames)
    # As pretty_midi writes it, too.
    content = io.BytesIO()
    song.to_pretty_midi().write(content)
    assert content.getvalue() == (tmp_path / "song.mid").read_bytes()


def test_an_encoding_that_the_client_does_not_know_is_told(address: str, contract: Any) -> None:
    contract.settings = lambda: settings("sung")
    with (
        Composer(address) as composer,
        pytest.raises(NotAComposer, match=r"has the encoding 'sung', .*: update tunesmith"),
    ):
        composer.generate(1)


def test_names_of_another_encoding_are_refused(struck: str, contract: Any) -> None:
    contract.frames = ["e", "60"]
    with Composer(struck) as composer, pytest.raises(BadResponse, match="is not a struck frame"):
        composer.generate(1)


def test_a_client_that_knows_no_encoding_refuses_struck_frames(struck: str, contract: Any) -> None:
    """As a client did before there were encodings, which looked at the names alone."""
    told = settings("struck")
    del told["encoding"]
    contract.settings = lambda: told
    with Composer(struck) as composer, pytest.raises(BadResponse, match="'60!' is not a frame"):
        composer.generate(1)
