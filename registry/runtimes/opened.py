"""What a runtime gives: a model as its file names things, from a mapping of arrays to a mapping of arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from modelstac.registry.runtimes.sharing.settings import apart

if TYPE_CHECKING:
    import numpy as np

    Run = Callable[[Mapping[str, np.ndarray[Any, Any]]], Mapping[str, np.ndarray[Any, Any]]]
    """From arrays by the names of inputs to arrays by the names of outputs, in whatever order."""
    Bound = Callable[[Mapping[str, Any]], dict[str, np.ndarray[Any, Any]]]
    """The same by the names of an item, in its order."""

_Given = TypeVar("_Given")
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Opened:
    """A model file that was opened and can run.

    Parameters
    ----------
    native
        The framework's own object.
    run
        Runs it, by the names of the file. It may be called with arrays that cannot be written to, does not keep them,
        and gives arrays of their own memory.
    inputs, outputs
        Names in the file, in its order. Outputs are None where nobody can know how many there are before it runs.
    named
        Whether these names are the publisher's. Where they are not (arguments of a Python function, an order of
        outputs), the order says which is which unless the names are those of the item.
    optional
        Inputs that have a default: the model runs without them, and an item need not have them.
    exactly
        The same as its framework computes it, without what makes it quick: what "the model" means in a proof. None
        where ``run`` is that.
    ways
        What ``run`` and ``exactly`` are called, where they are two.
    parallel
        Whether several threads may call ``run`` and ``exactly`` at once. Where they may not, one waits for the other.
    """

    native: Any
    run: Run
    inputs: tuple[str, ...]
    outputs: tuple[str, ...] | None
    named: bool = True
    optional: tuple[str, ...] = ()
    exactly: Run | None = None
    ways: tuple[str, str] = ("as it is run", "as its framework computes it")
    parallel: bool = False

    def for_threads(self) -> Opened:
        """Give the same for any number of threads, which may set what they like: with a lock where it needs one."""
        run, exactly = self.run, self.exactly
        if not self.parallel:
            lock = Lock()
            run, exactly = locked(run, lock), None if exactly is None else locked(exactly, lock)
        return replace(self, run=apart(run), exactly=None if exactly is None else apart(exactly), parallel=True)


def locked(run: Callable[[_Given], _Found], lock: Lock) -> Callable[[_Given], _Found]:
    """Give what runs while nothing else does that has the same lock."""

    def running(given: _Given) -> _Found:
        with lock:
            return run(given)

    return running


@dataclass(frozen=True)
class Naming:
    """How the names of an item stand to those of its file.

    Parameters
    ----------
    inputs, outputs
        By the item's name the file's, where the item says that it is another.
    free
        Whether the item's names are its publisher's own words: then those of which the file has none go by order.
    """

    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    free: bool = False


STRICT = Naming()


def numbered(count: int) -> tuple[str, ...]:
    """Name outputs that have an order and no names."""
    return tuple(f"output_{number}" for number in range(count))
