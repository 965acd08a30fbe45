"""Imports TensorFlow when it is needed, without its log lines, and sets its threads."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType

INTER_OP_THREADS = 2
"""One for each direction of a bidirectional layer, which are independent."""

INTRA_OP_THREADS = 1
"""The products of one step are too small to split between threads."""


@contextmanager
def _silenced() -> Iterator[None]:
    """Suppress output of C++ code on standard error.

    TensorFlow's start-up writes to file descriptor 2 before its log level takes effect. Python
    errors are raised as usual.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def load_tensorflow() -> ModuleType:
    """Return the tensorflow module, with its threads set if no operation has run yet."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _silenced():
        import tensorflow as tf

        with suppress(RuntimeError):  # Already initialised: the threads stay as they are.
            tf.config.threading.set_inter_op_parallelism_threads(INTER_OP_THREADS)
            tf.config.threading.set_intra_op_parallelism_threads(INTRA_OP_THREADS)
        # Listing the devices starts the driver, which logs an error if there is no GPU.
        tf.config.list_logical_devices()
    module: ModuleType = tf
    return module
