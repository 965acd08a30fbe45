"""Songs on their way: begun on one version of a model, moved on by a call, read off at any time.

Everything here is an exchange, see :mod:`tunesmith.client.exchange`; the composers perform it.
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
from tunesmith.client.exchange import Exchange, Work
from tunesmith.client.filters import FILTERS
from tunesmith.client.model import Batches, Models, ServedModel, output
from tunesmith.client.ngram import served_ngram
from tunesmith.client.request import Drawing, Request, check_steps, new_seed
from tunesmith.client.sampling import Noise, Sampling, Windows, start_stream
from tunesmith.client.song import Song
from tunesmith.client.speculation import Speculation, Tally
from tunesmith.client.starts import known_tokens, padded
from tunesmith.client.tensors import to_tensor
from tunesmith.music import REST, Frame

LONGEST_SERVER_LOOP = 4096
"""Frames of one call of the ``generate`` signature (``components/trainer/export/generate.py``)."""


class Session:
    """Songs being composed side by side; make one with :func:`beginning` or :func:`extending`.

    Args:
        model: the version that they are composed on.
        songs: what there is of each already.
        windows: int64 [n, window], what each is heard to continue, oldest token first.
        steps: frames to add to each.
        drawing: how they are drawn.
        seed: what the draws follow from.
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
            drafter=self._speculation,
        )
        self._batches = Batches()

    @property
    def done(self) -> bool:
        """Whether every song has all its frames."""
        return self._composition.done

    @property
    def length(self) -> int:
        """Frames that every song has by now."""
        return min(map(len, self._frames))

    @property
    def tally(self) -> Tally:
        """How many calls were made, and how many guesses stood."""
        return Tally() if self._speculation is None else self._speculation.tally

    def frames(self, song: int = 0) -> Sequence[Frame]:
        """Return the frames of one song so far; the list grows with it."""
        return self._frames[song]

    def songs(self) -> list[Song]:
        """Return the songs as far as they are composed."""
        return [
            replace(song, frames=tuple(frames))
            for song, frames in zip(self._begun, self._frames, strict=True)
        ]

    def step(self) -> Exchange[None]:
        """Ask once for all unfinished songs, and add to each what the answer decides.

        Raises:
            VersionGone: the version is no longer served.
            ComposerError: the server does not answer, or answers nonsense.
        """
        speculation = self._speculation
        if speculation is not None and speculation.wants_ngram:
            speculation.take_ngram((yield from served_ngram(self._model)))
        queries = self._composition.queries()
        started = time.perf_counter()
        rows = yield from self._batches.probabilities(self._model, queries)
        if speculation is not None:
            speculation.took(len(queries), time.perf_counter() - started)
        for frames, tokens in zip(self._frames, self._composition.accept(rows), strict=True):
            frames += self._model.vocabulary.decode(tokens)


def beginning(models: Models, request: Request) -> Exchange[Session]:
    """Begin the songs of a request on the model as it is served now."""
    model = yield from models.current()
    drawing = request.drawing.on(model.settings.sampling)
    windows = yield from _first_windows(model, request)
    songs = [
        _begun(model, request, drawing.sampling, index, window)
        for index, window in enumerate(windows)
    ]
    steps = request.steps - len(request.start.song_frames)
    return Session(model, songs, windows, steps, drawing, request.seed)


def extending(models: Models, song: Song, steps: int, drawing: Drawing) -> Exchange[Session]:
    """Begin to add frames to a song, on the version that composed it if that is known.

    Raises:
        VersionGone: that version is not served any more.
        UnknownStart: the model does not know a frame of the song.
    """
    check_steps(steps)
    ours = song.model == models.wanted.name
    try:
        model = yield from models.current(song.model_version if ours else None)
    except ModelNotFound as error:
        if not ours:
            raise
        raise VersionGone(
            f"{song.model} version {song.model_version}, which composed the song, is not served: "
            "give its frames as start_frames to compose on with another"
        ) from error
    heard = known_tokens(model, (*song.context, *song.frames)[-model.window :])
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
    windows = padded(heard, model.window)[np.newaxis]
    return Session(model, [begun], windows, steps, drawing, seed)


def at_the_server(models: Models, request: Request) -> Exchange[list[Song]]:
    """Compose the songs of a request in one call, by the model's own ``generate`` signature.

    Raises:
        BadOption: the model has no such signature, or it lacks what is asked for.
        BadResponse: the answer makes no sense.
    """
    _check_servable(request)
    model = yield from models.current()
    sampling = request.drawing.on(model.settings.sampling).sampling
    assert sampling is not None
    if "generate" not in model.signatures:
        raise BadOption(f"{model.servable} has no loop of its own: use loop='client'")
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
    # A hundred frames take as long as any other call may, and so may a signature's first call.
    answer = yield from model.ask("generate", inputs, deadlines=1 + steps / 100)
    tokens = output(answer, "tokens", "i", (count, steps))
    if steps and not (tokens.min() >= 0 and tokens.max() < len(model.vocabulary)):
        raise BadResponse(f"{model.servable} refused the options of its loop: use loop='client'")
    return [
        replace(song, frames=song.frames + tuple(model.vocabulary.decode(row)))
        for index, row in enumerate(tokens)
        for song in [_begun(model, request, sampling, index, windows[index])]
    ]


def _check_servable(request: Request) -> None:
    """Check that a server can draw the songs of a request itself.

    Raises:
        BadOption: the ``generate`` signature has no such thing.
    """
    sampling = request.drawing.sampling
    if sampling is None:
        raise BadOption(
            "the server's loop has no filters of one's own, only temperature, top_k and top_p: "
            "use the client's loop"
        )
    unknown = [
        each.option.keyword
        for each in FILTERS
        if not each.option.in_server_loop and getattr(sampling, each.option.keyword) is not None
    ]
    if unknown:
        raise BadOption(f"the server's loop has no {' or '.join(unknown)}: use the client's loop")
    if request.drawing.speculate:
        raise BadOption("the server's loop does not speculate: it makes one call anyway")
    if request.steps > LONGEST_SERVER_LOOP:
        raise BadOption(f"the server's loop has {LONGEST_SERVER_LOOP} steps at most")


def _row_seeds(request: Request) -> NDArray[np.int64]:
    """Return a seed for each song, int64 [n], that follows from the request's and its index."""
    return np.array(
        [
            np.random.SeedSequence(request.seed, spawn_key=(index,)).generate_state(1, np.uint64)[0]
            for index in range(request.count)
        ]
    ).view(np.int64)


def _first_windows(model: ServedModel, request: Request) -> Exchange[Windows]:
    streams = [start_stream(request.seed, index) for index in range(request.count)]
    windows: Windows = yield Work(partial(request.start.windows, model, streams))
    return windows


def _begun(
    model: ServedModel,
    request: Request,
    sampling: Sampling | None,
    index: int,
    window: NDArray[np.int64],
) -> Song:
    """Return a song of the start alone."""
    given = request.start.song_frames
    before = model.vocabulary.decode(window[: model.window - len(given)])
    sounding = [place for place, frame in enumerate(before) if frame != REST]
    speed, per_beat = model.settings.frames_per_second, model.settings.grid.frames_per_beat
    return Song(
        frames=given,
        frames_per_second=speed,
        program=model.settings.program,
        # A grid that follows the tempo says what a beat is.
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
