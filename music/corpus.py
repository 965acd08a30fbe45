"""Corpus settings: track choice, grid, transposition and encoding of the training songs.

They are stored with the model, so that a client reads a primer in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tunesmith.music.errors import MusicError
from tunesmith.music.grid import Grid
from tunesmith.music.tracks import TrackChoice

WIDEST_SHIFT = 24
"""Maximum transposition in semitones: two octaves up or down."""

FRAMES = "frames"
"""Name of the paper's encoding: a token is a whole frame."""

STRUCK = "struck"
"""Name of the encoding with onsets: a token is a frame and its set of struck pitches."""


@dataclass(frozen=True)
class CorpusSettings:
    """Settings by which MIDI files were converted to sequences.

    Args:
        track: track choice: the instruments that were read.
        grid: time and pitch grid of the frames.
        transpose: range (lowest, highest) of semitones; the training songs were also learned
            transposed by each number of semitones in this range.
        encoding: name of the encoding of frames as tokens: :data:`FRAMES` or another.

    Raises:
        MusicError: the range of `transpose` is reversed or too wide.
    """

    track: TrackChoice = field(default_factory=lambda: TrackChoice("first"))
    grid: Grid = field(default_factory=Grid)
    transpose: tuple[int, int] = (0, 0)
    encoding: str = FRAMES

    def __post_init__(self) -> None:
        low, high = self.transpose
        if not -WIDEST_SHIFT <= low <= 0 <= high <= WIDEST_SHIFT:
            raise MusicError(
                f"a transposition range must include 0 and stay within -{WIDEST_SHIFT} and "
                f"{WIDEST_SHIFT} semitones, but is {low}..{high}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as a JSON object.

        `encoding` and `keep_onsets` are left out if they have their default values.
        """
        grid = asdict(self.grid)
        del grid["keep_onsets"]
        return {
            "track": str(self.track),
            **grid,
            "transpose": list(self.transpose),
            **({"keep_onsets": True} if self.grid.keep_onsets else {}),
            **({} if self.encoding == FRAMES else {"encoding": self.encoding}),
        }

    def served(self) -> dict[str, str | int]:
        """Return the settings as outputs of the model's ``settings`` signature, by output name.

        Frames per second are not included: if the grid follows the tempo, the model serves the mean
        over its songs.
        """
        grid = self.grid
        return {
            "track": str(self.track),
            "frames_per_beat": grid.frames_per_beat,
            "keep_short_notes": int(grid.keep_short_notes),
            "lowest_pitch": grid.lowest,
            "highest_pitch": grid.highest,
            "transpose_from": self.transpose[0],
            "transpose_to": self.transpose[1],
            **({"keep_onsets": 1} if grid.keep_onsets else {}),
            **({} if self.encoding == FRAMES else {"encoding": self.encoding}),
        }

    @classmethod
    def from_served(
        cls, answered: Mapping[str, str | int], frames_per_second: float
    ) -> CorpusSettings:
        """Return the settings of a model; the inverse of :meth:`served`.

        Args:
            answered: outputs of the ``settings`` signature by name.
            frames_per_second: frames per second of the model.

        Raises:
            MusicError: a setting is missing or invalid.
        """
        try:
            grid = Grid(
                frames_per_second,
                int(answered["frames_per_beat"]),
                bool(answered["keep_short_notes"]),
                int(answered["lowest_pitch"]),
                int(answered["highest_pitch"]),
                bool(answered.get("keep_onsets", 0)),
            )
            transpose = int(answered["transpose_from"]), int(answered["transpose_to"])
            track = TrackChoice.parse(str(answered["track"]))
            return cls(track, grid, transpose, str(answered.get("encoding", FRAMES)))
        except (KeyError, ValueError) as error:
            raise MusicError(f"invalid settings of a model: {error}") from error

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> CorpusSettings:
        """Return the settings of a JSON object; the inverse of :meth:`to_dict`.

        Raises:
            MusicError: the object has missing, unknown or invalid values.
        """
        values = dict(content)
        try:
            track = TrackChoice.parse(values.pop("track"))
            low, high = values.pop("transpose")
            encoding = str(values.pop("encoding", FRAMES))
            return cls(track, Grid(**values), (low, high), encoding)
        except (KeyError, TypeError, ValueError) as error:
            raise MusicError(f"invalid corpus settings: {error}") from error
