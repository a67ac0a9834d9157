"""What a model's output becomes: a layer with its bands, classes, type and nodata, and how its pixels are made."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError, InvalidItemError
from modelstac.catalog.items.mlm import CLASSES_FIELD
from modelstac.catalog.items.sizes import OPEN
from modelstac.registry.running.bands import axis_of, listed
from modelstac.registry.running.labels.stated import unit_of_output
from modelstac.registry.scenes.rasters import Class, Layer
from modelstac.registry.scenes.running.axes import Axes
from modelstac.registry.scenes.running.posting import LABELLING, Step, apply_step, steps_of_item

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

    from modelstac.catalog.items.mlm import ModelOutput
    from modelstac.registry.running.signature import Runnable, TensorSignature

    Values = np.ndarray[Any, Any]

_COLOR = re.compile(r"#?([0-9A-Fa-f]{6})")
"""What the extension allows as a colour, with the # that many write; another one is left out."""
STRETCH = "stretch"
NOTHING = -(1 << 53)
"""Stands for nothing among whole numbers of 64 bits: programs write it as a fraction, which holds no larger one."""


def _labelled_beside(model: Runnable, name: str) -> bool:
    """Tell whether another output holds the labels that a map of scores would be made into."""
    others = (one for one in model.description.outputs if one.name != name)
    return any(classes_of(one) and "int" in one.result.data_type for one in others)


@dataclass(frozen=True)
class Recipe:
    """How an output becomes a layer.

    Parameters
    ----------
    tensor
        The output.
    axes
        Its axes.
    axis
        Of a sample's values with rows and columns last (``Axes.bands_first``): which of the leading ones, counted from
        the sample's first, lists the classes; None where there is none.
    steps
        What is done to the values, one after the other.
    classes
        What a map of labels shows.
    notes
        What a person should know.
    odd
        Gets labels that the model gave and that are masked, as they are none of the classes and the layer has no room
        for them.
    """

    tensor: TensorSignature
    axes: Axes
    axis: int | None
    steps: tuple[Step, ...]
    classes: tuple[Class, ...] = ()
    notes: tuple[str, ...] = ()
    in_unit: bool = True
    odd: set[int] = field(default_factory=set, compare=False, repr=False)

    @classmethod
    def of(cls, model: Runnable, tensor: TensorSignature, steps: Sequence[Step] | None) -> Recipe:
        """Read it from the item, or from what the user says instead (``steps``)."""
        output = next(one for one in model.description.outputs if one.name == tensor.name)
        axes = Axes.of(tensor)
        classes = _scored(classes_of(output), tensor, _lengths(tensor, axes))
        axis = _class_axis(tensor, axes, output, len(classes))
        notes: list[str] = []
        in_unit = output.post_processing_function is None and all(step.name == "clip" for step in steps or ())
        if steps is None:
            found, left = steps_of_item(output.post_processing_function, of=f"output {tensor.name!r}")
            notes += [f"output {tensor.name!r} wants {text}, which is not computed here: say post=..." for text in left]
            steps, in_unit = found, not left
            scores = axis is not None and _lengths(tensor, axes)[axis] == len(classes) > 1
            if not found and not left and scores and not _labelled_beside(model, tensor.name):
                steps = (Step("argmax"),)  # scores of the classes that the item lists
            elif not found and not left and (odd := _other_number(tensor, axes, axis, len(classes))):
                notes.append(f"output {tensor.name!r} {odd}: they are written as they are, or say post='argmax'")
        if any(step.name == "argmax" for step in steps):
            classes = _of_highest(tensor, output, classes, None if axis is None else _lengths(tensor, axes)[axis])
        elif steps and steps[-1].name == "threshold" and not (len(classes) == 2 and prod(_lengths(tensor, axes)) == 1):
            classes = (Class(0, "below"), Class(1, "above"))  # of every band by itself
        return cls(tensor, axes, axis, tuple(steps), classes, tuple(notes), in_unit)

    @property
    def labels(self) -> bool:
        """Whether the layer holds labels and not quantities."""
        if self.steps:
            return self.steps[-1].name in LABELLING
        return bool(self.classes) and self._dtype.kind in "iub"

    @property
    def stretched(self) -> Step | None:
        """The percentiles of the whole scene that values are stretched to, which is done once all are there."""
        return next((step for step in self.steps if step.name == STRETCH), None)

    @property
    def _dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32 if self.tensor.dtype == "other" else self.tensor.dtype)

    def finished(self, values: Values, missing: Values | None, layer: Layer) -> Values:
        """Make pixels of the layer of what the model gave of one sample.

        Parameters
        ----------
        values
            Others, row, column.
        missing
            Row, column: where there is nothing.
        layer
            What they are for.

        Returns
        -------
        numpy.ndarray
            Band, row, column.
        """
        axis = self.axis
        scores = values
        for step in self.steps:
            if step.name != STRETCH:
                values = apply_step(step, values, axis if axis is not None else 0)
        found = values.reshape(-1, *values.shape[-2:])
        if self.labels and not self.steps and (odd := self._odd_labels(found, layer)) is not None:
            missing = odd if missing is None else missing | odd
        found = self._coded(found, layer)
        if scores.dtype.kind == "f" and self.labels and not (finite := np.isfinite(scores)).all():
            odd = ~finite.all(axis=tuple(range(scores.ndim - 2)))  # a score that is none has no class
            missing = odd if missing is None else missing | odd
        if self.labels and (nothing := [one.value for one in self.classes if one.nothing][1:]):  # the first is nodata
            none = np.isin(found, nothing).any(axis=0)
            missing = none if missing is None else missing | none
        if missing is not None and missing.any():
            found = found.copy() if found.base is not None or found is scores else found
            found[:, missing] = layer.nodata
        return found

    def _coded(self, found: Values, layer: Layer) -> Values:
        """Write labels as the values that stand for them."""
        if self.steps and self.steps[-1].name in LABELLING and self.classes:
            codes = np.array([one.value for one in self.classes], layer.dtype)
            return found.astype(layer.dtype, copy=False) if _counts(codes) else codes[found]
        return np.ascontiguousarray(found, layer.dtype)

    def _odd_labels(self, found: Values, layer: Layer) -> Values | None:
        """Tell where labels are that would become others, or nothing, in the type of the layer; None if nowhere."""
        assert layer.nodata is not None
        limits, low, high = np.iinfo(layer.dtype), int(found.min()), int(found.max())
        if limits.min <= low and high <= limits.max and not low <= layer.nodata <= high:
            return None
        odd = (found < limits.min) | (found > limits.max)
        if not any(one.nothing for one in self.classes):
            odd |= found == layer.nodata
        if not odd.any():
            return None
        self.odd.add(int(found[odd].flat[0]))
        return np.asarray(odd.any(axis=0))

    def layer(self, model: Runnable, grid: GeoBox) -> Layer:
        """Describe the layer, without any pixels."""
        output = next(one for one in model.description.outputs if one.name == self.tensor.name)
        scored = _scored(classes_of(output), self.tensor, _lengths(self.tensor, self.axes))
        names = _band_names(self.tensor, self.axes, output, self.axis, scored)
        if self.axis is not None and any(step.name == "argmax" for step in self.steps):
            lengths = [1 if i == self.axis else n for i, n in enumerate(_lengths(self.tensor, self.axes))]
            names = [""] if prod(lengths) == 1 else [str(i + 1) for i in range(prod(lengths))]
        bands = tuple(name or self.tensor.name for name in names)
        layer = Layer(self.tensor.name, grid, "float32", bands, float("nan"))
        if self.labels:
            dtype, nodata = _label_type(self.classes)
            shown = tuple(one for one in self.classes if not one.nothing)
            layer = replace(layer, dtype=dtype, nodata=nodata, classes=shown)
        elif self._dtype.kind in "iub" and not self.steps:
            layer = replace(layer, **_whole_type(self._dtype))
        elif self._dtype == np.float64:
            layer = replace(layer, dtype="float64")
        names_of = listed(output)
        unit = unit_of_output(names_of, model)
        return layer if self.labels or unit is None or not self.in_unit else replace(layer, unit=unit)


