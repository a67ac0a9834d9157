"""What a model takes and gives: named tensors, and whether arrays are such."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

from modelstac.catalog.errors import DataError, InvalidItemError
from modelstac.catalog.items.mlm.names import GAPS_FIELD
from modelstac.catalog.items.sizes import ANY, OPEN, Size
from modelstac.registry.running.arrays import as_array

if TYPE_CHECKING:
    import numpy as np
    import pystac

    from modelstac.catalog.items.description import ModelDescription
    from modelstac.catalog.items.mlm import ModelInput, ModelOutput

Arrays = Mapping[str, Any]
"""Arrays by the name of their input or output."""
BATCH = "batch"
TIME = "time"
"""Axes of samples, and of frames."""


@dataclass(frozen=True)
class TensorSignature:
    """One input or output.

    Parameters
    ----------
    name
        Its name.
    sizes
        Which lengths each axis may have, in the order of ``dim_order``.
    dim_order
        Names of the axes.
    dtype
        NumPy name of the data type.
    scaling
        ``value_scaling`` of the item, as it stands there; None if it names none.
    optional
        Whether the model runs without it.
    gaps
        Whether it is fed NaN where something is missing.
    """

    name: str
    sizes: tuple[Size, ...]
    dim_order: tuple[str, ...]
    dtype: str
    scaling: tuple[dict[str, Any], ...] | None = None
    optional: bool = False
    gaps: bool = False

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis as MLM writes it; -1 where it is open."""
        return tuple(size.mlm for size in self.sizes)

    @cached_property
    def axes(self) -> dict[str, Size]:
        """Which lengths each axis may have, by its name."""
        return dict(zip(self.dim_order, self.sizes, strict=True))

    @cached_property
    def _dtype(self) -> np.dtype[Any]:
        import numpy as np  # not at the top: it would be a quarter of the time that `import modelstac` takes

        return np.dtype(self.dtype)

    @property
    def bytes_of_value(self) -> int:
        """Bytes of one value; 1 for a type that has no name in NumPy."""
        try:
            return self._dtype.itemsize or 1
        except TypeError:
            return 1

    def __str__(self) -> str:
        return f"{self.dtype} ({', '.join(f'{axis} {size}' for axis, size in self.axes.items())})"

    def check(self, values: Any, *, finite: bool = True) -> np.ndarray[Any, Any]:
        """Return the values as a contiguous array of this type and layout, in the byte order of this machine.

        Runtimes take memory as it lies, and read other orders as other numbers. No copy is made where none is needed.

        Parameters
        ----------
        values
            Array or tensor.
        finite
            Whether NaN and infinite values are refused.

        Raises
        ------
        DataError
            If they are numbers of another kind, do not fit, have another rank or size, or are not all finite.
        """
        import numpy as np

        try:
            array, declared = np.asarray(values), self._dtype
        except ValueError as error:
            raise DataError(f"input {self.name!r} is {self}; found lists of unequal lengths: give an array") from error
        if isinstance(values, np.ma.MaskedArray) and (hidden := np.count_nonzero(values.mask)):
            if self.gaps and array.dtype.kind == "f":
                return self.check(np.where(values.mask, np.nan, array), finite=finite)
            raise DataError(
                f"input {self.name!r} is {self} without gaps; found {hidden} of {array.size} values masked: fill them, "
                ".filled(0)"
            )
        if array.dtype.kind != declared.kind and not (array.dtype.kind in "iu" and declared.kind in "iu"):
            physical = "say scaled=False if its values are physical, or scale and " if self.scaling else ""
            raise DataError(
                f"input {self.name!r} is {self}; found an array of {array.dtype}: {physical}convert it with "
                f".astype({self.dtype!r})"
            )
        self._check_shape(array)
        flags = array.flags
        if array.dtype == declared and array.dtype.isnative and flags.c_contiguous and flags.aligned:
            converted = array
        else:
            converted = self._converted(array, declared)
        if self.gaps:
            if finite and (bad := np.count_nonzero(np.isinf(converted))):
                raise DataError(f"input {self.name!r} is {self}; found {bad} of {array.size} values infinite: say NaN")
        elif finite and declared.kind == "f" and not np.isfinite(converted).all():
            bad = converted.size - np.count_nonzero(np.isfinite(converted))
            raise DataError(
                f"input {self.name!r} is {self} without gaps; found {bad} of {array.size} values NaN or infinite: "
                "fill them as in training (masked pixels often with 0), or see what the model itself makes of gaps, as "
                "trees may: model.run({…}, finite=False)"
            )
        return converted

    def _converted(self, array: np.ndarray[Any, Any], declared: np.dtype[Any]) -> np.ndarray[Any, Any]:
        import numpy as np

        with np.errstate(over="ignore"):  # what overflows becomes infinite, and is refused
            converted = np.require(array, declared, ["C_CONTIGUOUS", "ALIGNED"])
        if declared.kind in "iu" and not np.array_equal(converted, array):
            raise DataError(
                f"input {self.name!r} is {self}; found {array.dtype} values that do not fit into it, as they go from "
                f"{array.min()} to {array.max()}: clip them, or give them as the model was trained"
            )
        return converted

    def _check_shape(self, array: np.ndarray[Any, Any]) -> None:
        shape = array.shape
        if len(shape) == len(self.sizes) and 0 in shape:
            raise DataError(f"input {self.name!r} is {self}; found shape {list(shape)}, in which nothing is: give some")
        if len(shape) != len(self.sizes):
            raise DataError(f"input {self.name!r} is {self}; found shape {list(shape)}: use that layout")
        for axis, size, found in zip(self.dim_order, self.sizes, shape, strict=True):
            if size is not ANY and not size.fits(found):
                raise self._unfit(axis, size, shape, found)

    def _unfit(self, axis: str, size: Size, shape: tuple[int, ...], found: int) -> DataError:
        begin = f"input {self.name!r} is {self}; found shape {list(shape)}"
        if size.is_fixed:
            return DataError(f"{begin}: use that layout, {axis} {size.at_least}")
        fitting = " or ".join(map(str, size.nearest(found)))
        return DataError(f"{begin}: {axis} {found} does not fit, the nearest that does is {fitting}: cut or pad it")


