"""Larger than memory: a model run on an array of Dask, one block after the other, when its values are asked for.

Blocks may divide the batch anywhere. They may divide another dimension where the file fixes its size, as tiles of that
size; where it takes any size a block sees no neighbours, so that the overlap must be said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
from dask.utils import SerializableLock

from modelstac.catalog.errors import DataError

if TYPE_CHECKING:
    import xarray as xr

    from modelstac.registry.running.signature import TensorSignature

Run = Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]


def predict_blocks(
    run: Run,
    array: xr.DataArray,
    names: Mapping[str, str],
    before: TensorSignature,
    after: TensorSignature,
    *,
    overlap: Mapping[str, int],
) -> da.Array:
    """Return the output, computed block by block when it is asked for.

    Parameters
    ----------
    run
        From one block to its output; called by one thread at a time, as not every runtime allows more.
    array
        Values in the order of the model's dimensions, in blocks.
    names
        Name in the data of each of the model's dimensions.
    before, after
        Layouts of input and output.
    overlap
        By name in the data, how many values neighbouring blocks share on either side; 0 says that none are needed.

    Raises
    ------
    DataError
        If the blocks are not such as the model can take.
    """
    outputs = dict(zip(after.dim_order, after.shape, strict=True))
    depth = _depth(array, names, before, outputs, overlap)
    data, lock = array.data, SerializableLock()

    def block(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        with lock:
            return run(values)

    if any(depth.values()):
        data = da.overlap.overlap(data, depth, boundary="none")
    new = {dim: size for dim, size in outputs.items() if dim not in before.dim_order}
    if -1 in new.values():
        raise DataError(f"output {after.name!r} is {after}, which does not say its size: load the values, .compute()")
    result = da.blockwise(
        block,
        after.dim_order,
        data,
        before.dim_order,
        dtype=after.dtype,
        meta=np.empty((0,) * len(after.shape), after.dtype),
        new_axes=new,
        adjust_chunks={dim: size for dim, size in outputs.items() if dim in before.dim_order and size != -1},
        concatenate=True,
        align_arrays=False,
    )
    if any(depth.values()):
        trimmed = {after.dim_order.index(before.dim_order[axis]): size for axis, size in depth.items()}
        result = da.overlap.trim_overlap(result, trimmed, boundary="none")
    return result


def _depth(
    array: xr.DataArray,
    names: Mapping[str, str],
    before: TensorSignature,
    outputs: Mapping[str, int],
    overlap: Mapping[str, int],
) -> dict[int, int]:
    """Return how many values blocks share along each axis, once they are such as the model can take."""
    chunks = dict(zip(before.dim_order, array.chunks or (), strict=True))
    depth = {}
    for axis, (dim, size) in enumerate(zip(before.dim_order, before.shape, strict=True)):
        name, parts = names[dim], chunks[dim]
        if size != -1 and set(parts) != {size}:
            raise _unfit(before, name, parts, f"make blocks of {size}: .chunk({{{name!r}: {size}}})")
        if name in overlap and (size != -1 or outputs.get(dim) != -1 or overlap[name] < 0):
            raise _unfit(before, name, parts, "an overlap is for dimensions of any size, in and out")
        if len(parts) > 1 and size == -1 and dim != "batch":
            if name not in overlap:
                advice = f"say how many values blocks share: overlap={{{name!r}: 16}}, or .chunk({{{name!r}: -1}})"
                raise _unfit(before, name, parts, advice)
            depth[axis] = overlap[name]
    if unknown := overlap.keys() - set(names.values()):
        raise DataError(f"the input has no dimension {min(unknown)!r} to overlap: it has {', '.join(names.values())}")
    return depth


def _unfit(layout: TensorSignature, name: str, parts: tuple[int, ...], advice: str) -> DataError:
    shown = ", ".join(map(str, parts[:4])) + (", …" if len(parts) > 4 else "")
    return DataError(f"input {layout.name!r} is {layout}; found blocks of {shown} along {name!r}: {advice}")
