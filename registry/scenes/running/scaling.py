"""Physical values to what a model reads, written once into the memory that the model is given.

The numbers are those of :func:`modelstac.registry.running.values.scaling.scale`, to the bit: the same operations in the
same order and precision, without an array for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError, InvalidItemError
from modelstac.registry.running.values.scaling import AXES, looks_scaled, processed, scale, unmet

if TYPE_CHECKING:
    from modelstac.registry.running.signature import Runnable, TensorSignature

    Values = np.ndarray[Any, Any]
    Step = Mapping[str, Any]

# The first operation reads whole numbers and writes fractions; the others change these in place.
_OPERATIONS: Mapping[str, Callable[[Step], list[tuple[Any, tuple[Any, ...]]]]] = MappingProxyType(
    {
        "min-max": lambda s: [(np.subtract, (s["minimum"],)), (np.divide, (s["maximum"] - s["minimum"],))],
        "z-score": lambda s: [(np.subtract, (s["mean"],)), (np.divide, (s["stddev"],))],
        "clip": lambda s: [(np.clip, (s["minimum"], s["maximum"]))],
        "clip-min": lambda s: [(np.maximum, (s["minimum"],))],
        "clip-max": lambda s: [(np.minimum, (s["maximum"],))],
        "offset": lambda s: [(np.subtract, (s["value"],))],
        "scale": lambda s: [(np.divide, (s["value"],))],
    }
)


class Scaling:
    """What is done to the values of an input before the model reads them.

    Parameters
    ----------
    model
        The model.
    tensor
        The input.

    Raises
    ------
    InvalidItemError
        If the item wants something done that is not computed here.
    """

    def __init__(self, model: Runnable, tensor: TensorSignature) -> None:
        self.of = f"item {model.item.id!r}, input {tensor.name!r}"
        self.dims = tuple(dim for dim in tensor.dim_order if dim != "batch")
        self.steps: Sequence[Step] = tensor.scaling or ()
        self.dtype = np.dtype(np.float32 if tensor.dtype == "other" else tensor.dtype)
        source = next(source for source in model.description.inputs if source.name == tensor.name)
        before = source.pre_processing_function
        self.before = None if self.steps or not before else _plain(before)
        self._looked = False
        entries = model.item.properties.get("mlm:input")
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, Mapping) and entry.get("name", tensor.name) == tensor.name:
                blocking, _ = unmet(entry)
                if blocking:
                    raise InvalidItemError(f"{self.of} wants {blocking[0]}: scale it and run the model on arrays")

    def apply(self, values: Values, *, own: bool = False) -> Values:
        """Scale one sample, in the layout of the input without batch, into an array of the model's type.

        Where they are its ``own``, values may be written over.

        Raises
        ------
        DataError
            If the values were scaled before, or do not fit the model's type.
        InvalidItemError
            If a step cannot be computed.
        """
        if not self._looked and values.size:
            self._looked = True
            if (reason := looks_scaled(values, self.steps)) is not None:
                raise DataError(f"{self.of}: {reason}: give physical values, or scenes with their scale and offset")
        if self.before is not None:
            values = processed(values.astype(np.result_type(values.dtype, np.float32)), self.before, of=self.of)
        if self.dtype.kind in "iub" or any(step and step.get("type") == "processing" for step in self.steps):
            return self._fitted(scale(values, self.steps, self.dims, of=self.of))
        dtype = np.result_type(values.dtype, np.float32)
        made = values if own and values.dtype == dtype else np.empty(values.shape, dtype)
        for part, steps in self._parts(values.shape):
            _scaled(values[part], steps, made[part], self.of)
        return made if made.dtype == self.dtype else self._narrowed(made)

    def _narrowed(self, values: Values) -> Values:
        """Give fractions in the model's type; half precision ends at 65504."""
        most = float(np.finfo(self.dtype).max)
        if self.dtype.itemsize < values.dtype.itemsize and (odd := values[np.abs(values) > most]).size:
            raise DataError(
                f"{self.of} takes {self.dtype}, which ends at {most:g}; found {odd.flat[0]:g}: give it in another "
                "unit, or scaled"
            )
        return values.astype(self.dtype)

    def _parts(self, shape: tuple[int, ...]) -> list[tuple[tuple[Any, ...], Sequence[Step]]]:
        """Say which steps are for which part: one for each band, or all for all."""
        axes = [i for i, name in enumerate(self.dims) if name in AXES]
        axis = next((i for i in axes if shape[i] == len(self.steps)), axes[0] if axes else None)
        bands = 1 if axis is None else shape[axis]
        if len(self.steps) <= 1 or bands == 1:
            return [((), self.steps)]
        if len(self.steps) != bands:
            raise InvalidItemError(f"{self.of} scales {len(self.steps)} bands and has {bands}: ask its publisher")
        assert axis is not None
        return [((slice(None),) * axis + (band,), (step,)) for band, step in enumerate(self.steps)]

    def _fitted(self, values: Values) -> Values:
        """Take whole numbers for fractions, and fractions that are whole for whole numbers, where nothing is lost."""
        if self.dtype.kind == "f" or values.dtype == self.dtype:
            return np.ascontiguousarray(values, self.dtype)
        fitted = values.astype(self.dtype)
        if not np.array_equal(fitted, values):
            odd = values[fitted != values].flat[0]
            raise DataError(f"{self.of} takes {self.dtype}; found {odd:g}, which does not fit: give whole numbers")
        return fitted


def _scaled(values: Values, steps: Sequence[Step], out: Values, of: str) -> None:
    begun = False
    for step in steps:
        kind = step.get("type") if step else None
        if kind is None:
            continue
        if kind not in _OPERATIONS:
            raise InvalidItemError(f"{of} is scaled by {kind!r}, which is not known here: scale it and give an array")
        try:
            for operation, numbers in _OPERATIONS[kind](step):
                operation(out if begun else values, *(out.dtype.type(n) for n in numbers), out=out, casting="unsafe")
                begun = True
        except (KeyError, TypeError) as error:
            raise InvalidItemError(f"{of}: scaling {kind!r} lacks numbers ({error}): ask its publisher") from error
    if not begun and out is not values:
        out[...] = values


def _plain(functions: Any) -> Any:
    if isinstance(functions, list | tuple):
        return [_plain(function) for function in functions]
    return functions.model_dump() if hasattr(functions, "model_dump") else functions
