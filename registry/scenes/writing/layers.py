"""What is written of a layer in whatever format: its type, the colours and names of its classes, windows to go by."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.registry.scenes.rasters import Class, Layer, Raster, Window

if TYPE_CHECKING:
    Values = np.ndarray[Any, Any]

_MOST_NODATA = 1 << 53
"""GDAL is given nodata as a fraction: of -2**63 it made -9."""
_STORED = {"bool": "uint8", "float16": "float32", "int8": "int16"}
"""Types that some readers do not know (GDAL before 3.7 reads int8 as unsigned), and what holds them."""
_NUMBERS = frozenset({"uint8", "uint16", "uint32", "uint64", "int16", "int32", "int64", "float32", "float64"})
# Twenty colours of largest contrast (Kelly 1965, "Twenty-two colors of maximum contrast", without white and black).
_COLORS = (
    *("#f3c300", "#875692", "#f38400", "#a1caf1", "#be0032", "#c2b280", "#848482", "#008856", "#e68fac", "#0067a5"),
    *("#f99379", "#604e97", "#f6a600", "#b3446c", "#dcd300", "#882d17", "#8db600", "#654522", "#e25822", "#2b3d26"),
)
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_WINDOW_BYTES = 32 << 20


def stored(layer: Layer) -> Layer:
    """Return a layer as it is written: of a type that everything reads, every class with a colour.

    Raises
    ------
    DataError
        If it is of numbers that no map is made of, or its nodata is no number of its type.
    """
    dtype = _STORED.get(layer.dtype, layer.dtype)
    if dtype not in _NUMBERS:
        raise DataError(
            f"layer {layer.name!r} is of type {layer.dtype}, which is written to no map: "
            f"name a post-processing that gives one of {', '.join(sorted(_NUMBERS))}"
        )
    if not all(layer.grid.shape) or not layer.bands:
        raise DataError(f"layer {layer.name!r} has no pixels or no bands: its grid is {tuple(layer.grid.shape)}")
    if layer.nodata is not None and not _holds(dtype, layer.nodata):
        raise DataError(f"layer {layer.name!r} is of type {dtype}, which has no {layer.nodata!r} for nodata")
    return replace(layer, dtype=dtype, classes=colored(layer.classes))


def _holds(dtype: str, number: float) -> bool:
    if np.dtype(dtype).kind == "f":
        return True
    limits = np.iinfo(dtype)
    if abs(number) > _MOST_NODATA:
        return False
    return math.isfinite(number) and number == int(number) and limits.min <= number <= limits.max


def colored(classes: Sequence[Class]) -> tuple[Class, ...]:
    """Return classes that all have a colour: their own, else the next of a list that no other has.

    Raises
    ------
    DataError
        If two have one value, or a colour is none.
    """
    if len({found.value for found in classes}) < len(classes):
        raise DataError("two classes have the same value: the item's classification:classes must tell them apart")
    for found in classes:
        if found.color is not None and not _COLOR.fullmatch(found.color):
            raise DataError(
                f"class {found.name!r} has the colour {found.color!r}: six hexadecimal digits after # are needed"
            )
    taken = {found.color.lower() for found in classes if found.color}
    free = (color for color in itertools.chain(_COLORS, _more_colors()) if color not in taken)
    return tuple(found if found.color else replace(found, color=next(free)) for found in classes)


def _more_colors() -> Iterator[str]:
    """Give colours without end: hues by the golden angle, light and dark in turns."""
    import colorsys

    for i in itertools.count():
        parts = colorsys.hls_to_rgb(i * 0.618034 % 1, (0.35, 0.55, 0.75)[i % 3], 0.65)
        yield "#" + "".join(f"{round(255 * part):02x}" for part in parts)


def rgb(color: str) -> tuple[int, int, int]:
    """Return red, green and blue, 0 to 255, of ``#rrggbb``."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def file_name(layer_name: str) -> str:
    """Return a layer's name as part of a file's."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", layer_name).strip("._") or "layer"


def distinct(names: Iterable[str]) -> list[str]:
    """Return names of which none is another's: a repeated one gets a number."""
    found: list[str] = []
    for name in names:
        tried = itertools.chain([name], (f"{name}_{i}" for i in itertools.count(2)))
        found.append(next(one for one in tried if one not in found))
    return found


def words(classes: Sequence[Class]) -> list[str]:
    """Return the names of classes as one word each, of letters, digits, ``-`` and ``_``; no two are the same."""
    return distinct(
        re.sub(r"[^A-Za-z0-9_-]+", "_", found.name).strip("_") or f"class_{found.value}" for found in classes
    )


def pixels(raster: Raster, window: Window, dtype: str) -> Values:
    """Read a window as it is written: (band, row, column), of the type that is stored."""
    values = np.asarray(raster.read(window))
    rows, columns = (part.stop - part.start for part in window)
    wanted = (len(raster.layer.bands), rows, columns)
    assert values.shape == wanted, f"{raster.layer.name}: {values.shape} was read where {wanted} is"
    return values.astype(dtype, copy=False)


def windows(layer: Layer, block: int, *, most: int = _WINDOW_BYTES) -> Iterator[Window]:
    """Give the windows of a layer row by row; their edges are those of blocks, and each holds so many bytes at most.

    One block is the least, however large.
    """
    height, width = layer.grid.shape
    pixel = np.dtype(layer.dtype).itemsize * len(layer.bands)
    across = max(1, most // (block * block * pixel)) * block
    for top, left in itertools.product(range(0, height, block), range(0, width, across)):
        yield slice(top, min(top + block, height)), slice(left, min(left + across, width))
