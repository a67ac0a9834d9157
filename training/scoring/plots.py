"""Pictures of rain: observed against forecast frames, still (PNG) and moving (GIF), and skill by lead time.

The rain scale is matplotlib's viridis from light to dark: its lightness falls from class to class, so that it reads in
the same order with any colour vision and in grey. Lines of the skill plot differ in colour (Okabe and Ito, 2008), mark
and dash.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError, MissingPackageError
from modelstac.catalog.messages import Advanced, Finished, Report, Started, ignore

try:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap
    from matplotlib.figure import Figure
    from PIL import Image
except ModuleNotFoundError as error:
    if error.name not in {"matplotlib", "PIL"}:
        raise
    raise MissingPackageError.extra(error.name, "data", "drawing rain") from error

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from modelstac.training.scoring.bootstrap import Interval
    from modelstac.training.scoring.metrics import Scores

LEVELS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
"""Lower edges of the classes of rain in mm/h; below the first it is dry (white)."""
MISSING = "#c8c8c8"
_DPI = 100
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKS, _DASHES = "os^DvPX", ("-", "--", "-.", ":", "-", "--", "-.")
_MILLISECONDS, _LAST_MILLISECONDS = 350, 1500


@dataclass(frozen=True, eq=False)
class Film:
    """Frames to draw.

    Parameters
    ----------
    panels
        Rain rates (time, y, x) in mm/h by name, drawn side by side; NaN is drawn as missing.
    captions
        One line above each time, for example ``03:25 UTC, forecast +5 min``.
    pixel_metres
        Width and height of a pixel.
    title, credit
        Above and below the picture.
    """

    panels: Mapping[str, NDArray[np.float32]]
    captions: Sequence[str]
    pixel_metres: tuple[float, float]
    title: str = ""
    credit: str = ""

    def __post_init__(self) -> None:
        shapes = {name: rate.shape for name, rate in self.panels.items()}
        if len(set(shapes.values())) != 1 or {len(shape) for shape in shapes.values()} != {3}:
            raise DataError(f"panels have the shapes {shapes}: give the same (time, y, x) to all")
        if len(self) != len(self.captions) or len(self) == 0:
            raise DataError(f"{len(self.captions)} captions for {len(self)} frames: give each frame one")

    def __len__(self) -> int:
        return int(next(iter(self.panels.values())).shape[0])

    def since(self, first: int) -> Film:
        """Return the film from frame ``first`` on."""
        panels = {name: rate[first:] for name, rate in self.panels.items()}
        return replace(self, panels=panels, captions=self.captions[first:])

    @property
    def aspect(self) -> float:
        """Height of a frame divided by its width, on the ground."""
        rows, columns = next(iter(self.panels.values())).shape[1:]
        return float(rows * self.pixel_metres[1] / (columns * self.pixel_metres[0]))


def rain_scale() -> tuple[Colormap, BoundaryNorm]:
    """Return the colours of the classes of rain: white for dry, then from light to dark."""
    colours = list(mpl.colormaps["viridis_r"](np.linspace(0.03, 0.97, len(LEVELS) - 1)))
    scale = ListedColormap(colours).with_extremes(under="white", over="black", bad=MISSING)
    return scale, BoundaryNorm(LEVELS, len(LEVELS) - 1)


def draw_sheet(film: Film, path: Path, *, columns: int = 6) -> None:
    """Draw at most ``columns`` frames, evenly spaced from the first to the last, one row for each panel, as PNG."""
    chosen = np.unique(np.linspace(0, len(film) - 1, min(columns, len(film))).round().astype(int))
    width = 2.3
    figure = new_figure(0.5 + width * len(chosen), 1.4 + width * film.aspect * len(film.panels))
    axes = figure.subplots(len(film.panels), len(chosen), squeeze=False)
    for row, (name, rate) in zip(axes, film.panels.items(), strict=True):
        for axis, frame in zip(row, chosen, strict=True):
            image = _draw(axis, rate[frame], film)
        row[0].set_ylabel(name, fontsize=9)
    for axis, frame in zip(axes[0], chosen, strict=True):
        axis.set_title(film.captions[frame], fontsize=8)
    _scale_bar(axes[-1][0], film)
    _finish(figure, image, axes, film)
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})  # no version of matplotlib in the bytes


def compare_png(
    rows: Mapping[str, NDArray[np.float32]], *, step_minutes: int, lead_minutes: Sequence[int] | None = None
) -> bytes:
    """Draw forecasts below each other, one column for each lead time, for the thumbnail of an item and for reports.

    Parameters
    ----------
    rows
        Rain rates (lead time, y, x) in mm/h by title, NaN where nothing is known.
    step_minutes
        Time between two frames; the first is one step ahead.
    lead_minutes
        The lead times to show; by default the first, a third, two thirds of the way, and the last.

    Returns
    -------
    bytes
        A PNG, the same for the same data.
    """
    frames = len(next(iter(rows.values())))
    if lead_minutes is None:
        shown = sorted({0, frames // 3 - 1, 2 * frames // 3 - 1, frames - 1} - {-1})
    else:
        shown = [minutes // step_minutes - 1 for minutes in lead_minutes]
    figure = new_figure(2.1 * len(shown) + 0.9, 2.1 * len(rows) + 0.3)
    axes = figure.subplots(len(rows), len(shown), squeeze=False)
    scale, classes = rain_scale()
    for line, (title, rates) in zip(axes, rows.items(), strict=True):
        line[0].set_ylabel(title)
        for axis, index in zip(line, shown, strict=True):
            image = axis.imshow(rates[index], cmap=scale, norm=classes, interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
    for axis, index in zip(axes[0], shown, strict=True):
        axis.set_title(f"+{(index + 1) * step_minutes} min")
    figure.colorbar(image, ax=axes, label="rain rate in mm/h", extend="both", ticks=LEVELS, format="%g")
    png = io.BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})  # no version of matplotlib in the bytes
    return png.getvalue()


def animate(film: Film, path: Path, *, report: Report = ignore) -> None:
    """Draw all frames one after the other as an animated GIF that repeats, resting on the last."""
    report(Started("draw frames", len(film)))
    palette = _palette()
    frames = []
    for picture in _pictures(film):
        frames.append(picture.quantize(palette=palette, dither=Image.Dither.NONE))
        report(Advanced("draw frames"))
    report(Finished("draw frames"))
    duration = [_MILLISECONDS] * (len(frames) - 1) + [_LAST_MILLISECONDS]
    frames[0].save(path, format="GIF", save_all=True, append_images=frames[1:], duration=duration, loop=0)


def draw_skill(
    scores: Mapping[str, Scores],
    path: Path,
    *,
    names: Sequence[str] = ("rmse", "csi_1", "fss_1_11"),
    bands: Mapping[str, Mapping[str, Interval]] | None = None,
) -> None:
    """Draw scores by lead time, one plot for each score and one line for each forecast, as PNG.

    Parameters
    ----------
    scores
        Scores of each forecast by its name.
    names
        What to draw, by the names of `Scores.by_name`.
    bands
        Intervals (`modelstac.training.scoring.bootstrap.intervals`) by the name of the forecast, drawn as shades.
    """
    figure = new_figure(0.5 + 3.6 * len(names), 3.2)
    for axis, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for (title, one), colour, mark, dash in zip(scores.items(), COLOURS, MARKS, _DASHES, strict=False):
            if name not in one.by_name():
                raise DataError(f"there is no score {name!r}: choose from {', '.join(one.by_name())}")
            style = {"color": colour, "marker": mark, "linestyle": dash, "label": title}
            axis.plot(one.lead_minutes, one.by_name()[name], markersize=4, linewidth=1.5, **style)
            if bands and title in bands:
                band = bands[title][name]
                axis.fill_between(one.lead_minutes, band.low, band.high, color=colour, alpha=0.15, linewidth=0)
        axis.set_title(_title(name), fontsize=10)
        axis.set_xlabel("lead time (min)", fontsize=9)
        axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})  # no version of matplotlib in the bytes


def _title(name: str) -> str:
    kind, *numbers = name.split("_")
    if kind in {"rmse", "mae", "bias"}:
        return f"{kind.upper()} (mm/h)"
    parts = [f"{number} {unit}" for number, unit in zip(numbers, ("mm/h", "pixels"), strict=False)]
    return " ".join([kind.upper(), *parts])


def _pictures(film: Film) -> Iterator[Image.Image]:
    width = 4.6
    figure = new_figure(0.6 + width * len(film.panels), 1.5 + width * film.aspect)
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(film.panels), squeeze=False)
    images = []
    for axis, (name, rate) in zip(axes[0], film.panels.items(), strict=True):
        axis.set_title(name, fontsize=10)
        images.append(_draw(axis, rate[0], film))
    _scale_bar(axes[0][0], film)
    caption = figure.text(0.99, 0.985, film.captions[0], ha="right", va="top", fontsize=11)
    _finish(figure, images[0], axes, film)
    for frame, text in enumerate(film.captions):
        for image, rate in zip(images, film.panels.values(), strict=True):
            image.set_data(rate[frame])
        caption.set_text(text)
        canvas.draw()
        figure.set_layout_engine("none")  # placed once; placing again takes most of the time
        yield Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def new_figure(width: float, height: float) -> Figure:
    """Give an empty figure of a size in inches."""
    return Figure(figsize=(width, height), dpi=_DPI, layout="constrained")


def png_of(figure: Figure) -> bytes:
    """Draw a figure once, which :meth:`matplotlib.figure.Figure.savefig` does twice, as PNG."""
    png = io.BytesIO()
    FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})  # no version of matplotlib in the bytes
    return png.getvalue()


def _draw(axis: Axes, rate: NDArray[np.float32], film: Film) -> AxesImage:
    scale, classes = rain_scale()
    height, width = (size * metres / 1000 for size, metres in zip(rate.shape, reversed(film.pixel_metres), strict=True))
    axis.set_xticks([])
    axis.set_yticks([])
    return axis.imshow(rate, cmap=scale, norm=classes, interpolation="nearest", extent=(0, width, 0, height))


def _scale_bar(axis: Axes, film: Film) -> None:
    """Draw a bar of about a quarter of the width, of 1, 2 or 5 times a power of ten kilometres."""
    columns = next(iter(film.panels.values())).shape[2]
    width = columns * film.pixel_metres[0] / 1000
    power = 10.0 ** math.floor(math.log10(width / 4))
    length = max(power * step for step in (1, 2, 5) if power * step <= width / 4)
    left, bottom = 0.04 * width, 0.05 * width * film.aspect
    for colour, thickness in (("white", 5), ("black", 2.5)):
        axis.plot([left, left + length], [bottom, bottom], color=colour, linewidth=thickness, solid_capstyle="butt")
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1}
    axis.text(left, 1.6 * bottom, f"{length:g} km", fontsize=8, bbox=box)


def _finish(figure: Figure, image: AxesImage, axes: Any, film: Film) -> None:
    bar = figure.colorbar(image, ax=axes, extend="both", ticks=LEVELS, shrink=0.9, aspect=30, pad=0.01)
    bar.ax.set_yticklabels([f"{level:g}" for level in LEVELS], fontsize=8)
    bar.set_label("rain rate (mm/h), grey: not measured", fontsize=8)
    if film.title:
        figure.suptitle(film.title, fontsize=11, x=0.01, ha="left")
    if film.credit:
        figure.supxlabel(film.credit, fontsize=7, x=0.01, ha="left")


def _palette() -> Image.Image:
    """Return the colours of the scale, and greys for text: a fixed palette keeps the colours from frame to frame."""
    scale, classes = rain_scale()
    colours = [scale(index)[:3] for index in range(classes.N)] + [mpl.colors.to_rgb(MISSING)]
    colours += [(grey, grey, grey) for grey in np.linspace(0, 1, 64)]
    values = [round(255 * part) for colour in colours for part in colour]
    image = Image.new("P", (1, 1))
    image.putpalette(values + [255] * (768 - len(values)))
    return image
