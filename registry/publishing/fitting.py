"""What an example says of a model: its arrays, names of axes and bands, units; and axes that follow from all that."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import DataError
from modelstac.catalog.items.mlm import band_axis
from modelstac.catalog.items.sizes import Size
from modelstac.registry.facts import Tensor
from modelstac.registry.probing.axes import is_spatial
from modelstac.registry.running.arrays import table_of
from modelstac.registry.runtimes.sharing.settings import undrawn

if TYPE_CHECKING:  # an example alone takes NumPy
    import numpy as np

BATCH, CLASS, BANDS, CHANNEL = "batch", "class", "bands", "channel"
SPATIAL = ("height", "width")
_ODD = re.compile(r"[^a-z_-]+")
_UNIT = ("units", "unit")
Dims = tuple[str, ...]


@dataclass(frozen=True)
class Example:
    """What an input is fed.

    Parameters
    ----------
    array
        Its values.
    dims, bands, units
        Names of its axes, of its bands and their units, where it has labels.
    """

    array: np.ndarray[Any, Any]
    dims: Dims = ()
    bands: Dims = ()
    units: Mapping[str, str] = field(default_factory=dict)


def read_examples(
    said: Any, names: Sequence[str], *, folder: Path, optional: Collection[str] = ()
) -> dict[str, Example]:
    """Read an example of each input.

    Parameters
    ----------
    said
        An array, tensor, xarray or table; a mapping of these or a dataset; a batch, whose first parts are the inputs; a
        loader of such batches; or the path of a ``.npy`` file.
    names
        Of the inputs.
    folder
        What paths are relative to.
    optional
        Inputs that the model runs without: they are fed where they are named.

    Raises
    ------
    DataError
        If it holds no numbers, or not as many arrays as the model has inputs.
    """
    if said is None:
        return {}
    said = first_batch(said)
    needed = [name for name in names if name not in optional] or list(names)
    if _is_dataset(said) and len(names) == 1:
        said = {names[0]: said.to_dataarray(dim=BANDS)}
    if isinstance(said, Mapping) or _is_dataset(said):
        given = {str(name): said[name] for name in said}
        if len(given) == 1 and len(names) == 1:
            given = {names[0]: next(iter(given.values()))}
        if odd := [name for name in given if name not in names]:
            raise DataError(f"the example has {odd[0]!r}, and the inputs are {', '.join(names)}: name them so")
    elif _is_batch(said):
        # A batch for training has targets after the inputs.
        if len(said) < len(needed):
            raise DataError(f"the example has {len(said)} arrays, and the inputs are {', '.join(needed)}: give each")
        inputs = said[0] if isinstance(said[0], tuple | list | Mapping) else said
        if inputs is not said:
            return read_examples(inputs, names, folder=folder, optional=optional)
        given = dict(zip(needed, said, strict=False))
    elif len(needed) == 1:
        given = {needed[0]: said}
    else:
        raise DataError(f"the example is one array, and the inputs are {', '.join(needed)}: give a mapping by name")
    return {name: _example(given[name], name, folder) for name in names if name in given}


def first_batch(said: Any) -> Any:
    """Take the first batch of a loader of PyTorch, a dataset of TensorFlow or a sequence of Keras, and draw nothing."""
    if isinstance(said, str | Path | Mapping | tuple | list) or hasattr(said, "shape"):
        return said
    if hasattr(said, "data_vars") or not (hasattr(said, "__iter__") or hasattr(said, "__getitem__")):
        return said
    owners = (said, getattr(said, "sampler", None))
    found = {id(one): one for owner in owners if hasattr(one := getattr(owner, "generator", None), "get_state")}
    try:
        with undrawn(*found.values()):
            return next(iter(said))
    except StopIteration:
        raise DataError("the example is a loader without a batch: give one that has data") from None


def named(said: Any) -> tuple[str, ...]:
    """Give the names of inputs that an example has; variables of a dataset may be bands, and name none."""
    if isinstance(said, tuple | list) and said:
        said = said[0]
    return tuple(map(str, said)) if isinstance(said, Mapping) and not _is_dataset(said) else ()


def _is_batch(said: Any) -> bool:
    """Tell whether it is a batch of arrays, and no array that is written as lists of numbers."""
    first = said[0] if isinstance(said, tuple | list) and said else None
    return hasattr(first, "shape") or isinstance(first, Mapping) or _is_batch(first) if first is not None else False


def _is_dataset(said: Any) -> bool:
    return hasattr(said, "data_vars") and hasattr(said, "to_dataarray")


def _example(value: Any, name: str, folder: Path) -> Example:
    if isinstance(value, str | Path):
        value = _read_array(folder / value)
    if (table := table_of(value)) is not None:
        columns, take = table
        return Example(_numbers(take(list(range(len(columns)))), name), (BATCH, BANDS), tuple(columns))
    array = _numbers(value, name)
    if hasattr(value, "dims") and hasattr(value, "coords"):
        return _labelled(value, array)
    return Example(array)


def _read_array(path: Path) -> Any:
    import numpy as np

    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} is no example ({reason}): give an array of numbers (.npy)") from error
    if not isinstance(found, np.ndarray):
        raise DataError(f"{path} holds several arrays: give one array (.npy) for each input, NAME=FILE")
    return found


def _numbers(value: Any, name: str) -> np.ndarray[Any, Any]:
    import numpy as np

    try:
        if hasattr(value, "detach"):  # a tensor of PyTorch, maybe on another device
            value = value.detach().cpu()
            value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
        array = np.asarray(value)
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("=")) if array.ndim else array
    except (TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"the example of {name!r} is no array ({reason})") from error
    if array.dtype.kind not in "fiub" or not array.ndim or not array.size:
        raise DataError(
            f"the example of {name!r} is {array.dtype} of shape {list(array.shape)}: give an array of numbers"
        )
    if isinstance(value, np.ma.MaskedArray) and (hidden := np.count_nonzero(value.mask)):
        raise DataError(f"the example of {name!r} has {hidden} of {array.size} values masked: fill them, .filled(0)")
    return array


def in_order(example: Example, bands: Sequence[str], name: str) -> Example:
    """Give an example whose bands are labelled in the order of those that are named; others are left out.

    Raises
    ------
    DataError
        If it has some of them and not all.
    """
    import numpy as np

    axis = band_axis(example.dims)
    if axis is None or not set(bands) & set(example.bands) or tuple(bands) == tuple(example.bands):
        return example
    if missing := [band for band in bands if band not in example.bands]:
        found = ", ".join(example.bands)
        raise DataError(
            f"the example of {name!r} has the bands {found}: {', '.join(missing)} missing: give all of them"
        )
    places = [example.bands.index(band) for band in bands]
    array = np.take(example.array, places, example.dims.index(axis))
    return replace(example, array=array, bands=tuple(bands))


def _labelled(value: Any, array: np.ndarray[Any, Any]) -> Example:
    dims = tuple(_ODD.sub("_", str(dim).lower()).strip("_") or "axis" for dim in value.dims)
    axis = band_axis(dims)
    own = str(value.dims[dims.index(axis)]) if axis else ""
    names = tuple(str(one) for one in value.coords[own].values.tolist()) if own and own in value.coords else ()
    unit = next((str(value.attrs[key]) for key in _UNIT if value.attrs.get(key)), None)
    units = dict.fromkeys(names, unit) if unit else {}
    if names and axis != BANDS:
        dims = tuple(BANDS if dim == axis else dim for dim in dims)
    return Example(array, dims, names, {k: v for k, v in units.items() if v})


def input_axes(tensor: Tensor, example: Example | None, bands: Sequence[str], *, first: bool) -> Dims | None:
    """Name the axes of an input, where labels or bands leave no choice; None where only its publisher can.

    Parameters
    ----------
    tensor
        As the file has it.
    example
        What it is fed.
    bands
        Names of its bands.
    first
        Where an image has its bands in this framework: before height and width, or after. Asked only where the number
        of bands does not tell.
    """
    rank = len(tensor.sizes)
    if example is not None and example.dims:
        dims = example.dims
        if len(dims) == rank - 1 and BATCH not in dims:
            return BATCH, *dims
        return dims if len(dims) == rank else None
    if rank == 2 and bands:
        return BATCH, BANDS
    if rank != 4 or not bands:
        return None
    axis = _axis_of(tensor, len(bands), 1 if first else 3)
    return None if axis is None else _with(SPATIAL, axis, BANDS)


def output_axes(
    tensor: Tensor, inputs: Sequence[tuple[Dims, Sequence[Size]]], *, classes: int | None, bands: Sequence[str]
) -> Dims | None:
    """Name the axes of an output after those of an input; None where only its publisher can.

    Parameters
    ----------
    tensor
        As the file has it.
    inputs
        Axes of the inputs, and their lengths.
    classes
        How many there are.
    bands
        Names of the bands of the output.
    """
    rank = len(tensor.sizes)
    if rank == 1:
        return (BATCH,)
    last = CLASS if classes else BANDS if bands else CHANNEL
    count = classes or len(bands) or 1
    for dims, sizes in inputs:
        if not dims or dims[0] != BATCH:
            continue
        lengths = dict(zip(dims, sizes, strict=True))
        rest = [dim for dim in dims if dim != band_axis(dims)]
        image = [dim for dim in rest if dim == BATCH or is_spatial(dim)]
        same = tuple(rest) if rank == len(rest) and _are_of(tensor, rest, lengths) else None
        # Of a series one map may be made, without its dates.
        summed = _with_one(tensor, image, dims, count, last) if len(image) < len(rest) else None
        if same or summed:
            return None if same and summed else same or summed
        if rank == len(rest) == len(image):
            return tuple(rest)  # on another grid
        if rank == 2:
            return BATCH, last
        kept = rest if rank > len(rest) else image
        return _with_one(tensor, kept, dims, count, last, sure=bool(classes))
    return None


def _with_one(
    tensor: Tensor, kept: Sequence[str], dims: Dims, count: int, last: str, *, sure: bool = False
) -> Dims | None:
    """Name the axes of an output that has some axes of the input, and one of classes or channels."""
    if len(tensor.sizes) != len(kept) + 1:
        return None
    axis = band_axis(dims)
    usual = [dim for dim in dims if dim == axis or dim in kept].index(axis) if axis else len(kept)
    found = _axis_of(tensor, count, usual)
    if found is None and sure and tensor.sizes[usual].is_fixed:
        found = usual  # of another length than there are classes, which is said later
    return None if found is None else _with(kept[1:], found, last)


def _are_of(tensor: Tensor, dims: Sequence[str], lengths: Mapping[str, Size]) -> bool:
    """Tell whether an output may have these axes of the input: dates are as many, and a grid may be another one."""
    return all(
        size.is_fixed == lengths[dim].is_fixed and (is_spatial(dim) or size.mlm == lengths[dim].mlm)
        for dim, size in zip(dims[1:], tensor.sizes[1:], strict=True)
    )


def _with(spatial: Sequence[str], axis: int, name: str) -> Dims:
    dims = [BATCH, *spatial]
    dims.insert(axis, name)
    return tuple(dims)


def _axis_of(tensor: Tensor, length: int, usual: int) -> int | None:
    """Find the axis of a length; of several the usual one."""
    found = [i for i, size in enumerate(tensor.sizes) if i and size.is_fixed and size.at_least == length]
    if len(found) == 1 or usual not in found:
        return found[0] if len(found) == 1 else None
    return usual


def statistics(array: np.ndarray[Any, Any], dims: Dims, bands: Sequence[str]) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield minimum, maximum, mean and standard deviation of each band of physical values, as far as they are there."""
    import numpy as np

    axis = band_axis(dims)
    if axis is None or array.shape[dims.index(axis)] != len(bands):
        return
    for name, values in zip(bands, np.moveaxis(array, dims.index(axis), 0), strict=True):
        if not (there := values[~np.isnan(values)]).size:
            continue
        found = {"minimum": there.min(), "maximum": there.max(), "mean": there.mean(), "stddev": there.std()}
        if all(np.isfinite(number) for number in found.values()):
            yield name, {key: float(f"{float(number):.7g}") for key, number in found.items()}
