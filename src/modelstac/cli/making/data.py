"""``modelstac data``: fetch, generate and prepare radar frames; generate satellite scenes."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from modelstac.cli.common.options import catalog_option, new_or_existing_catalog
from modelstac.cli.common.progress import progress
from modelstac.cli.common.terminal import say

if TYPE_CHECKING:
    from modelstac.training.data import Preparation


@click.group()
def data() -> None:
    """Fetch, generate and prepare radar frames, and generate satellite scenes."""


@data.command(short_help="Prepare frames once, into a Zarr store.")
@click.argument("frames", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("store", type=click.Path(path_type=Path))
@click.option(
    "--preset", default="reference", show_default=True, help="tiny, reference, thesis or thesis-accumulation."
)
@click.option("--window", default=36, show_default=True, type=click.IntRange(2), help="Frames in a window, in and out.")
def prepare(frames: tuple[Path, ...], store: Path, preset: str, window: int) -> None:
    """Prepare FRAMES (a folder or files) once, into the Zarr store STORE.

    Training streams from it (modelstac train STORE --preset …) with memory that does not grow with the data. Windows
    that would span a missing frame are left out. Run it again when it was interrupted: it goes on where it stopped.
    """
    from modelstac.training.data import read_frames
    from modelstac.training.data import store as stores

    preparation = _preparation(preset)
    with progress() as report:
        ds = read_frames(frames[0] if len(frames) == 1 else frames, report=report)
        stores.prepare(ds, store, preparation, frames=window, report=report)
        sizes = stores.open_store(store).sizes
    say(f"{store} holds {sizes['time']} frames of {sizes['y']} x {sizes['x']} pixels")


@data.command(short_help="Publish prepared frames as an item.")
@click.argument("store", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Name of the dataset.")
@click.option("--version", default="1.0.0", show_default=True, help="Version of the dataset.")
@catalog_option
def publish(store: Path, name: str, version: str, catalog: str | None) -> None:
    """Publish the prepared frames STORE as an item, to which models link (modelstac train --derived-from ID)."""
    from modelstac.training.data.publish import publish

    with progress() as report:
        item = publish(store, new_or_existing_catalog(catalog), name=name, version=version, report=report)
    say(f"published {item.id}")


MOMENT = click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d %H:%M", "%Y-%m-%d"])


@data.command()
@click.argument("source", metavar="knmi", type=click.Choice(["knmi"]))
@click.option("--start", required=True, type=MOMENT, help="First time, UTC.")
@click.option("--end", required=True, type=MOMENT, help="Last time, UTC.")
@click.option("--product", default="reflectivity", show_default=True, help="reflectivity or accumulation.")
@click.option("--folder", default=Path("radar"), show_default=True, type=click.Path(path_type=Path), help="Where to.")
def download(source: str, start: datetime, end: datetime, product: str, folder: Path) -> None:  # noqa: ARG001
    """Fetch radar files through KNMI's Open Data API.

    The key is read from KNMI_API_KEY (free of charge at developer.dataplatform.knmi.nl). Files that are there are not
    fetched again; run it again when it was interrupted: it goes on where it stopped.
    """
    from modelstac.training.data import open_data

    with progress() as report:
        paths = open_data.download(start, end, folder, product=product, report=report)
    say(f"{folder} holds {len(paths)} files of KNMI, {paths[0].name} to {paths[-1].name}")


@data.command(short_help="Write frames of generated rain, in KNMI's format.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--frames", default=92, show_default=True, type=click.IntRange(1), help="Number of five-minute frames.")
@click.option("--seed", default=0, show_default=True, help="Another seed gives other rain.")
def generate(folder: Path, frames: int, seed: int) -> None:
    """Write frames of generated rain into FOLDER, in KNMI's file format: to try things, with no observation in it."""
    from modelstac.training.data import synthetic

    with progress() as report:
        paths = synthetic.generate(folder, frames, seed=seed, report=report)
    say(f"{folder} holds {len(paths)} frames, {paths[0].name} to {paths[-1].name}")


@data.command(short_help="Write a generated satellite scene.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--size", default=2000, show_default=True, help="Pixels of 10 m a side; 10980 is a whole tile.")
@click.option("--seed", default=0, show_default=True, help="Another seed is another country.")
@click.option(
    "--date", "day", default="2024-06-15", show_default=True, type=click.DateTime(["%Y-%m-%d"]), help="Its season."
)
@click.option("--sensor", default="sentinel-2", show_default=True, help="sentinel-2 or sentinel-1.")
@click.option("--clouds", default=0.05, show_default=True, help="Share of the sky, from 0 to 1.")
@click.option("--border/--no-border", default=True, show_default=True, help="The edge of an orbit: a corner is nodata.")
@click.option("--labels", type=click.Path(path_type=Path), help="Also write the true land cover, to this GeoTIFF.")
def scene(folder: Path, size: int, seed: int, day: datetime, sensor: str, **how: Any) -> None:
    """Write a generated satellite scene into FOLDER: a GeoTIFF for each band, and a STAC item.

    It has the form of Sentinel-2 (ten bands of 10 and 20 m) or Sentinel-1 (VV and VH), nine classes of land cover, and
    no observation in it: to try things. Scenes of one seed show one place, on any date and by either sensor.
    """
    from modelstac.training.scenes.generating import generate_scene

    with progress() as report:
        made = generate_scene(folder, size, seed=seed, day=day.date(), sensor=cast(Any, sensor), report=report, **how)
    say(f"{folder} holds {len(made.files)} bands and {made.item.name}")


def _preparation(preset: str) -> Preparation:
    from modelstac.catalog.errors import NotFoundError
    from modelstac.training.data import THESIS
    from modelstac.training.jobs.recipes import RECIPES

    known = THESIS | {name: recipe[1] for name, recipe in RECIPES.items()}
    if preset not in known:
        raise NotFoundError.unknown("preset", preset, known, where="the presets of training and of the thesis")
    return known[preset]
