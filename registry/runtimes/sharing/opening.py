"""Opening models one after the other, whichever threads ask.

A framework is imported when it is first needed, and two that import each other (Keras and PyTorch) may each find the
other half made when two threads begin at once. PyTorch's loader of exported programs keeps what it is at in variables
of its module, and Keras' backend is chosen by a variable of the environment.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from modelstac.catalog import forks
from modelstac.registry.runtimes.sharing.settings import undisturbed, undrawn

FRAMEWORKS = "a machine learning framework"
_LOCK = threading.RLock()


@contextmanager
def opening(item_id: str) -> Iterator[None]:
    """Import frameworks and open a model while no other thread does.

    Raises
    ------
    CannotRunError
        If this process was forked off one that had opened a model: frameworks have threads of their own.
    """
    forks.use(FRAMEWORKS, task=f"load {item_id!r}")  # before the lock, which may have been taken when it was forked
    with _LOCK, undisturbed(), undrawn():
        yield
