"""Guessing ahead: the same songs, whatever is guessed, in fewer calls where that pays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tunesmith.client import BadOption, Composer
from tunesmith.client.composition import Composition
from tunesmith.client.ngram import NGram
from tunesmith.client.pace import KEPT
from tunesmith.client.sampling import Filter, Noise, Rows, Sampling
from tunesmith.client.speculation import LONGEST_DRAFT, PROBED_ROUNDS, Speculation

SIZE, WINDOW = 5, 3
TABLE = np.random.default_rng(5).dirichlet(np.full(SIZE, 0.6), (SIZE, SIZE))
"""After a token, almost certainly token 4."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of a small network whose answers differ from window to window, with a drafter."""
    from tunesmith.components.runtime import load_tensorflow

    load_tensorflow()
    from tunesmith.components.networks.paper.keras_model import build_model
    from tunesmith.components.networks.paper.network import NETWORK
    from tunesmith.components.networks.paper.sizes import PaperSizes
    from tunesmith.components.trainer.export.saved_model import ServedSettings, export_model
    from tunesmith.music import Vocabulary
    from tunesmith.serving import EmbeddedServer, ServerOptions

    vocabulary = Vocabulary(((), *((pitch,) for pitch in range(40, 59))), 5.0)
    architecture = PaperSizes(embedding=6, units=8, layers=2, dense=5, window=6)
    network = build_model(len(vocabulary), architecture, portable=True)
    random = np.random.default_rng(5)
    network.set_weights([random.normal(0, 0.9, w.shape) for w in network.get_weights()])
    songs = [random.integers(0, len(vocabulary), 60) for _ in range(5)]
    base = tmp_path_factory.mktemp("drafting") / "tunesmith"
    base.mkdir()
    forward = NETWORK.for_serving(network, len(vocabulary), architecture)
    export_model(forward, architecture.window, vocabulary, ServedSettings(), base / "1", songs)
    with EmbeddedServer(base, ServerOptions(port=0)) as server:
        yield server.address


@pytest.fixture
def composer(address: str) -> Iterator[Composer]:
    with Composer(address) as composer:
        yield composer


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0},
        {"temperature": 1, "start_note": 45},
        {"temperature": 2, "start_random": True},
        {"temperature": 0.8, "top_k": 3},
        {"top_p": 0.7},
        {"max_repeats": 2, "max_rests": 1},
    ],
    ids=str,
)
def test_songs_are_the_same_however_much_is_guessed(
    composer: Composer, options: dict[str, Any]
) -> None:
    for count in (1, 3):
        plain = composer.generate_many(count, 60, seed=3, speculate=0, **options)
        for speculate in (1, 4, None):
            begun = composer.begin(count, 60, seed=3, speculate=speculate, **options)
            assert begun.finish() == plain
            if speculate:
                assert begun.speculation_stats.accepted > 0
                assert begun.speculation_stats.calls < 60


def test_a_stream_and_a_song_extended_are_guessed_alike(composer: Composer) -> None:
    song = composer.generate(50, seed=8, speculate=0)
    assert tuple(composer.stream(50, seed=8, speculate=5)) == song.frames
    begun = composer.generate(20, seed=8, speculate=3)
    assert composer.extend(begun, 30, speculate=7).frames == song.frames


def test_a_negative_number_of_guesses_is_refused(composer: Composer) -> None:
    with pytest.raises(BadOption, match="speculate must be at least 0, not -1"):
        composer.generate(5, speculate=-1)


def model(windows: NDArray[np.int64]) -> Rows:
    """Rows that depend on the last token and on the one two before it."""
    return TABLE[windows[:, -1], windows[:, -3]]


def guesser(songs: int, guesses: int | None, chain: tuple[Filter, ...] = ()) -> Speculation:
    """A speculation that guesses in the first round, too: it has seen a call of ten windows."""
    speculation = Speculation(SIZE, songs, chain, guesses)
    speculation.record_call(10, 0.01)
    return speculation


