"""A gate of one's own: refuses a model that was trained on too few songs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from tunesmith.components.artifacts import Blessing, Check, Sequences
from tunesmith.components.component import Component, Context, ParameterSet, parameter


@dataclass(frozen=True)
class Inputs:
    """The artifacts that the gate reads: the newest of each type in the run."""

    sequences: Sequences


@dataclass(frozen=True)
class Parameters(ParameterSet):
    """The parameters: ``--song-count-least``, or ``least`` in ``[song_count]`` of a file."""

    least: int = parameter(100, "Songs of the train split that a model needs.", least=1)


class SongCountBlessing(Blessing):
    """The artifact of the gate: its checks. Pusher publishes only if all are passed."""

    FILE = "song_count.json"
    ADVICE = ": give more songs"


def execute(inputs: Inputs, parameters: Parameters, context: Context) -> None:
    """Write the checks."""
    songs = inputs.sequences.summary()["songs"]["train"]
    check = Check(
        "songs",
        songs >= parameters.least,
        f"{songs} songs, at least {parameters.least} are needed",
        songs,
        parameters.least,
        "least",
    )
    text = json.dumps({"checks": [asdict(check)]}, indent=2)
    (context.output / SongCountBlessing.FILE).write_text(text, "utf-8")


GATE = Component(
    "SongCount", Inputs, Parameters, SongCountBlessing, f"{__name__}:execute", extra="beam"
)
