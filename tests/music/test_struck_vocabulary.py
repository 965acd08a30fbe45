"""The vocabulary of struck frames."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.music import MusicError, StruckFrame, UnknownFrame
from tunesmith.music.struck import pack_struck, parse_struck, plain_frames, struck_name
from tunesmith.music.struck_vocabulary import StruckVocabulary

NAMES = ("e", "60!", "60~", "60~,64!", "60!,64!", "72!")


def vocabulary(*names: str) -> StruckVocabulary:
    return StruckVocabulary(names or NAMES, 5.0)


def names_of(known: StruckVocabulary, tokens: np.ndarray) -> list[str]:
    return [known.names[token] for token in tokens.tolist()]


def nearest(name: str, *names: str) -> str:
    """The name that a frame of this name becomes."""
    known = vocabulary(*names)
    tokens, mapped = known.encode_song(pack_struck([parse_struck(name)]), np.zeros(1, np.int32))
    assert mapped.tolist() == [name not in known.names]
    return known.names[tokens[0]]


def test_tokens_stand_for_frames_and_what_they_strike() -> None:
    known = vocabulary()
    assert len(known) == 6
    assert known.rests == (0,)
    assert known.ranges == (range(6),)
    song = [parse_struck(name) for name in ("60!", "60~", "60!", "60~,64!", "e", "72!")]
    tokens = known.encode(song)
    assert tokens.tolist() == [1, 2, 1, 3, 0, 5]
    assert tokens.dtype == np.int64
    decoded = known.decode(tokens)
    assert [struck_name(frame) for frame in decoded if isinstance(frame, StruckFrame)] == [
        struck_name(frame) for frame in song
    ]
    with pytest.raises(MusicError, match="token 6 is outside"):
        known.decode([6])


def test_plain_frames_are_encoded_by_where_their_pitches_begin() -> None:
    known = vocabulary()
    song = [(60,), (60,), (60, 64), (60, 64), (), (60, 64)]
    assert names_of(known, known.encode(song))[:3] == ["60!", "60~", "60~,64!"]
    assert names_of(known, known.tokens(song)) == [
        *("60!", "60~", "60~,64!"),
        # Held, both: not known, but what sounds is, most often so.
        "60~,64!",
        "e",
        "60!,64!",
    ]


def test_pitches_that_never_sound_together_are_unknown_and_near_ones_are_named() -> None:
    with pytest.raises(
        UnknownFrame, match="does not contain the frame 61; similar frames: 60; 72; 60,64"
    ):
        vocabulary().tokens([(61,)])


def test_an_unknown_frame_becomes_what_sounds_most_like_it() -> None:
    # What sounds comes first, then what is struck, then what is frequent.
    assert nearest("60~,64~") == "60~,64!"
    assert nearest("60!,64~", "e", "60~,64!", "60!,64!") == "60!,64!"
    assert nearest("60!,64~", "e", "60!", "60~,64!") == "60~,64!"
    assert nearest("60!,64!,67!") == "60!,64!"
    assert nearest("48!", "e", "60!") == "60!"
    assert nearest("48!", "e") == "e"


FRAME = st.frozensets(st.integers(58, 64), min_size=1, max_size=4).flatmap(
    lambda pitches: st.frozensets(st.sampled_from(sorted(pitches))).map(
        lambda struck: StruckFrame(pitches, struck)
    )
)


@given(st.lists(FRAME, min_size=1, max_size=30, unique_by=struck_name), st.lists(FRAME))
def test_the_nearest_frame_is_the_best_by_the_rule_in_words(
    known: list[StruckFrame], song: list[StruckFrame]
) -> None:
    def rank(frame: StruckFrame, token: int) -> tuple[float, int]:
        other = known[token]
        common = set(frame) & set(other)
        alike = sum((pitch in frame.struck) == (pitch in other.struck) for pitch in common)
        return len(common) / len(set(frame) | set(other)), alike

    names = ("e", *map(struck_name, known))
    tokens = vocabulary(*names).encode(song)
    for frame, token in zip(song, tokens.tolist(), strict=True):
        best = max(range(len(known)), key=lambda each: (rank(frame, each), -each))
        exact = names.index(struck_name(frame)) if struck_name(frame) in names else 1 + best
        assert token == exact


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "must be the rest"),
        (("60!", "e"), "must be the rest"),
        (("e", "60!", "60!"), "must all be different"),
        (("e", "60"), "is not a struck frame"),
    ],
)
def test_names_that_are_no_vocabulary_are_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(MusicError, match=message):
        StruckVocabulary(names, 5.0)
    with pytest.raises(MusicError, match="must be positive"):
        StruckVocabulary(NAMES, 0.0)


def test_vocabularies_of_other_strikes_differ() -> None:
    assert vocabulary("e", "60!") != vocabulary("e", "60~")
    assert plain_frames(vocabulary().frames)[3] == (60, 64)
