"""Tokens per second of each way to generate, compared with the paper's loop, in one run.

    python benchmarks/generate.py [--models NAME=DIR …] [--rounds 6] [--vocabulary 300]

The reference is the paper's generator: Keras's ``model.predict`` for each token, on the plain Keras
network of the same size, in a separate process. The embedded server runs in another process, and a
client on the same cores generates over gRPC: one song with and without speculative sampling, one
song with the model's `generate` signature, and 64 songs as a batch. The ways take turns, and each
figure is the median of its turns, so that a slow phase of the machine affects all of them. DIR is
a base path with versions; without it, a network of the paper's size with random weights is
exported.

For each model it also prints the frames per call, the acceptance rate of the draft tokens (of those
verified, up to the first rejected one of a call), and the rate that the rule of Leviathan et al.
2023 would have had for the same drafts: the sum of min(p, q). It checks, frame for frame, that the
songs with and without drafts are equal.
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
"""Number of frames of one song."""

TOGETHER, STEPS_TOGETHER = 64, 60

REFERENCE_STEPS = 15


def export_random(base: Path, size: int) -> None:
    """Write a network of the paper's size with random weights as version 1 of `base`."""
    from tunesmith.components.runtime import load_tensorflow

    load_tensorflow()
    from tunesmith.components.networks.paper.keras_model import build_model
    from tunesmith.components.networks.paper.network import NETWORK
    from tunesmith.components.networks.paper.sizes import PaperSizes
    from tunesmith.components.trainer.export.saved_model import ServedSettings, export_model
    from tunesmith.music import Vocabulary

    model = build_model(size, PaperSizes(), portable=True)
    random = np.random.default_rng(0)
    # Wide enough that what comes next depends on what came before.
    model.set_weights([random.normal(0, 0.3, w.shape) for w in model.get_weights()])
    pairs = [(low, high) for low in range(20, 100) for high in range(low + 1, 100)]
    vocabulary = Vocabulary(((), *pairs[: size - 1]), 5.0)
    songs = [random.zipf(1.5, 200) % size for _ in range(50)]
    forward = NETWORK.for_serving(model, len(vocabulary), PaperSizes())
    export_model(forward, PaperSizes().window, vocabulary, ServedSettings(), base / "1", songs)


def papers_loop(size: int) -> None:
    """Draw so many tokens as a line of standard input says; print the seconds that it took."""
    from tunesmith.components.runtime import load_tensorflow

    load_tensorflow()
    from tunesmith.components.networks.paper.keras_model import build_model
    from tunesmith.components.networks.paper.sizes import PaperSizes

    model = build_model(size, PaperSizes(), portable=True)
    window = np.zeros((1, PaperSizes().window), dtype=np.int32)
    random = np.random.default_rng(0)
    for line in sys.stdin:
        started = time.perf_counter()
        for _ in range(int(line)):
            row = model.predict(window, verbose=0)[0].astype(np.float64)
            token = random.choice(size, p=row / row.sum())
            window = np.append(window[:, 1:], [[token]], axis=1).astype(np.int32)
        print(time.perf_counter() - started, flush=True)


def serve(base: Path) -> None:
    """Serve `base` until standard input ends; print the address."""
    from tunesmith.serving import EmbeddedServer, ServerOptions

    with EmbeddedServer(base, ServerOptions(port=0)) as server:
        print(server.address, flush=True)
        sys.stdin.read()


@contextmanager
def child(*arguments: str) -> Iterator[Any]:
    """Give a process of this program, which ends with its standard input."""
    command = [sys.executable, __file__, *arguments]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        yield process
        process.stdin.close()


