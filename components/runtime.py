"""TensorFlow, imported when it is needed, quietly, and with the threads that were measured."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType

INTER_OP_THREADS = 2
"""One for each direction of a bidirectional layer: the two do not depend on each other."""

INTRA_OP_THREADS = 1
"""The products of one step are too small to be worth splitting between threads."""


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep the process's standard error to Python.

    TensorFlow's C++ start-up writes to file descriptor 2 before its own log level counts. Python
    errors are raised as ever.
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
        # Looking for devices starts the driver, which complains where there is no GPU.
        tf.config.list_logical_devices()
    module: ModuleType = tf
    return module
