"""The errors of components: one line each, saying what to do."""

from __future__ import annotations


class ComponentError(Exception):
    """Any error of :mod:`tunesmith.components` that a user can act on.

    A message that mentions a parameter has its configuration key, such as ``trainer.batch``; the
    command line puts in the option, variable or file that set it.
    """


class ArgumentError(ComponentError):
    """An argument that is not accepted.

    Args:
        name: of the argument in Python, such as ``midi_dir``.
        problem: the rest of the message: ``/songs is not a folder``.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem}")
        self.name = name
        self.problem = problem


class NoSongs(ComponentError):
    """A collection has too few usable songs."""


class UnusableSource(ArgumentError, NoSongs):
    """A path is not a source of songs, or has none."""

    def __init__(self, problem: str) -> None:
        super().__init__("midi_dir", problem)


class OutputNotEmpty(ArgumentError):
    """An output folder has files that this program did not write."""


class GateClosed(ComponentError):
    """A gate refuses its inputs: its artifact, which has the reasons, is kept, and the run stops.

    The message is the last line of the run. An equal execution in a later run raises it again
    without executing the gate.
    """
