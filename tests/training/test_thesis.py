"""The thesis's preprocessing and scores, against its own few lines of code on the raw files."""

from datetime import datetime

import h5py
import numpy as np
import pytest
from PIL import Image

from modelstac.catalog.errors import DataError, SpecError
from modelstac.training.data import THESIS, Preparation, footprint, make_windows, read_frames
from modelstac.training.data.readers.knmi import write_knmi
from modelstac.training.scoring.metrics import persistence
from modelstac.training.scoring.thesis import thesis_rmse

TIME = datetime(2024, 7, 1, 12, 0)


def as_in_the_thesis(path, size):
    """Counts as bytes, resized by Pillow, divided by 255."""
    with h5py.File(path) as file:
        counts = np.array(file["image1"]["image_data"]).astype(np.uint8)
    return np.array(Image.fromarray(counts).resize(size[::-1], resample=Image.BILINEAR)).astype(np.float32) / 255.0


def test_reflectivity_is_prepared_as_in_the_thesis(tmp_path, reflectivity_of_knmi):
    counts = np.random.default_rng(0).integers(0, 256, (60, 50), dtype=np.uint8)
    reflectivity_of_knmi(tmp_path / "a.h5", counts, TIME)
    preparation = Preparation(rows=None, columns=None, transform="reflectivity", resize_bytes=(31, 23))
    ds = preparation.apply(read_frames(tmp_path))
    found = preparation.to_model(ds.rainfall_rate.values[0])
    np.testing.assert_allclose(found, as_in_the_thesis(tmp_path / "a.h5", (31, 23)), atol=1e-5)
    assert np.isfinite(ds.rainfall_rate.values).all(), "no mask"
    for ours, raw in zip(footprint(ds)[1], footprint(read_frames(tmp_path))[1], strict=True):
        assert ours == pytest.approx(raw, abs=1e-6)


def test_accumulations_are_prepared_as_in_the_thesis(tmp_path):
    rate = 0.12 * np.random.default_rng(1).integers(0, 400, (60, 50))  # more than a byte holds wraps around
    rate[:10] = np.nan
    write_knmi(tmp_path / "a.h5", rate, TIME)
    preparation = Preparation(rows=None, columns=None, resize_bytes=(31, 23))
    found = preparation.to_model(preparation.apply(read_frames(tmp_path)).rainfall_rate.values[0])
    np.testing.assert_allclose(found, as_in_the_thesis(tmp_path / "a.h5", (31, 23)), atol=1e-6)


def test_the_preset_has_the_size_of_the_thesis(knmi_folder):
    paths = sorted(knmi_folder.iterdir())[56:]
    preparation = THESIS["thesis-accumulation"]
    windows = make_windows(preparation.apply(read_frames(paths)), 18, 18)
    assert windows.shape == (344, 315)
    for index in (0, 17):
        found = preparation.to_model(windows.inputs(0)[index])
        np.testing.assert_allclose(found, as_in_the_thesis(paths[index], (344, 315)), atol=1e-6)
    frames = np.array([as_in_the_thesis(path, (344, 315)) for path in paths])
    error = thesis_rmse(persistence(windows.inputs([0]), 18), windows.targets([0]), preparation)
    assert error == pytest.approx(np.sqrt(np.mean((frames[18:] - frames[17]) ** 2)), abs=1e-6)
    measured = frames[0] < 1
    where_measured = np.sqrt(np.mean((frames[18:] - frames[17])[:, measured] ** 2))
    assert where_measured == pytest.approx(2 * error, rel=0.1), "what is not measured is right by definition"


def test_the_two_scripts_pool_differently():
    observed = np.zeros((2, 1, 1, 1))
    forecast = np.array([3.06, 9.18]).reshape(2, 1, 1, 1)
    preparation = THESIS["thesis-accumulation"]
    assert thesis_rmse(forecast, observed, preparation) == pytest.approx(np.sqrt((0.1**2 + 0.3**2) / 2))
    assert thesis_rmse(forecast, observed, preparation, script="pytorch") == pytest.approx(0.2)
    with pytest.raises(DataError, match="knows no missing pixels"):
        thesis_rmse(forecast * np.nan, observed, preparation)


@pytest.mark.parametrize("fields", [{"resize_bytes": [1, 5]}, {"resize_bytes": [9, 9], "coarsen": 2}])
def test_a_resize_without_sense(fields):
    with pytest.raises(SpecError, match="resize_bytes"):
        Preparation.from_dict(fields)


def test_reflectivity_values_lead_back():
    preparation = THESIS["thesis"]
    rate = np.array([0.0, 0.1, 1.0, 30.0], dtype=np.float32)
    np.testing.assert_allclose(preparation.to_rate(preparation.to_model(rate)), rate, rtol=1e-4)
    assert Preparation.from_dict(preparation.to_dict()) == preparation