class Wrong(Speculation):
    """Draws its guesses from a row that has nothing to do with the model."""

    row: NDArray[np.float64]

    def _row(self, *_: Any) -> tuple[NDArray[np.float64], int]:
        return self.row, 0


WRONG_ROWS = {
    "uniform": np.full(SIZE, 1 / SIZE),
    "a point mass": np.eye(SIZE)[3],
    "turned round": np.array([0.01, 0.9, 0.03, 0.03, 0.03]),
    "zeros": np.zeros(SIZE),
    "not a number": np.full(SIZE, np.nan),
}


def composed(songs: int, steps: int, drafter: Speculation | None) -> tuple[NDArray[np.int64], int]:
    """Return the tokens, int64 [songs, steps], and the calls that they took."""
    noises = [Noise(4, index, SIZE) for index in range(songs)]
    start = np.zeros((songs, WINDOW), dtype=np.int64)
    composition = Composition(start, steps, (), noises, draft_model=drafter)
    calls = 0
    while not composition.done:
        composition.accept(model(composition.queries()))
        calls += 1
    return np.stack([composition.tokens(song) for song in range(songs)]), calls


@pytest.mark.parametrize("row", WRONG_ROWS.values(), ids=WRONG_ROWS)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_nonsense_costs_calls_and_nothing_else(row: NDArray[np.float64]) -> None:
    wrong = Wrong(SIZE, 4, (), 3)
    wrong.row = row
    wrong.record_call(10, 0.01)
    tokens, _ = composed(4, 50, wrong)
    np.testing.assert_array_equal(tokens, composed(4, 50, None)[0])


def test_tokens_follow_the_models_joint_distribution_under_bad_guesses() -> None:
    """Chi-square of the first two tokens of many songs, both of them guessed, badly."""
    songs = 4000
    wrong = Wrong(SIZE, songs, (), 2)
    wrong.row = WRONG_ROWS["turned round"]
    wrong.record_call(10, 0.01)
    tokens, _ = composed(songs, 3, wrong)
    assert 0.02 < wrong.stats.accepted / wrong.stats.verified < 0.5
    seen = np.bincount(tokens[:, 0] * SIZE + tokens[:, 1], minlength=SIZE * SIZE)
    # The window is 0, 0, first: both rows are after token 0 two before.
    wanted = songs * (TABLE[0, 0][:, None] * TABLE[np.arange(SIZE), 0]).ravel()
    large = wanted >= 5
    assert large.sum() > 12
    total = ((seen - wanted) ** 2 / wanted)[large].sum()
    total += (seen[~large].sum() - wanted[~large].sum()) ** 2 / wanted[~large].sum()
    freedom = int(large.sum())
    # The 99.9 % quantile by Wilson and Hilferty 1931.
    assert total < freedom * (1 - 2 / (9 * freedom) + 3.0902 * (2 / (9 * freedom)) ** 0.5) ** 3


def test_guesses_learn_from_the_models_answers() -> None:
    by_ngram = guesser(1, 3)
    # Token 4 follows each token.
    contexts = [[token, -1, -1, -1, 992, 1] for token in range(SIZE)]
    followers = np.tile(np.array([[4], [1]], np.int32), SIZE)
    by_ngram.set_ngram(NGram(np.array(contexts, np.int32).T, followers, SIZE))
    tokens, calls = composed(1, 400, by_ngram)
    np.testing.assert_array_equal(tokens, composed(1, 400, None)[0])
    stats = by_ngram.stats
    assert (stats.tokens, stats.calls) == (400, 1)  # No call was timed but the one made up.
    assert calls < 0.75 * 400
    # Half of what the row depends on is known after a while, and the race's coupling uses it.
    assert stats.accepted / stats.verified > 0.4
    assert stats.overlap >= stats.accepted * 0.9


