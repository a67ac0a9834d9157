"""Radar frames to a forecast in mm/h, with the preparation that the model's item records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError, InvalidItemError
from modelstac.catalog.messages import Report, ignore
from modelstac.registry import Model
from modelstac.registry.model import TensorSignature
from modelstac.training.data import Preparation, read_frames, require_no_gap

if TYPE_CHECKING:
    import xarray as xr

FRAME_ORDER = ("time", "height", "width")
SINGLE = frozenset({"batch", "variables", "bands", "channel"})  # dimensions of which a forecast has one


@dataclass(frozen=True)
class Nowcast:
    """A forecast.

    Parameters
    ----------
    rate
        Rain rate (time, y, x), float32, mm/h, NaN where the last frame was not measured.
    time
        End of the period of each frame, UTC.
    y, x
        Projected coordinates of the pixel centres, in metres.
    proj4
        Their reference system.
    source_files
        Frames that the forecast starts from, the latest last.
    """

    rate: NDArray[np.float32]
    time: NDArray[np.datetime64]
    y: NDArray[np.float64]
    x: NDArray[np.float64]
    proj4: str
    source_files: tuple[str, ...]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the forecast as arrays for ``numpy.savez``; none of them is pickled."""
        return {
            "rainfall_rate": self.rate,
            "time": self.time.astype("datetime64[s]"),
            "y": self.y,
            "x": self.x,
            "units": np.array("mm h-1"),
            "proj4": np.array(self.proj4),
            "source_files": np.array(self.source_files),
        }


def nowcast(model: Model, source: Path | Sequence[Path], *, report: Report = ignore) -> Nowcast:
    """Forecast from the latest frames.

    Parameters
    ----------
    model
        A model of rain whose item records its preparation.
    source
        A folder of radar frames, or files.

    Raises
    ------
    InvalidItemError
        If the item records no preparation, or its layout is not one of frames.
    DataError
        If there are too few frames, or one is missing among those used.
    """
    recorded = model.description.hyperparameters.get("preparation")
    if not isinstance(recorded, dict):
        raise InvalidItemError(
            f"item {model.item.id!r} records no preparation of radar frames: give a .npy array instead"
        )
    preparation = Preparation.from_dict(recorded)
    before, after = model.signature.inputs[0], model.signature.outputs[0]
    frames = _frames_needed(model, before)
    ds = read_frames(source, report=report)
    if ds.sizes["time"] < frames:
        raise DataError(f"{model.item.id} starts from {frames} frames; found {ds.sizes['time']}: add earlier ones")
    ds = ds.isel(time=slice(-frames, None))
    require_no_gap(ds)
    ds = preparation.apply(ds, report=report)
    rate = ds["rainfall_rate"].values
    forecast = preparation.to_rate(_from_layout(model.predict(_to_layout(preparation.to_model(rate), before)), after))
    forecast[:, np.isnan(rate[-1])] = np.nan
    return _stamped(forecast, ds)


def _stamped(forecast: NDArray[np.float32], ds: xr.Dataset) -> Nowcast:
    step = np.timedelta64(int(ds.attrs["step_minutes"]), "m")
    time = ds["time"].values[-1] + step * np.arange(1, len(forecast) + 1)
    files = tuple(str(name) for name in ds["source_file"].values)
    return Nowcast(forecast, time, ds["y"].values, ds["x"].values, ds["crs"].attrs["proj4"], files)


def _frames_needed(model: Model, layout: TensorSignature) -> int:
    """Return how many frames the model was trained to start from, also where its file would take any number."""
    sizes = dict(zip(layout.dim_order, layout.shape, strict=True))
    if not set(FRAME_ORDER) <= set(sizes) <= set(FRAME_ORDER) | SINGLE:
        raise InvalidItemError(f"input {layout.name!r} is {layout}; radar frames have {', '.join(FRAME_ORDER)}")
    if sizes["time"] != -1:
        return sizes["time"]
    architecture = model.description.hyperparameters.get("architecture")
    frames = architecture.get("frames") if isinstance(architecture, dict) else None
    if not isinstance(frames, int) or frames < 1:
        raise InvalidItemError(f"item {model.item.id!r} does not say how many frames it starts from: give a .npy array")
    return frames


def _to_layout(values: NDArray[np.float32], layout: TensorSignature) -> NDArray[np.float32]:
    """Turn (time, height, width) into the layout, with one of every other dimension."""
    ordered = values.transpose([FRAME_ORDER.index(name) for name in layout.dim_order if name in FRAME_ORDER])
    return np.expand_dims(ordered, [i for i, name in enumerate(layout.dim_order) if name not in FRAME_ORDER])


def _from_layout(values: NDArray[np.float32], layout: TensorSignature) -> NDArray[np.float32]:
    """Turn the layout into (time, height, width)."""
    kept = [name for name in layout.dim_order if name in FRAME_ORDER]
    squeezed = values.squeeze(tuple(i for i, name in enumerate(layout.dim_order) if name not in FRAME_ORDER))
    return squeezed.transpose([kept.index(name) for name in FRAME_ORDER])
