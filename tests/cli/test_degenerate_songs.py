"""Degenerate songs are told with the option that mends them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.cli.degenerate_songs import remedy, warn_of_degenerate
from tunesmith.client import Sampling, Song
from tunesmith.music import REST, Frame
from tunesmith.music.degeneration import SongLimits

LIMITS = SongLimits(rest_share=0.2, longest_run=40.0)
DWELLING: tuple[Frame, ...] = (*[(60,)] * 290, *[(62,), (64,)] * 5)
SILENT: tuple[Frame, ...] = (REST,) * 300
RESTFUL: tuple[Frame, ...] = ((60,), REST, REST) * 100


def song(frames: tuple[Frame, ...], sampling: Sampling | None) -> Song:
    return Song(frames, 5.0, sampling=sampling, limits=LIMITS)


@pytest.mark.parametrize(
    ("frames", "sampling", "advice"),
    [
        (DWELLING, Sampling(0.0), "--temperature 1 (0 always takes the likeliest frame)"),
        (SILENT, Sampling(0.5, max_rests=9), "--temperature 1"),
        (DWELLING, Sampling(1.0, top_k=2), "a larger --top-k"),
        (DWELLING, Sampling(1.0, top_p=0.5), "--top-p 1"),
        (DWELLING, Sampling(1.0, top_p=1.0), "--max-repeats 16"),
        (DWELLING, Sampling(1.0, min_p=0.3), "a smaller --min-p"),
        (SILENT, Sampling(1.2), "--max-rests 16"),
        (RESTFUL, Sampling(), "--max-rests 16"),
        (RESTFUL, Sampling(max_rests=3), "another --seed"),
        (DWELLING, Sampling(max_repeats=45), "another --seed"),
        (DWELLING, None, "another --seed"),
    ],
)
def test_the_advice_follows_from_how_the_song_was_drawn(
    frames: tuple[Frame, ...], sampling: Sampling | None, advice: str
) -> None:
    assert remedy(song(frames, sampling)) == advice


def test_each_degenerate_song_has_one_line_and_the_others_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fine = song(((60,), (62,)) * 150, Sampling())
    assert not warn_of_degenerate([fine], [Path("a.mid")])
    assert capsys.readouterr().err == ""
    songs = [fine, song(DWELLING, Sampling(0.5)), song(SILENT, Sampling(0.0))]
    assert warn_of_degenerate(songs, [Path(f"{name}.mid") for name in "abc"])
    assert capsys.readouterr().err.splitlines() == [
        "tunesmith: warning: b.mid repeats one frame for too long: for 290 of 300 frames, in "
        "training songs for at most 40; try --temperature 1",
        "tunesmith: warning: c.mid is silent: all 300 frames are rests; try --temperature 1 "
        "(0 always takes the likeliest frame)",
    ]
