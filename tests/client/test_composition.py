"""The composing of songs without a network: a song is a function of the model and its noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from tunesmith.client.composition import Composition, DraftContext
from tunesmith.client.sampling import Filter, Noise, Rows, Sampling, Windows

SIZE, WINDOW = 7, 5
SILENCE = np.zeros(WINDOW, dtype=np.int64)
PLAIN = Sampling().chain
CHAINS = [
    PLAIN,
    Sampling(0.7, top_k=4, top_p=0.9).chain,
    Sampling(max_repeats=2, max_rests=1).chain,
    Sampling(temperature=0).chain,
]
TABLE = np.random.default_rng(3).dirichlet(np.full(SIZE, 0.5), (SIZE, SIZE))


def model(windows: NDArray[np.int64]) -> Rows:
    """Rows that depend on the window's last token and on its first."""
    return TABLE[windows[:, -1], windows[:, 0]]


class Guesser:
    """Guesses the likeliest tokens of the model, or of another; drafts of every length occur."""

    def __init__(self, right: bool) -> None:
        self.right = right

    def draft(self, songs: Sequence[DraftContext]) -> list[list[int]]:
        return [self.guess(context) for context in songs]

    def guess(self, context: DraftContext) -> list[int]:
        seen = context.window.tolist()
        for _ in range(min((context.limit * 7 + context.song) % 5, context.limit)):
            row = TABLE[seen[-1], seen[-WINDOW]]
            seen.append(int(row.argmax() if self.right else row.argmin()))
        return seen[WINDOW:]

    def learn(self, _song: int, windows: Windows, answers: Rows, rows: Rows, accepted: int) -> None:
        assert (answers == model(windows)).all()
        assert rows.shape == answers.shape
        assert 0 <= accepted < len(windows)


def composed(
    indices: Sequence[int],
    steps: int,
    chain: Sequence[Filter] = PLAIN,
    draft_model: Guesser | None = None,
    seed: int = 5,
) -> tuple[list[list[int]], int]:
    """Return the songs of a seed with these indices, and the calls that they took."""
    windows = np.tile(SILENCE, (len(indices), 1))
    noises = [Noise(seed, index, SIZE) for index in indices]
    songs = Composition(windows, steps, chain, noises, draft_model=draft_model)
    decided: list[list[int]] = [[] for _ in indices]
    calls = 0
    while not songs.done:
        for song, tokens in enumerate(songs.accept(model(songs.queries()))):
            decided[song] += tokens
        calls += 1
    assert decided == [songs.tokens(song).tolist() for song in range(len(indices))]
    assert all(len(song) == steps for song in decided)
    return decided, calls


@pytest.mark.parametrize("chain", CHAINS, ids=str)
def test_a_song_does_not_depend_on_those_beside_it(chain: Sequence[Filter]) -> None:
    together, calls = composed(range(6), 40, chain)
    assert calls == 40
    assert [composed([index], 40, chain)[0][0] for index in range(6)] == together
    assert composed([4, 1], 40, chain)[0] == [together[4], together[1]]


@pytest.mark.parametrize("chain", CHAINS, ids=str)
@pytest.mark.parametrize("right", [True, False], ids=["good guesses", "bad guesses"])
def test_drafts_never_change_a_song(chain: Sequence[Filter], right: bool) -> None:
    plain, _ = composed(range(5), 60, chain)
    drafted, calls = composed(range(5), 60, chain, Guesser(right))
    assert drafted == plain
    assert calls < 60 if right else calls <= 60


def test_good_guesses_save_calls() -> None:
    greedy = Sampling(temperature=0).chain
    drafted, calls = composed([0], 60, greedy, Guesser(right=True))
    assert drafted == composed([0], 60, greedy)[0]
    assert calls < 30


def test_a_draft_longer_than_it_may_be_is_cut() -> None:
    class Babbler(Guesser):
        def guess(self, _context: DraftContext) -> list[int]:
            return [1] * 99

    assert composed([0], 12, draft_model=Babbler(right=False))[0] == composed([0], 12)[0]


@pytest.mark.parametrize("chain", CHAINS, ids=str)
def test_a_song_continued_is_the_song_at_one_go(chain: Sequence[Filter]) -> None:
    whole = composed([2], 50, chain)[0][0]
    heard = np.array([0] * WINDOW + whole[:20])
    rest = Composition(heard[None, -WINDOW:], 30, chain, [Noise(5, 2, SIZE)], first=20)
    while not rest.done:
        rest.accept(model(rest.queries()))
    assert rest.tokens(0).tolist() == whole[20:]


def test_each_query_is_the_window_before_the_token_it_decides() -> None:
    songs = Composition(SILENCE[None], 20, PLAIN, [Noise(1, 0, SIZE)], draft_model=Guesser(True))
    asked: list[list[int]] = []
    while not songs.done:
        windows = songs.queries()
        assert songs.queries() is windows
        [tokens] = songs.accept(model(windows))
        asked += windows[: len(tokens)].tolist()
    heard = [0] * WINDOW + songs.tokens(0).tolist()
    assert asked == [heard[step : step + WINDOW] for step in range(20)]


def test_the_limits_hold_in_a_whole_song() -> None:
    chain = Sampling(max_repeats=2, max_rests=1).chain
    [free], _ = composed([0], 1000)
    [song], _ = composed([0], 1000, chain)
    longest = {}
    for name, tokens in (("free", free), ("limited", song)):
        runs = np.split(tokens, np.flatnonzero(np.diff(tokens)) + 1)
        longest[name] = (
            max(len(run) for run in runs if run[0] != 0),
            max(len(run) for run in runs if run[0] == 0),
        )
    assert longest["free"][0] > 2
    assert longest["free"][1] > 1
    assert longest["limited"] == (2, 1)


def test_tokens_follow_the_models_rows() -> None:
    """Chi-square of what comes after each (last, first) pair of a long song's windows."""
    songs, _ = composed(range(300), 100, draft_model=Guesser(True))
    heard = np.array([[0] * WINDOW + song for song in songs])
    last, first, drawn = heard[:, WINDOW - 1 : -1], heard[:, :-WINDOW], heard[:, WINDOW:]
    seen = np.zeros((SIZE, SIZE, SIZE))
    np.add.at(seen, (last, first, drawn), 1)
    wanted = TABLE * seen.sum(axis=2, keepdims=True)
    # Pearson's test wants five expected in a cell; the others of a row make up one cell.
    total, freedom = 0.0, 0
    for counts, expected in zip(seen.reshape(-1, SIZE), wanted.reshape(-1, SIZE), strict=True):
        large = expected >= 5
        cells = [*zip(counts[large], expected[large], strict=True)]
        if (rest := expected[~large].sum()) >= 5:
            cells.append((counts[~large].sum(), rest))
        if len(cells) > 1 and sum(e for _, e in cells) >= expected.sum() - 1e-9:
            total += sum((count - e) ** 2 / e for count, e in cells)
            freedom += len(cells) - 1
    assert freedom > 80
    # The 99.9 % quantile by Wilson and Hilferty 1931, d degrees of freedom: d (1 - a + z sqrt a)^3,
    # where a = 2 / 9d and z = 3.0902.
    quantile = freedom * (1 - 2 / (9 * freedom) + 3.0902 * (2 / (9 * freedom)) ** 0.5) ** 3
    assert total < quantile


def test_nothing_to_draw_is_done_at_once() -> None:
    songs = Composition(SILENCE[None], 0, PLAIN, [Noise(1, 0, SIZE)])
    assert songs.done
    assert songs.queries().shape == (0, WINDOW)
