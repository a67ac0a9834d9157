"""``modelstac demo --landcover``: a model of land cover is trained, published, run on a scene, and the map is scored.

The scenes are generated. What comes after training are commands that a person could type, run in processes of their
own.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelstac.afresh import afresh
from modelstac.catalog import open_catalog
from modelstac.catalog.errors import ModelStacError
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.messages import Report, ignore

if TYPE_CHECKING:
    from modelstac.training.scenes.generating import Scene

SEED, DAY, SIZE = 2024, date(2024, 6, 15), 1000
"""Of the scene that the map is made of; nothing was trained on its country."""

Say = Callable[[str], None]


class LandCoverError(ModelStacError):
    """A step failed; the message is that of the command."""

    exit_code = 1


def landcover(out: Path, *, say: Say, size: int = SIZE, steps: int | None = None, report: Report = ignore) -> Path:
    """Run the whole path in an empty folder, and return the picture of scene, map and truth.

    Parameters
    ----------
    out
        Folder for ``catalog``, ``scene``, ``labels.tif``, ``map.tif``, ``metrics`` and ``landcover.png``.
    say
        Gets lines for the person who watches.
    size
        Pixels of the scene a side.
    steps
        Of training, if not as many as usual.
    """
    from modelstac.training.scenes.generating import generate_scene
    from modelstac.training.scenes.landcover import describe_landcover, train_landcover

    say("train a small U-Net on generated scenes")
    trained = train_landcover(report=report, **({} if steps is None else {"steps": steps}))
    catalog = open_catalog(out / "catalog", create=True)
    item = catalog.publish(write_item(describe_landcover(trained, out, report=report)), report=report)
    say(f"published {item.id}: mean IoU {trained.scores['miou']:.3f} where it has not been")
    say(f"modelstac data scene {out / 'scene'} --size {size} --seed {SEED} --labels {out / 'labels.tif'}")
    scene = generate_scene(out / "scene", size, seed=SEED, day=DAY, labels=out / "labels.tif", report=report)
    _modelstac(say, "predict", item.id, str(scene.item.parent), "--output", str(out / "map.tif"), catalog=catalog.href)
    places = (str(out / "map.tif"), str(out / "labels.tif"), "--output", str(out / "metrics"))
    scores = _modelstac(say, "evaluate", "--maps", *places)["scores"]
    say(f"the map has an overall accuracy of {scores['overall_accuracy']:.3f} and a mean IoU of {scores['miou']:.3f}")
    return draw(scene, out / "map.tif", out / "labels.tif", out / "landcover.png")


def _modelstac(say: Say, *words: str, catalog: str | None = None) -> Any:
    """Run a command in a fresh process and return the JSON that it prints; its progress goes to our stderr."""
    said = ("modelstac", *words, *(() if catalog is None else ("--catalog", catalog)))
    say(" ".join(said))
    return afresh(*said[1:], error=LandCoverError)


def draw(scene: Scene, mapped: str | Path, labels: str | Path, target: str | Path) -> Path:
    """Draw a scene in natural colours, its map and the truth side by side, with the colours of the classes below."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
    from PIL import Image

    from modelstac.training.scenes.palette import CLASSES

    colours = np.full((256, 3), 255, np.uint8)
    for one in CLASSES:
        colours[one.value] = list(bytes.fromhex(str(one.color)[1:]))
    red, green, blue = (_pixels(scene.files[band]) for band in ("B04", "B03", "B02"))
    numbers = np.stack([red, green, blue], axis=-1)
    bright = ((numbers * 0.0001 - 0.1) / 0.25).clip(0, 1) ** 0.7
    bright[numbers == 0] = 1
    figure = Figure(figsize=(12, 4.9), layout="constrained")
    FigureCanvasAgg(figure)
    panels = {"Scene": bright, "Map": colours[_pixels(mapped)], "Truth": colours[_pixels(labels)]}
    for axes, (name, picture) in zip(figure.subplots(1, 3), panels.items(), strict=True):
        axes.imshow(picture, interpolation="antialiased")
        axes.set_title(name)
        axes.set_axis_off()
    patches = [Patch(facecolor=str(one.color), edgecolor="#888888", label=one.name) for one in CLASSES]
    figure.legend(handles=patches, loc="outside lower center", ncols=5, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    with Image.open(buffer) as picture:  # 256 colours are enough for a map, and a third of the bytes
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(target, optimize=True)
    return Path(target)


def _pixels(path: str | Path) -> Any:
    import rasterio

    with rasterio.open(path) as raster:
        return raster.read(1)
