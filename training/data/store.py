"""Prepared frames in a Zarr store: read and prepared once, then streamed window by window with flat memory.

A chunk holds as many frames as a window, so that a window touches two chunks at most. `read_frames` opens a store as it
opens a folder of radar files, and `xarray.open_zarr` reads it, too. Preparing goes on where it was interrupted.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError, MissingPackageError, StorageError
from modelstac.catalog.messages import Advanced, Finished, Note, Report, Started, ignore
from modelstac.registry.running.labels.systems import import_proj
from modelstac.training.data.preparation import PREPARATION, Preparation

try:
    import zarr
    from zarr.storage import ZipStore
except ModuleNotFoundError as error:
    if error.name != "zarr":
        raise
    raise MissingPackageError.extra("zarr", "data", "preparing frames into Zarr") from error

FRAMES = 36
"""Frames in a chunk: a window of 18 in and 18 out."""
TASK = "prepare frames"
PACKED = ".zarr.zip"

_TIMES = {"units": "seconds since 1970-01-01 00:00:00", "calendar": "standard", "dtype": "int64"}
_ALIKE: dict[str, Any] = {"data_vars": "minimal", "coords": "minimal", "compat": "override", "join": "override"}
_ADVICE = "free some space or check the permissions and run it again: it goes on where it stopped"


def is_store(source: object) -> bool:
    """Tell whether the path is a Zarr store, in a folder or packed."""
    if not isinstance(source, str | Path):
        return False
    return str(source).endswith(PACKED) or (Path(source) / "zarr.json").is_file()


def pack(store: Path, target: Path) -> None:
    """Pack a store into one file, the same bytes for the same store.

    Raises
    ------
    DataError
        It is no finished store.
    StorageError
        The file cannot be written.
    """
    open_store(store)
    try:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:  # the chunks are compressed already
            for path in sorted(path for path in store.rglob("*") if path.is_file()):
                entry = zipfile.ZipInfo(path.relative_to(store).as_posix())
                archive.writestr(entry, path.read_bytes())
    except OSError as error:
        raise StorageError.doing(f"write {target}", error, advice="free some space or choose another folder") from error


def prepare(
    ds: xr.Dataset, store: Path, preparation: Preparation, *, frames: int = FRAMES, report: Report = ignore
) -> None:
    """Prepare frames into a store, one chunk in memory at a time; a frame without any measurement is left out.

    Parameters
    ----------
    ds
        Frames as `read_frames` gives them. Some may be missing: no window will span a gap.
    store
        The folder to write; when an earlier run of the same was interrupted, it goes on.
    frames
        Frames in a chunk: as many as a window has.

    Raises
    ------
    DataError
        The store holds something else, the preparation does not fit the frames, or none of them holds a measurement.
    StorageError
        The store cannot be written; what is written is kept.
    """
    spec = _spec(ds, preparation, frames)
    try:
        done, written = _resume(store, spec)
        report(Started(TASK, ds.sizes["time"]))
        report(Advanced(TASK, done))
        for index, block in _blocks(ds, preparation, done, frames, report):
            if len(block):
                _append(store, xr.concat(block, "time", **_ALIKE), frames, first=written == 0)
            written += len(block)
            zarr.open_group(store, mode="r+").attrs.update(frames_read=index, frames_written=written)
        if not written:
            raise DataError(f"no frame holds a measurement in rows {preparation.rows}, columns {preparation.columns}")
        zarr.open_group(store, mode="r+").attrs.update(complete=True)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError.doing(f"write {store}", error, advice=_ADVICE) from error
    report(Finished(TASK))
    if written < ds.sizes["time"]:
        report(Note(f"{ds.sizes['time'] - written} of {ds.sizes['time']} frames hold no measurement and were left out"))


def open_store(store: str | Path) -> xr.Dataset:
    """Open prepared frames; pixels are read when they are used.

    Raises
    ------
    DataError
        It is no store of prepared frames, or is not finished.
    """
    try:
        # A packed store is read where it lies; whoever holds the dataset holds the file open.
        place = ZipStore(store, mode="r") if str(store).endswith(PACKED) else store
        import_proj()
        ds: xr.Dataset = xr.open_zarr(place, chunks=None, consolidated=False)
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{store} is no Zarr store of frames ({error}): prepare it with 'modelstac data prepare'"
        ) from error
    if PREPARATION in ds.attrs and not ds.attrs.get("complete"):
        raise DataError(f"{store} is not finished: run 'modelstac data prepare' again, it goes on where it stopped")
    if PREPARATION not in ds.attrs or "rainfall_rate" not in ds:
        raise DataError(f"{store} is no store of prepared frames: prepare it with 'modelstac data prepare'")
    # A store keeps no file names; errors name a frame by its time.
    names = [
        f"{Path(store).name} at {str(time).replace('T', ' ')}" for time in ds["time"].values.astype("datetime64[m]")
    ]
    return ds.assign_coords(source_file=("time", np.array(names)))


def _spec(ds: xr.Dataset, preparation: Preparation, frames: int) -> dict[str, Any]:
    names = ds["source_file"].values
    return {
        **{key: value for key, value in ds.attrs.items() if key != "source_files"},
        "first_source": str(names[0]),
        "last_source": str(names[-1]),
        "sources": len(names),
        "chunk": frames,
        PREPARATION: preparation.frames_json(),
        "gaps": "skip",
    }


def _resume(store: Path, spec: dict[str, Any]) -> tuple[int, int]:
    """Return how many frames were read and written, after cutting off what was written half."""
    if not is_store(store):
        if store.exists() and (not store.is_dir() or any(store.iterdir())):
            raise DataError(f"{store} is there and is no Zarr store: name a new folder that ends in .zarr")
        zarr.open_group(store, mode="w", attributes={**spec, "complete": False, "frames_read": 0, "frames_written": 0})
        return 0, 0
    group = zarr.open_group(store, mode="r+")
    other = [key for key, value in spec.items() if group.attrs.get(key) != value]
    if other:
        raise DataError(
            f"{store} was prepared from other frames or in another way ({', '.join(other)} differ): name another store"
        )
    read, written = (int(str(group.attrs[name])) for name in ("frames_read", "frames_written"))
    for name in ("rainfall_rate", "time"):
        array = group.get(name)
        if isinstance(array, zarr.Array):
            array.resize((written, *array.shape[1:]))
    return read, written


def _blocks(
    ds: xr.Dataset, preparation: Preparation, done: int, frames: int, report: Report
) -> Iterator[tuple[int, list[xr.Dataset]]]:
    """Give chunks of prepared frames, and the number of frames read by then."""
    block: list[xr.Dataset] = []
    for index in range(done, ds.sizes["time"]):
        one = preparation.apply(ds.isel(time=slice(index, index + 1)), allow_unmeasured=True)
        if np.isfinite(one["rainfall_rate"].values).any():
            block.append(one.drop_vars("source_file"))
        report(Advanced(TASK))
        if len(block) == frames or index + 1 == ds.sizes["time"]:
            yield index + 1, block
            block = []


def _append(store: Path, block: xr.Dataset, chunk: int, *, first: bool) -> None:
    block.attrs = dict(zarr.open_group(store, mode="r").attrs)  # xarray replaces those of the store
    if not first:
        times = block[["rainfall_rate"]].drop_vars(["y", "x"])
        times.to_zarr(store, append_dim="time", consolidated=False)
        return
    encoding = {
        "rainfall_rate": {"chunks": (chunk, block.sizes["y"], block.sizes["x"])},
        "time": {**_TIMES, "chunks": (4096,)},
    }
    block.to_zarr(store, mode="a", encoding=encoding, consolidated=False)


class Stream:
    """Frames of a store as an array (time, y, x) from which windows are cut; the chunks last used are kept.

    Parameters
    ----------
    rates
        Rain rate (time, y, x) that is not in memory.
    chunk
        Frames that are read at a time.
    keep
        Chunks that are kept: a window and the next one touch four at most.
    """

    def __init__(self, rates: xr.DataArray, chunk: int, keep: int = 4) -> None:
        self.shape = rates.shape
        self.dtype = rates.dtype
        self._rates = rates
        self._chunk = chunk
        self._keep = keep
        self._kept: dict[int, NDArray[np.float32]] = {}

    def __getitem__(self, index: slice | NDArray[np.int64] | Sequence[int]) -> NDArray[np.float32]:
        if isinstance(index, slice):
            first, last, step = index.indices(self.shape[0])
            return self._span(first, last)[::step]
        frames = np.asarray(index)
        taken = np.array([self._span(int(frame), int(frame) + 1)[0] for frame in frames.ravel()], dtype=self.dtype)
        return taken.reshape(*frames.shape, *self.shape[1:])

    def _span(self, first: int, last: int) -> NDArray[np.float32]:
        chunks = range(first // self._chunk, -(-last // self._chunk))
        parts = [
            self._read(chunk)[max(first - chunk * self._chunk, 0) : last - chunk * self._chunk] for chunk in chunks
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts or [np.empty((0, *self.shape[1:]), self.dtype)])

    def _read(self, chunk: int) -> NDArray[np.float32]:
        found = self._kept.pop(chunk, None)
        if found is None:
            found = self._rates[chunk * self._chunk : (chunk + 1) * self._chunk].values
            while len(self._kept) >= self._keep:
                self._kept.pop(next(iter(self._kept)), None)
        self._kept[chunk] = found  # the one used last is the last in the dict
        return found
