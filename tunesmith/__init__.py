"""Learns to compose from a folder of MIDI files and serves the composer."""

from pkgutil import extend_path

# A program started in a checkout finds this folder first, without the other packages beside it. In
# place, so that the package's specification names them, too.
__path__[:] = extend_path(__path__, __name__)
