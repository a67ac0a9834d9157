"""Composites in ODIM HDF5 (OPERA, RMI, DWD and others): rain rate, accumulation or reflectivity on a projected grid.

Michelson et al. (2021), EUMETNET OPERA weather radar information model for implementation with the HDF5 file format,
version 2.4. Of several quantities the first of `QUANTITIES` is read. ``nodata`` is not measured; ``undetect`` is dry.
RMI's rates in floating point say none of the two, nor gain and offset, and their ``where`` stands in the root and in
the dataset in parts: such values are the rates themselves, NaN is not measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import h5py
import numpy as np
import pyproj
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError
from modelstac.training.data.readers.hdf5 import is_hdf5, number, opened, text
from modelstac.training.data.readers.product import Frame, Grid, Rates
from modelstac.training.data.readers.zr import MARSHALL_PALMER

SUFFIXES: tuple[str, ...] = (".h5", ".hdf5", ".hdf")
NAME = "ODIM composite"
QUANTITIES = ("RATE", "ACRR", "DBZH", "TH")
"""What can be read, the most direct first: mm/h, mm of a period, dBZ."""

_OBJECTS = ("COMP", "IMAGE")
_PLAIN = {"gain": 1.0, "offset": 0.0, "nodata": float("nan"), "undetect": float("nan")}
"""What holds for values in floating point of which nothing is said."""


@dataclass(frozen=True)
class _Image:
    """One quantity of a file: its data group and the dataset group around it."""

    quantity: str
    data: h5py.Group
    dataset: h5py.Group

    def attribute(self, name: str) -> float:
        """Read an attribute of ``what``, nearest to the data first (specification 2.4, section 4.3)."""
        for group in (self.data, self.dataset):
            if "what" in group and name in group["what"].attrs:
                return number(group["what"].attrs[name])
        if name in _PLAIN and self._plain:
            return _PLAIN[name]
        raise KeyError(f"no {name} for {self.quantity}")

    @property
    def _plain(self) -> bool:
        """Whether floating point values come without any word on how they are packed."""
        groups = [group["what"].attrs for group in (self.data, self.dataset) if "what" in group]
        return self.data["data"].dtype.kind == "f" and not any(name in attrs for attrs in groups for name in _PLAIN)


def recognises(path: Path) -> bool:
    """Tell whether the file is ODIM HDF5, a composite or not."""
    if not is_hdf5(path):
        return False
    with opened(path, NAME) as file:
        return text(file.attrs.get("Conventions", "")).startswith("ODIM_H5")


def describe(path: Path) -> Frame:
    """Read time, grid and origin of one file."""
    with opened(path, NAME) as file:
        image = _image(file, path)
        period = _period(image, path)
        source = text(file["what"].attrs.get("source", "an unknown producer"))
        nominal = _time(file["what"], "date", "time", path)
        grid = _grid(file, image, path)
    return Frame(
        path=path,
        time=nominal if period is None else period[1],
        step_minutes=0 if period is None else int((period[1] - period[0]) / timedelta(minutes=1)),
        grid=grid,
        product=f"ODIM {image.quantity}",
        institution=source,
        licence="other",
        credit=f"{source}; see its terms of use",
        conversion=str(MARSHALL_PALMER) if image.quantity in {"DBZH", "TH"} else "",
        instantaneous=image.quantity != "ACRR",
    )


def rain_rate(path: Path) -> Rates:
    """Read one frame: (rows, columns) float32 in mm/h, NaN where not measured, 0 where nothing was detected."""
    with opened(path, NAME) as file:
        image = _image(file, path)
        gain, offset = image.attribute("gain"), image.attribute("offset")
        nodata, undetect = image.attribute("nodata"), image.attribute("undetect")
        raw: NDArray[np.generic] = image.data["data"][...]
        period = _period(image, path)
    values = raw.astype(np.float64) * gain + offset
    if image.quantity in {"DBZH", "TH"}:
        rate = MARSHALL_PALMER.rain_rate(values)
    else:
        hours = 1.0 if period is None else (period[1] - period[0]) / timedelta(hours=1)
        rate = (values / hours).astype(np.float32)
    rate[(raw == undetect) | (rate < 0)] = 0.0
    rate[(raw == nodata) | ~np.isfinite(rate)] = np.nan
    return rate


def _image(file: h5py.File, path: Path) -> _Image:
    kind = text(file["what"].attrs.get("object", "nothing"))
    if kind not in _OBJECTS:
        raise DataError(f"{path} is an ODIM {kind}: composites ({', '.join(_OBJECTS)}) are read; make one or remove it")
    found = {image.quantity: image for image in reversed(list(_images(file)))}
    for quantity in QUANTITIES:
        if quantity in found:
            return found[quantity]
    raise DataError(f"{path} holds {', '.join(found) or 'no quantity'}, none of {', '.join(QUANTITIES)}: remove it")


def _images(file: h5py.File) -> Iterator[_Image]:
    for dataset in _numbered(file, "dataset"):
        for data in _numbered(dataset, "data"):
            named = [group["what"].attrs for group in (data, dataset) if "what" in group]
            quantity = next((text(attrs["quantity"]) for attrs in named if "quantity" in attrs), "")
            if quantity:
                yield _Image(quantity, data, dataset)


def _numbered(group: h5py.Group, prefix: str) -> list[h5py.Group]:
    names = [name for name in group if name.startswith(prefix) and name[len(prefix) :].isdigit()]
    return [group[name] for name in sorted(names, key=lambda name: int(name[len(prefix) :]))]


def _period(image: _Image, path: Path) -> tuple[datetime, datetime] | None:
    """Return begin and end of an accumulation; a rate or a reflectivity is of a moment."""
    if image.quantity != "ACRR":
        return None
    start, end = (_time(image.dataset["what"], f"{edge}date", f"{edge}time", path) for edge in ("start", "end"))
    minutes = (end - start) / timedelta(minutes=1)
    if minutes < 1 or minutes != int(minutes):
        raise DataError(f"{path} accumulates from {start} to {end}: not a whole number of minutes; remove it")
    return start, end


def _time(what: h5py.Group, date: str, time: str, path: Path) -> datetime:
    stamp = text(what.attrs[date]) + text(what.attrs[time])
    try:
        return datetime.strptime(stamp, "%Y%m%d%H%M%S")
    except ValueError:
        raise DataError(f"{path}: {stamp!r} is no time such as 20260101120000; remove the file") from None


def _grid(file: h5py.File, image: _Image, path: Path) -> Grid:
    # The root says it for all datasets, and each of them what differs; RMI leaves parts to either.
    groups = [group["where"].attrs for group in (image.dataset, file) if "where" in group]
    where = {name: value for attrs in reversed(groups) for name, value in attrs.items()}
    for name in ("xscale", "yscale", "projdef"):
        if name not in where:
            raise KeyError(f"no where/{name}")
    rows, columns = image.data["data"].shape
    width, height = number(where["xscale"]), number(where["yscale"])
    proj4 = text(where["projdef"]).strip()
    try:
        crs = pyproj.CRS(proj4)
    except pyproj.exceptions.CRSError as error:
        raise DataError(f"{path}: {proj4!r} is no projection that PROJ knows; remove the file") from error
    if not crs.is_projected or {axis.unit_name for axis in crs.axis_info} != {"metre"}:
        raise DataError(f"{path}: {proj4!r} is not in projected metres; warp it to a projected grid first")
    to_grid = pyproj.Proj(crs)
    if "UL_lon" in where:
        left, top = to_grid(number(where["UL_lon"]), number(where["UL_lat"]))
    else:
        left, bottom = to_grid(number(where["LL_lon"]), number(where["LL_lat"]))
        top = bottom + rows * height
    # Corners are rounded in longitude and latitude, and differ by millimetres from file to file.
    left, top = round(left, 0), round(top, 0)
    return Grid(rows, columns, left=left, top=top, width=width, height=height, proj4=proj4)
