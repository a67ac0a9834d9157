"""Write a result whole: the map in the format of its suffix, polygons, a picture, and the STAC item beside them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pystac

from modelstac.catalog.errors import DataError
from modelstac.catalog.messages import Advanced, Finished, Report, Started, ignore
from modelstac.registry.scenes.rasters import Layer, Raster
from modelstac.registry.scenes.writing import cog, cubes, vectors
from modelstac.registry.scenes.writing.item import When, Written, item_bytes, measured, result_item
from modelstac.registry.scenes.writing.layers import distinct, file_name, stored
from modelstac.registry.scenes.writing.outputs import (
    Outputs,
    Target,
    check_place,
    explained,
    is_url,
    name,
    sibling,
    suffix,
)
from modelstac.registry.scenes.writing.picture import write_picture
from modelstac.registry.scenes.writing.places import footprint
from modelstac.registry.scenes.writing.statements import Statement
from modelstac.registry.scenes.writing.vectors import check_vectors, write_polygons

COG = (".tif", ".tiff")
VECTORS = tuple(one for one in vectors.SUFFIXES if one != ".json")
"""What a target ends in that is polygons and no raster; .json would be the item's own place."""
CUBES = {".zarr": cubes.write_zarr, ".nc": cubes.write_netcdf}
SUFFIXES = (*COG, *CUBES, *VECTORS)
"""What the target of a map ends in."""


@dataclass(frozen=True)
class _Plan:
    """A file to be written: its place, the layers in it, and what it is."""

    target: Target
    kind: str
    rasters: tuple[Raster, ...]


def check_places(
    layers: Sequence[Layer],
    target: Target,
    *,
    vector: Target | None = None,
    preview: Target | None = None,
    read: Collection[str] = (),
) -> None:
    """Refuse what :func:`write` could not put to its place, or what it should not, before anything is computed.

    Parameters
    ----------
    layers, target, vector, preview
        As :func:`check_targets` takes them.
    read
        Paths of what is read: no result is written over them.

    Raises
    ------
    DataError
        If two results have one place, a folder is in the way, or a file that is read.
    StorageError
        If there is no such folder, or it may not be written.
    """
    check_targets(layers, target, vector=vector, preview=preview)
    for layer in layers:
        footprint(layer.grid)  # what lies nowhere is refused before the run
    others = [place for place in (vector, preview) if place is not None]
    seen: set[str] = set()
    for place in (*_maps(layers, target), *others, sibling(target, f"{_stem(target)}.json")):
        check_place(place, read)
        known = str(place) if is_url(place) else str(Path(place).absolute())
        if known in seen:
            raise DataError(f"two results would be written to {place}: name another place for one of them")
        seen.add(known)


def check_targets(
    layers: Sequence[Layer], target: Target, *, vector: Target | None = None, preview: Target | None = None
) -> None:
    """Refuse what :func:`write` would refuse, before anything is computed.

    Parameters
    ----------
    layers
        What will be written.
    target, vector, preview
        As :func:`write` takes them.

    Raises
    ------
    DataError
        If a suffix is of no format, a layer cannot be written, or there are no classes for polygons.
    """
    for place, known in ((target, SUFFIXES), *(((preview, (".png",)),) if preview is not None else ())):
        is_url(place)
        if suffix(place) not in known:
            raise DataError(f"cannot write {place}: name {_what(known)} that ends in {', '.join(known)}")
    if not layers:
        raise DataError(f"there is no layer to write to {target}")
    for layer in layers:
        stored(layer)
        if suffix(target) in COG:
            cog.check_system(layer, target)
    for place in (vector, target if suffix(target) in VECTORS else None):
        if place is not None:
            is_url(place)
            check_vectors(_main(layers), place)


def _what(known: Sequence[str]) -> str:
    return "a picture" if ".png" in known else "a map"


