"""A scene opened for a model: whatever it lies in, by the names of its bands, on one grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import DataError, MissingPackageError
from modelstac.registry.running.bands import listed
from modelstac.registry.running.labels.stated import Stated, stated
from modelstac.registry.running.labels.systems import are_one, called, import_proj
from modelstac.registry.scenes.reading.finding.files import FilePart
from modelstac.registry.scenes.reading.finding.handles import Handles
from modelstac.registry.scenes.reading.finding.parts import Found, Origin, Part, sensors_of
from modelstac.registry.scenes.reading.finding.searching import MOST, search
from modelstac.registry.scenes.reading.finding.sources import find
from modelstac.registry.scenes.reading.fitting.choosing import Chosen, at_times, chosen
from modelstac.registry.scenes.reading.fitting.feeding import Feeding
from modelstac.registry.scenes.reading.fitting.grids import check_overlap, grids_of_inputs, lay
from modelstac.registry.scenes.reading.fitting.scene import Feed, Scene
from modelstac.registry.scenes.reading.fitting.telling import check_sensor, links
from modelstac.registry.scenes.reading.options import Options

if TYPE_CHECKING:
    from modelstac.registry.running.signature import TensorSignature

    Sources = Any


def open_source(
    sources: Sources,
    model: Any,
    *,
    bands: Any = None,
    resampling: str | None = None,
    grid: Any = None,
    bbox: Sequence[float] | None = None,
    datetime: str | None = None,
    physical: bool | None = None,
    scale: float | None = None,
    offset: float | None = None,
    nodata: float | None = None,
    fill: float | None = None,
    crs: Any = None,
    skip_errors: bool = False,
) -> Scene:
    """Open a scene for a model.

    Parameters
    ----------
    sources
        A path or URL, or several: GeoTIFF, VRT, JPEG 2000 and other rasters of GDAL, one of all bands or one for each;
        a folder of a Sentinel-2 product; NetCDF, Zarr; a STAC item or collection of items. Or such an item, collection,
        array or dataset itself. For a model of several inputs, a mapping by their names; without it, all inputs are
        taken from the same. Rasters of several times are the frames of a model that has a time, in their order.
    model
        A :class:`modelstac.registry.running.model.Model`, or what has its ``signature``, ``description`` and ``item``.
    bands
        Which bands of the data are meant, where their names do not say: in the order of the model, or a mapping by its
        bands, by name, asset or number from 1; or these by input. For a raster without names, what its bands are.
    resampling
        How bands come onto the grid: ``nearest``, ``bilinear``, ``cubic``, ``lanczos``, ``average`` or ``max``. By
        default as the item's ``resize_type`` says, else bilinear, and nearest for classes.
    grid
        Onto which grid: a :class:`odc.geo.geobox.GeoBox`, a raster that has it, the length of a pixel in the unit of
        the scene's reference system, or another reference system. By default the scene's own, with the pixels of the
        model if its item says such, else the finest.
    bbox
        Box in degrees (west, south, east, north) to which the scene is cut.
    datetime
        Which of its times are read: a moment, a day or a period, as STAC API has them (``2025-06-01/2025-06-30``).
    physical
        True if the model reads physical values, False if it reads numbers as they are stored; by default what item and
        data say decides, and what they leave open is asked for.
    scale, offset
        What makes of stored numbers those that the model reads, whatever the data say: times the first, plus the
        second.
    nodata
        Stored number that stands for a missing one, beside what the data say.
    fill
        What stands for missing ones in values; by default the item's ``nodata`` of a band, else 0.
    crs
        Reference system of rasters that say none, or a wrong one.
    skip_errors
        Whether windows that cannot be read are missing, and named in ``skipped``, and no error.

    Returns
    -------
    Scene
        A :class:`modelstac.registry.scenes.rasters.Source`.

    Raises
    ------
    DataError
        If it cannot be opened, or is not what the model reads.
    MissingPackageError
        If the extra ``scenes`` is not installed.
    """
    import_proj()
    try:
        import odc.geo.geobox  # noqa: F401
        import rasterio  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra(str(error.name), "scenes", "reading a scene") from error
    options = Options(bands, resampling, grid, bbox, datetime, physical, scale, offset, nodata, fill, crs, skip_errors)
    return _Opening(model, options).scene(sources)


def from_api(
    url: str,
    model: Any,
    *,
    collections: Sequence[str],
    bbox: Sequence[float] | None = None,
    datetime: str | None = None,
    query: Any = None,
    ids: Sequence[str] | None = None,
    modifier: Any = None,
    most: int = MOST,
    **options: Any,
) -> Scene:
    """Open what a search of a STAC API finds, cut to the box; see :func:`open_source` for what else may be said.

    Parameters
    ----------
    url, collections, bbox, datetime, query, ids, modifier, most
        See :func:`modelstac.registry.scenes.reading.finding.searching.search`.
    model, **options
        See :func:`open_source`.

    Raises
    ------
    DataError
        If the search fails or finds nothing or too much, or what it finds is not what the model reads.
    """
    items = search(url, collections, bbox, datetime, query=query, ids=ids, modifier=modifier, most=most)
    return open_source(items, model, bbox=bbox, **options)


class _Opening:
    """One scene in the making."""

    def __init__(self, model: Any, options: Options) -> None:
        self._model, self._handles = model, Handles()
        self._said = options.to_json()
        self._options = replace(options, grid=self._grid(options.grid))

    def _grid(self, given: Any) -> Any:
        """Take the grid of a raster that is named."""
        if isinstance(given, str | Path) and Path(given).exists():
            return FilePart(str(given), self._handles).grid
        if isinstance(given, str):
            try:
                given = float(given)
            except ValueError:
                return given
        if isinstance(given, int | float) and not 0 < given < float("inf"):
            raise DataError(f"the length of a pixel is a number above zero, not {given}: correct --grid")
        if isinstance(given, tuple | list | set | dict):
            raise DataError(f"a grid is a raster, the length of a pixel or a reference system, not {given!r:.60}")
        return given

    def scene(self, sources: Sources) -> Scene:
        """Open it."""
        founds = self._by_input(sources)
        layouts = [layout for layout in self._model.signature.inputs if layout.name in founds]
        by_name = {source.name: source for source in self._model.description.inputs}
        alone = len(self._model.signature.inputs) == 1
        says = {one.name: stated(listed(by_name[one.name]), self._model.item, alone=alone) for one in layouts}
        choices: dict[str, Chosen] = {}
        for layout in layouts:
            name = layout.name
            if alone and self._options.bands is None:
                check_sensor(founds[name], self._model.item, name)
            choices[name] = chosen(
                founds[name], by_name[name], layout, self._model,
                bands=self._options.bands, pixel=says[name].pixels.get("y"),
            )  # fmt: skip
        _check_dates(choices)
        grids, notes = self._laid(layouts, {name: _parts(choice) for name, choice in choices.items()}, says)
        feeds: dict[str, Feed] = {}
        for layout in layouts:
            name = layout.name
            feeding = Feeding(
                layout, by_name[name], choices[name], item=self._model.item, stated=says[name], options=self._options
            )
            feeds[name], more = feeding.feed(grids[name])
            notes += [*choices[name].notes, *more]
        check_overlap(feeds)
        origins = [origin for found in founds.values() for origin in found.origins]
        read = [one for name, found in founds.items() if name in choices for one in _origins(found, choices[name])]
        return Scene(
            grids, tuple(dict.fromkeys(notes)), self._identity(choices, origins, grids), links(read), feeds,
            self._options.skip_errors, {name: choice.times for name, choice in choices.items()},
            {name: choice.ends for name, choice in choices.items()},
            sensors=sensors_of(read), on_close=self._handles.close,
        )  # fmt: skip

    def _find(self, given: Any) -> Found:
        found = find(given, self._handles, crs=self._options.crs)
        return found if self._options.datetime is None else at_times(found, str(self._options.datetime))

    def _by_input(self, sources: Sources) -> dict[str, Found]:
        """Find what there is for each input."""
        names = [layout.name for layout in self._model.signature.inputs]
        if isinstance(sources, Mapping) and not hasattr(sources, "data_vars") and "type" not in sources:
            self._model.signature.check_names(sources)
            return {name: self._find(sources[name]) for name in names if name in sources}
        if hasattr(sources, "data_vars") and len(names) > 1 and set(names) <= set(map(str, sources.data_vars)):
            from modelstac.registry.running.labels.reading import with_mapping

            dataset = with_mapping(sources)
            return {name: self._find(dataset[name]) for name in names}
        return dict.fromkeys(names, self._find(sources))

    def _laid(
        self, layouts: Sequence[TensorSignature], parts: Mapping[str, Sequence[Part]], says: Mapping[str, Stated]
    ) -> tuple[dict[str, Any], list[str]]:
        first = layouts[0]
        laid = lay(parts[first.name], says[first.name], given=self._options.grid, bbox=self._options.bbox)
        notes = [note for each in parts.values() for part in each if (note := getattr(part, "note", ""))]
        notes += laid.notes
        grids = grids_of_inputs(laid.grid, layouts)
        notes += [
            f"{part.name} is in {called(part.grid.crs)} and was warped onto the grid of the result, in "
            f"{called(grid.crs)}"
            for name, grid in grids.items()
            for part in parts[name]
            if not are_one(part.grid.crs, grid.crs)
        ]
        return grids, notes

    def _identity(
        self, choices: Mapping[str, Chosen], origins: Sequence[Origin], grids: Mapping[str, Any]
    ) -> dict[str, Any]:
        read = {
            name: [[offer.label for layers in step for offer in layers] for step in choice.steps]
            for name, choice in choices.items()
        }
        states = [dict(origin.identity) for origin in origins if origin.identity]
        for choice in choices.values():
            for part in _parts(choice):
                if isinstance(part, FilePart) and dict(part.origin.identity) not in states:
                    states.append(dict(part.origin.identity))
        places = {
            name: [*map(float, grid.affine[:6]), *map(int, grid.shape), str(grid.crs)] for name, grid in grids.items()
        }
        return {"sources": states, "bands": read, "options": self._said, "grids": places}


def _check_dates(choices: Mapping[str, Chosen]) -> None:
    """Refuse to read the same bands into two inputs, which are two dates."""
    seen: dict[Any, str] = {}
    for name, choice in choices.items():
        key = tuple(id(offer) for step in choice.steps for layers in step for offer in layers)
        if (other := seen.get(key)) is not None:
            raise DataError(f"inputs {other!r} and {name!r} would read the same bands: give each by its name")
        seen[key] = name


def _origins(found: Found, choice: Chosen) -> list[Origin]:
    """Give where that was read from which is read: a product has more bands than a model."""
    owners = {offer.owner for offer in choice.offers}
    return [origin for origin in found.origins if origin.owner is None or origin.owner in owners]


def _parts(choice: Chosen) -> list[Part]:
    """Open what an input reads."""
    return list({id(part): part for offer in choice.offers for part in [offer.open()]}.values())
