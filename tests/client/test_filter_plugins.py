"""Sampling filters of one's own: loaded by name, applied after the built-in ones."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tunesmith.client import BadOption, Composer, Sampling
from tunesmith.client.filter_plugins import load_filter
from tunesmith.plugins import set_plugin_path

PLUGIN = """
import numpy as np


def no_rests(rows, windows):
    return rows * (np.arange(rows.shape[1]) != 0)


class Only:
    '''Only one token, the first if none is given.'''

    def __init__(self, token=0):
        self.token = token

    def __call__(self, rows, windows):
        return np.eye(rows.shape[1])[[self.token] * len(rows)]


def sharper(power):
    if power < 1:
        raise ValueError(f"the power is at least 1,\\nnot {power}")
    return lambda rows, windows: rows**power


class Two:
    def __init__(self, one, two):
        pass


text = "no function"
"""


@pytest.fixture(autouse=True)
def plugin_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "own_filters.py").write_text(PLUGIN, encoding="utf-8")
    set_plugin_path([folder])
    yield folder
    set_plugin_path([])
    sys.modules.pop("own_filters", None)


ROWS = np.array([[0.5, 0.3, 0.2]])
WINDOWS = np.zeros((1, 4), np.int64)


def test_a_filter_is_a_function_a_class_or_made_for_a_number() -> None:
    assert load_filter("own_filters:no_rests")(ROWS, WINDOWS).tolist() == [[0, 0.3, 0.2]]
    assert load_filter("own_filters:Only")(ROWS, WINDOWS).tolist() == [[1, 0, 0]]
    assert load_filter("own_filters:Only=2")(ROWS, WINDOWS).tolist() == [[0, 0, 1]]
    np.testing.assert_allclose(load_filter("own_filters:sharper=2.5")(ROWS, WINDOWS), ROWS**2.5)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("own_filters:absent", "has no absent"),
        ("own_filters:text", "is not a filter"),
        ("own_filters:text=3", "takes no number"),
        ("own_filters:Only=three", "is not NAME or NAME=NUMBER"),
        ("own_filters:sharper=0.5", "at least 1, not 0.5"),
        ("own_filters:Two", "failed"),
        ("absent", "no installed package has"),
    ],
)
def test_what_is_no_filter_is_refused_in_one_line(name: str, words: str) -> None:
    with pytest.raises(BadOption, match=words) as caught:
        load_filter(name)
    assert "\n" not in str(caught.value)


def test_an_installed_filter_has_a_name(plugin_folder: Path) -> None:
    info = plugin_folder / "own_filters-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own_filters\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tunesmith.filters]\nonly = own_filters:Only\n")
    assert load_filter("only=1")(ROWS, WINDOWS).tolist() == [[0, 1, 0]]


def test_filters_of_ones_own_apply_after_the_built_in_ones(address: str) -> None:
    third = load_filter("own_filters:Only=3")
    with Composer(address) as composer:
        song = composer.generate(6, temperature=0, filters=[load_filter("own_filters:Only"), third])
        assert song.frames == ((64,),) * 6
        # How it was drawn cannot be said by the built-in filters alone.
        assert song.sampling is None
        plain = composer.generate(20, seed=3, top_k=2)
        assert composer.generate(20, seed=3, top_k=2, filters=()) == plain
        assert plain.sampling == Sampling(top_k=2)
        restless = composer.generate(40, seed=3, filters=[load_filter("own_filters:no_rests")])
        assert all(restless.frames)
        longer = composer.extend(restless, 20, filters=[load_filter("own_filters:no_rests")])
        assert all(longer.frames)


def test_the_servers_loop_refuses_them(address: str) -> None:
    with (
        Composer(address) as composer,
        pytest.raises(BadOption, match="no other filters"),
    ):
        composer.generate(6, loop="server", filters=[load_filter("own_filters:no_rests")])
