"""The example that a publisher gives, and what follows from it: axes, bands, scaled values, statistics, units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import DataError, SpecError, at
from modelstac.catalog.messages import Note, Report
from modelstac.registry.publishing.saying import by_input, words

if TYPE_CHECKING:
    import numpy as np

    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.facts import Facts, Tensor
    from modelstac.registry.publishing.fitting import Example


@dataclass(frozen=True)
class Fed:
    """An example of an input.

    Parameters
    ----------
    dims, bands
        Names of its axes and of its bands, as far as they are known.
    given
        As its publisher gave it.
    raw
        Physical values; None where they are the model's.
    scaled
        What the model reads.
    """

    dims: tuple[str, ...]
    bands: tuple[str, ...]
    given: Example
    raw: np.ndarray[Any, Any] | None
    scaled: np.ndarray[Any, Any]


def feed(
    said: Mapping[str, Any], tensors: Sequence[Tensor], folder: Path, *, first: bool
) -> tuple[dict[str, Fed], dict[str, Any]]:
    """Read the example and scale it; give also what is said, with axes and bands that follow from it."""
    from modelstac.registry.publishing.fitting import in_order, input_axes, read_examples
    from modelstac.registry.publishing.written import values_of

    names = [tensor.name for tensor in tensors]
    with at("example"):
        optional = {tensor.name for tensor in tensors if tensor.optional}
        examples = read_examples(said.get("example"), names, folder=folder, optional=optional)
    # Of an input with a default, as weights that are listed among inputs have, things are said by its name alone.
    needed = [name for name in names if name not in optional]
    meant = needed if len(needed) == 1 else names
    stated = {key: by_name(said, key, meant) for key in ("input_dims", "bands")}
    fed, dims_of, bands_of = {}, dict(stated["input_dims"]), dict(stated["bands"])
    for tensor in tensors:
        example = examples.get(tensor.name)
        if tensor.name not in bands_of and example is not None and example.bands:
            bands_of[tensor.name] = example.bands
        bands = bands_of.get(tensor.name, ())
        if example is not None:
            with at("example"):
                example = in_order(example, bands, tensor.name)
        dims = dims_of.get(tensor.name) or input_axes(tensor, example, bands, first=first)
        if dims is not None:
            dims_of[tensor.name] = tuple(dims)
        elif bands and _fits_nowhere(tensor, len(bands)):
            with at("bands"):
                shown = f"bands are {', '.join(bands)}, and no axis of {tensor.name!r} ({tensor}) has that length"
                raise SpecError(f"{shown}: name as many as it has, or its axes by --input-dims")
        if example is not None:
            example = replace(example, array=_batched(example, dims, tensor))
            with at("scaling"), values_of(said.get("scaling"), folder, texts=True) as scaling:
                steps = _steps(example, dims, bands, tensor, by_input(scaling, meant, "scaling").get(tensor.name))
            with at("example"):
                fed[tensor.name] = _scaled(example, dims, bands, tensor, None if said.get("example_scaled") else steps)
    # What is said of no input in particular, and there are several, is refused in its own words later.
    more = {"input_dims": dims_of, "bands": bands_of}
    several = len(meant) > 1
    return fed, dict(said) | {
        key: value
        for key, value in more.items()
        if value and not (several and said.get(key) and not isinstance(said[key], Mapping))
    }


def by_name(said: Mapping[str, Any], key: str, names: Sequence[str]) -> dict[str, Any]:
    """Give words by name, also by such as the file does not have: whoever describes it says so."""
    found = words(said[key], key) if said.get(key) else {}
    if isinstance(found, Mapping):
        return dict(found)
    return {names[0]: found} if len(names) == 1 else {}


def _batched(example: Example, dims: Sequence[str] | None, tensor: Tensor) -> np.ndarray[Any, Any]:
    alone = example.array.ndim == len(tensor.sizes) - 1 and dims is not None and dims[0] == "batch"
    return example.array[None] if alone else example.array


def _fits_nowhere(tensor: Tensor, count: int) -> bool:
    """Tell whether an image has axes of some length, and none of as many bands."""
    fixed = [size.at_least for size in tensor.sizes[1:] if size.is_fixed]
    return len(tensor.sizes) == 4 and bool(fixed) and count not in fixed


def _steps(
    example: Example, dims: Sequence[str] | None, bands: Sequence[str], tensor: Tensor, said: Any
) -> tuple[dict[str, Any], ...] | None:
    """Read the scaling of an input; None where none is said."""
    from modelstac.registry.publishing.scaling import read_scaling

    if said is None:
        return None
    if dims is None:
        raise SpecError(f"the axes of {tensor.name!r} are not known, so that it cannot be scaled: give --input-dims")
    axis = list(dims).index("bands") if "bands" in dims else None
    found = read_scaling(said, bands, 1 if axis is None else example.array.shape[axis], of=tensor.name)
    return tuple(step.model_dump() for step in found)


def _scaled(
    example: Example,
    dims: Sequence[str] | None,
    bands: Sequence[str],
    tensor: Tensor,
    steps: tuple[dict[str, Any], ...] | None,
) -> Fed:
    from modelstac.registry.running.values.scaling import looks_scaled, scale

    array, order = example.array, tuple(dims or ())
    if steps is None:
        return Fed(order, tuple(bands), example, None, _typed(array, tensor))
    if (reason := looks_scaled(array, steps)) is not None:
        raise DataError(f"the example of {tensor.name!r}: {reason}: give physical values, or say example_scaled=True")
    scaled = scale(array, steps, order, of=f"input {tensor.name!r}")
    return Fed(order, tuple(bands), example, array, _typed(scaled, tensor))


def _typed(array: np.ndarray[Any, Any], tensor: Tensor) -> np.ndarray[Any, Any]:
    """Give numbers of the type that the file wants, where none is lost but digits."""
    import numpy as np

    wanted = np.dtype(tensor.dtype)
    whole = array.dtype.kind in "iub" and wanted.kind in "iu"
    if array.dtype != wanted and (wanted.kind == "f" or (whole and np.array_equal(array.astype(wanted), array))):
        return array.astype(wanted)
    return array


def with_outputs(said: dict[str, Any], facts: Facts, folder: Path, report: Report) -> dict[str, Any]:
    """Name the axes of outputs that nobody named, where those of the inputs leave no choice; and tell."""
    from modelstac.registry.publishing.fitting import output_axes
    from modelstac.registry.publishing.written import values_of

    if "example" not in said and "classes" not in said:
        return said  # nothing shows what comes out: it is asked for
    names = [tensor.name for tensor in facts.outputs]
    stated, bands = by_name(said, "output_dims", names), by_name(said, "output_bands", names)
    if said.get("output_dims") and not stated:
        return said
    with at("classes"), values_of(said.get("classes"), folder) as classes:
        counts = {name: _count(classes, name, names) for name in names}
    dims_of = by_name(said, "input_dims", [tensor.name for tensor in facts.inputs])
    inputs = [(tuple(dims_of.get(tensor.name, ())), tensor.sizes) for tensor in facts.inputs]
    inputs = [(dims, sizes) for dims, sizes in inputs if len(dims) == len(sizes)]
    taken = []
    for tensor in facts.outputs:
        if tensor.name in stated:
            continue
        dims = output_axes(tensor, inputs, classes=counts[tensor.name], bands=bands.get(tensor.name, ()))
        if dims is not None:
            stated[tensor.name] = dims
            taken.append(f"{tensor.name}: {', '.join(dims)}")
    if taken:
        report(Note(f"axes of the output are taken for {'; '.join(taken)}: say output_dims where they are others"))
    return said | ({"output_dims": stated} if stated else {})


def _count(classes: Any, name: str, names: Sequence[str]) -> int | None:
    """Count the classes of an output."""
    from modelstac.registry.publishing.classes import read_classes

    own = classes.get(name) if isinstance(classes, Mapping) and set(classes) <= set(names) else classes
    return None if own is None else len(read_classes(own))


def as_batch(said: Mapping[str, Any], name: str, example: Example) -> np.ndarray[Any, Any]:
    """Give an example as a batch, where its labels or names of axes say that it is none."""
    dims = said.get("input_dims")
    stated = dims.get(name) if isinstance(dims, Mapping) else dims
    count = len(words(stated, "input_dims")) if stated else len(example.dims) + ("batch" not in example.dims)
    alone = example.array.ndim == count - 1 and bool(stated or example.dims)
    return example.array[None] if alone else example.array


def type_of(array: np.ndarray[Any, Any]) -> str:
    """Give the type in which a model that takes any is fed an array."""
    return "float32" if array.dtype.kind == "f" and array.dtype.itemsize == 8 else str(array.dtype)


def with_statistics(description: ModelDescription, fed: Mapping[str, Fed]) -> ModelDescription:
    """Say of bands what the example shows: units, and statistics of physical values."""
    from modelstac.registry.publishing.fitting import statistics

    details = {name: dict(fields) for name, fields in description.band_details.items()}
    for tensor in description.inputs:
        if (one := fed.get(tensor.name)) is None:
            continue
        for name, unit in one.given.units.items():
            details.setdefault(name, {}).setdefault("unit", unit)
        values = one.scaled if one.raw is None else one.raw
        for name, found in statistics(values, one.dims, one.bands):
            details.setdefault(name, {}).setdefault("statistics", found)
    return description.model_copy(update={"band_details": details})
