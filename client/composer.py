"""The composer: the loop that asks a served model for one frame after another.

Several songs are composed side by side with one call a step. Same seed, same model version, same
song; song i of many does not depend on how many there are (up to the server's own float32
rounding, which may differ with the size of a batch).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc

from tunesmith.client.composition import Composition
from tunesmith.client.connection import DEFAULT_DEADLINE, Connection, ModelVersion
from tunesmith.client.errors import BadOption
from tunesmith.client.model import ServedModel
from tunesmith.client.sampling import Noise, Sampling, start_stream
from tunesmith.client.song import Song
from tunesmith.client.starts import Start
from tunesmith.music import Frame

DEFAULT_MODEL = "tunesmith"
DEFAULT_STEPS = 300
"""A minute at 5 frames a second; the paper's program draws as many."""

Progress = Callable[[int], None]
"""Called after each step with the number of frames that the song has so far."""


class Composer:
    """A model on a server, ready to compose; a context manager.

    The connection is opened once, at the first call. Each song is composed on one version of the
    model, the latest when the song begins, unless `version` names one. May be shared by threads.

    Args:
        address: the server, ``HOST:PORT`` or ``unix:PATH``.
        model: the model's name on the server.
        version: compose on this version only; None for the latest.
        deadline: seconds that one call may take, its retries included.
        credentials: TLS credentials from ``grpc.ssl_channel_credentials``; plain text if None.

    Raises:
        BadAddress: the address has no port.
        BadOption: the deadline is not positive.
    """

    def __init__(
        self,
        address: str,
        model: str = DEFAULT_MODEL,
        *,
        version: int | None = None,
        deadline: float = DEFAULT_DEADLINE,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self._connection = Connection(address, deadline, credentials)
        self._wanted = ModelVersion(model, version)
        self._latest: ServedModel | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def model(self) -> ServedModel:
        """Return the model as it is served now: its version, vocabulary and settings.

        One call, and a few more when the version is a new one.

        Raises:
            ComposerError: the server does not answer, or not as a composing model does.
        """
        servable, signatures = self._connection.signatures(self._wanted)
        model = self._latest
        if model is None or model.servable != servable:
            model = ServedModel.read(self._connection, servable, signatures)
            self._latest = model
        return model

    def generate(
        self,
        steps: int = DEFAULT_STEPS,
        *,
        start_note: int | None = None,
        start_random: bool = False,
        primer: str | Path | None = None,
        start_frames: Sequence[Frame] | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        progress: Progress | None = None,
    ) -> Song:
        """Compose a song.

        At most one start may be given. Without any the song begins from silence, which is how every
        song of the training corpus begins.

        Args:
            steps: frames of the song; a start note counts as the first of them.
            start_note: a pitch (0..127) to begin with, after rests.
            start_random: begin from random tokens, which are not part of the song.
            primer: a MIDI file to continue, which is not part of the song.
            start_frames: frames to continue, which are not part of the song.
            temperature: 1 is the model's own distribution, 0 always the most probable frame.
            top_k: draw among the k most probable frames only.
            top_p: draw among the most probable frames that hold this share together.
            seed: 0 or more; None draws one, which the song remembers.
            progress: called after each step with the number of frames so far.

        Raises:
            BadOption: an argument is out of range.
            BadStart: two starts, or a primer that cannot be used.
            UnknownStart: the model does not know the note or a frame; the message names near ones.
            ComposerError: the server does not answer, or answers nonsense.
        """
        return self.generate_many(
            1,
            steps,
            start_note=start_note,
            start_random=start_random,
            primer=primer,
            start_frames=start_frames,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
            progress=progress,
        )[0]

    def generate_many(
        self,
        count: int,
        steps: int = DEFAULT_STEPS,
        *,
        start_note: int | None = None,
        start_random: bool = False,
        primer: str | Path | None = None,
        start_frames: Sequence[Frame] | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        progress: Progress | None = None,
    ) -> list[Song]:
        """Compose `count` songs side by side, with one call a step for all of them.

        The songs differ by their random streams; the first is the one that :meth:`generate` gives
        for the same seed. Arguments and errors are those of :meth:`generate`.
        """
        if count < 1:
            raise BadOption(f"count is 1 or more, not {count}")
        start = Start(start_note, start_random, primer, start_frames)
        composition = _Composition(
            self, count, steps, start, Sampling(temperature, top_k, top_p), seed
        )
        columns: list[Sequence[Frame]] = []
        for column in composition:
            columns.append(column)
            if progress is not None:
                progress(len(columns))
        return [
            composition.song(index, frames)
            for index, frames in enumerate(zip(*columns, strict=True))
        ]

    def stream(
        self,
        steps: int = DEFAULT_STEPS,
        *,
        start_note: int | None = None,
        start_random: bool = False,
        primer: str | Path | None = None,
        start_frames: Sequence[Frame] | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> Iterator[Frame]:
        """Yield the frames of a song as they are drawn.

        They are the frames that :meth:`generate` returns for the same arguments, whose errors come
        here too: those of the start at once, those of a step when its frame is asked for.
        """
        start = Start(start_note, start_random, primer, start_frames)
        composition = _Composition(self, 1, steps, start, Sampling(temperature, top_k, top_p), seed)
        return (column[0] for column in composition)


class _Composition:
    """Songs being composed side by side on one version of a model; iterate for their columns."""

    def __init__(
        self,
        composer: Composer,
        count: int,
        steps: int,
        start: Start,
        sampling: Sampling,
        seed: int | None,
    ) -> None:
        if steps < 1:
            raise BadOption(f"steps is 1 or more, not {steps}")
        # Short enough to be typed again.
        self._seed = secrets.randbits(32) if seed is None else seed
        self._count = count
        self._given = start.song_frames
        starts = [start_stream(self._seed, index) for index in range(count)]
        self._model = composer.model()
        size = len(self._model.vocabulary)
        self._songs = Composition(
            start.windows(self._model, starts),
            steps - len(self._given),
            sampling.chain,
            [Noise(self._seed, index, size) for index in range(count)],
            first=len(self._given),
        )

    def __iter__(self) -> Iterator[Sequence[Frame]]:
        """Yield for each step the frame of every song."""
        for frame in self._given:
            yield [frame] * self._count
        while not self._songs.done:
            decided = self._songs.accept(self._model.probabilities(self._songs.queries()))
            for column in zip(*decided, strict=True):
                yield self._model.vocabulary.decode(column)

    def song(self, index: int, frames: Sequence[Frame]) -> Song:
        """Return the finished song of one row."""
        settings = self._model.settings
        return Song(
            frames=tuple(frames),
            frames_per_second=settings.frames_per_second,
            program=settings.program,
            model=self._model.servable.name,
            model_version=self._model.servable.version,
            seed=self._seed,
            index=index,
        )
