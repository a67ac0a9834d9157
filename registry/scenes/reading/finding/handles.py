"""Open rasters: a handle is one thread's at a time, as GDAL wants it, and settings under which they are read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

CACHE = 96 << 20
"""Bytes of decoded blocks that GDAL keeps, for all threads together: those of a tile of a scene, and of the next."""
OPEN_FILES = 48
"""Files that are kept open, each as often as threads read it at once."""
DRIVERS = (
    "GTiff", "LIBERTIFF", "VRT", "JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2MrSID", "HFA", "ENVI", "EHdr", "PNG", "JPEG",
    "AAIGrid", "SRTMHGT", "RST", "GTX", "PCIDSK", "KEA", "ERS", "GRIB", "NITF", "SAGA", "BMP", "COG",
)  # fmt: skip
"""Formats that are pixels in a file. Others of GDAL are addresses of servers, which a file could hide in itself."""
_SETTINGS = {
    "GDAL_CACHEMAX": CACHE,  # rasterio takes bytes, where GDAL's own option of this name is in megabytes
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "GRIB_NORMALIZE_UNITS": "NO",  # temperatures stay in K, as other readers of GRIB give them
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
    """Datasets by path, each for one thread at a time; those of the path that was used longest ago are closed first."""

    def __init__(self, keep: int = OPEN_FILES) -> None:
        self._keep = keep
        self._free: OrderedDict[str, list[DatasetReader]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, path: str) -> DatasetReader:
        """Return a handle that nobody else has, until it is given back; its decoded blocks are there still.

        Raises
        ------
        rasterio.errors.RasterioIOError
            If it cannot be opened.
        """
        from rasterio.io import DatasetReader  # and not rasterio.open, which takes no list of formats

        with self._lock:
            if free := self._free.get(path):
                return free.pop()
        return DatasetReader(_for_gdal(path), driver=list(DRIVERS))

    def give_back(self, path: str, handle: DatasetReader) -> None:
        """Keep a handle open for whoever reads next."""
        with self._lock:
            self._free.setdefault(path, []).append(handle)
            self._free.move_to_end(path)
            old = self._free.popitem(last=False)[1] if len(self._free) > self._keep else []
        for one in old:
            one.close()

    def close(self) -> None:
        """Close all of them, while nobody reads; who reads later opens them anew."""
        with self._lock:
            free, self._free = self._free, OrderedDict()
        for handles in free.values():
            for one in handles:
                one.close()


def _for_gdal(path: str) -> str:
    """Give a path or URL as GDAL's file systems call it."""
    scheme, _, rest = path.partition("://")
    if scheme in ("http", "https"):
        return f"/vsicurl/{path}"
    known = {"s3": "/vsis3/", "gs": "/vsigs/", "az": "/vsiaz/"}
    return f"{known[scheme]}{rest}" if rest and scheme in known else path