def classes_of(output: ModelOutput) -> tuple[Class, ...]:
    """Read the classes that an item lists for an output; none where it lists none.

    Source: STAC classification extension 2.0, "Class Object".

    Raises
    ------
    InvalidItemError
        If one value stands for two of them, which a map would not tell apart.
    """
    entries = (output.model_extra or {}).get(CLASSES_FIELD)
    found: list[Class] = []
    for number, entry in enumerate(entries if isinstance(entries, list | tuple) else ()):
        if not isinstance(entry, Mapping):
            continue
        value = _whole(entry.get("value", number))
        if value is None:
            continue
        name = entry.get("title") or entry.get("name") or entry.get("description") or f"class {value}"
        if any(one.value == value for one in found):
            raise InvalidItemError(
                f"output {output.name!r} lists two classes of the value {value}, which a map would not tell apart: ask "
                "the publisher of its item"
            )
        color = _COLOR.fullmatch(str(entry.get("color_hint") or entry.get("color-hint") or ""))
        found.append(Class(value, str(name), f"#{color[1].lower()}" if color else None, entry.get("nodata") is True))
    return tuple(found)


def _scored(classes: tuple[Class, ...], tensor: TensorSignature, lengths: Sequence[int]) -> tuple[Class, ...]:
    """Leave out what stands for nothing where there is a score of each of the others, or one that tells two apart."""
    there = tuple(one for one in classes if not one.nothing)
    one_score = prod(lengths) == 1 and len(there) == 2 and tensor.dtype.startswith(("float", "bfloat"))
    each = len(there) in lengths and len(classes) not in lengths and len(there) > 1
    return there if each or one_score else classes


