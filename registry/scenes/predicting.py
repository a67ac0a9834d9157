"""A published model and a scene to a map: read, planned, run, merged and written, in one call."""

from __future__ import annotations

import hashlib
import inspect
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import DataError, NotFoundError
from modelstac.catalog.messages import Note, Report, ignore
from modelstac.registry.running.model import Model
from modelstac.registry.scenes.software import software

if TYPE_CHECKING:
    import pystac

    from modelstac.catalog.base import Catalog
    from modelstac.registry.scenes.rasters import Raster, Source
    from modelstac.registry.scenes.running.options import Options
    from modelstac.registry.scenes.running.planning import Plan
    from modelstac.registry.scenes.running.store import Store
    from modelstac.registry.scenes.writing.item import When

    Sink = str | os.PathLike[str] | Callable[[Sequence[Raster]], Any]


_SAID = 10
"""Windows that could not be read and are named in the map, at most."""


@dataclass(frozen=True)
class ScenePrediction:
    """What became of a scene.

    Parameters
    ----------
    plan
        How it was cut and merged, or would be.
    paths
        What was written, the map first; empty of a dry run.
    notes
        What a person should know: scale and offset that were applied, what was blended, what was left undone.
    seconds
        How long it took, without loading the model.
    resumed
        How many tiles were there already, of a run that was broken off.
    """

    plan: Plan
    paths: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    resumed: int = 0


def predict_scene(
    model: Model | str | os.PathLike[str] | pystac.Item,
    source: Any,
    sink: Sink | None = None,
    *,
    catalog: Catalog | str | os.PathLike[str] | None = None,
    post: str | Sequence[str] | None = None,
    fill: float | None = None,
    tile: int | None = None,
    batch: int | None = None,
    blend: bool | None = None,
    memory: int | None = None,
    skip_errors: bool = False,
    per_tile: bool = False,
    vector: str | os.PathLike[str] | None = None,
    preview: str | os.PathLike[str] | None = None,
    dry_run: bool = False,
    reading: Mapping[str, Any] | None = None,
    loading: Mapping[str, Any] | None = None,
    report: Report = ignore,
) -> ScenePrediction:
    """Run a model over a scene and write the map.

    Parameters
    ----------
    model
        A model that was loaded, or whatever :func:`modelstac.load` takes: an item id, alias, path or URL.
    source
        The scene: a GeoTIFF or VRT, band files, a STAC item or items, an array or dataset of xarray, a NetCDF or Zarr
        store; several inputs by name, ``{"before": a, "after": b}``; or anything with the attributes of
        :class:`modelstac.registry.scenes.rasters.Source`.
    sink
        Where the map goes: ``.tif`` (Cloud Optimised GeoTIFF), ``.nc`` or ``.zarr``, or its polygons alone
        (``.parquet``, ``.gpkg``, ``.geojson``), a path or an object in a store; or a function that takes the finished
        layers. Tiles that are done are kept beside it (``map.tif.part``) until it is written: the same call goes on
        from them after it was broken off, and gives the same bytes.
    catalog
        Where an id is looked up.
    post
        What is done to the model's outputs instead of what its item says: ``"argmax"``, ``"sigmoid,threshold:0.5"``,
        ``"softmax"``, ``"clip:0:1"``, ``"scale:10000"``, ``"stretch:2:98"``, ``"none"``.
    fill
        Physical value that the model is given where there is nothing; by default what the item calls ``nodata`` of its
        bands, else 0 after scaling. Such pixels are masked in the map in any case; of several times those that have
        nothing at any of them.
    tile
        Longest side of a tile in pixels of the finest input; by default up to 1024, as memory allows.
    batch
        Tiles at a time; by default ``mlm:batch_size_suggestion``, or as tiles are small and memory allows.
    blend
        Blend scores of overlapping tiles by cosines. By default tiles are cut at the halo that the item proves, which
        gives what the whole scene would give, and blended only where it is global or unknown.
    memory
        Bytes that tiles may take; by default half of what is free, and 580 MB at most.
    skip_errors
        Mask what cannot be read, in parts of 256 pixels a side, rather than end.
    per_tile
        Of a model that gives no image but a vector: make a pixel of each tile.
    vector, preview
        Polygons of a class map as GeoParquet; a picture with legend.
    dry_run
        Plan it, time a tile, and write nothing.
    reading, loading
        Further arguments of :func:`modelstac.registry.scenes.reading.opening.open_source`, such as ``{"bbox": …}``,
        and of :func:`modelstac.load`.
    report
        Gets progress and notes.

    Returns
    -------
    ScenePrediction
        The plan, and what was written.

    Raises
    ------
    DataError
        If the scene is not such as the model reads, a tile cannot be read, or the model gives no image.
    StorageError
        If tiles or the map cannot be written; what is done is kept.
    ConflictError
        If another process makes the same map.
    """
    from modelstac.registry.scenes.running.options import Options
    from modelstac.registry.scenes.running.planning import make_plan
    from modelstac.registry.scenes.running.running import run_plan
    from modelstac.registry.scenes.running.store import Store
    from modelstac.registry.scenes.running.trial import free_memory, measured, one_by_one, seen_bands

    options = Options(post, fill, tile, batch, blend, memory, skip_errors, per_tile)
    if sink is None and not dry_run:
        raise DataError("nothing says where the map goes: name a file, such as map.tif")
    with _loaded(model, catalog, dict(loading or {}), report) as ready, _opened(source, ready, reading) as scene:
        began = time.perf_counter()
        for note in scene.notes:
            report(Note(note))
        if dry_run:
            bands = seen_bands(ready, scene, options)
            cost = measured(ready, scene, options, bands=bands)
            plan = one_by_one(ready, make_plan(ready, scene, options, cost=cost, memory=free_memory(), bands=bands))
            for note in plan.notes:
                report(Note(note))
            return ScenePrediction(plan, notes=(*scene.notes, *plan.notes), seconds=time.perf_counter() - began)
        assert sink is not None
        store = Store(part_folder(sink), _about(ready, scene, options))
        try:
            plan, resumed = _planned(ready, scene, options, store, report)
            _check(plan, sink, scene, vector=vector, preview=preview)
            rasters = run_plan(ready, scene, plan, store, options, report=report)
            notes = (*scene.notes, *plan.notes, *_masked(store.notes, scene))
            paths = _written(rasters, sink, ready, scene, notes, vector=vector, preview=preview, report=report)
        except BaseException:
            store.close() if store.done else store.remove()
            raise
        store.remove()
        seconds = time.perf_counter() - began
        return ScenePrediction(plan, paths, notes, seconds, resumed)


