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
    """Songs as frames, with their track and grid.

    With a parent (fine-tuning), the vocabulary begins with the parent's tokens.
    """

    sequences: Sequences
    parent: PushedModel | None = None


@dataclass(frozen=True)
class TransformParameters(ParameterSet):
    """Parameters of the vocabulary and the encoding."""

    transpose: str = parameter(
        "auto",
        "Transposition of the training songs. auto = the Trainer transposes windows (its parameter "
        "keys); none = no transposition, in the Trainer either; LOW..HIGH, such as -5..6 = write "
        "copies transposed by each of these numbers of semitones, except those that exceed the "
        "pitch range.",
        option="--transpose",
    )
    encoding: str = parameter(
        "frames",
        "Encoding of frames as tokens: frames = a token is a frame, as in the paper; struck = a "
        "token is a frame with onsets, so that repeated notes stay separate.",
        choices=encoding_names,
        option="--encoding",
    )
    maximum_frames: int = parameter(
        1000,
        "Maximum number of sounding frames in the vocabulary, besides those of a parent model; the "
        "paper has 200.",
        least=1,
        option="--max-vocabulary",
    )
    minimum_count: int = parameter(
        1,
        "Minimum number of occurrences in the training songs of a frame in the vocabulary.",
        least=1,
        option="--min-count",
    )

    def check(self) -> None:
        """Check that the transpositions ascend and include 0."""
        low, high = self.shifts
        if not -LARGEST_SHIFT <= low <= 0 <= high <= LARGEST_SHIFT:
            raise ParameterError(
                "transpose",
                f"must be a range that includes 0, of at most {LARGEST_SHIFT} semitones each way, "
                f"not {low}..{high}",
            )

    @property
    def shifts(self) -> tuple[int, int]:
        """The lowest and the highest transposition of the written copies, in semitones.

        Raises:
            ParameterError: `transpose` has another form.
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
