"""Serving engines: :mod:`.engine` says what an engine is; every other module here is one."""
