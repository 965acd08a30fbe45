"""Transform: counts the vocabulary and writes songs as tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tunesmith.components.artifacts import Examples, PushedModel, Sequences
from tunesmith.components.component import Component, ParameterError, ParameterSet, parameter
from tunesmith.components.encodings.encoding import encoding_modules, encoding_names

AUTO, NONE = "auto", "none"
LARGEST_SHIFT = 24

_SHIFTS = re.compile(r"([+-]?\d{1,2})\.\.([+-]?\d{1,2})")


@dataclass(frozen=True)
class TransformInputs:
    """Songs as frames, which say themselves with which track and grid they were read.

    With a parent, the model to be tuned, its tokens come first, as they are.
    """

    sequences: Sequences
    parent: PushedModel | None = None


@dataclass(frozen=True)
class TransformParameters(ParameterSet):
    """How frames become tokens."""

    transpose: str = parameter(
        "auto",
        "Keys to learn the songs in. auto = the Trainer decides (--keys) and nothing is written; "
        "none = their own (--keys none); LOW..HIGH, such as -5..6 = write copies of the training "
        "songs, shifted by each of these numbers of semitones. A shift that leaves the pitch range "
        "is left out.",
        option="--transpose",
    )
    encoding: str = parameter(
        "frames",
        "Encoding of frames as tokens: frames = a token is a whole frame, as in the paper; struck "
        "= it also says which pitches begin, so that repeated notes stay apart.",
        choices=encoding_names,
        option="--encoding",
    )
    maximum_frames: int = parameter(
        1000,
        "Maximum number of sounding frames in the vocabulary, not counting those of a model that "
        "is tuned; the paper has 200.",
        least=1,
        option="--max-vocabulary",
    )
    minimum_count: int = parameter(
        1,
        "Leave out of the vocabulary frames with fewer occurrences in the training songs.",
        least=1,
        option="--min-count",
    )

    def check(self) -> None:
        """Check that the shifts rise and include none."""
        low, high = self.shifts
        if not -LARGEST_SHIFT <= low <= 0 <= high <= LARGEST_SHIFT:
            raise ParameterError(
                "transpose",
                f"must run from 0 or below to 0 or above, by {LARGEST_SHIFT} semitones at most, "
                f"not {low}..{high}",
            )

    @property
    def shifts(self) -> tuple[int, int]:
        """The lowest and the highest shift of the copies that are written, in semitones.

        Raises:
            ParameterError: `transpose` says something else.
        """
        if self.transpose in (AUTO, NONE):
            return (0, 0)
        found = _SHIFTS.fullmatch(self.transpose.strip())
        if found is None:
            raise ParameterError(
                "transpose",
                f"must be {AUTO}, {NONE} or LOW..HIGH, such as -5..6, not {self.transpose!r}",
            )
        return int(found[1]), int(found[2])

    @property
    def keys(self) -> int:
        """Maximum number of keys in which a training song is written."""
        return 1 + self.shifts[1] - self.shifts[0]


TRANSFORM: Component[TransformInputs, TransformParameters, Examples] = Component(
    "Transform",
    TransformInputs,
    TransformParameters,
    Examples,
    "tunesmith.components.transform.executor:execute",
    extra="beam",
    modules=lambda parameters: encoding_modules(parameters.encoding),
)