def write(
    rasters: Sequence[Raster],
    target: Target,
    *,
    model: pystac.Item | None = None,
    origins: Sequence[pystac.Link] = (),
    notes: Sequence[str] = (),
    title: str | None = None,
    overviews: bool = True,
    vector: Target | None = None,
    preview: Target | None = None,
    item: bool | Target = True,
    item_id: str | None = None,
    when: When | None = None,
    sensors: Mapping[str, Collection[str]] | None = None,
    software: Mapping[str, str] | None = None,
    report: Report = ignore,
) -> list[Written]:
    """Write layers, and what goes with them; all of it is there in the end, or nothing.

    Parameters
    ----------
    rasters
        The layers of the result. They are read window by window, from one thread.
    target
        A path, or the URL of an object in a store, ending in .tif (Cloud Optimised GeoTIFF; of several layers a file
        each, ``map-<layer>.tif``), .zarr or .nc (all layers in one); or .parquet, .gpkg or .geojson: the polygons of
        the first layer of classes, and no raster.
    model, origins, notes, title
        What the files say of where they come from: the item of the model, links to the scene, what was done; the title
        is the model's by default.
    overviews
        Whether a GeoTIFF has smaller versions in it.
    vector
        Where polygons of the first layer of classes go: .parquet, .gpkg or .geojson.
    preview
        Where a picture goes (.png): of the first layer of classes, or the first.
    item
        Whether a STAC item is written beside the map, under its name with .json; or where.
    item_id, when, sensors, software
        As :func:`~modelstac.registry.scenes.writing.item.result_item` takes them; the id is the target's name by
        default.

    Returns
    -------
    list of Written
        In the order in which they were put to their places, the item last.

    Raises
    ------
    DataError
        If a layer cannot be written so.
    StorageError
        If there is no space or permission.
    """
    layers = [raster.layer for raster in rasters]
    check_targets(layers, target, vector=vector, preview=preview)
    if item:
        for layer in layers:
            footprint(layer.grid)
    statement = Statement(title, model, origins, notes)
    plans = _plans(rasters, target, vector, preview)
    task = f"write {name(target)}"
    report(Started(task, len(plans)))
    written: list[Written] = []
    with Outputs() as outputs:
        for plan in plans:
            path = outputs.place(plan.target)
            _write(plan, path, statement, overviews=overviews)
            shown = tuple(stored(raster.layer) for raster in plan.rasters)
            written.append(measured(path, str(plan.target), plan.kind, shown))
            report(Advanced(task, note=name(plan.target)))
        if item:
            place = sibling(target, f"{_stem(target)}.json") if item is True else item
            hrefs = {found.href: _from(place, found.href) for found in written}
            made = result_item(
                written,
                statement,
                item_id=item_id or _stem(target),
                hrefs=hrefs,
                when=when,
                sensors=sensors,
                software=software,
            )
            path = outputs.place(place)
            with explained(place):
                path.write_bytes(item_bytes(made))
            written.append(measured(path, str(place), "item", ()))
    report(Finished(task))
    return written


def write_vectors(raster: Raster, target: Target) -> Written:
    """Write the areas of a class map as polygons: value, name, and area in square metres.

    Raises
    ------
    DataError
        If the layer is no map of classes, or the suffix of no format.
    StorageError
        If it cannot be written.
    """
    check_vectors(raster.layer, target)
    return _one(_Plan(target, "polygons", (raster,)), Statement())


def write_preview(raster: Raster, target: Target, *, title: str = "") -> Written:
    """Draw a layer as PNG.

    Raises
    ------
    DataError
        If the suffix is another.
    StorageError
        If it cannot be written.
    """
    check_targets([raster.layer], "map.tif", preview=target)
    return _one(_Plan(target, "preview", (raster,)), Statement(title or raster.layer.name))


def _one(plan: _Plan, statement: Statement) -> Written:
    with Outputs() as outputs:
        path = outputs.place(plan.target)
        _write(plan, path, statement, overviews=True)
        return measured(path, str(plan.target), plan.kind, [stored(raster.layer) for raster in plan.rasters])


def _main(layers: Sequence[Layer]) -> Layer:
    return next((layer for layer in layers if layer.classes and len(layer.bands) == 1), layers[0])


def _maps(layers: Sequence[Layer], target: Target) -> list[Target]:
    """Return where the layers go: a place for all, or one each."""
    if suffix(target) in (*CUBES, *VECTORS) or len(layers) == 1:
        return [target]
    end = name(target).removeprefix(_stem(target))
    return [sibling(target, f"{_stem(target)}-{own}{end}") for own in distinct(file_name(x.name) for x in layers)]


def _plans(rasters: Sequence[Raster], target: Target, vector: Target | None, preview: Target | None) -> list[_Plan]:
    places = _maps([raster.layer for raster in rasters], target)
    main = _main([raster.layer for raster in rasters])
    shown = next(raster for raster in rasters if raster.layer is main)
    if suffix(target) in VECTORS:
        plans = [_Plan(target, "polygons", (shown,))]
    elif len(places) == 1:
        plans = [_Plan(places[0], "map", tuple(rasters))]
    else:
        plans = [_Plan(place, "map", (raster,)) for place, raster in zip(places, rasters, strict=True)]
    if vector is not None:
        plans.append(_Plan(vector, "polygons", (shown,)))
    if preview is not None:
        plans.append(_Plan(preview, "preview", (shown,)))
    return plans


def _write(plan: _Plan, path: Path, statement: Statement, *, overviews: bool) -> None:
    if plan.kind == "polygons":
        write_polygons(plan.rasters[0], path, target=plan.target)
    elif plan.kind == "preview":
        write_picture(plan.rasters[0], path, title=statement.heading, target=plan.target)
    elif suffix(plan.target) in CUBES:
        CUBES[suffix(plan.target)](plan.rasters, path, tags=statement.tags(), target=plan.target)
    else:
        cog.write_cog(plan.rasters[0], path, tags=statement.tags(), overviews=overviews, target=plan.target)


def _stem(target: Target) -> str:
    return Path(name(target)).stem


def _from(item: Target, href: str) -> str:
    """Return an href as an item beside it has it, or as it is where it lies elsewhere."""
    if is_url(item) != is_url(href):
        return href if is_url(href) else str(Path(href).absolute())
    if is_url(item):
        return f"./{quote(name(href))}" if str(item).rpartition("/")[0] == href.rpartition("/")[0] else href
    same = Path(item).absolute().parent == Path(href).absolute().parent
    return f"./{quote(Path(href).name)}" if same else str(Path(href).absolute())
