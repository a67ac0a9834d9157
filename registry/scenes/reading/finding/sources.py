"""Whatever was named as a scene, opened as what it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from modelstac.catalog.errors import DataError
from modelstac.registry.running.bands import Band
from modelstac.registry.running.labels.levels import level_dim
from modelstac.registry.scenes.reading.finding.files import offers_of_file
from modelstac.registry.scenes.reading.finding.items import found_of_items, items_of, read_items
from modelstac.registry.scenes.reading.finding.landsat import of_file_name
from modelstac.registry.scenes.reading.finding.parts import (
    Found,
    Origin,
    file_and_group,
    is_cube,
    is_remote,
    is_zarr,
    plain,
)

if TYPE_CHECKING:
    from modelstac.registry.scenes.reading.finding.handles import Handles

_PRODUCT = "IMG_DATA"
_ARCHIVES = {".zip": ("/vsizip/", "application/zip"), ".tar": ("/vsitar/", "application/x-tar")}
"""What products are delivered in, how GDAL calls what is inside, and its media type."""


def find(given: Any, handles: Handles, *, crs: Any = None) -> Found:
    """Find the bands of whatever was given, or of several such.

    Parameters
    ----------
    given
        See :func:`modelstac.registry.scenes.reading.opening.open_source`.
    handles
        Through which files are read.
    crs
        Reference system, where the caller knows it better.

    Raises
    ------
    DataError
        If it cannot be opened, or is no scene.
    """
    several = isinstance(given, list | tuple) or type(given).__name__ == "ItemCollection"
    if several and not len(given):
        raise DataError("no scene is named: name a raster, a STAC item, an array or a search")
    founds: list[Found] = []
    begin = 0
    for one in given if several else [given]:
        for found in _one(one, begin, handles, crs):
            founds.append(found)
            begin = 1 + max(offer.owner for offer in found.offers)
    return Found(
        tuple(offer for found in founds for offer in found.offers),
        tuple(origin for found in founds for origin in found.origins),
        any(found.sentinel for found in founds),
    )


def _one(given: Any, owner: int, handles: Handles, crs: Any) -> Iterable[Found]:
    if hasattr(given, "data_vars") and not given.data_vars and getattr(given, "children", None):
        groups = ", ".join(node.path.strip("/") for node in given.subtree if node.data_vars) or "none"
        raise DataError(f"a tree has its variables in its groups, {groups}: name one of them, tree[GROUP].to_dataset()")
    if hasattr(given, "dims") and not hasattr(given, "data_vars") and level_dim(given) is not None:
        given = given.to_dataset(name=given.name or "level")
    if hasattr(given, "data_vars"):
        from modelstac.registry.scenes.reading.finding.arrays import offers_of_dataset, token

        offers = offers_of_dataset(given, owner, "the dataset", crs=crs)
        state = {str(name): token(array) for name, array in given.data_vars.items()}
        return [Found(tuple(offers), (Origin("", identity={"dataset": state}),))]
    if hasattr(given, "dims") and hasattr(given, "coords"):
        from modelstac.registry.scenes.reading.finding.arrays import offers_of_array, token

        name = f"the array {given.name!r}" if given.name else "the array"
        offers = offers_of_array(given, owner, name, crs=crs)
        return [Found(tuple(offers), (Origin("", identity={"array": token(given)}),))]
    if type(given).__name__ == "ItemCollection" or hasattr(given, "assets"):
        items = list(given) if not hasattr(given, "assets") else [given]
        return [found_of_items(items, handles, owner, crs=crs)]
    if isinstance(given, Mapping):
        return [found_of_items(list(items_of(given, "what was given")), handles, owner, crs=crs)]
    if not isinstance(given, str | Path):
        raise DataError(f"a scene is a path, a URL, a STAC item or an array of xarray, not {type(given).__name__}")
    return _path(str(given), owner, handles, crs)


def _path(path: str, owner: int, handles: Handles, crs: Any) -> Iterable[Found]:
    """Open a path or URL as what it is."""
    if path.startswith("file://"):
        path = unquote(urlsplit(path).path)
    end = (urlsplit(path).path if is_remote(path) else path).casefold().rstrip("/")  # a file may have a # in its name
    if is_cube(path):
        from modelstac.registry.scenes.reading.finding.arrays import offers_of_dataset, open_dataset

        offers = offers_of_dataset(open_dataset(path), owner, plain(path), crs=crs)
        return [Found(tuple(offers), (replace(_origin(path), owner=owner),))]
    if end.endswith((".json", ".geojson")) or (
        is_remote(path) and "/items/" in end and not end.endswith((".tif", ".tiff", ".jp2", ".vrt"))
    ):
        items = read_items(path)
        if not items:
            raise DataError(f"{plain(path)} has no items: name another, or widen the search")
        return [found_of_items(items, handles, owner, crs=crs)]
    if Path(path).is_dir():
        beside = sorted(file for file in Path(path).glob("*.json") if not file.name.endswith("_MTL.json"))  # an item
        return _path(str(beside[0]), owner, handles, crs) if len(beside) == 1 else _folder(path, owner, handles, crs)
    if end.endswith(tuple(_ARCHIVES)) and Path(path).is_file():
        return _folder(path, owner, handles, crs)
    found, origin, sentinel = offers_of_file(path, handles, owner, crs=crs)
    return [Found(tuple(found), (replace(origin, owner=owner),), sentinel=sentinel)]


def _folder(path: str, owner: int, handles: Handles, crs: Any) -> Iterable[Found]:
    """Open the product that a folder holds, or an archive as it is delivered in."""
    archive = _ARCHIVES.get(Path(path).suffix.casefold()) if Path(path).is_file() else None
    if archive is not None:
        inside = [Path(name) for name in _names(path)]
        files = [file for file in inside if file.suffix == ".jp2"], [file for file in inside if file.suffix == ".TIF"]
    else:
        files = [*Path(path).rglob("*.jp2")], [*Path(path).glob("*.TIF")]
    chosen = sorted(str(file) for file in files[0] if _PRODUCT in file.parts and "TCI" not in file.name)
    chosen = chosen or sorted(str(file) for file in files[1] if of_file_name(file.name, Band()))
    if not chosen:
        products = "a product of Sentinel-2 or of Landsat (level 2)"
        raise DataError(
            f"{path} is a folder, neither Zarr nor {products}, nor one STAC item with its files: name its rasters"
            if archive is None
            else f"{path} is an archive without {products}: unpack it, and name its rasters"
        )
    for number, file in enumerate(chosen, owner):
        place = file if archive is None else f"{archive[0]}{Path(path).absolute()}/{file}"
        offers, origin, sentinel = offers_of_file(place, handles, number, crs=crs)
        origin = origin if archive is None else _origin(path, archive[1])
        yield Found(tuple(offers), (replace(origin, owner=number),), sentinel=sentinel)


def _names(path: str) -> list[str]:
    """Name the files in an archive."""
    import tarfile
    import zipfile

    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as packed:
                return packed.namelist()
        with tarfile.open(path, "r:") as file:
            return file.getnames()
    except (OSError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise DataError(f"cannot open {path}: {error}: it may be cut off; fetch it again") from error


def _origin(path: str, kind: str | None = None) -> Origin:
    kind = kind or ("application/vnd+zarr" if is_zarr(path) else "application/netcdf")
    identity: dict[str, Any] = {"path": plain(path)}
    if not is_remote(path):
        path, group = file_and_group(path)
        newest, size = 0, 0
        for file in Path(path).rglob("*") if Path(path).is_dir() else [Path(path)]:
            if file.is_file():
                state = file.stat()
                newest, size = max(newest, state.st_mtime_ns), size + state.st_size
        identity = {"path": str(Path(path).absolute()), "size": size, "mtime": newest}
        identity |= {} if group is None else {"group": group}
    return Origin(plain(path), kind, identity)
