"""The formats that a song is written in, one module each.

:mod:`tunesmith.client.formats.format` is the protocol of a format, and
:mod:`tunesmith.client.formats.registry` finds one by the suffix of a path. The modules are imported
when a song is first written, and the library of a format when a song is first written in it.
"""
