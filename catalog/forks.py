"""What does not survive a fork: threads of a library that the parent ran are not in the child, and locks stay taken.

A child of ``os.fork`` (or of multiprocessing's "fork", Linux' default before Python 3.14) that goes on with such a
library waits for ever. So it is told in one line instead.
"""

from __future__ import annotations

import os

from modelstac.catalog.errors import CannotRunError

_USED: dict[str, int] = {}
"""By library with threads of its own, the process that used it first."""
ADVICE = "start such processes with multiprocessing's 'spawn' or 'forkserver', or fork before"


def use(library: str, *, task: str) -> None:
    """Note that this process uses a library that has threads of its own.

    Parameters
    ----------
    library
        The library, or what stands for several.
    task
        What it is used for: "load 'rain-1'".

    Raises
    ------
    CannotRunError
        If this process was forked off one that used it.
    """
    if _USED.setdefault(library, os.getpid()) != os.getpid():
        raise CannotRunError(
            f"cannot {task} in a process that was forked after its parent had used {library}, whose threads are not in "
            f"it: {ADVICE}"
        )


def require_same(pid: int, *, task: str) -> None:
    """Refuse to use what another process made.

    Parameters
    ----------
    pid
        Number of the process that made it.
    task
        What it is used for.

    Raises
    ------
    CannotRunError
        If that is not this process.
    """
    if pid != os.getpid():
        raise CannotRunError(f"cannot {task} in a process that was forked after it was loaded: {ADVICE}")
