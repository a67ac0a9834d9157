"""Generated frames for the tests of this room, and the real ones where they lie beside the checkout."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from modelstac.training.data.readers.knmi import write_knmi
from modelstac.training.data.synthetic import generate


@pytest.fixture(scope="session")
def knmi_folder():
    """The 92 public frames of 26 August 2010, which are no part of the repository."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "knmi"
    if not folder.is_dir():
        pytest.skip("needs real radar frames: ../shared/data/knmi beside the checkout")
    return folder


@pytest.fixture(scope="session")
def rain_folder(tmp_path_factory):
    """Forty generated frames of 48 x 40 pixels; tests that change files copy them first."""
    folder = tmp_path_factory.mktemp("rain")
    generate(folder, 40, seed=1, shape=(48, 40))
    return folder


@pytest.fixture(scope="session")
def reflectivity_of_knmi():
    """Return the writer of a KNMI reflectivity composite: the format of the accumulations with another image."""

    def write(path, counts, time):
        write_knmi(path, np.zeros(counts.shape), time, step_minutes=5, product="RAD_NL25_PCP_NA")
        with h5py.File(path, "r+") as file:
            file["overview"].attrs["product_datetime_start"] = file["overview"].attrs["product_datetime_end"]
            del file["image1/image_data"]
            file["image1"].create_dataset("image_data", data=counts)
            file["image1"].attrs["image_geo_parameter"] = np.bytes_("REFLECTIVITY_[DBZ]")
            calibration = file["image1/calibration"].attrs
            calibration["calibration_formulas"] = np.bytes_("GEO = 0.500000 * PV + -32.000000")
            calibration["calibration_missing_data"] = np.array([0])
            calibration["calibration_out_of_image"] = np.array([255])

    return write
