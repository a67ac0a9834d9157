"""From a radar composite to what a model sees: crop, block mean, values between 0 and 1, and the way back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pyproj
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from modelstac.catalog.errors import DataError, SpecError
from modelstac.catalog.items.geometry import bounding_box, outline
from modelstac.catalog.messages import Advanced, Finished, Report, Started, ignore
from modelstac.training.data.cf import pixel_metres
from modelstac.training.data.readers.zr import MARSHALL_PALMER

Polygon = dict[str, Any]
BBox = tuple[float, float, float, float]

LIGHT_RAIN = np.float32(0.2)
"""Rain rate in mm/h below which the logarithm is almost linear."""
_SAME = 0.02
_LARGEST_STEP, _MOST_POINTS = 45.0, 2048
PREPARATION = "preparation"
"""Attribute of a dataset that is prepared: `Preparation.frames_json`."""


@dataclass(frozen=True)
class Preparation:
    """How frames are prepared for a model; a model's item records it.

    Parameters
    ----------
    rows, columns
        Half-open ranges of pixels to keep, or None for all. The default is 256 x 256 pixels of the KNMI composite
        where every pixel is measured.
    coarsen
        Side of the blocks of pixels that are averaged; a block without any measured pixel stays missing.
    scale
        Rain rate in mm/h that the model sees as 1. More rain than that is cut off. 30.6 is 255 counts of the KNMI
        product, the scale of Giese (2025).
    transform
        ``linear``: rate / scale. ``log``: log(1 + rate / 0.2) / log(1 + scale / 0.2), which gives light rain, by far
        the most frequent, its share of the loss. ``reflectivity``: the bytes of KNMI's reflectivity, 2 (dBZ + 32),
        divided by 255, whatever ``scale``.
    newest_first
        Whether the model reads the frames from the newest to the oldest. Such a network maps frame for frame: read
        oldest first, its forecast for the next five minutes would have seen the oldest frames only.
    block_metres
        Side in metres of the blocks that are averaged, instead of ``coarsen``: each product's pixels are taken together
        to as many as that needs. What is left over at the edges is cut off.
    resize_bytes
        Rows and columns to which frames are resized as bytes, as Giese (2025) did: see `THESIS`.
    """

    rows: tuple[int, int] | None = (300, 556)
    columns: tuple[int, int] | None = (240, 496)
    coarsen: int = 1
    scale: float = 30.6
    transform: Literal["linear", "log", "reflectivity"] = "linear"
    newest_first: bool = False
    resize_bytes: tuple[int, int] | None = None
    block_metres: float | None = None

    def __post_init__(self) -> None:
        for name in ("rows", "columns"):
            kept = getattr(self, name)
            if kept is not None and not (len(kept) == 2 and 0 <= kept[0] < kept[1]):
                raise SpecError(f"{name} {kept} is no range of pixels: give (first, last + 1), for example (300, 556)")
        if self.coarsen < 1:
            raise SpecError(f"coarsen is {self.coarsen}: it is the side of a block of pixels, at least 1")
        if self.block_metres is not None and not (0 < self.block_metres < np.inf and self.coarsen == 1):
            raise SpecError(f"block_metres is {self.block_metres}: give a length in metres, and no coarsen beside it")
        if not 0 < self.scale < np.inf:
            raise SpecError(f"scale is {self.scale}: it is the rain rate in mm/h that becomes 1, above 0")
        if self.transform not in ("linear", "log", "reflectivity"):
            raise SpecError(f"transform is {self.transform!r}: choose linear, log or reflectivity")
        if self.resize_bytes and (len(self.resize_bytes) != 2 or min(self.resize_bytes) < 2):
            raise SpecError(f"resize_bytes is {self.resize_bytes}: give rows and columns, at least 2 each")
        if self.resize_bytes and (self.transform == "log" or self.coarsen != 1):
            raise SpecError("resize_bytes goes with transform linear or reflectivity and without coarsen")
        if not isinstance(self.newest_first, bool):
            raise SpecError(f"newest_first is {self.newest_first!r}: it is true or false")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def frames_json(self) -> str:
        """Return as JSON what decides how prepared frames look; scale and order matter to the model only."""
        fields = self.to_dict()
        names = ["rows", "columns", "coarsen"] + ["block_metres"] * (self.block_metres is not None)
        if self.resize_bytes:  # bytes depend on the scale, too
            names += ["scale", "transform", "resize_bytes"]
        return json.dumps({name: fields[name] for name in names})

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Preparation:
        """Build the preparation from `to_dict`'s result; unknown fields are a `SpecError`."""
        unknown = sorted(set(fields) - set(cls.__dataclass_fields__))
        if unknown:
            raise SpecError(f"a preparation has no {', '.join(unknown)}: it has {', '.join(cls.__dataclass_fields__)}")
        values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}
        return cls(**values)

    def apply(self, ds: xr.Dataset, *, allow_unmeasured: bool = False, report: Report = ignore) -> xr.Dataset:
        """Crop and coarsen, still in mm/h with NaN where nothing was measured, and load the result into memory.

        Parameters
        ----------
        ds
            Frames as `read_frames` gives them. They are read one at a time, so memory is that of the result. Frames of
            a store (`modelstac.training.data.store`) that were prepared like this are returned as they are, unread.
        allow_unmeasured
            Keep a frame that holds no measurement in the range, rather than refuse it.

        Raises
        ------
        DataError
            The ranges or blocks do not fit the grid, or a frame holds in the range no measurement, or rates
            below zero or infinite; or the frames were prepared in another way.
        """
        if self._is_done(ds):
            return ds
        side = self.side(ds)
        cropped = self._crop(ds)
        source = cropped["rainfall_rate"]
        frames, rows, columns = source.shape
        shape = self.resize_bytes or (rows // side, columns // side)
        rates = np.empty((frames, *shape), dtype=np.float32)
        report(Started("read frames", frames))
        for index in range(frames):
            rate = source[index].values
            rates[index] = self._resized(rate) if self.resize_bytes else _block_mean(rate, side)
            if not (allow_unmeasured and np.isnan(rates[index]).all()):
                self._require_rain_rates(rates[index], str(source["source_file"].values[index]))
            report(Advanced("read frames"))
        report(Finished("read frames"))
        coordinates = {axis: _resized_axis(cropped[axis].values, size) for axis, size in zip("yx", shape, strict=True)}
        return xr.Dataset(
            {"rainfall_rate": (source.dims, rates, source.attrs), "crs": ds["crs"]},
            coords={
                "time": ds["time"],
                "y": ("y", coordinates["y"], ds["y"].attrs),
                "x": ("x", coordinates["x"], ds["x"].attrs),
                "source_file": ds["source_file"],
            },
            attrs=ds.attrs,
        )

    def side(self, ds: xr.Dataset) -> int:
        """Return how many pixels of these frames a block has in a row and in a column.

        Raises
        ------
        DataError
            No whole number of pixels is as long as ``block_metres``, to 2 %.
        """
        if self.block_metres is None:
            return self.coarsen
        pixels = pixel_metres(ds["x"].values, ds["y"].values, str(ds["crs"].attrs["proj4"]))
        sides = [max(1, round(self.block_metres / pixel)) for pixel in pixels]
        if sides[0] != sides[1] or any(
            abs(side * pixel / self.block_metres - 1) > _SAME for side, pixel in zip(sides, pixels, strict=True)
        ):
            raise DataError(
                f"pixels of {pixels[0]:g} x {pixels[1]:g} m make no blocks of {self.block_metres:g} m: warp the frames"
                " to pixels that do, or prepare with other blocks"
            )
        return sides[0]

    def to_model(self, rate: ArrayLike) -> NDArray[np.float32]:
        """Turn rain rates in mm/h of any shape into model values from 0 to 1: cut at ``scale``, missing as 0."""
        limit = np.inf if self.transform == "reflectivity" else self.scale
        rate = np.clip(np.nan_to_num(np.asarray(rate, dtype=np.float32), nan=0.0), 0.0, limit)
        if self.transform == "log":
            return np.asarray(np.log1p(rate / LIGHT_RAIN) / self._log_scale)
        if self.transform == "reflectivity":
            return np.clip((2 * MARSHALL_PALMER.reflectivity(rate) + 64) / 255, 0.0, 1.0).astype(np.float32)
        return rate / np.float32(self.scale)

    def to_rate(self, values: ArrayLike) -> NDArray[np.float32]:
        """Turn model values into rain rates in mm/h."""
        values = np.asarray(values, dtype=np.float32)
        if self.transform == "log":
            return np.asarray(np.expm1(values * self._log_scale) * LIGHT_RAIN)
        if self.transform == "reflectivity":
            return np.where(values > 0, MARSHALL_PALMER.rain_rate(values * 127.5 - 32), np.float32(0))
        return values * np.float32(self.scale)

    def inputs_to_model(self, rate: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn the rain rates (…, time, y, x) that a model starts from, oldest first, into what it reads."""
        return self.to_model(rate[..., ::-1, :, :] if self.newest_first else rate)

    @property
    def _log_scale(self) -> np.float32:
        return np.float32(math.log1p(self.scale / LIGHT_RAIN))

    def footprint(self, ds: xr.Dataset) -> tuple[Polygon, BBox]:
        """Return the outline of the range that is kept of ``ds`` (as read, not yet prepared); see `footprint`."""
        return footprint(ds if self._is_done(ds) else self._crop(ds))

    def _resized(self, rate: NDArray[np.float32]) -> NDArray[np.float32]:
        """Resize one frame as bytes, missing as 255, and read what comes out as rain: nothing is missing any more."""
        from PIL import Image

        assert self.resize_bytes is not None
        share = rate / np.float32(self.scale) if self.transform == "linear" else self.to_model(rate)
        counts = np.where(np.isnan(rate), 255, np.rint(255 * np.nan_to_num(share))).astype(np.int64)
        # More than a byte holds begins at 0 again, as it does where the thesis casts counts to uint8.
        picture = Image.fromarray((counts & 255).astype(np.uint8))
        rows, columns = self.resize_bytes
        resized = picture.resize((columns, rows), resample=Image.Resampling.BILINEAR)
        return self.to_rate(np.asarray(resized, dtype=np.float32) / 255)

    def _is_done(self, ds: xr.Dataset) -> bool:
        recorded = ds.attrs.get(PREPARATION)
        if recorded not in {None, self.frames_json()}:
            raise DataError(f"the frames were prepared as {recorded}, not as {self.frames_json()}: prepare anew")
        return recorded is not None

    def _require_rain_rates(self, rate: NDArray[np.float32], name: str) -> None:
        measured = rate[~np.isnan(rate)]
        place = f"in rows {self.rows or 'all'}, columns {self.columns or 'all'}"
        if not measured.size:
            raise DataError(f"{name} holds no measurement {place}: choose another range or leave the frame out")
        if measured.min() < 0 or np.isinf(measured).any():
            raise DataError(f"{name} holds rain rates below zero or infinite {place}: leave the frame out")

    def _crop(self, ds: xr.Dataset) -> xr.Dataset:
        side = self.side(ds)
        for axis, kept in (("y", self.rows), ("x", self.columns)):
            size, name = ds.sizes[axis], "rows" if axis == "y" else "columns"
            first, last = kept or (0, size)
            if last > size:
                raise DataError(
                    f"{name} {first}-{last} were asked for and the frames have {size} {name}: choose a range"
                    f" inside them, or None for all (frames are prepared once)"
                )
            rest = (last - first) % side
            if self.block_metres is not None:
                first, last = first + rest // 2, last - (rest - rest // 2)
            elif rest:
                raise DataError(
                    f"{last - first} {name} do not divide into blocks of {self.coarsen} pixels: change range or coarsen"
                )
            ds = ds.isel({axis: slice(first, last)})
        return ds


THESIS: dict[str, Preparation] = {
    "thesis": Preparation(rows=None, columns=None, transform="reflectivity", resize_bytes=(344, 315)),
    "thesis-accumulation": Preparation(rows=None, columns=None, resize_bytes=(344, 315)),
}
"""The preprocessing of Giese (2025), for comparison: counts as uint8, Pillow's bilinear resizing to 344 x 315, / 255,
and no mask, so that what is not measured is the largest rain there is. ``thesis`` is for its own product, KNMI's
reflectivity; ``thesis-accumulation`` does the same to KNMI's accumulations."""


def footprint(ds: xr.Dataset) -> tuple[Polygon, BBox]:
    """Return the outline of a grid in longitude and latitude.

    Parameters
    ----------
    ds
        A dataset with ``x``, ``y`` (pixel centres, metres, at least two each) and ``crs``, prepared or not.

    Returns
    -------
    polygon
        GeoJSON (RFC 7946), counter-clockwise; straight lines of the grid are curves in longitude and latitude, so
        every side has eight points, or as many as are needed near a pole. Cut at the antimeridian.
    bbox
        West, south, east, north in degrees; west is beyond east where it crosses the antimeridian.
    """
    left, right = _outer_edges(ds["x"].values)
    top, bottom = _outer_edges(ds["y"].values)
    crs = pyproj.CRS.from_proj4(ds["crs"].attrs["proj4"])
    # From the grid's own ellipsoid to WGS 84: the published corners of the product are of this kind, too.
    transformer = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    points = 8
    while True:
        x, y = _along((left, bottom), (right, bottom), (right, top), (left, top), points=points)
        longitude, latitude = (np.round(values, 6) for values in transformer.transform(x, y))
        # Near a pole longitudes run; whoever follows them must be able to tell one way round from the other.
        steps = np.abs((np.diff(longitude, append=longitude[0]) + 180) % 360 - 180)
        if steps.max() <= _LARGEST_STEP or points >= _MOST_POINTS:
            break
        points *= 4
    ring = [[float(lon), float(lat)] for lon, lat in zip(longitude, latitude, strict=True)]
    polygon = outline([*ring, ring[0]], _pole_within(transformer, (left, right), (bottom, top)))
    return polygon, bounding_box(polygon)


def _along(*corners: tuple[float, float], points: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and y of points along the sides between corners, each corner once."""
    ways = np.linspace(0, 1, points, endpoint=False)[:, None]
    sides = [
        np.add(start, np.subtract(end, start) * ways)
        for start, end in zip(corners, (*corners[1:], corners[0]), strict=True)
    ]
    x, y = np.concatenate(sides).T
    return x, y


def _pole_within(transformer: pyproj.Transformer, *sides: tuple[float, float]) -> float | None:
    """Return the latitude of the pole that lies in a rectangle of the grid, None when none does."""
    for pole in (90.0, -90.0):
        place = transformer.transform(0.0, pole, direction=pyproj.enums.TransformDirection.INVERSE)
        if all(min(side) <= at <= max(side) for at, side in zip(place, sides, strict=True)):
            return pole
    return None


def _resized_axis(centres: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Return the centres of ``size`` pixels between the same outer edges."""
    first, last = _outer_edges(centres) if len(centres) > 1 else (centres[0], centres[0])
    return np.asarray(first + (last - first) * (np.arange(size) + 0.5) / size)


def _outer_edges(centres: NDArray[np.float64]) -> tuple[float, float]:
    half = (centres[1] - centres[0]) / 2
    return float(centres[0] - half), float(centres[-1] + half)


def _block_mean(rate: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Average blocks of ``side`` x ``side`` pixels over what was measured in them."""
    if side == 1:
        return rate
    rows, columns = rate.shape
    blocks = rate.reshape(rows // side, side, columns // side, side)
    measured = np.isfinite(blocks)
    count = measured.sum(axis=(1, 3))
    total = np.where(measured, blocks, 0).sum(axis=(1, 3), dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
