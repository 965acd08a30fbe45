"""Tokens a second of every way to compose, beside the paper's loop, in one run on one machine.

    python benchmarks/generate.py [--models NAME=DIR …] [--seconds 8] [--vocabulary 300]

The reference is the paper's generator: Keras's ``model.predict`` for each token, on the plain Keras
network of the same size, in a process of its own. Then the embedded server gets a process of its
own, and a client on the same cores composes over gRPC: one song with and without guesses, by the
model's own loop, and 64 songs together. DIR is a base path with versions; without any a network of
the paper's size with random weights is exported.

For each model the guesses are counted, too: tokens a call, which share of the guesses stood (of
those judged, up to the first of a call that fell), and which share the rule of Leviathan et al.
2023 would have accepted in the same places, the sum of min(p, q). Whether the songs with guesses
are those without is checked, token for token.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.client import Composer

STEPS = 300
TOGETHER = 64
TEMPERATURES = (1.0, 0.7)


def export_random(base: Path, size: int) -> None:
    """Write a network of the paper's size with random weights as version 1 of `base`."""
    from tunesmith.components.runtime import load_tensorflow

    load_tensorflow()
    from tunesmith.components.export import ServedSettings, export_model
    from tunesmith.components.model import Architecture, build_model
    from tunesmith.music import Vocabulary

    model = build_model(size, Architecture(), portable=True)
    random = np.random.default_rng(0)
    # Wide enough that what comes next depends on what came before.
    model.set_weights([random.normal(0, 0.3, w.shape) for w in model.get_weights()])
    pairs = [(low, high) for low in range(20, 100) for high in range(low + 1, 100)]
    vocabulary = Vocabulary(((), *pairs[: size - 1]), 5.0)
    songs = [random.zipf(1.5, 200) % size for _ in range(50)]
    export_model(model, Architecture(), vocabulary, ServedSettings(), base / "1", songs)


def papers_loop(size: int, seconds: float) -> float:
    """Return the tokens a second of ``model.predict`` called for each token."""
    from tunesmith.components.runtime import load_tensorflow

    load_tensorflow()
    from tunesmith.components.model import Architecture, build_model

    model = build_model(size, Architecture(), portable=True)
    window = np.zeros((1, Architecture().window), dtype=np.int32)
    random = np.random.default_rng(0)

    def draw() -> None:
        nonlocal window
        row = model.predict(window, verbose=0)[0].astype(np.float64)
        token = random.choice(size, p=row / row.sum())
        window = np.append(window[:, 1:], [[token]], axis=1).astype(np.int32)

    for _ in range(5):  # The first ones build the graph.
        draw()
    drawn, started = 0, time.perf_counter()
    while (taken := time.perf_counter() - started) < seconds:
        draw()
        drawn += 1
    return drawn / taken


def serve(base: Path) -> None:
    """Serve `base` until standard input ends; print the address."""
    from tunesmith.serving import EmbeddedServer, ServerOptions

    with EmbeddedServer(base, ServerOptions(port=0)) as server:
        print(server.address, flush=True)
        sys.stdin.read()


@contextmanager
def served(base: Path) -> Iterator[str]:
    """Give the address of a server of `base` in a process of its own."""
    command = [sys.executable, __file__, "--serve", str(base)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        yield process.stdout.readline().strip()
        process.stdin.close()


class Measured:
    """Songs of one kind: frames, frames a second, and what came of guessing."""

    def __init__(self, composer: Composer, count: int, seconds: float, **options: Any) -> None:
        self.songs: list[Any] = []
        self.tallies: list[Any] = []
        composer.begin(count, 20, seed=10_000, **options).finish()
        taken = 0.0
        while taken < seconds:
            started = time.perf_counter()
            begun = composer.begin(count, STEPS, seed=len(self.tallies), **options)
            self.songs += begun.finish()
            taken += time.perf_counter() - started
            self.tallies.append(begun.tally)
        self.rate = len(self.songs) * STEPS / taken
        self.count = count

    def total(self, name: str) -> float:
        return sum(getattr(each, name) for each in self.tallies)


def at_the_server(composer: Composer, seconds: float) -> float:
    """Return the frames a second of one song after the other by the model's own loop."""
    composer.generate(STEPS, seed=10_000, loop="server")
    songs, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        composer.generate(STEPS, seed=songs, loop="server")
        songs += 1
    return songs * STEPS / (time.perf_counter() - started)


def compare(name: str, base: Path, seconds: float) -> None:
    """Print every way of one model; the server is idle while the paper's loop runs."""
    with served(base) as address, Composer(address) as composer:
        size = len(composer.model().vocabulary)
        command = [sys.executable, __file__, "--papers-loop", str(size), f"--seconds={seconds}"]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        reference = float(ran.stdout)
        print(
            f"{name}: V = {size}, songs of {STEPS} frames; frames a second, over the paper's loop"
        )

        def line(what: str, rate: float, more: str = "") -> None:
            print(f"  {what:32} {rate:8.1f} {rate / reference:7.1f}x  {more}", flush=True)

        line("the paper's loop", reference)
        for temperature in TEMPERATURES:
            plain = Measured(composer, 1, seconds, speculate=0, temperature=temperature)
            line(f"one song, T = {temperature}, no guesses", plain.rate)
            guessed = Measured(composer, 1, seconds, temperature=temperature)
            line(f"one song, T = {temperature}", guessed.rate, told(plain, guessed))
        line("one song, the model's own loop", at_the_server(composer, seconds))
        plain = Measured(composer, TOGETHER, seconds, speculate=0)
        line(f"{TOGETHER} songs, no guesses", plain.rate)
        guessed = Measured(composer, TOGETHER, seconds)
        line(f"{TOGETHER} songs", guessed.rate, told(plain, guessed))


def told(plain: Measured, guessed: Measured) -> str:
    """Return what guessing came to beside the same songs without."""
    same = [a.frames == b.frames for a, b in zip(plain.songs, guessed.songs, strict=False)]
    calls, judged = guessed.total("calls"), max(guessed.total("judged"), 1)
    tokens = guessed.total("tokens") / guessed.count
    return (
        f"{guessed.rate / plain.rate:.2f}x no guesses; {tokens / calls:.2f} frames and "
        f"{guessed.total('windows') / guessed.count / calls:.2f} windows a call; "
        f"stood {guessed.total('stood') / judged:.3f}, "
        f"Leviathan's rule {guessed.total('overlap') / judged:.3f}; "
        f"{sum(same)} of {len(same)} songs the same"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="*", default=[], metavar="NAME=DIR")
    parser.add_argument("--seconds", type=float, default=8.0, help="for each way")
    parser.add_argument("--vocabulary", type=int, default=300, help="of the random network")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--papers-loop", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--export", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
    elif options.papers_loop:
        print(papers_loop(options.papers_loop, options.seconds))
    elif options.export:
        export_random(options.export, options.vocabulary)
    else:
        with tempfile.TemporaryDirectory() as text:
            models = [pair.partition("=")[::2] for pair in options.models]
            if not models:
                base = Path(text) / "tunesmith"
                base.mkdir()
                command = [sys.executable, __file__, "--export", str(base)]
                subprocess.run([*command, f"--vocabulary={options.vocabulary}"], check=True)
                models = [("random weights", str(base))]
            for name, directory in models:
                compare(name, Path(directory), options.seconds)


if __name__ == "__main__":
    main()
