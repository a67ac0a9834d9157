"""Where a scene is cut for a model, what comes out of it, and what that takes: a plain object, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import DataError
from modelstac.catalog.items.sizes import OPEN, Size
from modelstac.registry.scenes.running.axes import Axes
from modelstac.registry.scenes.running.layers import Recipe
from modelstac.registry.scenes.running.options import UNKNOWN, Cost, Options
from modelstac.registry.scenes.running.posting import read_steps
from modelstac.registry.scenes.running.sides import Sides, batch_of, cut, tile_of_all

if TYPE_CHECKING:
    from modelstac.registry.running.signature import Runnable, TensorSignature
    from modelstac.registry.scenes.rasters import Layer, Source
    from modelstac.registry.scenes.running.cutting import Cutting

PIXELS = 1 << 16
"""Pixels at a time for a model of pixels."""
NOT_RUN: Mapping[str, Sequence[int]] = MappingProxyType({})


@dataclass(frozen=True)
class Plan:
    """How a scene is run.

    Parameters
    ----------
    inputs, recipes, layers
        Inputs that are read; by output, how it becomes a layer, and this.
    rows, columns
        How the scene is cut.
    batch
        Tiles at a time.
    overlap
        Where scores are blended: how many pixels of the coarsest grid neighbours share at least; 0 where tiles are cut
        at their margins, which gives what the whole scene gives.
    of_pixels
        Whether the model has no rows and columns, and runs on every pixel.
    cost
        What is known of its cost.
    notes
        What a person should know.
    """

    inputs: tuple[TensorSignature, ...]
    recipes: Mapping[str, Recipe]
    layers: Mapping[str, Layer]
    rows: Cutting
    columns: Cutting
    batch: int
    overlap: int = 0
    of_pixels: bool = False
    cost: Cost = UNKNOWN
    notes: tuple[str, ...] = ()

    @property
    def tiles(self) -> int:
        """How many tiles there are."""
        return len(self.rows.starts) * len(self.columns.starts)

    @property
    def tile(self) -> tuple[int, int]:
        """Rows and columns of a tile, in pixels of the finest input."""
        return tuple(cut.tile * max(cut.needs.pixels.values()) for cut in (self.rows, self.columns))  # type: ignore[return-value]

    @property
    def groups(self) -> list[list[tuple[int, int]]]:
        """Tiles that are run together, by their row and column; those of one group are of one row."""
        columns = range(len(self.columns.starts))
        return [
            [(row, column) for column in columns[begin : begin + self.batch]]
            for row in range(len(self.rows.starts))
            for begin in range(0, len(columns), self.batch)
        ]

    @property
    def bytes(self) -> int:
        """Memory that tiles take while they are read, run and written, about."""
        each = self.rows.tile * self.columns.tile * self.batch
        accumulated = 0
        if self.overlap:
            for name, recipe in self.recipes.items():
                bands = max(1, len(self.layers[name].bands), -1 if recipe.axis is None else len(recipe.classes))
                ratio = self.rows.needs.follows[name][0]
                accumulated += int(bands * 4 * self.layers[name].grid.shape[1] * self.rows.tile * ratio)
        return int(each * self.cost.bytes) + accumulated

    @property
    def seconds(self) -> float | None:
        """How long the model takes, about; None where nobody tried."""
        if self.cost.seconds is None:
            return None
        return self.cost.seconds * self.rows.tile * self.columns.tile * self.tiles

    def to_json(self) -> dict[str, Any]:
        """Give what it is as JSON types."""
        return {
            "tile": list(self.tile),
            "tiles": self.tiles,
            "grid_of_tiles": [len(self.rows.starts), len(self.columns.starts)],
            "batch": self.batch,
            "merge": "blend" if self.overlap else "crop",
            "margin": {name: [self.rows.needs.margins[name], self.columns.needs.margins[name]]
                       for name in self.rows.needs.margins},
            "memory_bytes": self.bytes,
            "seconds": None if self.seconds is None else round(self.seconds, 1),
            "layers": {
                name: {
                    "shape": list(layer.grid.shape),
                    "bands": len(layer.bands),
                    "dtype": layer.dtype,
                    "crs": str(layer.grid.crs) if layer.grid.crs is not None else None,
                    "steps": [str(step) for step in self.recipes[name].steps],
                }
                for name, layer in self.layers.items()
            },
        }  # fmt: skip


def open_bands(model: Runnable) -> dict[str, list[int]]:
    """Give the outputs of which the item leaves open how many bands there are: 1 for each axis that is open."""
    found = {}
    for tensor in model.signature.outputs:
        lengths = [tensor.shape[axis] for axis in Axes.of(tensor).others]
        if OPEN in lengths:
            found[tensor.name] = [1 if length == OPEN else length for length in lengths]
    return found


def with_bands(tensor: TensorSignature, lengths: Sequence[int] | None) -> TensorSignature:
    """Give an output whose axes beside rows, columns and samples have these lengths."""
    if lengths is None:
        return tensor
    sizes = list(tensor.sizes)
    for axis, length in zip(Axes.of(tensor).others, lengths, strict=True):
        sizes[axis] = Size.fixed(int(length))
    return replace(tensor, sizes=tuple(sizes))


def read_inputs(model: Runnable, source: Source) -> tuple[TensorSignature, ...]:
    """Give the inputs that a scene has a grid for.

    Raises
    ------
    DataError
        If it lacks one that the model needs.
    """
    found = tuple(tensor for tensor in model.signature.inputs if tensor.name in source.grids)
    lacking = [t.name for t in model.signature.inputs if t not in found and not t.optional]
    if lacking:
        have = ", ".join(source.grids) or "none"
        raise DataError(f"the model needs the input {lacking[0]!r}, and the scene has {have}: give it by name")
    return found


def make_plan(
    model: Runnable,
    source: Source,
    options: Options,
    *,
    cost: Cost = UNKNOWN,
    memory: int = 1 << 30,
    exact: tuple[int, int, int] | None = None,
    bands: Mapping[str, Sequence[int]] = NOT_RUN,
) -> Plan:
    """Plan how a scene is run.

    Parameters
    ----------
    model, source
        What runs, and on what.
    options
        What the user says.
    cost
        What a pixel costs, if it was tried.
    memory
        Bytes for tiles where the user says nothing.
    exact
        Rows and columns of a tile on the coarsest grid, and tiles at a time, of a run that is gone on with.
    bands
        By output, how long its axes beside rows, columns and samples are, where the item leaves one open.

    Raises
    ------
    DataError
        If the scene does not fit the model, or an output is no image.
    """
    inputs = read_inputs(model, source)
    of_pixels = _is_of_pixels(model, inputs)
    steps = None if options.post is None else read_steps(options.post)
    outputs = [with_bands(tensor, bands.get(tensor.name)) for tensor in model.signature.outputs]
    recipes = {tensor.name: Recipe.of(model, tensor, steps) for tensor in outputs}
    notes = [note for recipe in recipes.values() for note in recipe.notes]
    notes += [] if of_pixels or options.per_tile else _refuse_vectors(model, recipes)
    sides = Sides(model, inputs, recipes, source, options, of_pixels=of_pixels)
    exactly = sides.needs(blend=False)
    whole = all(needs is not None for needs in exactly)
    budget = options.memory or memory
    alone = None if exact else tile_of_all(sides, options, cost, budget)
    blend = bool(options.blend)
    if not blend and not whole and alone is None:
        blend = True
        notes.append("how far an output pixel sees is not known or all of the scene: tiles are blended, not exact")
    if model.description.unproved:
        notes.append(
            f"{model.item.id} was published without running it, so that its sizes and halo are not proved: prove them "
            f"with modelstac probe {model.item.id} --record"
        )
    if blend and any(recipe.tensor.dtype not in {"other"} and not recipe.tensor.dtype.startswith(("float", "bfloat"))
                     for recipe in recipes.values()):  # fmt: skip
        raise DataError("an output holds labels, which are never blended: give the whole scene in one tile (--tile)")
    needs = sides.needs(blend=blend or not whole)
    assert needs[0] is not None
    assert needs[1] is not None
    rows, columns, overlaps = cut((needs[0], needs[1]), sides, options, cost, budget, blend=blend, exact=exact)
    batch = (
        exact[2]
        if exact
        else batch_of(model, inputs, options, (rows, columns), cost=cost, budget=budget, of_pixels=of_pixels)
    )
    layers = {name: recipe.layer(model, sides.grid(name, rows, columns)) for name, recipe in recipes.items()}
    overlap = max(overlaps) if blend else 0
    return Plan(inputs, recipes, layers, rows, columns, batch, overlap, of_pixels, cost, tuple(notes))


def _is_of_pixels(model: Runnable, inputs: Sequence[TensorSignature]) -> bool:
    images = [Axes.of(tensor).is_image for tensor in inputs]
    if not any(images):
        if any(Axes.of(tensor).is_image for tensor in model.signature.outputs):
            raise DataError("the model makes an image of values without rows and columns: run it on arrays")
        return True
    if not all(images):
        odd = inputs[images.index(False)]
        raise DataError(f"input {odd.name!r} is {odd}, without rows and columns beside inputs that have them: run the "
                        "model on arrays")  # fmt: skip
    return False


def _refuse_vectors(model: Runnable, recipes: Mapping[str, Recipe]) -> list[str]:
    for name, recipe in recipes.items():
        if not recipe.axes.is_image:
            one = next(output for output in model.description.outputs if output.name == name)
            finds = any("detection" in task and "change" not in task for task in one.tasks)
            advice = (
                "it finds objects; run it on images, as arrays"
                if finds
                else "per_tile=True (--per-tile) gives one pixel a tile"
            )
            raise DataError(
                f"output {name!r} of {model.item.id!r} is {recipe.tensor}, no image: the model makes no map; {advice}"
            )
    return []