def part_folder(sink: Any) -> Path:
    """Give the folder in which finished tiles are kept: beside a path, in the cache for an object store."""
    from modelstac.registry.files.cache import Cache

    if callable(sink):
        return Cache().root / "scenes" / f"{time.time_ns():x}.part"
    text = str(sink)
    if "://" in text:
        return Cache().root / "scenes" / f"{hashlib.sha256(text.encode()).hexdigest()}.part"
    path = Path(text).absolute()
    if not path.parent.is_dir():
        raise DataError(f"cannot write {path}: there is no folder {path.parent}")
    return path.with_name(f"{path.name}.part")


@contextmanager
def _loaded(model: Any, catalog: Any, loading: dict[str, Any], report: Report) -> Iterator[Model]:
    """Give a model that runs; one that is loaded for this is closed after it."""
    if isinstance(model, Model) or hasattr(model, "run"):
        yield model
        return
    from modelstac.registry.loading import load

    # Scenes are read and written beside it.
    with load(model, catalog=catalog, report=report, **({"spin": False} | loading)) as ready:
        yield ready


@contextmanager
def _opened(source: Any, model: Model, reading: Mapping[str, Any] | None) -> Iterator[Source]:
    """Give a scene that is read; what is opened for this is closed after it."""
    if hasattr(source, "grids") and hasattr(source, "read"):
        yield source
        return
    from modelstac.registry.scenes.reading.opening import open_source

    given = dict(reading or {})
    known = [name for name in inspect.signature(open_source).parameters if name not in ("sources", "model")]
    if unknown := [name for name in given if name not in known]:
        raise NotFoundError.unknown("option", str(unknown[0]), known, where="the reader of scenes")
    scene = open_source(source, model, **given)
    try:
        yield scene
    finally:
        close = getattr(scene, "close", None)
        if close is not None:
            close()


def _about(model: Model, scene: Source, options: Options) -> dict[str, Any]:
    """Give what a run depends on: tiles of another are not taken up."""
    item = model.item
    digests = {key: asset.extra_fields.get("file:checksum") for key, asset in sorted(item.assets.items())}
    grids = {n: [list(g.shape), list(g.affine)[:6], str(g.crs)] for n, g in scene.grids.items()}
    named = ("post", "fill", "tile", "batch", "blend", "per_tile", "skip_errors")
    return {
        "model": {"id": item.id, "checksums": digests, "properties": _digest(item.properties)},
        "scene": {"identity": scene.identity, "grids": grids},
        "options": {name: getattr(options, name) for name in named},
    }


