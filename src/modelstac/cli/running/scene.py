"""``modelstac predict ID SCENE --output MAP``: a scene to a map, as options of the command."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from modelstac.catalog.messages import Report
    from modelstac.registry.scenes.predicting import ScenePrediction

Command = TypeVar("Command", bound=Callable[..., Any])

MAPS = (".tif", ".tiff", ".zarr", ".parquet", ".geoparquet", ".gpkg", ".geojson")
"""Endings of outputs that only a scene has."""
_ARCHIVES = (".zip", ".tar")
RASTERS = (".tif", ".tiff", ".vrt", ".jp2", ".json", ".geojson", ".zarr", ".safe", ".img", *_ARCHIVES, ".nc4", ".nc")
"""Endings of inputs that are scenes; others are arrays and radar frames."""
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_NAMED_ALIKE = ("resampling", "physical", "scale", "offset", "grid", "crs", "fill")
_NAMED = re.compile(r"([A-Za-z_][\w.\- ]*)=(.+)", re.DOTALL)

_READING = (
    click.option("--datetime", "when", metavar="TIME", help="Scene: time to search or read, 2025-06-01/2025-06-30."),
    click.option("--bands", metavar="NAMES", help="Scene: bands of the data, in the model's order."),
    click.option("--resampling", metavar="METHOD", help="Scene: how bands come onto one grid (nearest, bilinear, …)."),
    click.option("--physical/--stored", default=None, help="Scene: which numbers the model reads."),
    click.option("--scale", type=float, help="Scene: stored numbers times this are what the model reads."),
    click.option("--offset", type=float, help="Scene: and plus this."),
    click.option("--grid", metavar="RASTER|LENGTH|CRS", help="Scene: the grid that it is brought onto."),
    click.option("--crs", metavar="CRS", help="Scene: reference system of rasters that say none."),
    click.option("--fill", type=float, help="Scene: physical value for holes."),
)  # fmt: skip
_OPTIONS = (
    click.option("--from", "api", metavar="API", help="Scene: search this API, with --collections, --bbox."),
    click.option("--collections", metavar="NAMES", help="Scene: collections to search, with commas between them."),
    click.option("--bbox", metavar="W,S,E,N", help="Scene: box in degrees that is searched, and cut to."),
    *_READING,
    click.option("--post", metavar="STEPS", help="Scene: argmax, sigmoid,threshold:0.5, none, …"),
    click.option("--blend", is_flag=True, default=None, help="Scene: blend tiles, even where a halo is known."),
    click.option("--tile", type=click.IntRange(1), help="Scene: longest side of a tile in pixels."),
    click.option("--batch", type=click.IntRange(1), help="Scene: tiles at a time."),
    click.option("--memory", metavar="BYTES", help="Scene: what tiles may take, such as 500M or 2G."),
    click.option("--per-tile", is_flag=True, help="Scene: one pixel a tile, of a model that gives no image."),
    click.option("--vector", metavar="FILE", help="Scene: polygons of a class map, .parquet."),
    click.option("--preview", metavar="FILE", help="Scene: a picture with legend and scale bar, .png."),
    click.option("--dry-run", is_flag=True, help="Scene: print grid, tiles, memory and time, and write nothing."),
    click.option("--skip-errors", is_flag=True, help="Scene: mask what cannot be read."),
)  # fmt: skip


def scene_options(command: Command) -> Command:
    """Add the options of scenes; they come as one mapping, ``scene``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def reading_options(command: Command) -> Command:
    """Add those that say how a scene is read; :func:`reading_of` takes what they give."""
    for option in reversed(_READING):
        command = option(command)
    return command


def reading_of(said: dict[str, Any]) -> dict[str, Any]:
    """Return what the options say, as the reader of scenes takes it."""
    found = {name: said[name] for name in _NAMED_ALIKE if said[name] is not None}
    found |= {"bands": _texts(said["bands"])} if said["bands"] else {}
    return found | ({"datetime": said["when"]} if said["when"] else {})


def is_scene(sources: Sequence[str], inputs: Sequence[str], output: str | None, said: dict[str, Any]) -> bool:
    """Tell whether a scene is meant: by where it comes from, what is read, what is written, or an option of scenes."""
    if said["api"] is not None or said["dry_run"]:
        return True
    if output is not None and _ending(output) in MAPS:
        return not all(_of_radar(Path(one)) for one in sources) or not sources
    named = [_named(text)[1] for text in inputs]
    if any("://" in one for one in (*sources, *named)):
        return True
    # NetCDF that is named is an array with labels; among the arguments it can be a scene only.
    if any(_ending(one) in RASTERS or _is_group(Path(one)) for one in sources):
        return True
    return output is not None and _ending(output) == ".nc" and any(_ending(one) in RASTERS[:-2] for one in named)


def _is_group(path: Path) -> bool:
    """Tell whether it is a part of a file, ``scene.nc/group``."""
    return any(folder.is_file() for folder in path.parents)


def _of_radar(path: Path) -> bool:
    """Tell whether a path is a folder with HDF5 files right in it, as radar frames are kept."""
    return path.is_dir() and any(path.glob("*.h5"))


def _ending(path: str) -> str:
    return Path(path.rstrip("/").partition("?")[0]).suffix.lower()


