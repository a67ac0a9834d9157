"""A map beside its labels, window by window: what both have, counted or summed for each block of the map."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError
from modelstac.registry.scenes.evaluating.cubes import bands_of_cube
from modelstac.registry.scenes.evaluating.grids import (
    Band,
    Rules,
    classes_of_file,
    in_unit,
    labels_of_file,
    map_of_file,
    map_of_layer,
    on_grid,
    opened,
)
from modelstac.registry.scenes.evaluating.numbers import sums

if TYPE_CHECKING:
    from modelstac.registry.scenes.rasters import Class, Raster, Window

Kind = Literal["classes", "numbers"]
_BLOCK, _MOST = 256, 16  # pixels a side of a block at least, and blocks in a row at most
_SAMPLE = 256  # pixels of a block that are kept for a picture
_LARGEST = 2.0**53  # of classes: whole numbers beyond it are not told apart as fractions
_TABLE = 512  # values a side of a table of counts; beyond it pairs are sorted


@dataclass(eq=False)
class Compared:
    """What was found in one scene.

    Parameters
    ----------
    map, labels
        The files.
    blocks
        For each block: of classes rows of label, map and count; of numbers the sums of
        :mod:`modelstac.registry.scenes.evaluating.numbers`.
    pixels
        How many both have.
    unmapped
        How many have a label, and no value on the map.
    sample
        Some pairs of numbers, (pair, map and label), for a picture.
    named
        What the labels call their values, of those that are not translated.
    """

    map: str
    labels: str
    blocks: list[NDArray[Any]] = field(default_factory=list)
    pixels: int = 0
    unmapped: int = 0
    sample: list[NDArray[Any]] = field(default_factory=list)
    named: tuple[Class, ...] = ()


def kind_of(mapped: str | Path | Raster) -> Kind:
    """Tell whether a map is one of classes, which are whole numbers, or of numbers.

    Raises
    ------
    DataError
        If it cannot be read.
    """
    if not isinstance(mapped, str | Path):
        return "classes" if np.dtype(mapped.layer.dtype).kind in "iub" else "numbers"
    if cube := bands_of_cube(mapped):
        return "classes" if np.dtype(cube[0].open().stored[cube[0].number].dtype).kind in "iub" else "numbers"
    with ExitStack() as stack:
        dtype = np.dtype(opened(stack, mapped, "map").dtypes[0])
    return "classes" if dtype.kind in "iub" else "numbers"


def compare(
    mapped: str | Path | Raster, labels: str | Path, kind: Kind, rules: Rules, *, origin: float = 0.0, name: str = ""
) -> Compared:
    """Compare a map with its labels; both are read window by window.

    Parameters
    ----------
    mapped, labels
        Rasters; what their masks or nodata leave out counts as nothing. The map may be a layer that was just made.
    kind
        Of which kind both are.
    rules
        How.
    origin
        Of sums of numbers.
    name
        What the map is called, if not by its path.

    Raises
    ------
    DataError
        If one cannot be read, or they do not lie on one grid, or labels are no classes.
    """
    found = Compared(name or str(mapped), str(labels))
    if kind == "numbers" and rules.translate:
        raise DataError(
            "values of labels stand for others where maps show classes, and these are numbers: leave out --translate, "
            "or say --kind classes"
        )
    if kind == "classes":
        found.named = tuple(one for one in classes_of_file(labels, what="labels") if one.value not in rules.translate)
    with ExitStack() as stack:
        ours = (
            map_of_file(stack, mapped, rules, numbers=kind == "numbers")
            if isinstance(mapped, str | Path)
            else map_of_layer(mapped, rules, name)
        )
        theirs = on_grid(labels_of_file(stack, labels, rules, numbers=kind == "numbers"), ours, resample=rules.resample)
        theirs = in_unit(theirs, ours) if kind == "numbers" else theirs
        for window in _windows(ours):
            values, there = ours.read(window)
            truth, known = theirs.read(window)
            both = known & there
            found.unmapped += int((known & ~there).sum())
            if both.any():
                found.pixels += int(both.sum())
                if kind == "numbers":
                    _add_numbers(found, values[both], truth[both], origin)
                else:
                    _add_classes(found, values[both], truth[both], rules)
    return found


def first_label(labels: str | Path, rules: Rules) -> float:
    """Return a label, for the origin of sums; 0 where there is none."""
    with ExitStack() as stack:
        band = labels_of_file(stack, labels, rules, numbers=True)
        for window in _windows(band):
            truth, known = band.read(window)
            if known.any():
                return float(truth[known][0])
    return 0.0


def dense(blocks: Sequence[NDArray[Any]], values: Sequence[int]) -> NDArray[np.int64]:
    """Return counts (block, label, map) of rows of label, map and count, where ``values`` are those of the classes."""
    counts = np.zeros((len(blocks), len(values), len(values)), np.int64)
    order = np.argsort(values)
    known = np.asarray(values)[order]
    for one, rows in zip(counts, blocks, strict=True):
        label, on_map = (order[np.searchsorted(known, rows[:, k])] for k in (0, 1))
        np.add.at(one, (label, on_map), rows[:, 2])
    return counts


def _add_numbers(found: Compared, values: NDArray[Any], truth: NDArray[Any], origin: float) -> None:
    found.blocks.append(sums(values, truth, origin))
    step = max(1, len(values) // _SAMPLE)
    found.sample.append(np.stack([values[::step], truth[::step]], axis=1))


def _add_classes(found: Compared, values: NDArray[Any], truth: NDArray[Any], rules: Rules) -> None:
    label, on_map = _whole(truth, found.labels), _whole(values, found.map)
    for old, new in rules.translate.items():
        label[truth == old] = new  # of the labels as they were read, so that two values can change places
    found.blocks.append(_counted(label, on_map))


def _counted(label: NDArray[np.int64], on_map: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return rows of label, map and how often they meet."""
    lowest = min(int(label.min()), int(on_map.min()))
    wide = 1 + max(int(label.max()), int(on_map.max())) - lowest
    if wide > _TABLE:
        pairs, counts = np.unique(np.stack([label, on_map], axis=1), axis=0, return_counts=True)
        return np.column_stack([pairs, counts])
    table = np.bincount((label - lowest) * wide + (on_map - lowest), minlength=wide**2).reshape(wide, wide)
    rows, columns = np.nonzero(table)
    return np.column_stack([rows + lowest, columns + lowest, table[rows, columns]])


def _whole(values: NDArray[Any], path: str) -> NDArray[np.int64]:
    if values.dtype.kind == "f" and (odd := values[values != np.rint(values)]).size:
        raise DataError(f"{path} has values such as {odd[0]:g}, which are no classes: evaluate it as numbers")
    if (odd := values[np.abs(values.astype(np.float64)) > _LARGEST]).size:
        raise DataError(
            f"{path} has values such as {odd[0]:g}, too large for classes: leave them out with --ignore, or evaluate "
            "it as numbers"
        )
    return values.astype(np.int64)


def _windows(band: Band) -> Iterator[Window]:
    height, width = band.grid.shape
    side = _BLOCK * max(1, math.ceil(max(width, height) / _MOST / _BLOCK))
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield slice(top, min(top + side, height)), slice(left, min(left + side, width))
