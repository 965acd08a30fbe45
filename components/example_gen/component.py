"""ExampleGen: MIDI files to songs as frames, split by song, each music once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tunesmith.components.artifacts import Sequences, SongFiles, Split
from tunesmith.components.component import Component, ParameterError, ParameterSet, parameter
from tunesmith.components.sources.source import AUTO, source_names

if TYPE_CHECKING:
    from tunesmith.music import CorpusSettings, Grid


@dataclass(frozen=True)
class ExampleGenInputs:
    """The user's songs."""

    midi: SongFiles


@dataclass(frozen=True)
class GridParameters(ParameterSet):
    """Parameters of the grid of frames; see :class:`tunesmith.music.Grid`."""

    frames_per_second: float = parameter(
        5.0,
        "Frames per second of the piano roll.",
        above=0,
        below=1000,
        unit="frames per second",
        option="--fps",
    )
    frames_per_beat: int = parameter(
        0,
        "Frames per quarter note, in a grid that follows each song's tempo; 0 = a fixed number of "
        "frames per second.",
        least=0,
        most=96,
        unit="frames",
        option="--frames-per-beat",
    )
    keep_short_notes: bool = parameter(
        False,
        "Keep notes shorter than a frame, in one frame each; pretty_midi's piano roll drops them.",
        option="--keep-short-notes",
    )
    pitch_range: tuple[int, int] = parameter(
        (0, 127),
        "Lowest and highest MIDI pitch; other notes are left out.",
        least=0,
        most=127,
        option="--pitch-range",
    )
    keep_onsets: bool = parameter(
        False,
        "Keep onsets (the pitches struck in each frame), for an encoding that has them; the "
        "encoding struck sets it.",
        option="--keep-onsets",
    )

    def check(self) -> None:
        """Check that the pitch range ascends."""
        low, high = self.pitch_range
        if low > high:
            raise ParameterError("pitch_range", f"must ascend, not {low}..{high}")

    def grid(self) -> Grid:
        """Return the grid."""
        from tunesmith.music import Grid

        return Grid(
            self.frames_per_second,
            self.frames_per_beat,
            self.keep_short_notes,
            *self.pitch_range,
            self.keep_onsets,
        )


@dataclass(frozen=True)
class ExampleGenParameters(ParameterSet):
    """Parameters of reading and splitting the songs."""

    source: str = parameter(
        AUTO,
        "Kind of source: folder of MIDI files, archive (.zip, .tar, .tar.gz, .tar.xz, .tar.bz2) of "
        "MIDI files, scores (MusicXML, ABC; needs tunesmith[scores]), or a plug-in; auto = folder "
        "or archive.",
        choices=source_names,
        plugins="sources",
        option="--source",
        affects_result=False,
    )
    track: str = parameter(
        "first",
        "Instruments to read: first, all, name:NAME or program:NUMBER.",
        option="--track",
    )
    grid: GridParameters = field(default_factory=GridParameters)
    minimum_frames: int = parameter(
        10,
        "Minimum length of a song; shorter ones are rejected.",
        least=1,
        unit="frames",
        option="--min-frames",
    )
    eval_fraction: float = parameter(
        0.1,
        "Share of the songs in the eval split.",
        above=0,
        below=1,
        option="--eval-fraction",
    )
    test_fraction: float = parameter(
        0.0,
        "Share of the songs in the test split, which only Evaluator reads; 0 = no test split.",
        least=0,
        below=1,
        option="--test-fraction",
    )

    split_seed: int = parameter(
        0,
        "Seed of the split: another seed holds out other songs.",
        least=0,
        option="--split-seed",
    )

    def check(self) -> None:
        """Check the track choice, and that songs are left to train on."""
        from tunesmith.music import MusicError, TrackChoice

        try:
            TrackChoice.parse(self.track)
        except MusicError as error:
            raise ParameterError("track", f"is invalid: {error}") from error
        if self.eval_fraction + self.test_fraction >= 1:
            raise ParameterError(
                "test_fraction",
                f"must be below 1 together with the eval fraction {self.eval_fraction}, not "
                f"{self.test_fraction}",
            )

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that a job writes."""
        return ("train", "eval", "test") if self.test_fraction else ("train", "eval")

    def corpus(self) -> CorpusSettings:
        """Return what travels with the songs: how they were read."""
        from tunesmith.music import CorpusSettings, TrackChoice

        return CorpusSettings(TrackChoice.parse(self.track), self.grid.grid())


EXAMPLE_GEN: Component[ExampleGenInputs, ExampleGenParameters, Sequences] = Component(
    "ExampleGen",
    ExampleGenInputs,
    ExampleGenParameters,
    Sequences,
    "tunesmith.components.example_gen.executor:execute",
    extra="beam",
)
