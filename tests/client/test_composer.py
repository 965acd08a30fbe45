"""Composing, on the real embedded server, and on one whose songs are known in advance."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pretty_midi
import pytest

from tunesmith.client import (
    BadOption,
    BadStart,
    Composer,
    ComposerError,
    Sampling,
    Temperature,
    TopK,
    UnknownStart,
)
from tunesmith.client.connection import Connection
from tunesmith.music import MusicError, write_midi


@pytest.fixture
def composer(server_address: str) -> Iterator[Composer]:
    with Composer(server_address) as composer:
        yield composer


@pytest.fixture
def known(address: str) -> Iterator[Composer]:
    """A composer on a model of 5 frames and a window of 6 that greedily counts its frames up."""
    with Composer(address) as composer:
        yield composer


def test_everything_about_a_model_comes_from_the_server(composer: Composer) -> None:
    model = composer.model()
    assert model.window == 50
    assert len(model.vocabulary) == 31
    assert model.vocabulary.names[:2] == ("e", "60")
    assert model.servable.version == 1
    assert (model.settings.frames_per_second, str(model.settings.track)) == (5.0, "first")
    assert composer.model() is model


def test_the_same_seed_gives_the_same_song(composer: Composer) -> None:
    song = composer.generate(steps=30, start_note=75, seed=7)
    assert song == composer.generate(steps=30, start_note=75, seed=7)
    assert song.frames != composer.generate(steps=30, start_note=75, seed=8).frames
    assert len(song.frames) == 30
    assert song.frames[0] == (75,)
    assert (song.model, song.model_version, song.seed) == ("tunesmith", 1, 7)


def test_a_song_without_a_seed_remembers_the_one_it_drew(composer: Composer) -> None:
    song = composer.generate(steps=10)
    assert composer.generate(steps=10, seed=song.seed) == song


def test_a_song_of_many_does_not_depend_on_how_many(composer: Composer) -> None:
    few = composer.generate_many(2, steps=20, start_random=True, seed=3)
    many = composer.generate_many(5, steps=20, start_random=True, seed=3)
    assert few == many[:2]
    assert few[0] == composer.generate(steps=20, start_random=True, seed=3)
    assert len({song.frames for song in many}) == 5


def test_a_stream_is_the_song(composer: Composer) -> None:
    options = {"steps": 12, "start_note": 60, "seed": 4, "top_p": 0.9}
    assert tuple(composer.stream(**options)) == composer.generate(**options).frames


def test_a_song_is_drawn_from_what_the_model_answers(
    composer: Composer, server_address: str
) -> None:
    model = composer.model()
    silence = np.zeros((1, model.window), dtype=np.int64)
    connection = Connection(server_address)
    favourite = int(connection.perform(model.probabilities(silence)).argmax())
    connection.close()
    song = composer.generate(steps=1, temperature=0)
    assert song.frames == (model.vocabulary.frames[favourite],)


def test_progress_counts_the_frames(composer: Composer) -> None:
    seen: list[int] = []
    composer.generate(steps=5, start_note=60, speculate=0, progress=seen.append)
    assert seen == [1, 2, 3, 4, 5]


def test_a_song_begins_from_silence_and_each_window_moves_on_by_one(known, contract) -> None:
    song = known.generate(steps=4, temperature=0, speculate=0)
    assert song.frames == ((60,), (62,), (64,), (60, 64, 67))
    assert np.concatenate(contract.windows).tolist() == [
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1, 2],
        [0, 0, 0, 1, 2, 3],
    ]


def test_a_start_note_follows_rests_and_is_the_first_frame(known, contract) -> None:
    song = known.generate(steps=3, start_note=62, temperature=0)
    assert song.frames == ((62,), (64,), (60, 64, 67))
    assert contract.windows[0].tolist() == [[0, 0, 0, 0, 0, 2]]
    assert len(contract.windows) == 2


def test_a_random_start_fills_the_window_and_is_not_part_of_the_song(known, contract) -> None:
    songs = known.generate_many(40, steps=1, start_random=True, temperature=0, seed=1)
    [windows] = contract.windows
    assert windows.shape == (40, 6)
    assert set(windows.ravel().tolist()) == {0, 1, 2, 3, 4}
    assert all(len(song.frames) == 1 for song in songs)


def test_given_frames_are_continued(known, contract) -> None:
    song = known.generate(steps=1, start_frames=[(60,), (), (64,)], temperature=0)
    assert contract.windows[0].tolist() == [[0, 0, 0, 1, 0, 3]]
    assert song.frames == ((60, 64, 67),)


def test_a_primer_gives_its_last_frames_on_the_models_grid(known, contract, tmp_path: Path) -> None:
    played = [(64,), (60,), (62,), (), (64,), (64,), (60, 64), (62,)]
    write_midi(played, tmp_path / "primer.mid", frames_per_second=8.0)
    known.generate(steps=1, primer=tmp_path / "primer.mid")
    # (60, 64) is not known; of the frames that share two thirds or half with it, the chord wins.
    assert contract.windows[0].tolist() == [[2, 0, 3, 3, 4, 2]]


def test_a_primer_without_the_models_track_is_read_with_all_tracks(
    known, contract, tmp_path: Path
) -> None:
    song = pretty_midi.PrettyMIDI()
    drums, piano = pretty_midi.Instrument(0, is_drum=True), pretty_midi.Instrument(0)
    drums.notes.append(pretty_midi.Note(100, 36, 0, 1))
    piano.notes.append(pretty_midi.Note(100, 62, 0, 0.5))
    song.instruments += [drums, piano]
    song.write(str(tmp_path / "drums first.mid"))
    known.generate(steps=1, primer=tmp_path / "drums first.mid")
    assert contract.windows[0].tolist() == [[0, 0, 2, 2, 2, 2]]


def test_an_unknown_note_is_an_error_that_names_near_ones(composer: Composer) -> None:
    with pytest.raises(
        UnknownStart, match=r"does not contain the frame 100; similar frames: 84; 83"
    ) as e:
        composer.generate(start_note=100)
    assert isinstance(e.value, ComposerError)
    assert isinstance(e.value, MusicError)
    with pytest.raises(UnknownStart, match="60,61"):
        composer.generate(start_frames=[(60, 61)])


def test_two_starts_are_refused(composer: Composer) -> None:
    with pytest.raises(BadStart, match="choose start_note or start_random"):
        composer.generate(start_note=60, start_random=True)


def test_a_primer_that_cannot_be_used_is_named(composer: Composer, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mid"
    broken.write_bytes(b"no music")
    for path in (broken, tmp_path / "absent.mid"):
        with pytest.raises(BadStart, match=path.name) as caught:
            composer.generate(primer=path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"count": 0}, {"seed": -1}, {"temperature": -1.0}, {"top_k": 0}],
    ids=str,
)
def test_an_argument_out_of_range_is_named(composer: Composer, wrong: dict[str, int]) -> None:
    with pytest.raises(BadOption, match=next(iter(wrong))):
        composer.generate_many(**({"count": 1} | wrong))


def test_a_start_chord_is_the_first_frame_in_any_order(known, contract) -> None:
    song = known.generate(steps=2, start_chord=(67, 60, 64, 60), temperature=0)
    assert song.frames == ((60, 64, 67), ())
    assert contract.windows[0].tolist() == [[0, 0, 0, 0, 0, 4]]
    with pytest.raises(UnknownStart, match="60,62"):
        known.generate(start_chord=(60, 62))
    with pytest.raises(BadStart, match="start_chord is empty"):
        known.generate(start_chord=())


def test_what_was_heard_before_a_song_is_remembered(known, tmp_path: Path) -> None:
    assert known.generate(steps=3, start_note=60).context == ()
    assert known.generate(steps=3, start_frames=[(), (60,), ()]).context == ((60,), ())
    write_midi([(64,), (60,)], tmp_path / "primer.mid", frames_per_second=8.0)
    assert known.generate(steps=3, primer=tmp_path / "primer.mid").context == ((64,), (60,))
    assert len(known.generate(steps=3, start_random=True, seed=5).context) == 6


def test_limits_hold_on_the_real_model(composer: Composer) -> None:
    song = composer.generate(steps=200, temperature=0.2, max_repeats=2, max_rests=1, seed=1)
    runs = [len([*same]) for frame, same in itertools.groupby(song.frames) if frame]
    rests = [len([*same]) for frame, same in itertools.groupby(song.frames) if not frame]
    assert max(runs) <= 2
    assert max(rests, default=0) <= 1
    with pytest.raises(BadOption, match="max_rests must be at most 50"):
        composer.generate(steps=5, max_rests=51)


def test_a_chain_of_ones_own(composer: Composer) -> None:
    usual = composer.generate(steps=20, temperature=0.8, top_k=5, seed=6)
    assert composer.generate(steps=20, sampling=[Temperature(0.8), TopK(5)], seed=6) == usual
    assert composer.generate(steps=20, sampling=Sampling(0.8, top_k=5), seed=6) == usual

    def only_the_rest(rows, windows):
        del windows
        return rows * (np.arange(rows.shape[1]) == 0)

    assert set(composer.generate(steps=5, sampling=only_the_rest).frames) == {()}
    with pytest.raises(BadOption, match="not both"):
        composer.generate(steps=5, sampling=[TopK(2)], temperature=0.5)


def test_songs_can_be_taken_off_at_any_time(composer: Composer) -> None:
    whole = composer.generate_many(2, steps=12, seed=9, start_note=70)
    songs = composer.begin(2, steps=12, seed=9, start_note=70, speculate=0)
    for length in songs:
        assert [song.frames for song in songs.songs()] == [song.frames[:length] for song in whole]
    assert songs.songs() == whole


def test_the_models_own_loop_draws_songs_of_its_own(composer: Composer) -> None:
    song = composer.generate(steps=15, loop="server", start_note=64, seed=5)
    assert song.frames[0] == (64,)
    assert len(song.frames) == 15
    assert (song.model_version, song.seed) == (1, 5)
    assert song == composer.generate(steps=15, loop="server", start_note=64, seed=5)
    several = composer.generate_many(3, steps=15, loop="server", start_note=64, seed=5)
    assert several[0] == song
    assert len({each.frames for each in several}) == 3


def test_the_models_own_loop_is_the_clients_where_nothing_is_drawn(composer: Composer) -> None:
    options = {"steps": 15, "start_chord": (60, 64, 67), "temperature": 0, "seed": 1}
    assert composer.generate(**options, loop="server") == composer.generate(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_repeats": 2}, "does not support max_repeats: use"),
        ({"max_rests": 2, "min_p": 0.1}, "does not support max_rests and min_p: use"),
        ({"sampling": [TopK(2)]}, "only temperature, top_k and top_p"),
        ({"steps": 4097}, "at most 4096 frames"),
        ({"speculate": 3}, "does not support speculate"),
    ],
    ids=str,
)
def test_what_the_models_own_loop_lacks_is_told(
    composer: Composer, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadOption, match=words):
        composer.generate(**{"steps": 3} | options, loop="server")


def test_a_model_without_a_loop_of_its_own(known: Composer) -> None:
    with pytest.raises(BadOption, match="tunesmith version 3 has no `generate` signature"):
        known.generate(steps=3, loop="server")


def test_threads_may_share_a_composer(known: Composer) -> None:
    expected = [known.generate(steps=12, seed=seed) for seed in range(6)]
    with ThreadPoolExecutor(6) as threads:
        songs = threads.map(lambda seed: known.generate(steps=12, seed=seed), range(6))
        assert [*songs] == expected


def test_ctrl_c_reaches_the_caller_and_leaves_the_song_so_far(known: Composer) -> None:
    def interrupt(length: int) -> None:
        if length == 4:
            signal.raise_signal(signal.SIGINT)

    songs = known.begin(2, steps=9, seed=3, speculate=0)
    # Ignored where a shell started the tests in the background.
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            songs.finish(interrupt)
    finally:
        signal.signal(signal.SIGINT, usual)
    whole = known.generate_many(2, steps=9, seed=3, speculate=0)
    assert [song.frames for song in songs.songs()] == [song.frames[:4] for song in whole]
