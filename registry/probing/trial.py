"""Running a model on shapes that are being tried."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.registry.probing.axes import is_batch

if TYPE_CHECKING:
    from modelstac.registry.running.signature import Runnable, TensorSignature

    Array = np.ndarray[Any, Any]

Shapes = Mapping[str, tuple[int, ...]]
"""Of every input, by name."""
Axis = tuple[str, str]
"""Name of an input or output, and of one of its axes."""
Lengths = Mapping[Axis, int]
"""Of the axes of all outputs."""
SEED = 20120
KINDS = ("uniform", "zeros", "normal", "large")
"""Values of inputs: from 0 to 1, all 0, around 0, and far from 0."""


class Trial:
    """A model whose shapes are being tried.

    Parameters
    ----------
    model
        Anything that runs. Its signature says which axes are open; the sizes that it gives them bound what is tried.
    seconds
        How long all runs together may take.

    Attributes
    ----------
    reason
        Why it did not run on the last shape on which it did not.
    """

    def __init__(self, model: Runnable, seconds: float) -> None:
        self.model = model
        self.signature = model.signature
        # One way throughout: a quick one that is taken after some calls rounds otherwise, and that is no change.
        self._run = getattr(model, "run_exactly", model.run)
        self.reason = ""
        self._until = time.monotonic() + seconds
        self._seconds = seconds
        self._dims = {output.name: output.dim_order for output in self.signature.outputs}
        self._found: dict[tuple[tuple[str, tuple[int, ...]], ...], Lengths | None] = {}
        self._reasons: dict[tuple[tuple[str, tuple[int, ...]], ...], str] = {}

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Run the model.

        Raises
        ------
        DataError
            If it does not run on these, or no time is left.
        """
        if time.monotonic() > self._until:
            raise OutOfTimeError(f"trying it out took longer than {self._seconds:g} s: nothing is known for sure")
        found: dict[str, Array] = self._run(arrays)
        return found

    def require_time_for(self, seconds: float) -> None:
        """Raise OutOfTimeError unless so much time is left."""
        if time.monotonic() + seconds > self._until:
            raise OutOfTimeError(f"trying it out takes {seconds:.0f} s more, and may take {self._seconds:g} s in all")

    def lengths(self, shapes: Shapes) -> Lengths | None:
        """Give the lengths of the outputs' axes for these shapes of inputs, None where the model does not run.

        An output whose rank is not the declared one has none.
        """
        key = tuple(sorted(shapes.items()))
        if key not in self._found:
            self._found[key] = self._lengths(self.inputs(shapes, KINDS[0]))
            self._reasons[key] = self.reason
        if self._found[key] is None:
            self.reason = self._reasons[key]
        return self._found[key]

    def by_data(self, shapes: Shapes) -> frozenset[Axis]:
        """Name the axes of outputs whose lengths differ between inputs of one shape."""
        found = [self._lengths(self.inputs(shapes, kind)) for kind in KINDS]
        known = [lengths for lengths in found if lengths is not None]
        return frozenset(axis for axis in known[0] if len({lengths.get(axis) for lengths in known}) > 1)

    def inputs(self, shapes: Shapes, kind: str) -> dict[str, Array]:
        """Make inputs of a kind of values; the same each time."""
        rng = np.random.default_rng(SEED)
        return {tensor.name: values(tensor, shapes[tensor.name], kind, rng) for tensor in self.signature.inputs}

    def _lengths(self, arrays: Mapping[str, Array]) -> Lengths | None:
        try:
            outputs = self.run(arrays)
        except OutOfTimeError:
            raise
        except DataError as error:
            self.reason = str(error)
            return None
        return {
            (name, dim): length
            for name, array in outputs.items()
            if len(self._dims[name]) == array.ndim
            for dim, length in zip(self._dims[name], array.shape, strict=True)
        }


class Samples:
    """Runs a model on several inputs at a time, one after the other along the axis of samples.

    Parameters
    ----------
    trial
        The model.
    """

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        signature = trial.signature
        self._inputs = {tensor.name: _batch_axis(tensor) for tensor in signature.inputs}
        self._outputs = {tensor.name: _batch_axis(tensor) for tensor in signature.outputs}

    @property
    def may_be_several(self) -> bool:
        """Whether each input and output has an axis of samples that is open."""
        return None not in {*self._inputs.values(), *self._outputs.values()}

    def run(self, samples: Sequence[Mapping[str, Array]]) -> list[dict[str, Array]]:
        """Run them, and return the outputs of each.

        Raises
        ------
        DataError
            If the model does not run on them, or what it gives is not of so many samples.
        """
        if len(samples) == 1:
            return [self._trial.run(samples[0])]
        joined = {
            name: np.concatenate([sample[name] for sample in samples], axis) for name, axis in self._inputs.items()
        }
        found = self._trial.run(joined)
        try:
            axes = cast("dict[str, int]", self._outputs)  # where there may be several, none is None
            parts = {name: np.split(array, len(samples), axes[name]) for name, array in found.items()}
        except (ValueError, IndexError) as error:
            raise DataError(f"outputs are not of {len(samples)} samples") from error
        return [{name: several[i] for name, several in parts.items()} for i in range(len(samples))]


class OutOfTimeError(DataError):
    """The time that a trial may take is over."""


def values(tensor: TensorSignature, shape: tuple[int, ...], kind: str, rng: np.random.Generator) -> Array:
    """Make values of a kind in the type of an input; whole numbers are small unless they are to be large, or huge."""
    dtype = np.dtype(tensor.dtype)
    if dtype.kind == "f":
        if kind == "uniform":
            return rng.random(shape).astype(dtype)
        spread = {"zeros": 0.0, "normal": 1.0, "large": 1e3, "huge": min(1e6, float(np.finfo(dtype).max) / 16)}[kind]
        return (spread * rng.standard_normal(shape)).astype(dtype)
    if kind == "zeros":
        return np.zeros(shape, dtype)
    if dtype.kind == "b":
        return rng.random(shape) < (0.1 if kind == "large" else 0.5)
    if dtype.kind in "iu":
        most = min(int(np.iinfo(dtype).max), {"uniform": 1, "normal": 7, "large": 255, "huge": 10_000}[kind])
        return rng.integers(0, most, shape, endpoint=True).astype(dtype)
    raise DataError(f"input {tensor.name!r} is of {tensor.dtype}: give numbers to try it with")


def _batch_axis(tensor: TensorSignature) -> int | None:
    """Give the position of the axis of samples, None where there is none that is open."""
    return next((i for i, (dim, size) in enumerate(tensor.axes.items()) if is_batch(dim) and not size.is_fixed), None)