def _digest(value: Any) -> str:
    import json

    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _planned(model: Model, scene: Source, options: Options, store: Store, report: Report) -> tuple[Plan, int]:
    """Plan a run, or take the plan of the one that was broken off, and make room for what it makes."""
    from modelstac.registry.scenes.running.options import Cost
    from modelstac.registry.scenes.running.planning import make_plan
    from modelstac.registry.scenes.running.trial import free_memory, measured, one_by_one, seen_bands

    before, bands = store.resumed, seen_bands(model, scene, options)
    if store.changed is not None:
        report(Note(f"begins anew: the tiles that are kept are of another {store.changed.rstrip('s')}"))
    if before is not None:
        rows, columns, batch = map(int, before["exact"])
        exact = (rows, columns, batch)
        plan = make_plan(model, scene, options, cost=Cost(**before["cost"]), exact=exact, bands=bands)
    else:
        cost = measured(model, scene, options, times=False, bands=bands)
        plan = one_by_one(model, make_plan(model, scene, options, cost=cost, memory=free_memory(), bands=bands))
    for note in plan.notes:
        report(Note(note))
    exactly = {
        "exact": [plan.rows.tile, plan.columns.tile, plan.batch],
        "overlap": plan.overlap,
        "cost": {"bytes": plan.cost.bytes, "seconds": plan.cost.seconds},
        "layers": {
            name: [list(layer.grid.shape), layer.dtype, list(layer.bands)] for name, layer in plan.layers.items()
        },
    }
    store.open(list(plan.layers.values()), exactly)
    store.done &= set(range(len(plan.groups)))  # a journal that was damaged
    resumed = sum(len(plan.groups[number]) for number in store.done)
    if resumed:
        report(Note(f"goes on: {resumed} of {plan.tiles} tiles are there"))
    return plan, resumed


def _check(plan: Plan, sink: Any, scene: Source, *, vector: Any, preview: Any) -> None:
    """Refuse what could not be written, or would be written over the scene, before anything runs."""
    if callable(sink):
        return
    from modelstac.registry.scenes.writing.write import check_places

    layers = list(plan.layers.values())
    check_places(layers, os.fspath(sink), vector=vector, preview=preview, read=_read(scene))


def _read(scene: Source) -> set[str]:
    """Give the paths of files that a scene is read from, and of the items that say so."""
    found = {str(link.href) for link in scene.origins}
    waiting: list[Any] = [scene.identity]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            found |= {one["path"]} if isinstance(one.get("path"), str) else set()
            waiting += one.values()
        elif isinstance(one, list | tuple):
            # The state of a file, as readers tell it: its path, size and time.
            found |= {one[0]} if len(one) == 3 and isinstance(one[0], str) else set()
            waiting += one
    return {str(Path(path).absolute()) for path in found if path and "://" not in path}


def _masked(kept: Sequence[str], scene: Source) -> list[str]:
    """Say what could not be read and is masked, also before a run was broken off; of many windows the first."""
    found = [*kept, *(f"masked: {reason}" for reason in getattr(scene, "skipped", ()))]
    more = [f"masked: {len(found) - _SAID} more windows that cannot be read"] if len(found) > _SAID else []
    return [*found[:_SAID], *more]


def _written(
    rasters: Sequence[Raster],
    sink: Any,
    model: Model,
    scene: Source,
    notes: Sequence[str],
    *,
    vector: Any,
    preview: Any,
    report: Report,
) -> tuple[str, ...]:
    if callable(sink):
        sink(rasters)
        return ()
    from modelstac.registry.scenes.writing.write import write

    written = write(
        rasters,
        os.fspath(sink),
        model=model.item,
        origins=scene.origins,
        notes=notes,
        vector=vector,
        preview=preview,
        when=_when(scene),
        sensors=getattr(scene, "sensors", None),
        software=software(model),
        report=report,
    )
    return tuple(one.href for one in written)


def _when(scene: Source) -> When | None:
    """Give the time of what was read, or its first and last; None where nothing says it."""
    both = [getattr(scene, name, {}).values() for name in ("times", "ends")]
    said = [time for found in both for times in found for time in times if time is not None]
    if not said:
        return None
    first, last = (time.astype("datetime64[us]").item().replace(tzinfo=UTC) for time in (min(said), max(said)))
    return first if first == last else (first, last)