def _whole(value: Any) -> int | None:
    """Read the value of a class as people write it: 10, 10.0 or "10"; None if it is no whole number."""
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except ValueError:
        return None
    return int(number) if number.is_integer() else None


def _class_axis(tensor: TensorSignature, axes: Axes, output: ModelOutput, classes: int) -> int | None:
    """Find which of the axes beside rows and columns lists the classes."""
    lengths = _lengths(tensor, axes)
    if classes > 1 and lengths.count(classes) == 1:
        return lengths.index(classes)
    names = len(listed(output))
    dims = [tensor.dim_order[i] for i in axes.others]
    if names and (found := axis_of(tensor.dim_order, tensor.shape, names)) is not None and found in axes.others:
        return axes.others.index(found)
    named = [i for i, dim in enumerate(dims) if dim.lower() in {"class", "classes", "channel", "channels", "bands"}]
    if len(named) == 1:
        return named[0]
    return 0 if len(lengths) == 1 else None


def _other_number(tensor: TensorSignature, axes: Axes, axis: int | None, classes: int) -> str:
    """Say that there are other scores than classes, in half a line; nothing where they fit, or are labels."""
    fractions = tensor.dtype == "other" or np.dtype(tensor.dtype).kind == "f"
    scores = _lengths(tensor, axes)[axis] if fractions and axis is not None else 0
    return (
        f"has {scores} scores, and its item lists {classes} classes"
        if classes and scores > 1 and scores != classes
        else ""
    )


def _lengths(tensor: TensorSignature, axes: Axes) -> list[int]:
    return [tensor.shape[i] for i in axes.others]


def _of_highest(
    tensor: TensorSignature, output: ModelOutput, classes: Sequence[Class], length: int | None
) -> tuple[Class, ...]:
    """Give the classes of which the highest score is taken, one for each score at least.

    Raises
    ------
    DataError
        If there is nothing to choose from, or a score has no class.
    """
    if length is None:
        raise DataError(f"output {tensor.name!r} is {tensor}: it has no axis of classes to take the highest of")
    if length == 1:
        raise DataError(
            f"output {tensor.name!r} is {tensor}: its one score is always the highest: say from where on it counts, "
            "post='threshold:0.5' (--post; after sigmoid, if it is no share)"
        )
    if not classes:
        return _named_classes(output, length)
    missing = range(len(classes), length)
    if missing and [one.value for one in classes] != list(range(len(classes))):
        raise DataError(
            f"output {tensor.name!r} has {length} scores, and its item lists {len(classes)} classes, so that nobody "
            "can tell which stands for which: have the scores, post='none' (--post none), or correct the item"
        )
    return (*classes, *(Class(number, f"class {number}") for number in missing))


def _named_classes(output: ModelOutput, length: int) -> tuple[Class, ...]:
    names = listed(output)
    if len(names) == length:
        return tuple(Class(i, name) for i, name in enumerate(names))
    return tuple(Class(i, f"class {i}") for i in range(length)) if length > 0 else ()


def _band_names(
    tensor: TensorSignature, axes: Axes, output: ModelOutput, axis: int | None, classes: Sequence[Class]
) -> list[str]:
    """Name the bands: by the list of the item, by the classes, by number; those of several times by both."""
    lengths = _lengths(tensor, axes)
    if OPEN in lengths:
        raise DataError(
            f"output {tensor.name!r} is {tensor}: how many bands it has is not known before it runs; run it on arrays"
        )
    names = listed(output)
    if axis is not None and len(names) != lengths[axis]:
        names = [one.name for one in classes] if len(classes) == lengths[axis] else []
    found = [""]
    for i, length in enumerate(lengths):
        own = names if i == axis and names else [str(n + 1) for n in range(length)] if length > 1 else [""]
        found = [" ".join(filter(None, (before, one))) for before in found for one in own]
    return found


def _counts(codes: Values) -> bool:
    return bool((codes == np.arange(len(codes))).all())


def _label_type(classes: Sequence[Class]) -> tuple[str, int]:
    """Give the smallest type that holds all classes, and a value that is none of them, or that says so."""
    taken = {one.value for one in classes}
    nothing = next((one.value for one in classes if one.nothing), None)
    low, high = min(taken, default=0), max(taken, default=254)
    for dtype in ("uint8", "uint16", "int16", "int32"):
        limits = np.iinfo(dtype)
        most = int(limits.max)
        if (
            low >= limits.min
            and high <= most
            and (free := next((v for v in (nothing, most, 0) if v is not None and v not in taken - {nothing}), None))
            is not None
        ):
            return dtype, free
    return "int64", NOTHING


def _whole_type(dtype: np.dtype[Any]) -> dict[str, Any]:
    """Give a type that has room for every value and one that stands for nothing."""
    wider = {"b": "uint8"}.get(dtype.kind) or {1: "int16", 2: "int32"}.get(dtype.itemsize, "int64")
    nodata = {"uint8": 255, "int64": NOTHING}.get(wider)
    return {"dtype": wider, "nodata": int(np.iinfo(wider).min) if nodata is None else nodata}
