"""Evaluator: measures a model on held-out songs and says whether it may be served."""

from __future__ import annotations

from dataclasses import dataclass, field

from tunesmith.components.artifacts import Examples, ModelEvaluation, PushedModel, TrainedModel
from tunesmith.components.component import Component, ParameterSet, parameter
from tunesmith.components.evaluator.requirements import parse_requirements

BASELINES = ("unigram", "repeat", "5-gram", "5-gram+window")
"""Counted predictors, by falling loss on most music; see
:mod:`tunesmith.components.evaluator.baselines`.
"""


@dataclass(frozen=True)
class EvaluatorInputs:
    """The candidate, the songs to judge it by, and the version that is served now, if any."""

    examples: Examples
    model: TrainedModel
    previous: PushedModel | None = None


@dataclass(frozen=True)
class BlessingParameters(ParameterSet):
    """The conditions that a model has to meet on the eval split."""

    beat: tuple[str, ...] = parameter(
        BASELINES,
        "Baselines that the model must beat on the eval split; none asks for nothing.",
        choices=BASELINES,
        option="--beat",
    )
    baseline_margin: float = parameter(
        0.02,
        "Required improvement over each baseline.",
        least=0,
        below=float("inf"),
        unit="nats per frame",
        option="--baseline-margin",
    )
    previous_margin: float = parameter(
        0.05,
        "Allowed loss against the served model.",
        least=0,
        below=float("inf"),
        unit="nats per frame",
        option="--previous-margin",
    )
    require: tuple[str, ...] = parameter(
        (),
        "Bound of a figure, or of the mean of a music measure over the model's songs: "
        "'nats<=2.5', 'one_frame_note_share<=0.5', 'leap_share>=0.02'.",
        option="--require",
    )

    def check(self) -> None:
        """Check that each requirement names a figure or a measure, and a bound of it."""
        parse_requirements(self.require)


@dataclass(frozen=True)
class EvaluatorParameters(ParameterSet):
    """How a model is judged."""

    blessing: BlessingParameters = field(default_factory=BlessingParameters)
    songs: int = parameter(16, "Songs to compose for the music measures.", least=1)
    steps: int = parameter(300, "Length of each of these songs.", least=1, unit="frames")
    seed: int = parameter(0, "Random seed of these songs.", least=0)
    maximum_composing_seconds: float = parameter(
        60.0,
        "Time limit for composing; the songs end where they are.",
        above=0,
        unit="seconds",
    )
    copied_frames: int = parameter(
        25,
        "Length from which a stretch that also stands in a training song counts as copied; 25 are "
        "5 s at 5 frames per second.",
        least=1,
        unit="frames",
    )
    corpus_songs: int = parameter(
        500, "Maximum number of training songs that the measures are compared with.", least=1
    )


EVALUATOR: Component[EvaluatorInputs, EvaluatorParameters, ModelEvaluation] = Component(
    "Evaluator",
    EvaluatorInputs,
    EvaluatorParameters,
    ModelEvaluation,
    "tunesmith.components.evaluator.executor:execute",
)
