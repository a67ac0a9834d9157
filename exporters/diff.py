"""Where two models differ: in what their items say, in their weights, and from which layer on in what they compute."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pystac
from numpy.typing import NDArray

from modelstac.catalog.errors import ConversionError
from modelstac.catalog.items.reading import read_item, read_own
from modelstac.catalog.messages import Report, ignore
from modelstac.exporters.layers import OUTPUT, known_layers, layers, match
from modelstac.exporters.proof.cases import usual_inputs
from modelstac.exporters.proof.counterparts import Counterparts, lengths
from modelstac.exporters.proof.tolerances import TOLERANCES
from modelstac.exporters.sizes import sized
from modelstac.exporters.tensors import Tensors, tensors
from modelstac.exporters.workers import RemoteModel, Workers
from modelstac.registry.running.differences import (
    are_labels,
    count_differing,
    differences,
    few_enough,
    in_ppm,
    largest,
)
from modelstac.registry.running.signature import Arrays, Signature

if TYPE_CHECKING:
    from modelstac.registry.running.model import Model

Array = NDArray[Any]
TOLERANCE = TOLERANCES["fp32"].relative
_ORDERS: Mapping[int, tuple[tuple[int, ...], ...]] = {
    3: ((0, 1, 2), (0, 2, 1)),
    4: ((0, 1, 2, 3), (0, 2, 3, 1), (0, 3, 1, 2)),
    5: ((0, 1, 2, 3, 4), (0, 1, 3, 4, 2), (0, 1, 4, 2, 3), (1, 0, 3, 4, 2), (1, 0, 4, 2, 3), (1, 0, 2, 3, 4)),
}
"""In which axes of a layer may stand in another format: channels first or last, time before the batch."""


@dataclass(frozen=True)
class FieldDifference:
    """A field of two items that is not the same; None where one has none."""

    field: str
    first: str | None
    second: str | None


@dataclass(frozen=True)
class WeightDifference:
    """How far a tensor of two models is apart.

    Parameters
    ----------
    name, shape
        Of the tensor, in the first model.
    largest, relative
        Largest difference, and the same as a share of the largest value in the first model; None where the shapes
        are not the same.
    """

    name: str
    shape: tuple[int, ...]
    largest: float | None
    relative: float | None


@dataclass(frozen=True)
class LayerDifference:
    """How far two models are apart after one layer.

    Parameters
    ----------
    layer
        Its name in the first model; for an output :data:`modelstac.exporters.layers.OUTPUT`, with its name where there
        are several.
    shape
        Of what the layer gives in the first model.
    largest, relative
        Largest difference, and the same as a share of the largest value in the first model; None where the shapes are
        not the same.
    passed
        Whether the share is within the tolerance.
    first_frame
        Number of the first frame, from 1, that is out of tolerance; None where none is or there are no frames.
    is_output
        Whether it is an output of the model.
    differing_ppm
        Of whole numbers and truth values, which are judged by it: how many are not the same, in parts per million.
    """

    layer: str
    shape: tuple[int, ...]
    largest: float | None
    relative: float | None
    passed: bool
    first_frame: int | None = None
    is_output: bool = False
    differing_ppm: float | None = None


@dataclass(frozen=True)
class Comparison:
    """What two models have in common and what not.

    Parameters
    ----------
    fields
        Of the items, those that differ.
    weights
        Every tensor that both have.
    weights_note
        What keeps weights from being compared, wholly or in part; empty where nothing does.
    layers
        After each layer that both have, in the order of the first, and at last each output. Empty where the two do not
        take the same inputs.
    layers_note
        Why no layer, or no output, could be compared; empty where all could.
    """

    fields: tuple[FieldDifference, ...]
    weights: tuple[WeightDifference, ...]
    weights_note: str
    layers: tuple[LayerDifference, ...]
    layers_note: str

    @property
    def passed(self) -> bool:
        """Whether the two give the same outputs for the same inputs.

        Layers may be apart all the same: tools fold one into another, and what follows may take a difference out.
        """
        outputs = [row for row in self.layers if row.is_output]
        return bool(outputs) and all(row.passed for row in outputs)

    @property
    def begins(self) -> LayerDifference | None:
        """The first layer after which two that do not agree are apart."""
        return None if self.passed else next((row for row in self.layers if not row.passed), None)

    def to_dict(self) -> dict[str, Any]:
        """Give all of it as JSON types."""
        return {"passed": self.passed} | asdict(self)


def diff(
    first: pystac.Item,
    second: pystac.Item,
    workers: Workers,
    *,
    tolerance: float = TOLERANCE,
    report: Report = ignore,
) -> Comparison:
    """Compare two models of any two formats: items, weights, and every layer that both have, on the same random input.

    Parameters
    ----------
    first, second
        Items of the two; the second may declare its dimensions in another order.
    workers
        Where Keras models run.
    tolerance
        Largest difference that passes, as a share of the largest value of the first model in the same layer.

    Raises
    ------
    ModelStacError
        When one of the two cannot be loaded here.
    """
    fields = tuple(_fields(first, second))
    with workers.open(first, report=report) as one, workers.open(second, report=report) as other:
        weights, weights_note = compare_weights(_tensors(one), _tensors(other))
        rows, note = _compare_layers(one, other, tolerance, alike=_format(first) == _format(second))
    return Comparison(fields, weights, weights_note, rows, note)


def _format(item: pystac.Item) -> str:
    return read_item(item).format


def _tensors(model: Model | RemoteModel) -> Tensors:
    return model.tensors() if isinstance(model, RemoteModel) else tensors(model)


def _compare_layers(
    one: Model | RemoteModel, other: Model | RemoteModel, tolerance: float, *, alike: bool
) -> tuple[tuple[LayerDifference, ...], str]:
    try:
        sides = Counterparts.of(one.signature, other.signature)
        inputs = usual_inputs(sized(one), sized(other))
        pairs, note = match(_known(one), _known(other), alike=alike)
        ours = _layers(one, inputs, [layer.name for layer, _ in pairs])
        theirs = _layers(other, sides.to_target(inputs), [layer.name for _, layer in pairs])
        outputs = one.run(inputs), sides.to_source(other.run(sides.to_target(inputs)))
    except ConversionError as error:
        return (), f"nothing that they compute can be compared: {error}"
    frames = lengths(one.signature.inputs, inputs).get("time")
    rows = []
    for layer, same in pairs:
        if layer.name in ours and same.name in theirs:
            here = ours[layer.name]
            there = aligned(theirs[same.name], here)
            rows.append(_compare(layer.name, here, there, _time_axis(here.shape, frames), tolerance))
    for tensor, _ in sides.outputs:
        name = OUTPUT if len(sides.outputs) == 1 else f"{OUTPUT}, {tensor.name}"
        time = tensor.dim_order.index("time") if "time" in tensor.dim_order else None
        here, there = (np.asarray(side[tensor.name]) for side in outputs)
        row = _compare(name, here, there, time, tolerance)
        rows.append(replace(row, is_output=True))
    return tuple(rows), f"layers are not compared: {note}" if note else ""


def _known(model: Model | RemoteModel) -> Any:
    return model.known_layers() if isinstance(model, RemoteModel) else known_layers(model)


def _layers(model: Model | RemoteModel, inputs: Arrays, wanted: Sequence[str]) -> dict[str, Array]:
    return model.layers(inputs, wanted) if isinstance(model, RemoteModel) else layers(model, inputs, wanted)


def _time_axis(shape: tuple[int, ...], frames: int | None) -> int | None:
    """Of a layer that keeps time it is the second axis."""
    return 1 if len(shape) == 5 and frames is not None and shape[1] == frames else None


def aligned(theirs: Array, ours: Array) -> Array:
    """Turn the axes of what a layer gives into the order of its counterpart.

    No file says how axes stand inside a model, and some have time and batch as one. Of the usual orders that fit the
    shape, the one nearest is taken.
    """
    split = ours.shape[1::-1]
    if theirs.ndim == ours.ndim - 1 and theirs.shape[0] == np.prod(split):
        theirs = theirs.reshape(*split, *theirs.shape[1:])
    orders = _ORDERS.get(theirs.ndim, ())
    fitting = [turned for order in orders if (turned := theirs.transpose(order)).shape == ours.shape]
    if not fitting:
        return theirs
    return min(fitting, key=lambda turned: float(np.abs(turned.astype(np.float64) - ours).sum()))


def _compare(name: str, ours: Array, theirs: Array, time: int | None, tolerance: float) -> LayerDifference:
    if ours.shape != theirs.shape:
        return LayerDifference(name, ours.shape, None, None, passed=False)
    apart = differences(ours, theirs)
    scale = largest(ours) or 1.0
    most = float(np.max(apart, initial=0.0))
    if are_labels(ours, theirs):
        differing, allowed = count_differing(ours, theirs), TOLERANCES["fp32"].differing_ppm
        passed = few_enough(differing, ours.size, allowed)
        ppm = in_ppm(differing, ours.size)
        return LayerDifference(name, ours.shape, most, most / scale, passed, differing_ppm=ppm)
    passed = most <= tolerance * scale
    first_frame = None
    if time is not None and not passed:
        by_frame = np.max(np.moveaxis(apart, time, 0).reshape(apart.shape[time], -1), axis=1)
        first_frame = int(np.argmax(by_frame > tolerance * scale)) + 1
    return LayerDifference(name, ours.shape, most, most / scale, passed, first_frame)


def compare_weights(ours: Tensors, theirs: Tensors) -> tuple[tuple[WeightDifference, ...], str]:
    """Compare tensors of the same name, and say which have no counterpart."""
    rows = []
    for name in [name for name in ours if name in theirs]:
        one, other = ours[name], theirs[name]
        if one.shape != other.shape:
            rows.append(WeightDifference(name, one.shape, None, None))
            continue
        most = float(np.max(differences(one, other), initial=0.0))
        rows.append(WeightDifference(name, one.shape, most, most / (largest(one) or 1.0)))
    if not ours or not theirs:
        which = "either" if not ours and not theirs else "the first" if not ours else "the second"
        return (), f"the format of {which} does not give its weights back"
    alone = [(name, "first") for name in ours if name not in theirs]
    alone += [(name, "second") for name in theirs if name not in ours]
    if not rows:
        return (), "no tensor of one has the name of a tensor of the other"
    note = f"{len(alone)} tensors are in one only, such as {alone[0][0]} in the {alone[0][1]}" if alone else ""
    return tuple(rows), note


def _fields(first: pystac.Item, second: pystac.Item) -> Iterator[FieldDifference]:
    ours, theirs = (dict(_facts(item)) for item in (first, second))
    for name in dict.fromkeys(itertools.chain(ours, theirs)):
        if ours.get(name) != theirs.get(name):
            yield FieldDifference(name, ours.get(name), theirs.get(name))


def _facts(item: pystac.Item) -> Iterator[tuple[str, str]]:
    """Give what an item says of its model, without what names it and where it lies."""
    known = read_own(item)
    yield "format", known.format
    yield "framework", f"{known.framework} {known.framework_version}"
    if known.backend:
        yield "backend", f"{known.backend} {known.backend_version}"
    yield "precision", known.precision or "fp32"
    yield "architecture", known.architecture
    yield "parameters", f"{known.parameters:,}"
    signature = Signature.of(known)
    for side, found in (("input", signature.inputs), ("output", signature.outputs)):
        for tensor in found:
            yield f"{side} {tensor.name}", str(tensor)
            if tensor.scaling:
                yield f"{side} {tensor.name}, scaling", str(list(tensor.scaling))
    for name, value in _flat(known.hyperparameters):
        yield name, value
    for name, score in (known.scores or {}).items():
        yield f"score {name}", f"{score:.6g}"


def _flat(fields: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", str(value)
