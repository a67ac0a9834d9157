"""Radar as Sentinel-1's archives have it: power with zeros beyond the swath, its logarithm, amplitudes as counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.registry.scenes.reading_models import Read, model, scene_item, tensor, tif, whole

from modelstac.catalog.errors import DataError
from modelstac.registry.scenes.reading.opening import open_source

POLARISATIONS = ["vv", "vh"]
POWER = np.random.default_rng(1).gamma(4, 0.03, (2, 40, 50)).astype(np.float32)
POWER[:, :, :7] = 0  # beyond the swath
DECIBELS = [{"type": "z-score", "mean": -12.0, "stddev": 5.0}, {"type": "z-score", "mean": -19.0, "stddev": 6.0}]
SWATH = np.broadcast_to(np.arange(50) >= 7, POWER.shape)


def reads(unit: str, scaling: Any = DECIBELS) -> Read:
    bands = [{"name": name, "unit": unit} for name in POLARISATIONS]
    return model(tensor(POLARISATIONS, value_scaling=scaling), bands=bands)


def scene(folder: Path, values: np.ndarray[Any, Any], said: dict[str, Any], **more: Any) -> dict[str, Any]:
    assets = {}
    for name, band in zip(POLARISATIONS, values, strict=True):
        path = tif(folder / f"{name}.tif", band, **more)
        assets[name] = {"href": str(path), "raster:bands": [said]}
    return scene_item(folder, assets, constellation="sentinel-1", platform="sentinel-1a", **{"sar:product_type": "GRD"})


def test_power_becomes_decibels_and_zeros_beyond_the_swath_are_missing(tmp_path: Path) -> None:
    found = open_source(scene(tmp_path, POWER, {"unit": "1", "nodata": 0}), reads("dB"))
    block = whole(found)
    np.testing.assert_array_equal(block.missing, ~SWATH)
    np.testing.assert_allclose(block.values[SWATH], 10 * np.log10(POWER[SWATH]), rtol=1e-5)
    assert any("from 1 to dB" in note for note in found.notes)


def test_no_logarithm_of_zero_is_read_where_no_nodata_is_said(tmp_path: Path) -> None:
    block = whole(open_source(scene(tmp_path, POWER, {"unit": "1"}), reads("dB")))
    np.testing.assert_array_equal(block.missing, ~SWATH)
    assert np.isfinite(block.values).all()


def test_decibels_become_power_and_zero_decibels_are_no_hole(tmp_path: Path) -> None:
    decibels = np.where(SWATH, 10 * np.log10(np.where(SWATH, POWER, 1)), -9999).astype(np.float32)
    decibels[0, 5, 20] = 0
    power = [{"type": "z-score", "mean": 0.1, "stddev": 0.05}, {"type": "z-score", "mean": 0.02, "stddev": 0.01}]
    block = whole(open_source(scene(tmp_path, decibels, {"unit": "dB", "nodata": -9999}), reads("1", power)))
    np.testing.assert_array_equal(block.missing, ~SWATH)
    expected = POWER.copy()
    expected[0, 5, 20] = 1
    np.testing.assert_allclose(block.values[SWATH], expected[SWATH], rtol=1e-5)


def test_amplitudes_as_counts_are_no_decibels(tmp_path: Path) -> None:
    counts = np.rint(np.sqrt(POWER) * 1000).astype(np.uint16)
    with pytest.raises(DataError) as error:
        whole(open_source(scene(tmp_path, counts, {"nodata": 0}), reads("dB")))
    assert "\n" not in str(error.value)
    assert "--physical" in str(error.value)
    assert "--scale" in str(error.value)


def test_powers_that_say_no_unit_are_no_decibels(tmp_path: Path) -> None:
    """Sentinel-1 RTC of public catalogs: fractions, and not a word of their unit."""
    power = np.where(SWATH, POWER, -32768).astype(np.float32)
    source = scene(tmp_path, power, {"nodata": -32768})
    with pytest.raises(DataError, match="says no unit, and the model reads decibels"):
        whole(open_source(source, reads("dB")))
    np.testing.assert_array_equal(whole(open_source(source, reads("dB"), physical=True)).values[SWATH], POWER[SWATH])
    decibels = np.where(SWATH, 10 * np.log10(np.where(SWATH, POWER, 1)), -32768).astype(np.float32)
    block = whole(open_source(scene(tmp_path, decibels, {"nodata": -32768}), reads("dB")))
    np.testing.assert_array_equal(block.values[SWATH], decibels[SWATH])
