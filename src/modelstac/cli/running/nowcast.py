"""Radar frames to a forecast in mm/h, with the preparation that the model's item records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelstac import __version__
from modelstac.catalog.errors import DataError, InvalidItemError
from modelstac.catalog.messages import Note, Report, ignore
from modelstac.registry import Model
from modelstac.registry.running.labelled import LEAD_TIME
from modelstac.registry.running.signature import TensorSignature
from modelstac.training.data import Preparation, footprint, read_frames, require_no_gap
from modelstac.training.data.layouts import FRAME_AXES, number_of_frames

if TYPE_CHECKING:
    import xarray as xr

    from modelstac.training.scoring.plots import Film

SAME_PIXELS = 0.02  # FMI's pixels of 999.7 m pass for 1 km
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
    past
        The frames that it starts from (time, y, x), mm/h.
    observed
        What was measured at the times of the forecast, like ``rate``; NaN where there is no frame.
    title, credit
        The model's, and that of the data.
    instantaneous
        Whether the rates are those of moments, as those that the forecast starts from.
    """

    rate: NDArray[np.float32]
    time: NDArray[np.datetime64]
    y: NDArray[np.float64]
    x: NDArray[np.float64]
    proj4: str
    source_files: tuple[str, ...]
    past: NDArray[np.float32]
    observed: NDArray[np.float32]
    title: str
    credit: str
    instantaneous: bool = False

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

    def dataset(self) -> xr.Dataset:
        """Return the forecast as a CF dataset."""
        from modelstac.training.data import cf

        return cf.forecast(
            self.rate,
            self.time,
            self.y,
            self.x,
            self.proj4,
            attributes={
                "title": f"Rain forecast by {self.title}",
                "source": f"modelstac {__version__} from {self.source_files[0]} to {self.source_files[-1]}",
                "comment": self.credit,
            },
            instantaneous=self.instantaneous,
        )

    def film(self) -> Film:
        """Return the frames to draw: those measured, then the forecast, beside what was measured if anything was."""
        from modelstac.training.data import cf
        from modelstac.training.scoring.plots import Film

        step = self.time[1] - self.time[0] if len(self.time) > 1 else np.timedelta64(5, "m")
        before = self.time[0] - step * np.arange(len(self.past), 0, -1)
        captions = [f"{_clock(time)}, observed" for time in before]
        lead = [int((time - before[-1]) / np.timedelta64(1, "m")) for time in self.time]
        captions += [f"{_clock(time)}, +{minutes} min" for time, minutes in zip(self.time, lead, strict=True)]
        panels = {"forecast": np.concatenate([self.past, self.rate])}
        if np.isfinite(self.observed).any():
            panels = {"observed": np.concatenate([self.past, self.observed]), **panels}
        pixel = cf.pixel_metres(self.x, self.y, self.proj4)
        return Film(panels, captions, pixel, title=self.title, credit=self.credit)


def _clock(time: np.datetime64) -> str:
    return str(np.datetime_as_string(time, "m")).replace("T", " ") + " UTC"


