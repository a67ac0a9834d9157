"""A quick way to run a model, taken for a shape once it gave on that shape what the model itself gives.

What the framework computes operator by operator on the arrays at hand is the model. A graph that was traced of it, or
its layers written in another way, is a translation, and may be wrong on one shape and right on the next.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

MOST = 16
"""Shapes that are remembered, those used last: as many as blocks of an image have. A traced MobileNetV2 takes 20 MB."""
ROUNDING = 1e-5
"""How far the two may be apart, as a share of the largest value: by the order of sums, and no more."""
FLIPPED = 1e-4
"""Share of class ids and masks that may differ: two scores that are nearer than rounding."""
SEED = 20120

Array = np.ndarray[Any, Any]
RunFlat = Callable[[Sequence[Any]], list[Array]]
"""From arrays in the order of a model's inputs, None for what is left out, to arrays in that of its outputs."""
Key = tuple[Any, ...]


class PerShape:
    """Runs a model itself on the first arrays of a shape, and the quick way once the two were compared on it.

    A later call on a shape makes the quick way and compares. Until then, and where they differ or the quick way fails,
    the result is that of the model. One that is asked by several threads compares in one of them.

    Parameters
    ----------
    exactly
        The model itself.
    make
        Gives the quick way for arrays like these; what it raises means that there is none.
    on
        The call on a shape that compares: a later one where it takes long to make the quick way.
    most
        Shapes that are remembered.
    """

    def __init__(
        self, exactly: RunFlat, make: Callable[[Sequence[Any]], RunFlat], *, on: int = 2, most: int = MOST
    ) -> None:
        self._exactly, self._make, self._on, self._most = exactly, make, on, most
        self._known: OrderedDict[Key, RunFlat | int] = OrderedDict()
        self._lock, self._making = threading.Lock(), threading.Lock()

    def __call__(self, flat: Sequence[Any]) -> list[Array]:
        """Run the model."""
        key = tuple(None if array is None else (array.shape, array.dtype.str) for array in flat)
        with self._lock:
            run = self._known.get(key, 0)
            run = run + 1 if isinstance(run, int) else run
            self._remember(key, run)
        if not isinstance(run, int):
            return run(flat)
        found = self._exactly(flat)
        if run >= self._on and self._making.acquire(blocking=False):
            try:
                if isinstance(self._known.get(key), int):  # not made by another thread meanwhile
                    chosen = self._chosen(flat, found)
                    with self._lock:
                        self._remember(key, chosen)
            finally:
                self._making.release()
        return found

    def _remember(self, key: Key, run: RunFlat | int) -> None:
        self._known[key] = run
        self._known.move_to_end(key)
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    def _chosen(self, flat: Sequence[Any], found: list[Array]) -> RunFlat:
        """Give what runs these shapes from now on: the quick way, or the model itself."""
        told = telling(flat)
        try:
            quickly = self._make(flat)
            if told is not flat:
                found = self._exactly(told)
            return quickly if agree(found, quickly(told)) else self._exactly
        except Exception:  # noqa: BLE001 - a layer raises what it likes when it is traced; it ran, and runs on
            return self._exactly


def telling(flat: Sequence[Any]) -> Sequence[Any]:
    """Give arrays on which two ways can differ: in place of numbers that are all the same, some from 0 to 1."""
    rng = np.random.default_rng(SEED)
    dull = [a is not None and a.dtype.kind == "f" and a.size > 1 and bool((a == a.flat[0]).all()) for a in flat]
    if not any(dull):
        return flat
    return [rng.random(a.shape).astype(a.dtype) if is_dull else a for a, is_dull in zip(flat, dull, strict=True)]


def agree(expected: Sequence[Array], found: Sequence[Array]) -> bool:
    """Tell whether outputs are the same but for rounding."""
    return len(expected) == len(found) and all(map(_alike, expected, found))


def _alike(expected: Array, found: Array) -> bool:
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return False
    if expected.dtype.kind != "f":
        return int(np.count_nonzero(expected != found)) <= FLIPPED * expected.size
    e, f = expected.astype(np.float64), found.astype(np.float64)
    scale = float(np.abs(e[np.isfinite(e)]).max(initial=0.0))
    share = max(ROUNDING, 8 * float(np.finfo(expected.dtype).eps))
    return bool(np.allclose(f, e, rtol=0, atol=share * scale, equal_nan=True))
