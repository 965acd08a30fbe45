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
    """The candidate, the songs for its evaluation, and the served version, if there is one."""

    examples: Examples
    model: TrainedModel
    previous: PushedModel | None = None


@dataclass(frozen=True)
class BlessingParameters(ParameterSet):
    """The conditions that a model has to meet on the eval split."""

    beat: tuple[str, ...] = parameter(
        BASELINES,
        "Baselines that the model must beat on the eval split; none = no baseline.",
        choices=BASELINES,
        option="--beat",
    )
    baseline_margin: float = parameter(
        0.02,
        "Minimum improvement over each baseline.",
        least=0,
        below=float("inf"),
        unit="nats per frame",
        option="--baseline-margin",
    )
    previous_margin: float = parameter(
        0.05,
        "Maximum loss above that of the served model.",
        least=0,
        below=float("inf"),
        unit="nats per frame",
        option="--previous-margin",
    )
    require: tuple[str, ...] = parameter(
        (),
        "Bound on a figure, or on the mean of a music measure over the model's songs: "
        "'nats<=2.5', 'one_frame_note_share<=0.5', 'leap_share>=0.02'.",
        option="--require",
    )

    def check(self) -> None:
        """Check that each requirement has a figure or measure, and a bound."""
        parse_requirements(self.require)


@dataclass(frozen=True)
class EvaluatorParameters(ParameterSet):
    """Parameters of the evaluation."""

    blessing: BlessingParameters = field(default_factory=BlessingParameters)
    songs: int = parameter(16, "Number of songs composed for the music measures.", least=1)
    steps: int = parameter(300, "Length of each composed song.", least=1, unit="frames")
    seed: int = parameter(0, "Random seed of the composed songs.", least=0)
    maximum_composing_seconds: float = parameter(
        60.0,
        "Time limit for composing; when it is reached, the songs end.",
        above=0,
        unit="seconds",
    )
    copied_frames: int = parameter(
        25,
        "Minimum length of a copied stretch: one that also occurs in a training song. 25 frames "
        "are 5 s at 5 frames per second.",
        least=1,
        unit="frames",
    )
    corpus_songs: int = parameter(
        500, "Maximum number of training songs for the reference of the music measures.", least=1
    )


EVALUATOR: Component[EvaluatorInputs, EvaluatorParameters, ModelEvaluation] = Component(
    "Evaluator",
    EvaluatorInputs,
    EvaluatorParameters,
    ModelEvaluation,
    "tunesmith.components.evaluator.executor:execute",
)