def nowcast(
    model: Model, source: Path | Sequence[Path], *, at: datetime | None = None, report: Report = ignore
) -> Nowcast:
    """Forecast from the latest frames, or from the latest before a moment.

    Parameters
    ----------
    model
        A model of rain whose item records its preparation.
    source
        A folder of radar frames, or files.
    at
        End of the last frame to start from, UTC; what was measured later is kept beside the forecast.

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
            f"item {model.item.id!r} records no preparation of radar frames: give an array (.npy) or a table (.csv, "
            ".parquet) instead, or of a scene name the map, --output map.tif"
        )
    preparation = Preparation.from_dict(recorded)
    frames = _frames_needed(model, model.signature.inputs[0])
    _require_units(model)
    all_frames = read_frames(source, report=report)
    last = all_frames.sizes["time"] - 1 if at is None else _index(all_frames, at)
    if last + 1 < frames:
        until = "" if at is None else f" up to {at:%Y-%m-%d %H:%M} UTC"
        raise DataError(f"{model.item.id} starts from {frames} frames; found {last + 1}{until}: add earlier ones")
    ds = all_frames.isel(time=slice(last + 1 - frames, last + 1))
    require_no_gap(ds)
    _require_pixels(model, ds, preparation)
    _note_what_is_new(model, ds, report)
    ds = preparation.apply(ds, report=report)
    rate = ds["rainfall_rate"].values
    found = model.predict(ds["rainfall_rate"].fillna(0))  # the registry scales, puts in order and tells the times
    forecast = np.where(np.isnan(rate[-1]), np.float32(np.nan), found.values)
    time = found["time"].values
    return Nowcast(
        rate=forecast,
        time=time,
        y=ds["y"].values,
        x=ds["x"].values,
        proj4=ds["crs"].attrs["proj4"],
        source_files=tuple(str(name) for name in ds["source_file"].values),
        past=rate,
        observed=_observed(all_frames, time, preparation, forecast),
        title=f"{model.item.properties.get('title', model.item.id)} ({model.item.id})",
        credit=f"Data: {ds.attrs['credit']}, {ds.attrs['licence']}",
        instantaneous="point" in str(ds["rainfall_rate"].attrs.get("cell_methods")),
    )


def _require_pixels(model: Model, ds: xr.Dataset, preparation: Preparation) -> None:
    """Refuse frames whose pixels are not as large as those of the training: rain would move at another speed."""
    dimensions = model.description.cube_dimensions
    stated = [dimensions.get(axis, {}).get("step") for axis in "xy"]
    steps = [float(step) for step in stated if isinstance(step, int | float) and step > 0]
    if preparation.resize_bytes or len(steps) < len(stated):
        return
    side = preparation.side(ds)
    found = [side * abs(float(ds[axis][1] - ds[axis][0])) for axis in "xy"]
    if any(abs(one - step) > SAME_PIXELS * step for one, step in zip(found, steps, strict=True)):
        unit = "degrees" if "degrees" in str(ds["x"].attrs.get("units")) else "m"
        sizes = [" x ".join(f"{size:g}" for size in each) for each in (found, steps)]
        by = f", {side} x {side} pixels each" if side > 1 else ""
        raise DataError(
            f"{model.item.id} reads blocks of {sizes[1]} in its grid, and those of the frames are {sizes[0]} {unit}{by}"
            ": warp the frames to its pixels first, or train on frames such as these"
        )


def _note_what_is_new(model: Model, ds: xr.Dataset, report: Report) -> None:
    """Say where frames are of a product or a place that training did not see."""
    recorded = model.description.hyperparameters.get("data", {})
    known = recorded.get("products", [recorded.get("product")])
    product = str(ds.attrs.get("product"))
    if known != [None] and product not in known:
        report(Note(f"{model.item.id} was trained on {', '.join(map(str, known))}, and the frames are {product}"))
    west, south, east, north = model.item.bbox or (-180, -90, 180, 90)
    _, (left, bottom, right, top) = footprint(ds)
    if west <= east and left <= right and (left > east or right < west or bottom > north or top < south):
        report(Note(f"{model.item.id} was trained on rain of another region than that of the frames"))


def _index(ds: xr.Dataset, at: datetime) -> int:
    """Return the index of the frame that ends at a time."""
    found = np.flatnonzero(ds["time"].values == np.datetime64(at))
    if not len(found):
        first, last = (np.datetime_as_string(ds["time"].values[edge], "m").replace("T", " ") for edge in (0, -1))
        raise DataError(f"no frame ends at {at:%Y-%m-%d %H:%M} UTC: choose one from {first} to {last}")
    return int(found[0])


def _observed(
    ds: xr.Dataset, time: NDArray[np.datetime64], preparation: Preparation, forecast: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return what was measured at the times of the forecast, NaN where there is no frame."""
    observed = np.full_like(forecast, np.nan)
    there = np.flatnonzero(np.isin(time, ds["time"].values))
    if len(there):
        observed[there] = preparation.apply(ds.sel(time=time[there]))["rainfall_rate"].values
    return observed


def _require_units(model: Model) -> None:
    """Refuse a model whose item does not say what its numbers mean, or when they are."""
    output = model.description.outputs[0]
    lead_time = (output.model_extra or {}).get(LEAD_TIME)
    if None in (model.signature.inputs[0].scaling, output.post_processing_function, lead_time):
        raise InvalidItemError(
            f"item {model.item.id!r} does not say how frames become its numbers, and its numbers rain (value_scaling, "
            f"post_processing_function, {LEAD_TIME}): give a .npy array instead"
        )


def _frames_needed(model: Model, layout: TensorSignature) -> int:
    """Return how many frames the model was trained to start from, also where its file would take any number."""
    sizes = dict(zip(layout.dim_order, layout.shape, strict=True))
    if not set(FRAME_AXES) <= set(sizes) <= set(FRAME_AXES) | SINGLE:
        raise InvalidItemError(f"input {layout.name!r} is {layout}; radar frames have {', '.join(FRAME_AXES)}")
    frames = number_of_frames(sizes, model.description.hyperparameters)
    if frames is None:
        raise InvalidItemError(f"item {model.item.id!r} does not say how many frames it starts from: give a .npy array")
    return frames
