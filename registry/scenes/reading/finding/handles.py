"""Open rasters: a handle for each thread, as GDAL wants it, and settings under which they are read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

CACHE = 96 << 20
"""Bytes of decoded blocks that GDAL keeps, for all threads together: those of a tile of a scene, and of the next."""
OPEN_FILES = 48
"""Handles that a thread keeps open."""
DRIVERS = (
    "GTiff", "LIBERTIFF", "VRT", "JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2MrSID", "HFA", "ENVI", "EHdr", "PNG", "JPEG",
    "AAIGrid", "SRTMHGT", "RST", "GTX", "PCIDSK", "KEA", "ERS", "GRIB", "NITF", "SAGA", "BMP", "COG",
)  # fmt: skip
"""Formats that are pixels in a file. Others of GDAL are addresses of servers, which a file could hide in itself."""
_SETTINGS = {
    "GDAL_CACHEMAX": CACHE,  # rasterio takes bytes, where GDAL's own option of this name is in megabytes
    "GDAL_NUM_THREADS": "ALL_CPUS",  # of decoding: a model waits for its first tile
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "GDAL_HTTP_TIMEOUT": 60,
    "GDAL_HTTP_MAX_RETRY": 3,
    "GDAL_HTTP_RETRY_DELAY": 1,
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "VSI_CACHE": "TRUE",
}


def settings(**more: Any) -> Any:
    """Return the context in which rasters are opened and read."""
    import rasterio

    return rasterio.Env(**(_SETTINGS | more))


class Handles:
    """Datasets by path, a set for each thread; the one that was used longest ago is closed for another."""

    def __init__(self, keep: int = OPEN_FILES) -> None:
        self._keep = keep
        self._local = threading.local()
        self._all: list[OrderedDict[str, DatasetReader]] = []

    def get(self, path: str) -> DatasetReader:
        """Return a handle of this thread's own.

        Raises
        ------
        rasterio.errors.RasterioIOError
            If it cannot be opened.
        """
        from rasterio.io import DatasetReader  # and not rasterio.open, which takes no list of formats

        held: OrderedDict[str, DatasetReader] | None = getattr(self._local, "held", None)
        if held is None:
            held = self._local.held = OrderedDict()
            self._all.append(held)
        if path in held:
            held.move_to_end(path)
            return held[path]
        found = DatasetReader(_for_gdal(path), driver=list(DRIVERS))
        held[path] = found
        while len(held) > self._keep:
            held.popitem(last=False)[1].close()
        return found

    def close(self) -> None:
        """Close those of all threads, none of which reads any more; who reads later opens them anew."""
        for held in self._all:
            while held:
                held.popitem()[1].close()


def _for_gdal(path: str) -> str:
    """Give a path or URL as GDAL's file systems call it."""
    scheme, _, rest = path.partition("://")
    if scheme in ("http", "https"):
        return f"/vsicurl/{path}"
    known = {"s3": "/vsis3/", "gs": "/vsigs/", "az": "/vsiaz/"}
    return f"{known[scheme]}{rest}" if rest and scheme in known else path
