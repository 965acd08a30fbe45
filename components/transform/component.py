"""Transform: counts the vocabulary and writes songs as tokens."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.components.artifacts import Examples, Sequences
from tunesmith.components.component import Component, ParameterError, ParameterSet, parameter
from tunesmith.components.encodings.encoding import encoding_modules, encoding_names


@dataclass(frozen=True)
class TransformInputs:
    """Songs as frames, which say themselves with which track and grid they were read."""

    sequences: Sequences


@dataclass(frozen=True)
class TransformParameters(ParameterSet):
    """How frames become tokens."""

    transpose: tuple[int, int] = parameter(
        (0, 0),
        "Add copies of the training songs, shifted by each number of semitones from LOW to HIGH. "
        "A shift that leaves the pitch range is left out.",
        least=-24,
        most=24,
        unit="semitones",
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
        "Maximum number of sounding frames in the vocabulary; the paper has 200.",
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
        low, high = self.transpose
        if not low <= 0 <= high:
            raise ParameterError(
                "transpose", f"must run from 0 or below to 0 or above, not {low}..{high}"
            )

    @property
    def keys(self) -> int:
        """Maximum number of keys in which a training song is written."""
        return 1 + self.transpose[1] - self.transpose[0]


TRANSFORM: Component[TransformInputs, TransformParameters, Examples] = Component(
    "Transform",
    TransformInputs,
    TransformParameters,
    Examples,
    "tunesmith.components.transform.executor:execute",
    extra="beam",
    modules=lambda parameters: encoding_modules(parameters.encoding),
)