class Way:
    """A way to generate: seconds per frame of each turn, and statistics of speculation."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seconds: list[float] = []
        self.songs: list[Any] = []
        self.stats: list[Any] = []

    def turn(self, seed: int) -> float:
        """Compose once; return the seconds of a frame."""
        raise NotImplementedError

    @property
    def rate(self) -> float:
        return 1 / float(np.median(self.seconds))


class PapersLoop(Way):
    def __init__(self, process: Any) -> None:
        super().__init__("the paper's loop")
        self.process = process

    def turn(self, _seed: int) -> float:
        print(REFERENCE_STEPS, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline()) / REFERENCE_STEPS


class OverGrpc(Way):
    """The client's loop."""

    def __init__(self, name: str, composer: Composer, count: int, **options: Any) -> None:
        super().__init__(name)
        self.composer, self.count, self.options = composer, count, options

    def turn(self, seed: int) -> float:
        steps = STEPS if self.count == 1 else STEPS_TOGETHER
        started = time.perf_counter()
        begun = self.composer.begin(self.count, steps, seed=seed, **self.options)
        self.songs += [song.frames for song in begun.finish()]
        taken = time.perf_counter() - started
        self.stats.append(begun.speculation_stats)
        return taken / (self.count * steps)

    def comparison(self, plain: Way) -> str:
        """Return the figures of speculation, compared with the same songs without drafts."""

        def total(name: str) -> float:
            return float(sum(getattr(each, name) for each in self.stats))

        same = [a == b for a, b in zip(plain.songs, self.songs, strict=True)]
        calls, verified = total("calls") * self.count, max(total("verified"), 1)
        return (
            f"{self.rate / plain.rate:.2f}x no drafts; {total('tokens') / calls:.2f} frames and "
            f"{total('windows') / calls:.2f} windows per call; "
            f"acceptance rate {total('accepted') / verified:.3f}, "
            f"Leviathan's rule {total('overlap') / verified:.3f}; "
            f"{sum(same)} of {len(same)} songs the same"
        )


class ModelsOwnLoop(Way):
    def __init__(self, composer: Composer) -> None:
        super().__init__("one song, the model's own loop")
        self.composer = composer

    def turn(self, seed: int) -> float:
        started = time.perf_counter()
        self.composer.generate(STEPS, seed=seed, loop="server")
        return (time.perf_counter() - started) / STEPS


def compare(name: str, base: Path, rounds: int) -> None:
    """Print every way of one model."""
    with child("--serve", str(base)) as server:
        address = server.stdout.readline().strip()
        with Composer(address) as composer:
            size = len(composer.model().vocabulary)
            with child("--papers-loop", str(size)) as process:
                reference, others = PapersLoop(process), [ModelsOwnLoop(composer)]
                pairs = []
                for count, temperature in ((1, 1.0), (1, 0.7), (TOGETHER, 1.0)):
                    what = f"{'one song' if count == 1 else f'{count} songs'}, T = {temperature}"
                    options = {"count": count, "temperature": temperature}
                    plain = OverGrpc(f"{what}, no drafts", composer, speculate=0, **options)
                    pairs.append((plain, OverGrpc(what, composer, **options)))
                ways: list[Way] = [reference, *others, *(each for pair in pairs for each in pair)]
                for way in ways:
                    way.turn(10_000)
                for way in ways:
                    way.songs, way.stats = [], []
                for number in range(rounds):
                    for way in ways:
                        way.seconds.append(way.turn(number))
    compared = {guessed.name: guessed.comparison(plain) for plain, guessed in pairs}
    print(f"{name}: V = {size}, {rounds} rounds; frames a second, and over the paper's loop")
    for way in ways:
        ratio = way.rate / reference.rate
        print(
            f"  {way.name:32} {way.rate:8.1f} {ratio:7.1f}x  {compared.get(way.name, '')}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--models", nargs="*", default=[], metavar="NAME=DIR", help="models to measure"
    )
    parser.add_argument("--rounds", type=int, default=6, help="turns of each way")
    parser.add_argument(
        "--vocabulary", type=int, default=300, help="vocabulary size of the random network"
    )
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--papers-loop", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--export", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
    elif options.papers_loop:
        papers_loop(options.papers_loop)
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
                compare(name, Path(directory), options.rounds)


if __name__ == "__main__":
    main()
