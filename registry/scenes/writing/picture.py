"""A picture of a result for people: class colours and their names, or a colour scale and its unit; and a scale bar."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import MissingPackageError, StorageError
from modelstac.registry.scenes.lettering import drawable
from modelstac.registry.scenes.rasters import Layer, Raster
from modelstac.registry.scenes.writing.layers import pixels, rgb, stored
from modelstac.registry.scenes.writing.outputs import ADVICE, Target
from modelstac.registry.scenes.writing.places import metres_across

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Values = np.ndarray[Any, Any]
    Masked = Any

_DOTS = 100
"""Dots an inch."""
_LONGEST, _LEAST = 900, 320
"""Dots of the longer side of the map, and of a side that would be shorter."""
_ROW = 17
"""Dots of a row of the legend."""
_LEGEND_ROWS = 26
_STRIP_PIXELS = 4 << 20
_ma: Any = np.ma  # which states no types


def write_picture(raster: Raster, path: Path, *, title: str = "", target: Target | None = None) -> None:
    """Draw a layer as PNG, at most about 1,200 dots wide and high, see-through where there is nothing.

    Of several bands the first one is drawn. A map of classes shows the most frequent one under each dot, other numbers
    their mean between the 2nd and 98th percentile. Rows that run to the north are turned over, rotated grids are not.

    Raises
    ------
    MissingPackageError
        If matplotlib is not installed.
    StorageError
        If it cannot be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise MissingPackageError.extra("matplotlib", "scenes", "a preview") from error
    layer = stored(raster.layer)
    values = reduced(raster, _LONGEST)
    if layer.grid.affine.e > 0:
        values = values[::-1]
    figure = Figure(dpi=_DOTS, facecolor="none")
    FigureCanvasAgg(figure)
    _draw(figure, values, layer, title)
    try:
        # No version of matplotlib in the bytes.
        figure.savefig(path, format="png", metadata={"Software": None})
    except OSError as error:
        raise StorageError.doing(f"write {path if target is None else target}", error, advice=ADVICE) from error


def reduced(raster: Raster, longest: int) -> Masked:
    """Return the first band with sides of ``longest`` pixels at most, masked where there is nothing."""
    layer = stored(raster.layer)
    height, width = layer.grid.shape
    factor = max(1, math.ceil(max(height, width) / longest))
    step = max(1, _STRIP_PIXELS // (width * factor)) * factor
    parts = []
    for top in range(0, height, step):
        window = slice(top, min(top + step, height)), slice(0, width)
        values = pixels(raster, window, layer.dtype)[0]
        there = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)
        if layer.nodata is not None:
            there &= values != layer.nodata
        parts.append(_classes(values, there, factor, layer) if layer.classes else _means(values, there, factor))
    return _ma.concatenate(parts)


def _blocks(values: Values, factor: int) -> Values:
    """Return sums over squares of pixels; those at the end may be cut."""
    rows = np.add.reduceat(values, np.arange(0, values.shape[0], factor), axis=0)
    return np.add.reduceat(rows, np.arange(0, values.shape[1], factor), axis=1)


def _means(values: Values, there: Values, factor: int) -> Masked:
    count = _blocks(there.astype("int32"), factor)
    total = _blocks(np.where(there, values, 0).astype("float64"), factor)
    return _ma.masked_array(total / np.maximum(count, 1), count == 0)


def _classes(values: Values, there: Values, factor: int, layer: Layer) -> Masked:
    """Return the number of the most frequent class of each square, counted from 0; the first of equals."""
    if factor == 1:
        counts = np.stack([(values == found.value) & there for found in layer.classes])
    else:
        counts = np.stack(
            [_blocks(((values == found.value) & there).astype("int16"), factor) for found in layer.classes]
        )
    return _ma.masked_array(counts.argmax(axis=0), counts.max(axis=0) == 0)


def _draw(figure: Figure, values: Masked, layer: Layer, title: str) -> None:
    rows, columns = values.shape
    dots = _LONGEST / max(rows, columns)
    width, height = columns * dots, rows * dots
    # What is very tall or wide is drawn as wide as a scale bar and its words need.
    legend = min(_ROW * len(layer.classes), _LEAST) if layer.classes else _LEAST
    width, height = max(width, _LEAST), max(height, legend)
    beside, above, below = 260.0, 50.0, 60.0
    total_width, total_height = width + beside + 40, height + above + below
    figure.set_size_inches(total_width / _DOTS, total_height / _DOTS)
    axes = figure.add_axes((20 / total_width, below / total_height, width / total_width, height / total_height))
    axes.set_axis_off()
    _paper(figure, axes, rows, columns)
    if title:
        across = int(total_width / 10)
        shown = drawable(title, "", letters=across)
        figure.text(20 / total_width, 1 - 30 / total_height, shown, fontsize=12, va="center", ha="left")
    side = (20 + width + 15) / total_width
    if layer.classes:
        _draw_classes(axes, figure, values, layer, side)
    else:
        colour_axes = (side, below / total_height, 18 / total_width, height / total_height)
        _draw_numbers(axes, figure, values, layer, colour_axes)
    if layer.grid.crs is not None:
        _draw_scale(figure, axes, layer)


