"""Radar files to one xarray Dataset, whatever the product; pixels are read when they are used.

A day of frames is half a gigabyte as rain rates, so the dataset keeps only what describes the files and reads pixels
frame by frame on indexing: memory is that of what a caller takes, not of what a folder holds.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from modelstac.catalog.errors import DataError, NotFoundError, StorageError
from modelstac.catalog.messages import Advanced, Finished, Report, Started, ignore
from modelstac.training.data import cf
from modelstac.training.data.readers import cf_netcdf, fmi, grib, knmi, knmi_reflectivity, meteoswiss, odim, radolan
from modelstac.training.data.readers.product import Frame, Reader

READERS: dict[str, Reader] = {
    "knmi-accumulation": knmi,
    "knmi-reflectivity": knmi_reflectivity,
    "odim": odim,
    "fmi-pgm": fmi,
    "meteoswiss-gif": meteoswiss,
    "grib": grib,
    "radolan": radolan,
    "cf-netcdf": cf_netcdf,
}
"""The products that can be read; another one is a module with the verbs of `Reader` and one line here."""

_USUAL_STEP = 5.0  # minutes, for a single file that does not say


def read_frames(source: str | Path | Sequence[str | Path], *, report: Report = ignore) -> xr.Dataset:
    """Read radar frames of one product on one grid, in order of time.

    Parameters
    ----------
    source
        A folder, one file, or files in any order; or a store of prepared frames (`modelstac.training.data.store`).
    report
        Gets a message for every file opened.

    Returns
    -------
    xarray.Dataset
        ``rainfall_rate`` (time, y, x), float32 in mm/h, NaN where nothing was measured, read from the files when
        indexed (``.load()`` keeps it); coordinates ``time`` (end of the period, UTC), ``y`` (descending) and ``x`` in
        projected metres, or latitude and longitude; ``source_file`` per time; ``crs`` with CF's grid mapping. The
        attributes name product,
        ``step_minutes``, institution, licence, credit and ``source_files``. Frames may be missing:
        `modelstac.training.data.make_windows` checks that.

    Raises
    ------
    NotFoundError
        The path does not exist.
    DataError
        No radar file there, a file that is damaged or of an unknown product, two products, two grids, or two files
        of the same time.
    """
    if isinstance(source, (str, Path)) and (
        str(source).endswith(".zarr.zip") or (Path(source) / "zarr.json").is_file()
    ):
        from modelstac.training.data.store import open_store  # zarr is slow to import and rarely needed

        return open_store(source)
    paths = _files(source)
    reader = _reader(paths[0])
    frames: list[Frame] = []
    report(Started("open radar files", len(paths)))
    for path in paths:
        found = reader.describe(path)
        frames += [found] if isinstance(found, Frame) else found
        report(Advanced("open radar files"))
    report(Finished("open radar files"))
    frames = _with_step(sorted(frames, key=lambda frame: frame.time))
    _require_one_series(frames)
    return _dataset(reader, frames)


def _files(source: str | Path | Sequence[str | Path]) -> list[Path]:
    if not isinstance(source, (str, Path)):
        paths = [Path(path) for path in source]
        if not paths:
            raise DataError("no radar files given: name a folder or at least one file")
    elif Path(source).is_dir():
        suffixes = tuple(sorted({suffix for reader in READERS.values() for suffix in reader.SUFFIXES}))
        try:
            paths = sorted(path for path in Path(source).iterdir() if path.name.lower().endswith(suffixes))
        except OSError as error:
            raise StorageError.doing(f"read {source}", error, advice="check its permissions") from error
        if not paths:
            raise DataError(f"no radar files in the folder {source}: expected files that end in {', '.join(suffixes)}")
    else:
        paths = [Path(source)]
    for path in paths:
        if not path.is_file():
            raise NotFoundError(f"no radar file or folder {path}: check the path")
    return paths


def _reader(path: Path) -> Reader:
    for reader in READERS.values():
        if reader.recognises(path):
            return reader
    raise DataError(f"{path} is of no known radar product (known: {', '.join(READERS)}): remove it or fetch it again")


def _with_step(frames: list[Frame]) -> list[Frame]:
    """Fill in the distance between frames where the files do not say it: the smallest that there is."""
    if any(frame.step_minutes for frame in frames):
        return frames
    distances = [(after.time - before.time) / timedelta(minutes=1) for before, after in itertools.pairwise(frames)]
    step = min((distance for distance in distances if distance > 0), default=_USUAL_STEP)
    if step != int(step):
        raise DataError(f"{frames[0].path}: frames {step:g} minutes apart; whole minutes are understood only")
    return [replace(frame, step_minutes=int(step)) for frame in frames]


def _require_one_series(frames: list[Frame]) -> None:
    first = frames[0]
    for before, frame in itertools.pairwise(frames):
        if frame.grid != first.grid:
            raise DataError(
                f"{frame.path} has another grid ({frame.grid}) than {first.path.name} ({first.grid}):"
                " keep frames of one grid in a folder"
            )
        if (frame.product, frame.step_minutes) != (first.product, first.step_minutes):
            raise DataError(
                f"{frame.path} is {frame.product} of {frame.step_minutes} minutes, {first.path.name} is {first.product}"
                f" of {first.step_minutes}: keep one product in a folder"
            )
        if (frame.conversion, frame.instantaneous) != (first.conversion, first.instantaneous):
            raise DataError(
                f"{frame.path} gives rain rate {frame.conversion or 'itself'}, {first.path.name}"
                f" {first.conversion or 'itself'}: keep one product in a folder"
            )
        if frame.time == before.time:
            again = (
                f"holds {frame.time} twice"
                if frame.path == before.path
                else f"and {before.path} are both of {frame.time}"
            )
            raise DataError(f"{frame.path} {again}: remove one of them")


def _dataset(reader: Reader, frames: list[Frame]) -> xr.Dataset:
    first = frames[0]
    rates = _LazyFrames(reader, frames)
    names = [frame.path.name for frame in frames]
    times = np.array([frame.time for frame in frames], dtype="datetime64[ns]")
    try:
        crs = cf.grid_mapping(first.grid.proj4)
    except pyproj.exceptions.CRSError as error:
        raise DataError(
            f"{first.path}: {first.grid.proj4!r} is no projection that PROJ knows; remove the file"
        ) from error
    return xr.Dataset(
        data_vars={
            "rainfall_rate": (
                ("time", "y", "x"),
                indexing.LazilyIndexedArray(rates),
                cf.rate(first.conversion, instantaneous=first.instantaneous),
            ),
            "crs": crs,
        },
        coords={
            "time": ("time", times, cf.MOMENT if first.instantaneous else cf.TIME),
            "y": ("y", first.grid.y(), cf.LATITUDE if first.grid.geographic else cf.Y),
            "x": ("x", first.grid.x(), cf.LONGITUDE if first.grid.geographic else cf.X),
            "source_file": ("time", np.array(names)),
        },
        attrs={
            "Conventions": cf.CONVENTIONS,
            "product": first.product,
            "step_minutes": first.step_minutes,
            "institution": first.institution,
            "licence": first.licence,
            "credit": first.credit,
            "source_files": names,
        },
    )


class _LazyFrames(BackendArray):
    """The frames as an array (time, y, x) whose pixels are read when indexed, one file at a time."""

    def __init__(self, reader: Reader, frames: list[Frame]) -> None:
        self.reader = reader
        self.frames = frames
        self.shape = (len(frames), frames[0].grid.rows, frames[0].grid.columns)
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._read)

    def _read(self, key: tuple[int | slice, ...]) -> NDArray[np.float32]:
        time, *place = key
        if not isinstance(time, slice):
            return self._rate(self.frames[time])[tuple(place)]
        chosen = [self._rate(frame)[tuple(place)] for frame in self.frames[time]]
        if not chosen:
            return np.empty((0, *np.empty(self.shape[1:], dtype=bool)[tuple(place)].shape), dtype=np.float32)
        return np.stack(chosen)

    def _rate(self, frame: Frame) -> NDArray[np.float32]:
        return self.reader.rain_rate(frame.path, *([] if frame.index is None else [frame.index]))
