"""How a corpus was read: what a model has to say about itself so that songs fit to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tunesmith.music.errors import MusicError
from tunesmith.music.grid import Grid
from tunesmith.music.tracks import TrackChoice

WIDEST_SHIFT = 24
"""Semitones: two octaves either way."""

FRAMES = "frames"
"""The paper's encoding: a token is a whole frame."""

STRUCK = "struck"
"""The encoding that keeps onsets: a token is a frame and which of its pitches are struck."""


@dataclass(frozen=True)
class CorpusSettings:
    """How MIDI files became sequences.

    Args:
        track: which instruments were read.
        grid: what a frame is.
        transpose: the training songs were also learned shifted by every number of semitones from
            the first to the last of these.
        encoding: how frames became tokens; whole frames, unless it has another name.

    Raises:
        MusicError: the shifts are out of order or too wide.
    """

    track: TrackChoice = field(default_factory=lambda: TrackChoice("first"))
    grid: Grid = field(default_factory=Grid)
    transpose: tuple[int, int] = (0, 0)
    encoding: str = FRAMES

    def __post_init__(self) -> None:
        low, high = self.transpose
        if not -WIDEST_SHIFT <= low <= 0 <= high <= WIDEST_SHIFT:
            raise MusicError(
                f"a transposition runs from -{WIDEST_SHIFT}..0 to 0..{WIDEST_SHIFT} semitones, "
                f"not {low}..{high}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them.

        The encoding and kept onsets are left out unless there is something to say of them.
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
        """Return the settings as the model's ``settings`` signature answers them, by its outputs.

        The frames per second are not among them: of songs that follow their tempo the model has a
        speed of its own, the mean.
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
        """Read what :meth:`served` gave, and the model's frames per second.

        Raises:
            MusicError: a setting is missing, or is none.
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
            raise MusicError(f"not the settings of a model: {error}") from error

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> CorpusSettings:
        """Read what :meth:`to_dict` gave.

        Raises:
            MusicError: it is something else.
        """
        values = dict(content)
        try:
            track = TrackChoice.parse(values.pop("track"))
            low, high = values.pop("transpose")
            encoding = str(values.pop("encoding", FRAMES))
            return cls(track, Grid(**values), (low, high), encoding)
        except (KeyError, TypeError, ValueError) as error:
            raise MusicError(f"not the settings of a corpus: {error}") from error