def _paper(figure: Figure, axes: Axes, rows: int, columns: int) -> None:
    """Lay white around the map, for dark pages: what is written there is black; the map itself is seen through."""
    from matplotlib.patches import PathPatch, Rectangle
    from matplotlib.path import Path as Outline

    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.apply_aspect()
    box = axes.get_position()
    inner = Outline([(box.x0, box.y0), (box.x0, box.y1), (box.x1, box.y1), (box.x1, box.y0), (box.x0, box.y0)])
    ring = Outline.make_compound_path(Rectangle((0, 0), 1, 1).get_path(), inner)
    figure.add_artist(PathPatch(ring, facecolor="white", edgecolor="none", transform=figure.transFigure, zorder=-1))


def _draw_classes(axes: Axes, figure: Figure, values: Masked, layer: Layer, side: float) -> None:
    from matplotlib.patches import Patch

    colours = np.array([(*rgb(str(found.color)), 255) for found in layer.classes], "uint8")
    image = colours[_ma.filled(values, 0)]
    image[_ma.getmaskarray(values)] = 0
    axes.imshow(image, interpolation="nearest", aspect="equal")
    present = set(np.unique(values.compressed()).tolist())
    shown = [found for i, found in enumerate(layer.classes) if i in present] or list(layer.classes)
    more = len(shown) - _LEGEND_ROWS
    patches = [
        Patch(
            facecolor=str(found.color),
            edgecolor="#888888",
            linewidth=0.5,
            label=drawable(found.name, f"class {found.value}"),
        )
        for found in shown[: _LEGEND_ROWS if more <= 0 else _LEGEND_ROWS - 1]
    ]
    if more > 0:
        patches.append(Patch(facecolor="none", edgecolor="none", label=f"and {more + 1} more"))
    top = axes.get_position().y1
    figure.legend(
        handles=patches, loc="upper left", bbox_to_anchor=(side, top), fontsize=8, frameon=False, borderaxespad=0
    )


def _draw_numbers(
    axes: Axes, figure: Figure, values: Masked, layer: Layer, place: tuple[float, float, float, float]
) -> None:
    there = values.compressed()
    low, high = (float(part) for part in np.percentile(there, (2, 98))) if there.size else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    shown = axes.imshow(values, cmap="viridis", vmin=low, vmax=high, interpolation="nearest", aspect="equal")
    bar = figure.colorbar(shown, cax=figure.add_axes(place), extend="both")
    name = layer.bands[0] or layer.name
    unit = f" ({drawable(layer.unit, '?')})" if layer.unit else ""
    bar.set_label(drawable(name, "band 1") + unit, fontsize=9)
    bar.ax.tick_params(labelsize=8)


def _draw_scale(figure: Figure, axes: Axes, layer: Layer) -> None:
    """Draw a bar of a round length, about a fifth of the map, measured along its middle row."""
    metres = metres_across(layer.grid)
    if not math.isfinite(metres) or metres <= 0:
        return
    length = _round_below(metres / 4)
    axes.apply_aspect()
    # In dots of the figure, below the map.
    box = axes.get_position()
    across = box.width * length / metres
    y = max(box.y0 - 22 / (figure.get_figheight() * _DOTS), 0.01)
    figure.add_artist(_line([box.x0, box.x0 + across], [y, y], figure))
    text = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    if layer.grid.crs.geographic:
        text += " (in the middle)"
    figure.text(box.x0 + across + 8 / (figure.get_figwidth() * _DOTS), y, text, fontsize=9, va="center", ha="left")


def _line(x: list[float], y: list[float], figure: Figure) -> Any:
    from matplotlib.lines import Line2D

    return Line2D(x, y, color="black", linewidth=3, solid_capstyle="butt", transform=figure.transFigure)


def _round_below(length: float) -> float:
    """Return the largest of 1, 2 or 5 times a power of ten that is no longer."""
    power = 10.0 ** math.floor(math.log10(length))
    return max(part * power for part in (1, 2, 5) if part * power <= length * (1 + 1e-9))
