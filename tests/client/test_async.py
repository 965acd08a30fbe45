"""The asyncio twin: the same songs, many at once, and what cancelling leaves behind."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import grpc
import numpy as np
import pytest

from tunesmith.client import (
    AsyncComposer,
    BadOption,
    BadStart,
    Composer,
    ConnectionClosed,
    ServerUnavailable,
    UnknownStart,
    VersionGone,
)
from tunesmith.music import write_midi

OPTIONS = {"start_note": 75, "temperature": 1.3, "top_k": 20, "max_repeats": 3, "seed": 9}


def test_songs_are_the_composers(server_address: str) -> None:
    with Composer(server_address) as composer:
        song = composer.generate(20, **OPTIONS)
        many = composer.generate_many(3, 10, start_random=True, seed=2)
        longer = composer.extend(song, 5, temperature=1.3)

    async def twin() -> None:
        async with AsyncComposer(server_address) as composer:
            assert await composer.generate(20, **OPTIONS) == song
            assert await composer.generate_many(3, 10, start_random=True, seed=2) == many
            assert await composer.extend(song, 5, temperature=1.3) == longer
            assert tuple([frame async for frame in composer.stream(20, **OPTIONS)]) == song.frames
            model = await composer.model()
            assert (model.window, len(model.vocabulary)) == (50, 31)

    asyncio.run(twin())


def test_the_models_own_loop_draws_the_same_songs(server_address: str) -> None:
    with Composer(server_address) as composer:
        songs = composer.generate_many(2, 12, loop="server", top_p=0.9, seed=4)

    async def twin() -> None:
        async with AsyncComposer(server_address) as composer:
            assert await composer.generate_many(2, 12, loop="server", top_p=0.9, seed=4) == songs

    asyncio.run(twin())


def test_many_songs_on_one_channel(address: str, contract) -> None:
    with Composer(address) as composer:
        expected = [composer.generate(15, seed=seed) for seed in range(8)]
    together = 0
    most_together = 0
    lock = threading.Lock()

    def watched(tokens):
        nonlocal together, most_together
        with lock:
            together += 1
            most_together = max(most_together, together)
        rows = contract.next_token(tokens)
        threading.Event().wait(0.002)
        with lock:
            together -= 1
        return rows

    contract.probabilities = watched

    async def twin() -> None:
        async with AsyncComposer(address) as composer:
            songs = [composer.generate(15, seed=seed) for seed in range(8)]
            assert await asyncio.gather(*songs) == expected

    asyncio.run(twin())
    assert most_together > 1


def test_progress_counts_the_frames(address: str) -> None:
    seen: list[int] = []

    async def twin() -> None:
        async with AsyncComposer(address) as composer:
            await composer.generate(5, start_chord=[67, 60, 64], progress=seen.append, speculate=0)

    asyncio.run(twin())
    assert seen == [1, 2, 3, 4, 5]


def test_a_cancelled_song_leaves_the_channel_usable(address: str, contract) -> None:
    held, go_on = threading.Event(), threading.Event()

    def slow(tokens):
        held.set()
        go_on.wait(20)
        return contract.next_token(tokens)

    async def twin() -> None:
        async with AsyncComposer(address) as composer:
            expected = await composer.generate(6, seed=1)
            contract.probabilities = slow
            task = asyncio.create_task(composer.generate(6, seed=1))
            assert await asyncio.to_thread(held.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            go_on.set()
            assert await composer.generate(6, seed=1) == expected

    asyncio.run(twin())


def test_a_song_may_have_a_time_limit_and_be_taken_off(address: str, contract) -> None:
    go_on = threading.Event()

    def slow_after_four(tokens):
        if len(contract.windows) > 4:
            go_on.wait(20)
        return contract.next_token(tokens)

    contract.probabilities = slow_after_four

    async def twin() -> None:
        async with AsyncComposer(address) as composer:
            songs = await composer.begin(2, 30, seed=5, speculate=0)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await songs.finish()
            assert [len(song.frames) for song in songs.songs()] == [4, 4]
            go_on.set()
            whole = await songs.finish()
            assert whole == await composer.generate_many(2, 30, seed=5, speculate=0)

    asyncio.run(twin())


def test_closing_ends_what_is_under_way(address: str, contract) -> None:
    held, go_on = threading.Event(), threading.Event()

    def slow(tokens):
        held.set()
        go_on.wait(20)
        return contract.next_token(tokens)

    contract.probabilities = slow

    async def twin() -> None:
        composer = AsyncComposer(address)
        task = asyncio.create_task(composer.generate(6))
        assert await asyncio.to_thread(held.wait, 10)
        await composer.close()
        with pytest.raises(ConnectionClosed):
            await task
        go_on.set()
        with pytest.raises(ConnectionClosed):
            await composer.generate(6)

    asyncio.run(twin())


def test_errors_are_the_composers(address: str, contract, tmp_path: Path) -> None:
    async def twin() -> None:
        async with AsyncComposer(address, patience=0) as composer:
            with pytest.raises(BadOption, match="steps"):
                await composer.generate(0)
            with pytest.raises(BadStart, match="choose start_note or primer"):
                await composer.generate(5, start_note=60, primer="x.mid")
            with pytest.raises(BadStart, match=r"absent\.mid"):
                await composer.generate(5, primer=tmp_path / "absent.mid")
            with pytest.raises(UnknownStart, match="61"):
                await composer.generate(5, start_note=61)
            with pytest.raises(BadOption, match="has no `generate` signature"):
                await composer.generate(5, loop="server")
            contract.refusals = [grpc.StatusCode.UNAVAILABLE]
            with pytest.raises(ServerUnavailable, match=address):
                await composer.generate(5)
            song = await composer.generate(5)
            contract.version = 4
            with pytest.raises(VersionGone, match="version 3, which generated the song"):
                await composer.extend(song, 5)

    asyncio.run(twin())


def test_unavailable_is_tried_again(address: str, contract) -> None:
    async def twin() -> None:
        async with AsyncComposer(address) as composer:
            contract.refusals = [grpc.StatusCode.UNAVAILABLE] * 2
            assert len((await composer.generate(3)).frames) == 3
            assert not contract.refusals

    asyncio.run(twin())


def test_a_primer_is_read_beside_the_event_loop(address: str, contract, tmp_path: Path) -> None:
    write_midi([(64,), (60,), (62,)], tmp_path / "primer.mid", frames_per_second=8.0)

    async def twin() -> None:
        async with AsyncComposer(address) as composer:
            await composer.generate(1, primer=tmp_path / "primer.mid")

    asyncio.run(twin())
    assert np.array(contract.windows[0]).tolist() == [[0, 0, 0, 3, 1, 2]]


def test_the_twin_is_not_imported_by_the_composer() -> None:
    program = "import sys, tunesmith.client; print('tunesmith.client.aio' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert found.stdout.strip() == "False"
