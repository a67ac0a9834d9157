"""Pictures of rain: observation above forecast, for the thumbnail of an item and for reports."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import MissingPackageError

LEVELS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
"""Rain rates in mm/h at which the colour changes."""


def compare_png(
    rows: Mapping[str, NDArray[np.float32]],
    *,
    step_minutes: int,
    lead_minutes: Sequence[int] | None = None,
    zoom: int = 1,
) -> bytes:
    """Draw forecasts below each other, one column for each lead time.

    Parameters
    ----------
    rows
        Rain rates (lead time, y, x) in mm/h by title, NaN where nothing is known.
    step_minutes
        Time between two frames; the first is one step ahead.
    lead_minutes
        The lead times to show; by default the first, a third, two thirds of the way, and the last.
    zoom
        How much larger than the default (about 880 pixels wide) to draw.

    Returns
    -------
    bytes
        A PNG, the same for the same data.

    Raises
    ------
    MissingPackageError
        If matplotlib is not installed.
    """
    try:
        from matplotlib import colormaps
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.colors import BoundaryNorm
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra("matplotlib", "data", "drawing rain") from error
    frames = len(next(iter(rows.values())))
    if lead_minutes is None:
        shown = sorted({0, frames // 3 - 1, 2 * frames // 3 - 1, frames - 1} - {-1})
    else:
        shown = [minutes // step_minutes - 1 for minutes in lead_minutes]
    colours = colormaps["YlGnBu"].with_extremes(under="white", bad="0.85")
    norm = BoundaryNorm(LEVELS, colours.N, extend="both")
    figure = Figure(figsize=(2.1 * len(shown) + 0.9, 2.1 * len(rows) + 0.3), dpi=100 * zoom, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), len(shown), squeeze=False)
    for line, (title, rates) in zip(axes, rows.items(), strict=True):
        line[0].set_ylabel(title)
        for axis, index in zip(line, shown, strict=True):
            image = axis.imshow(rates[index], cmap=colours, norm=norm, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
    for axis, index in zip(axes[0], shown, strict=True):
        axis.set_title(f"+{(index + 1) * step_minutes} min")
    figure.colorbar(image, ax=axes, label="rain rate in mm/h", ticks=LEVELS, format="%g")
    png = io.BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})  # no version of matplotlib in the bytes
    return png.getvalue()
