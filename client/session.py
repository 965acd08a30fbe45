"""Sessions: songs in generation on one model version.

All functions here are exchanges, see :mod:`tunesmith.client.exchange`; the composers perform them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tunesmith.client.composition import Composition
from tunesmith.client.errors import BadOption, BadResponse, ModelNotFound, VersionGone
from tunesmith.client.exchange import Exchange, RunInThread
from tunesmith.client.filters import FILTERS
from tunesmith.client.model import BatchSplitter, ModelReader, ServedModel, output
from tunesmith.client.ngram import served_ngram
from tunesmith.client.request import Drawing, Request, check_steps, new_seed
from tunesmith.client.sampling import Noise, Sampling, Windows, start_stream
from tunesmith.client.song import Song
from tunesmith.client.speculation import Speculation, SpeculationStats
from tunesmith.client.starts import known_tokens, padded
from tunesmith.client.tensors import to_tensor
from tunesmith.music import REST, Frame

LONGEST_SERVER_LOOP = 4096
"""Maximum number of frames of the ``generate`` signature, see
``components/trainer/export/generate.py``."""


class Session:
    """A batch of songs in generation, from :func:`begin_session` or :func:`extend_session`.

    Args:
        model: model version.
        songs: songs with their first frames, if any.
        windows: initial window of each song, int64 [n, window], oldest token first.
        steps: number of frames to add to each song.
        drawing: sampling options.
        seed: random seed.
    """

    def __init__(
        self,
        model: ServedModel,
        songs: Sequence[Song],
        windows: Windows,
        steps: int,
        drawing: Drawing,
        seed: int,
    ) -> None:
        self._model = model
        self._begun = songs
        self._frames = [list(song.frames) for song in songs]
        size = len(model.vocabulary)
        self._speculation: Speculation | None = None
        if drawing.speculate != 0:
            self._speculation = Speculation(size, len(songs), drawing.chain, drawing.speculate)
        self._composition = Composition(
            windows,
            steps,
            drawing.chain,
            [Noise(seed, song.index, size) for song in songs],
            first=len(songs[0].frames),
            draft_model=self._speculation,
        )
        self._batches = BatchSplitter()

    @property
    def done(self) -> bool:
        """True if all songs are finished."""
        return self._composition.done

    @property
    def length(self) -> int:
        """Common length of all songs in frames."""
        return min(map(len, self._frames))

    @property
    def speculation_stats(self) -> SpeculationStats:
        """Calls, draft tokens and accepted draft tokens so far."""
        return SpeculationStats() if self._speculation is None else self._speculation.stats

    def frames(self, song: int = 0) -> Sequence[Frame]:
        """Return the frames of one song; the list grows with each step."""
        return self._frames[song]

    def songs(self) -> list[Song]:
        """Return the songs as generated so far."""
        return [
            replace(song, frames=tuple(frames))
            for song, frames in zip(self._begun, self._frames, strict=True)
        ]

    def step(self) -> Exchange[None]:
        """Score the windows of all unfinished songs once, and add the drawn frames.

        Raises:
            VersionGone: the version is no longer served.
            ComposerError: the server does not answer, or its response is invalid.
        """
        speculation = self._speculation
        if speculation is not None and speculation.needs_ngram:
            speculation.set_ngram((yield from served_ngram(self._model)))
        queries = self._composition.queries()
        started = time.perf_counter()
        rows = yield from self._batches.probabilities(self._model, queries)
        if speculation is not None:
            speculation.record_call(len(queries), time.perf_counter() - started)
        for frames, tokens in zip(self._frames, self._composition.accept(rows), strict=True):
            frames += self._model.vocabulary.decode(tokens)


def begin_session(models: ModelReader, request: Request) -> Exchange[Session]:
    """Begin the songs of a request with the served model."""
    model = yield from models.current()
    drawing = request.drawing.on(model.settings.sampling)
    windows = yield from _first_windows(model, request)
    songs = [
        _initial_song(model, request, drawing.sampling, index, window)
        for index, window in enumerate(windows)
    ]
    steps = request.steps - len(request.start.song_frames)
    return Session(model, songs, windows, steps, drawing, request.seed)


def extend_session(
    models: ModelReader, song: Song, steps: int, drawing: Drawing
) -> Exchange[Session]:
    """Begin to add frames to a song, with the version that generated it if it is the same model.

    Raises:
        VersionGone: that version is no longer served.
        UnknownStart: a frame of the song is not in the vocabulary.
    """
    check_steps(steps)
    ours = song.model == models.wanted.name
    try:
        model = yield from models.current(song.model_version if ours else None)
    except ModelNotFound as error:
        if not ours:
            raise
        raise VersionGone(
            f"{song.model} version {song.model_version}, which generated the song, is not served: "
            "use start_frames=song.frames to continue with another version"
        ) from error
    context = known_tokens(model, (*song.context, *song.frames)[-model.window :])
    chosen = song.seed if drawing.seed is None else drawing.seed
    seed = new_seed() if chosen is None else chosen
    name, version = model.servable.name, model.servable.version
    drawing = drawing.on(model.settings.sampling)
    begun = replace(
        song,
        model=name,
        model_version=version,
        seed=seed,
        sampling=drawing.sampling,
        limits=model.settings.limits,
    )
    windows = padded(context, model.window)[np.newaxis]
    return Session(model, [begun], windows, steps, drawing, seed)


def generate_on_server(models: ModelReader, request: Request) -> Exchange[list[Song]]:
    """Generate the songs of a request in one call of the model's ``generate`` signature.

    Raises:
        BadOption: the model has no such signature, or it does not support an option.
        BadResponse: the response is invalid.
    """
    _check_server_loop(request)
    model = yield from models.current()
    sampling = request.drawing.on(model.settings.sampling).sampling
    assert sampling is not None
    if "generate" not in model.signatures:
        raise BadOption(f"{model.servable} has no `generate` signature: use the client loop")
    windows = yield from _first_windows(model, request)
    steps = request.steps - len(request.start.song_frames)
    count = request.count
    inputs = {
        "tokens": to_tensor(windows.astype(np.int32)),
        "steps": to_tensor(np.full(count, steps, np.int32)),
        "temperature": to_tensor(np.full(count, sampling.temperature, np.float32)),
        "top_k": to_tensor(np.full(count, sampling.top_k or 0, np.int32)),
        "top_p": to_tensor(np.full(count, sampling.top_p or 1.0, np.float32)),
        "seed": to_tensor(_row_seeds(request)),
    }
    # One deadline for every hundred frames, and one for the first call of the signature.
    answer = yield from model.ask("generate", inputs, deadlines=1 + steps / 100)
    tokens = output(answer, "tokens", "i", (count, steps))
    if steps and not (tokens.min() >= 0 and tokens.max() < len(model.vocabulary)):
        raise BadResponse(
            f"{model.servable} refused the options of the server loop: use the client loop"
        )
    return [
        replace(song, frames=song.frames + tuple(model.vocabulary.decode(row)))
        for index, row in enumerate(tokens)
        for song in [_initial_song(model, request, sampling, index, windows[index])]
    ]


def _check_server_loop(request: Request) -> None:
    """Check that the ``generate`` signature supports the options of a request.

    Raises:
        BadOption: an option is not supported.
    """
    sampling = request.drawing.sampling
    if sampling is None:
        raise BadOption(
            "the server loop supports only temperature, top_k and top_p, no other filters: use "
            "the client loop"
        )
    unknown = [
        each.option.keyword
        for each in FILTERS
        if not each.option.in_server_loop and getattr(sampling, each.option.keyword) is not None
    ]
    if unknown:
        raise BadOption(
            f"the server loop does not support {' and '.join(unknown)}: use the client loop"
        )
    if request.drawing.speculate:
        raise BadOption(
            "the server loop does not support speculate: leave it out, it is one call anyway"
        )
    if request.steps > LONGEST_SERVER_LOOP:
        raise BadOption(
            f"the server loop generates at most {LONGEST_SERVER_LOOP} frames: use the client loop"
        )


def _row_seeds(request: Request) -> NDArray[np.int64]:
    """Return a seed for each song, int64 [n], derived from the request's seed and its index."""
    return np.array(
        [
            np.random.SeedSequence(request.seed, spawn_key=(index,)).generate_state(1, np.uint64)[0]
            for index in range(request.count)
        ]
    ).view(np.int64)


def _first_windows(model: ServedModel, request: Request) -> Exchange[Windows]:
    streams = [start_stream(request.seed, index) for index in range(request.count)]
    windows: Windows = yield RunInThread(partial(request.start.windows, model, streams))
    return windows


def _initial_song(
    model: ServedModel,
    request: Request,
    sampling: Sampling | None,
    index: int,
    window: NDArray[np.int64],
) -> Song:
    """Return a song that consists only of its start."""
    given = request.start.song_frames
    before = model.vocabulary.decode(window[: model.window - len(given)])
    sounding = [place for place, frame in enumerate(before) if frame != REST]
    speed, per_beat = model.settings.frames_per_second, model.settings.grid.frames_per_beat
    return Song(
        frames=given,
        frames_per_second=speed,
        program=model.settings.program,
        # Only a grid that follows the tempo determines the beat.
        tempo=60 * speed / per_beat if per_beat else None,
        model=model.servable.name,
        model_version=model.servable.version,
        seed=request.seed,
        index=index,
        context=tuple(before[sounding[0] :]) if sounding else (),
        sampling=sampling,
        limits=model.settings.limits,
        given_frames=len(given),
    )
