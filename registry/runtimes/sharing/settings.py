"""A model computes the same whatever the script around it has set: in full precision, and on the CPU."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import current_thread, main_thread
from typing import Any, TypeVar

from modelstac.catalog.later import imported

_Given = TypeVar("_Given")
_Found = TypeVar("_Found")


@contextmanager
def undisturbed() -> Iterator[None]:
    """Open or run a model without the mixed precision and the default device that PyTorch may be set to."""
    torch = imported("torch")
    with ExitStack() as stack:
        if torch is not None and torch.is_autocast_enabled("cpu"):
            stack.enter_context(torch.autocast("cpu", enabled=False))
        if torch is not None and torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


@contextmanager
def undrawn(*generators: Any) -> Iterator[None]:
    """Leave random numbers to come as they were: Keras draws seeds of layers, a loader its order, a module its noise.

    Those of Python, NumPy and PyTorch in the main thread alone: from another one, those that the main thread draws
    meanwhile would come a second time.

    Parameters
    ----------
    *generators
        Others, of PyTorch.
    """
    kept: list[tuple[Callable[[Any], Any], Any]] = [(one.set_state, one.get_state()) for one in generators]
    if current_thread() is main_thread():
        torch, numpy = imported("torch"), imported("numpy")
        kept.append((random.setstate, random.getstate()))
        kept += [] if numpy is None else [(numpy.random.set_state, numpy.random.get_state())]
        kept += [] if torch is None else [(torch.set_rng_state, torch.get_rng_state())]
    try:
        yield
    finally:
        for restore, state in kept:
            restore(state)


def apart(run: Callable[[_Given], _Found]) -> Callable[[_Given], _Found]:
    """Give what runs so."""

    def running(given: _Given) -> _Found:
        with undisturbed():
            return run(given)

    return running
