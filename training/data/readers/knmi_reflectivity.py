"""KNMI's reflectivity composites in HDF5 (``RAD_NL25_PCP_NA_*.h5``): one byte a pixel, dBZ = 0.5 PV - 32.

The thesis by Giese (2025) and Demetrakopoulos (2023) work on this product. A byte of 255 is outside the image; 0, which
the file calls missing, is written wherever no echo is, and is read as dry, as pysteps does.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modelstac.training.data.readers import knmi_format
from modelstac.training.data.readers.hdf5 import is_hdf5, number, opened, text
from modelstac.training.data.readers.product import Frame, Rates
from modelstac.training.data.readers.zr import MARSHALL_PALMER

SUFFIXES: tuple[str, ...] = (".h5", ".hf5", ".hdf5")
NAME = "KNMI reflectivity"
STEP_MINUTES = 5

_PARAMETER = "REFLECTIVITY_[DBZ]"


def recognises(path: Path) -> bool:
    """Tell whether the file holds a KNMI reflectivity composite."""
    if not is_hdf5(path):
        return False
    with opened(path, NAME) as file:
        return knmi_format.parameter(file) == _PARAMETER


def describe(path: Path) -> Frame:
    """Read time, grid and origin of one file."""
    with opened(path, NAME) as file:
        knmi_format.require_parameter(file, path, _PARAMETER)
        start, end = (
            knmi_format.moment(file["overview"].attrs[f"product_datetime_{edge}"], path) for edge in ("start", "end")
        )
        grid = knmi_format.grid(file, path)
        product = text(file["overview"].attrs["product_group_name"])
    # The composite is of a moment; some years give it the five minutes of its scans.
    period = (end - start) // timedelta(minutes=1)
    return Frame(
        path=path,
        time=end,
        step_minutes=period if period > 0 else STEP_MINUTES,
        grid=grid,
        product=product,
        institution=knmi_format.INSTITUTION,
        licence=knmi_format.LICENCE,
        credit=knmi_format.CREDIT,
        conversion=str(MARSHALL_PALMER),
        instantaneous=True,
    )


def rain_rate(path: Path) -> Rates:
    """Read one frame: (rows, columns) float32 in mm/h, NaN outside the image, 0 without echo."""
    with opened(path, NAME) as file:
        knmi_format.require_parameter(file, path, _PARAMETER)
        factor, offset = knmi_format.calibration(file, path)
        attributes = file["image1/calibration"].attrs
        outside, dry = (number(attributes[f"calibration_{name}"]) for name in ("out_of_image", "missing_data"))
        counts: NDArray[np.uint8] = file["image1/image_data"][...]
    rate = MARSHALL_PALMER.rain_rate(factor * counts + offset)
    rate[counts == dry] = 0.0
    rate[counts == outside] = np.nan
    return rate