def _named(text: str) -> tuple[str | None, str]:
    found = _NAMED.fullmatch(text)
    return (found[1], found[2]) if found and not Path(text).exists() else (None, text)


def predict_scene(
    what: str,
    sources: Sequence[str],
    inputs: Sequence[str],
    output: str | None,
    said: dict[str, Any],
    *,
    catalog: str | None,
    loading: dict[str, Any],
    report: Report,
) -> dict[str, Any]:
    """Run a scene, and give the summary to print."""
    from modelstac.registry.loading import load
    from modelstac.registry.scenes import predicting

    if output is None and not said["dry_run"]:
        context = click.get_current_context()
        raise click.UsageError("name the map to write: --output map.tif (or .zarr, .nc; .parquet of polygons)", context)
    reading = reading_of(said | ({"when": None} if said["api"] else {}))
    reading |= {"bbox": _box(said["bbox"])} if said["bbox"] else {}
    given = _given(sources, inputs, said)
    with load(what, catalog=catalog, report=report, spin=False, **loading) as model:
        source = _searched(model, said, reading) if said["api"] else given
        found = predicting.predict_scene(
            model,
            source,
            output,
            post=said["post"],
            fill=said["fill"],
            tile=said["tile"],
            batch=said["batch"],
            blend=said["blend"] or None,
            memory=_bytes(said["memory"]),
            skip_errors=said["skip_errors"],
            per_tile=said["per_tile"],
            vector=said["vector"],
            preview=said["preview"],
            dry_run=said["dry_run"],
            reading=reading,
            report=report,
        )
        return _summary(model.item.id, found, output, dry_run=said["dry_run"])


def _given(sources: Sequence[str], inputs: Sequence[str], said: dict[str, Any]) -> Any:
    from modelstac.catalog.errors import DataError

    if said["api"]:
        if sources or inputs:
            raise DataError(
                "a scene is named and searched for: give files, or --from API --collections NAMES --bbox BOX"
            )
        return None
    if said["collections"]:
        raise DataError(f"--collections {said['collections']} is for a search: name the API, --from URL")
    if not sources and not inputs:
        raise DataError("no scene is given: name a raster, band files or a STAC item, or --from API")
    if sources and inputs:
        raise DataError(f"both {sources[0]} and --input {inputs[0]} are given: name each input, --input NAME=FILE")
    if sources:
        return sources[0] if len(sources) == 1 else list(sources)
    named: dict[str, Any] = {}
    for text in inputs:
        name, path = _named(text)
        if name is None:
            if len(inputs) == 1:
                return path
            raise DataError(f"--input {text} has no name, and there are {len(inputs)}: say which is which, NAME=FILE")
        named.setdefault(name, []).append(path)
    return {name: paths[0] if len(paths) == 1 else paths for name, paths in named.items()}


def _searched(model: Any, said: dict[str, Any], reading: dict[str, Any]) -> Any:
    from modelstac.catalog.errors import DataError
    from modelstac.registry.scenes.reading.opening import from_api

    if not said["collections"] or not said["bbox"]:
        raise DataError("a search for a scene needs --collections and --bbox, and most often --datetime")
    return from_api(said["api"], model, collections=_texts(said["collections"]), datetime=said["when"], **reading)


def _texts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _box(text: str) -> list[float]:
    from modelstac.catalog.errors import DataError

    try:
        box = [float(part) for part in text.split(",")]
    except ValueError:
        box = []
    if len(box) != 4:
        raise DataError(f"--bbox {text!r} is no box: west,south,east,north in degrees, such as 4.8,52.3,5.0,52.4")
    return box


def _bytes(text: str | None) -> int | None:
    from modelstac.catalog.errors import DataError

    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?)i?b?", text.strip().lower())
    if found is None or not float(found[1]):
        raise DataError(f"--memory {text!r} is no number of bytes: write 500M or 2G")
    return int(float(found[1]) * _UNITS[found[2]])


def _summary(item: str, found: ScenePrediction, output: str | None, *, dry_run: bool) -> dict[str, Any]:
    from modelstac.registry.running.labels.systems import called

    plan = found.plan.to_json()
    tile, tiles = found.plan.tile, found.plan.tiles
    margin = max((max(sides) for sides in plan["margin"].values()), default=0)
    about: dict[str, Any] = {"item": item}
    for name, layer in plan["layers"].items():
        rows, columns = layer["shape"]
        bands = "" if layer["bands"] == 1 else f", {layer['bands']} bands"
        system = called(layer["crs"]) if layer["crs"] else "no CRS"
        about[f"layer {name}"] = f"{columns} x {rows} pixels, {layer['dtype']}{bands}, {system}"
    merged = "blended" if found.plan.overlap else f"cut at a margin of {margin}"
    about |= {"tiles": f"{tiles} of {tile[1]} x {tile[0]} pixels, {merged}", "batch": found.plan.batch}
    if dry_run:
        about["memory"] = f"about {plan['memory_bytes'] / 1e6:.0f} MB for tiles"
        if found.plan.seconds is not None:
            about["time"] = f"about {_span(found.plan.seconds)} for the model, reading and writing at the same time"
        return about | {"notes": list(found.notes)}
    about |= {"resumed": found.resumed} if found.resumed else {}
    return about | {"output": output, "written": list(found.paths), "seconds": round(found.seconds, 2)}


def _span(seconds: float) -> str:
    return (
        f"{seconds:.1f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )
