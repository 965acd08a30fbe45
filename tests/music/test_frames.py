"""Frames: names, piano rolls, merging and trimming."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.music import MusicError, frame_name, parse_frame
from tunesmith.music.frames import (
    distinct_frames,
    make_frame,
    pack_frames,
    packed_keys,
    unpack_frames,
)

frames = st.frozensets(st.integers(0, 127), max_size=8).map(make_frame)


@given(frames)
def test_a_frame_is_read_back_from_its_name(frame: tuple[int, ...]) -> None:
    assert parse_frame(frame_name(frame)) == frame


def test_names_are_those_of_the_contract() -> None:
    assert [frame_name(frame) for frame in ((), (60,), (60, 64, 67))] == ["e", "60", "60,64,67"]


@pytest.mark.parametrize("name", ["", "67,60", "60,60", "128", "-1", "x", "60, 64", "060", "60,"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(MusicError):
        parse_frame(name)


@given(st.lists(frames, min_size=1, max_size=40))
def test_a_piano_roll_gives_back_its_frames(sequence: list[tuple[int, ...]]) -> None:
    roll = np.zeros((128, len(sequence)), dtype=bool)
    for column, frame in enumerate(sequence):
        roll[list(frame), column] = True
    distinct, ids = distinct_frames(roll)
    known = unpack_frames(distinct)
    assert [known[index] for index in ids] == sequence
    assert len(set(packed_keys(distinct))) == len(distinct) == len(set(known))


@given(st.lists(frames, max_size=20))
def test_frames_are_read_back_from_their_bits(sequence: list[tuple[int, ...]]) -> None:
    assert unpack_frames(pack_frames(sequence)) == sequence
