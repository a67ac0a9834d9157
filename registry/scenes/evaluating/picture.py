"""The picture of an evaluation: which classes were taken for which, or mapped numbers against labels."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from modelstac.catalog.errors import MissingPackageError
from modelstac.registry.scenes.lettering import drawable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from modelstac.registry.scenes.evaluating.evaluation import Evaluation

_DARK = 0.55  # from here on numbers are written in white


def picture(evaluation: Evaluation) -> bytes:
    """Return a PNG: the confusion matrix with the share of each label in per cent, or the density of pairs of numbers.

    Raises
    ------
    MissingPackageError
        If matplotlib or Pillow is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra(str(error.name), "data", "drawing an evaluation") from error
    side = 3.4 + 0.55 * len(evaluation.classes) if evaluation.classes else 5.4
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    (_matrix if evaluation.kind == "classes" else _density)(axes, evaluation)
    drawn, target = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=100)
    with Image.open(drawn) as whole:  # few colours are in it, and a third of the bytes will do
        whole.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(target, "png", optimize=True)
    return target.getvalue()


def _matrix(axes: Axes, evaluation: Evaluation) -> None:
    assert evaluation.confusion is not None
    counts = evaluation.confusion.astype(float)
    labelled = counts.sum(axis=1, keepdims=True)
    share = counts / np.where(labelled == 0, 1, labelled)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    names = [drawable(one.name, f"class {one.value}") for one in evaluation.classes]
    places = range(len(names))
    if len(names) <= 30:
        for row in places:
            for column in places:
                if counts[row, column]:
                    colour = "white" if share[row, column] > _DARK else "black"
                    text = _per_cent(share[row, column])
                    axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    ious = (evaluation.by_class or {}).get("iou", [float("nan")] * len(names))
    axes.set_yticks(
        places, [f"{name} ({_per_cent(n)})" for name, n in zip(names, labelled[:, 0] / counts.sum(), strict=True)]
    )
    axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor")
    right = axes.secondary_yaxis("right")
    right.set_yticks(places, ["–" if np.isnan(iou) else f"{iou:.2f}" for iou in ious])
    right.set_ylabel("IoU")
    right.tick_params(length=0)
    axes.set_ylabel("Label (share of the pixels, %)")
    axes.set_xlabel("Map: % of the pixels of a label")
    scores = evaluation.scores
    axes.set_title(
        f"Overall accuracy {scores['overall_accuracy']:.3f}, mean IoU {scores['miou']:.3f}, "
        f"{evaluation.pixels:,} pixels of {_scenes(evaluation)}",
        fontsize=10,
        wrap=True,
    )


def _density(axes: Axes, evaluation: Evaluation) -> None:
    assert evaluation.sample is not None
    mapped, labels = evaluation.sample.T.astype(float)
    low, high = np.nanquantile(evaluation.sample, [0.001, 0.999])
    if not low < high:
        low, high = low - 1, high + 1
    axes.hexbin(labels, mapped, gridsize=60, extent=(low, high, low, high), bins="log", mincnt=1, cmap="viridis_r")
    axes.plot([low, high], [low, high], color="black", linewidth=1)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    unit = f" ({drawable(evaluation.unit, '?')})" if evaluation.unit else ""
    axes.set(xlabel=f"Label{unit}", ylabel=f"Map{unit}")
    scores = evaluation.scores
    axes.set_title(
        f"RMSE {scores['rmse']:.3g}, bias {scores['bias']:+.3g}, R² {scores['r2']:.3f}, "
        f"{evaluation.pixels:,} pixels of {_scenes(evaluation)}",
        fontsize=10,
        wrap=True,
    )


def _scenes(evaluation: Evaluation) -> str:
    count = len(evaluation.scenes)
    return "one scene" if count == 1 else f"{count} scenes"


def _per_cent(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.095 or share == 0 else f"{100 * share:.1f}"