class Runnable(Protocol):
    """What runs; :class:`modelstac.registry.running.model.Model` is one."""

    item: pystac.Item
    description: ModelDescription
    signature: Signature

    def run(self, inputs: Arrays, /) -> dict[str, np.ndarray[Any, Any]]:
        """Run it on arrays by the name of their input, and return arrays by the name of their output."""
        ...


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a model, in the order of its item.

    Raises
    ------
    InvalidItemError
        If two inputs, or two outputs, have one name.
    """

    inputs: tuple[TensorSignature, ...]
    outputs: tuple[TensorSignature, ...]

    def __post_init__(self) -> None:
        for kind, tensors in (("inputs", self.inputs), ("outputs", self.outputs)):
            names = [tensor.name for tensor in tensors]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise InvalidItemError(f"two {kind} of the model are called {twice[0]!r}: name each once")

    @classmethod
    def of(cls, description: ModelDescription) -> Signature:
        """Read the signature of an item."""
        sizes = description.sizes
        return cls(
            tuple(_input(source, sizes.get(source.name, {})) for source in description.inputs),
            tuple(_output(source, sizes.get(source.name, {})) for source in description.outputs),
        )

    def with_sizes(self, sizes: Mapping[str, Mapping[str, Size]]) -> Signature:
        """Give the same with lengths for open axes, by tensor and axis; what is fixed stays."""

        def sized(tensors: tuple[TensorSignature, ...]) -> tuple[TensorSignature, ...]:
            return tuple(
                replace(
                    tensor,
                    sizes=tuple(
                        size if size.is_fixed else sizes.get(tensor.name, {}).get(dim, size)
                        for dim, size in tensor.axes.items()
                    ),
                )
                for tensor in tensors
            )

        return replace(self, inputs=sized(self.inputs), outputs=sized(self.outputs))

    def without_made(self, description: ModelDescription, found: Sequence[str] | None) -> Signature:
        """Leave out outputs that the item lists and only a function after the model makes.

        Parameters
        ----------
        description
            The item, which says of an output whether a function is applied.
        found
            Names of the outputs in the file; None where nobody knows.
        """
        made = [output.name for output in description.outputs if output.post_processing_function is not None]
        kept = [
            o for o in self.outputs if o.name not in made or (o.dtype != "other" if found is None else o.name in found)
        ]
        if found is not None and len(kept) < len(found) <= len(self.outputs):  # it calls them otherwise
            kept = list(self.outputs[: len(found)])
        return self if len(kept) == len(self.outputs) or not kept else replace(self, outputs=tuple(kept))

    @cached_property
    def _by_name(self) -> dict[str, TensorSignature]:
        return {tensor.name: tensor for tensor in self.inputs}

    @cached_property
    def _needed(self) -> frozenset[str]:
        return frozenset(tensor.name for tensor in self.inputs if not tensor.optional)

    def check(self, given: Arrays, *, finite: bool = True) -> dict[str, np.ndarray[Any, Any]]:
        """Return arrays for the inputs, each checked, and all of them together.

        Parameters
        ----------
        given
            Arrays or tensors by the name of their input.
        finite
            Whether NaN and infinite values are refused.

        Raises
        ------
        DataError
            If names are missing or unknown (the nearest is named), an array does not fit its input, or axes that grow
            together have lengths that do not go together.
        """
        if given.keys() != self._by_name.keys():
            self.check_names(given)
        arrays = {name: self._by_name[name].check(as_array(values), finite=finite) for name, values in given.items()}
        self.check_shared(arrays)
        return arrays

    def check_names(self, given: Iterable[str]) -> None:
        """Raise DataError unless these are the names of the inputs, but for those that may be left out."""
        names = list(given)
        declared = ", ".join(self._by_name)
        for name in names:
            if name not in self._by_name:
                near = difflib.get_close_matches(str(name), self._by_name, 1, 0.5)
                advice = f"did you mean {near[0]!r}?" if near else "use these names"
                raise DataError(f"the model has no input {name!r}: its inputs are {declared}; {advice}")
        if missing := [name for name in self._by_name if name in self._needed and name not in names]:
            found = ", ".join(names) or "none"
            raise DataError(
                f"the model needs the input{'s' if len(missing) > 1 else ''} {', '.join(missing)}; found {found}: "
                f"give {declared} by name"
            )

    def check_shared(self, arrays: Arrays) -> None:
        """Refuse lengths that do not go together: steps above the least must be the same for all axes of a symbol."""
        for symbol, axes in self._shared.items():
            found = [
                (name, dim, arrays[name].shape[axis], size.steps(arrays[name].shape[axis]))
                for name, axis, dim, size in axes
                if name in arrays
            ]
            if len({steps for *_, steps in found}) > 1:
                shown = ", ".join(f"{dim} {length} of {name!r}" for name, dim, length, _ in found)
                raise DataError(f"sizes along {symbol!r} go together; found {shown}: cut or pad the inputs alike")

    def check_samples(self, given: Arrays, found: Arrays, *, of: str) -> None:
        """Refuse as many samples as were not given: a size that became a number when a file was written mixes them."""
        counts = {given[name].shape[axis] for name, axis in self._batches[0] if name in given}
        if len(counts) != 1:
            return
        (count,) = counts
        for name, axis in self._batches[1]:
            if name in found and found[name].ndim > axis and (length := found[name].shape[axis]) != count:
                raise DataError(
                    f"{of!r} gives {length} samples in {name!r} for a batch of {count}: sizes in it are numbers, those "
                    "that it was exported with; give it these, or export it anew with open axes"
                )

    def declared_bytes(self, given: Arrays) -> int:
        """Return how many bytes of memory the outputs take at least, as declared, for these inputs."""
        fixed, sample = self._sizes_of_outputs
        if not sample:
            return fixed
        return fixed + sample * max(
            (given[name].shape[axis] for name, axis in self._batches[0] if name in given), default=1
        )

    @cached_property
    def _sizes_of_outputs(self) -> tuple[int, int]:
        """Give the bytes of the outputs that have one size, and of those that have one for each sample."""
        fixed = sample = 0
        for tensor in self.outputs:
            # Of an axis that is open nobody knows more than that there is something.
            size = tensor.bytes_of_value * prod(s.at_least for s in tensor.sizes if s.is_fixed)
            if BATCH in tensor.dim_order and not tensor.axes[BATCH].is_fixed:
                sample += size
            else:
                fixed += size
        return fixed, sample

    @cached_property
    def _batches(self) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
        """Give inputs with samples, and outputs of which nobody says how many they have."""
        inputs = [(t.name, t.dim_order.index(BATCH)) for t in self.inputs if BATCH in t.dim_order]
        open_ones = [t for t in self.outputs if BATCH in t.dim_order and not t.axes[BATCH].is_fixed]
        return inputs, [(t.name, t.dim_order.index(BATCH)) for t in open_ones]

    @cached_property
    def _shared(self) -> dict[str, list[tuple[str, int, str, Size]]]:
        """Give the open axes of inputs that grow together, by symbol."""
        found: dict[str, list[tuple[str, int, str, Size]]] = {}
        for tensor in self.inputs:
            for axis, (dim, size) in enumerate(tensor.axes.items()):
                symbol = size.symbol or (BATCH if dim == BATCH else None)
                if symbol is not None and not size.is_fixed:
                    found.setdefault(symbol, []).append((tensor.name, axis, dim, size))
        return {symbol: axes for symbol, axes in found.items() if len(axes) > 1}


def _sizes(shape: Iterable[int], dim_order: Iterable[str], measured: Mapping[str, Size]) -> tuple[Size, ...]:
    """Take what was measured of an open axis; any length, where nothing was."""
    return tuple(
        measured.get(dim, ANY) if length == OPEN else Size.fixed(length)
        for length, dim in zip(shape, dim_order, strict=True)
    )


def _input(source: ModelInput, measured: Mapping[str, Size]) -> TensorSignature:
    layout = source.input
    scaling = source.value_scaling
    return TensorSignature(
        source.name,
        _sizes(layout.shape, layout.dim_order, measured),
        tuple(layout.dim_order),
        layout.dtype,
        None if scaling is None else tuple(step.model_dump(exclude_none=True) for step in scaling),
        optional=(source.model_extra or {}).get("optional") is True,
        gaps=(source.model_extra or {}).get(GAPS_FIELD) is True and layout.dtype.startswith("float"),
    )


def _output(source: ModelOutput, measured: Mapping[str, Size]) -> TensorSignature:
    layout = source.result
    return TensorSignature(
        source.name,
        _sizes(layout.shape, layout.dim_order, measured),
        tuple(layout.dim_order),
        layout.dtype,
    )
