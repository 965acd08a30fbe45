"""What can go wrong in a component: one line each, saying what to do."""

from __future__ import annotations


class ComponentError(Exception):
    """Any error of :mod:`tunesmith.components` that a user can act on."""


class NoSongs(ComponentError):
    """A collection of which too little can be used."""


class OutputInTheWay(ComponentError):
    """A folder that would have to be overwritten and was not made by this program."""
