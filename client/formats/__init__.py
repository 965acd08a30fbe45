"""The formats that a song is written in, one module each.

:mod:`tunesmith.client.formats.format` says what a format is, and
:mod:`tunesmith.client.formats.registry` finds one by the suffix of a path. Nothing here is imported
before a song is written, and no module imports the library that it draws or writes with before
that.
"""