def test_nothing_is_read_or_guessed_before_the_first_answer() -> None:
    speculation = Speculation(SIZE, 1, (), 4)
    assert not speculation.needs_ngram
    composition = Composition(
        np.zeros((1, WINDOW), np.int64), 9, (), [Noise(1, 0, SIZE)], draft_model=speculation
    )
    assert len(composition.queries()) == 1
    speculation.record_call(1, 0.01)
    assert speculation.needs_ngram
    speculation.set_ngram(None)
    assert not speculation.needs_ngram
    composition.accept(model(composition.queries()))
    assert len(composition.queries()) == 5


def windows_asked(cost: Callable[[int], float], songs: int, rounds: int) -> list[int]:
    """Return the windows of each call to a model whose calls take ``cost(windows)`` seconds."""
    speculation = Speculation(SIZE, songs, Sampling(temperature=0).chain)
    composition = Composition(
        np.zeros((songs, WINDOW), np.int64),
        40 * rounds,
        Sampling(temperature=0).chain,
        [Noise(1, song, SIZE) for song in range(songs)],
        draft_model=speculation,
    )
    asked = []
    for _ in range(rounds):
        queries = composition.queries()
        speculation.record_call(len(queries), cost(len(queries)))
        composition.accept(model(queries))
        asked.append(len(queries))
    return asked


def test_where_windows_cost_next_to_nothing_many_are_asked() -> None:
    asked = windows_asked(lambda windows: 0.01 + 1e-5 * windows, 1, 30)
    assert asked[0] == 1
    assert max(asked) == 1 + LONGEST_DRAFT


def test_where_a_call_costs_its_windows_none_are_guessed_but_to_see_what_they_cost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tunesmith.client.speculation.PROBED_EVERY", 20)
    asked = windows_asked(lambda windows: 0.01 * windows, 30, 50)
    assert max(asked) == 45
    assert [at for at, windows in enumerate(asked) if windows != 30] == [*PROBED_ROUNDS, 20, 40]


def test_a_call_is_at_most_twice_as_large_as_any_before() -> None:
    asked = windows_asked(lambda windows: 0.01 + 1e-6 * windows, 4, 12)
    assert asked[0] == 4
    assert all(after <= 2 * max(asked[:at]) for at, after in enumerate(asked[1:], start=1))
    assert max(asked) > 8


def test_guesses_that_turn_out_not_to_pay_are_paused_for_longer_and_longer() -> None:
    """Every call of another size than the songs' own takes a second."""
    asked = windows_asked(lambda windows: 0.01 if windows == 4 else 1.0, 4, 150)
    guessed = [windows > 4 for windows in asked]
    assert any(guessed[:10])
    assert sum(guessed) < 20


def test_when_windows_become_cheap_it_is_noticed() -> None:
    speculation = Speculation(SIZE, 64, ())
    for _ in range(9):
        speculation.record_call(64, 0.064)
        speculation.record_call(128, 0.128)
    assert not speculation.needs_ngram
    for _ in range(KEPT):
        speculation.record_call(64, 0.010)
        speculation.record_call(128, 0.011)
    assert speculation.needs_ngram


def test_a_filter_that_leaves_nothing_of_a_guess_stops_the_guess_alone() -> None:
    def picky(rows: Rows, _windows: NDArray[np.int64]) -> Rows:
        return np.where(rows == rows.max(axis=1, keepdims=True), 0.0, rows)

    wrong = Wrong(SIZE, 1, (picky,), 3)
    wrong.row = WRONG_ROWS["uniform"]
    wrong.record_call(10, 0.01)
    noises = [Noise(4, 0, SIZE)]
    start = np.zeros((1, WINDOW), dtype=np.int64)
    composition = Composition(start, 20, (picky,), noises, draft_model=wrong)
    while not composition.done:
        assert len(composition.queries()) == 1
        composition.accept(model(composition.queries()))
