"""What can go wrong in a component: one line each, saying what to do."""

from __future__ import annotations


class ComponentError(Exception):
    """Any error of :mod:`tunesmith.components` that a user can act on."""


class NoSongs(ComponentError):
    """A collection of which too little can be used."""


class OutputInTheWay(ComponentError):
    """A folder that would have to be overwritten and was not made by this program."""


class GateClosed(ComponentError):
    """A gate refuses what it looked at: its artifact, which says why, is kept, and the run stops.

    Raised by a component when all its files are written. The message is the one line that the run
    ends with; a later run over the same inputs ends with it again, without another look.
    """
