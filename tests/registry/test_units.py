"""Units as the world writes them: one where they are one, converted where that is known, refused otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from tests.registry.scenes.reading_models import model, scene_item, tensor, tif, whole
from tests.registry.scenes.test_reading_numbers import STORED, one, reads

from modelstac.catalog.errors import DataError
from modelstac.registry.running.aligning import aligned
from modelstac.registry.running.labels.units import are_apart, converted
from modelstac.registry.running.values.scaling import unmet
from modelstac.registry.scenes.evaluating.evaluation import evaluate_maps
from modelstac.registry.scenes.reading.opening import open_source

VALUES = xr.DataArray(np.array([0.5, 1.0, 30.0]), dims="x")


@pytest.mark.parametrize(
    ("found", "wanted", "factor"),
    [
        ("dBZ", "DBZ", 1),
        ("DN", "counts", 1),
        ("psu", "PSU", 1),
        ("W/(m^2 sr um)", "W m-2 sr-1 um-1", 1),
        ("W/(m2-sr-um)", "mW m-2 sr-1 um-1", 1e3),
        ("Watts/meter^2/steradian/micrometer", "W m-2 sr-1 um-1", 1),
        ("Percent", "1", 0.01),
        ("METERS", "km", 1e-3),
        ("US survey foot", "m", 1200 / 3937),
        ("mb", "hPa", 1),
        ("(0 - 1)", "%", 100),
        ("ppbv", "ppm", 1e-3),
    ],
)
def test_spellings_of_units(found: str, wanted: str, factor: float) -> None:
    np.testing.assert_allclose(converted(VALUES, found, wanted, of="s1"), VALUES * factor)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ("psu", "1e-3"),  # 35 in either, and no thousandfold
        ("dBZ", "dB"),
        ("du", "DU"),  # a mass, and a column of ozone
        ("mw", "MW"),
        ("DN", "K"),
        ("W/(m2)^2", "W m-4"),
        ("W/(m2 (sr))", "W m-2 sr-1"),
    ],
)
def test_units_of_which_nobody_knows_what_they_are_together(found: str, wanted: str) -> None:
    with pytest.raises(DataError, match=r"no unit known here|cannot become"):
        converted(VALUES, found, wanted, of="s1")


def test_units_that_contradict_each_other() -> None:
    assert all(are_apart("K", other) for other in ("degC", "mK", "m", "dB"))
    assert not any(are_apart("K", other) for other in ("kelvin", "nonsense", "K"))


@pytest.mark.parametrize(
    ("model", "data"), [("K", "DN"), ("DN", "K"), ("counts", "reflectance"), ("reflectance", "DN")]
)
def test_counts_are_no_quantity(tmp_path: Path, model: str, data: str) -> None:
    values = np.linspace(0.1, 0.9, 720, dtype="float32").reshape(24, 30)
    array = xr.DataArray(values, {"y": -np.arange(24.0) * 10, "x": np.arange(30.0) * 10}, ("y", "x"), "B04")
    array = array.assign_attrs(units=data)
    with pytest.raises(DataError, match=f"is in '{data}' and says no scale, and the model reads"):
        open_source(array, reads(bands={"unit": model}), crs="EPSG:32633")
    found = open_source(array, reads(bands={"unit": model}), crs="EPSG:32633", scale=100)
    np.testing.assert_allclose(whole(found).values[0], values * 100, rtol=1e-6)


def test_a_unit_that_is_a_number_needs_the_unit_of_what_is_unpacked(tmp_path: Path) -> None:
    path = one(tmp_path, scales=[0.0001])
    with pytest.raises(DataError, match="and no unit, and the model reads it in '%'"):
        open_source(path, reads(bands={"unit": "%"}))
    np.testing.assert_array_equal(
        whole(open_source(path, reads(bands={"unit": "1"}))).values, STORED * np.float32(1e-4)
    )


@pytest.mark.parametrize("as_dataset", [False, True])
def test_packed_arrays_without_a_unit_are_refused_as_scenes_are(*, as_dataset: bool) -> None:
    stored = np.arange(20, dtype=np.int16).reshape(4, 5)
    array = xr.DataArray(stored, {"y": -np.arange(4.0), "x": np.arange(5.0)}, ("y", "x"), "B04", {"scale_factor": 1e-4})
    both = xr.Dataset({"B04": array, "B08": array.drop_attrs()})
    names = ["B04", "B08"] if as_dataset else ["B04"]

    def given(unit: str | None, **said: str) -> xr.DataArray:
        bands = [{"name": name} | ({"unit": unit} if unit and name == "B04" else {}) for name in names]
        one = array.assign_attrs(said)
        source = both.assign(B04=one) if as_dataset else {"image": one}
        found = aligned(source, model(tensor(names), bands=bands))
        return found[0].array.isel({found[0].names["bands"]: 0}).squeeze(drop=True)

    with pytest.raises(DataError, match=r"the data say scale_factor 0.0001 and no unit, and the item says '%'"):
        given("%")
    with pytest.raises(
        DataError, match=r"the data say scale_factor 0.0001, and the item reads 'DN', numbers as they are"
    ):
        given("DN")
    for unit, said, factor in (("1", {}, 1e-4), (None, {}, 1e-4), ("%", {"units": "1"}, 1e-2)):
        np.testing.assert_allclose(given(unit, **said).values, stored * factor, rtol=1e-6)


def test_a_file_and_its_item_name_two_units(tmp_path: Path) -> None:
    path = tif(tmp_path / "B04.tif", STORED, names=["B04"])
    for unit, said in (("K", "degC"), ("mK", "K")):
        with rasterio.open(path, "r+") as file:
            file.units = [unit]
        scene = scene_item(tmp_path, {"B04": {"href": str(path), "bands": [{"name": "B04", "unit": said}]}})
        with pytest.raises(
            DataError, match=f"the file says that its numbers are in '{unit}', and its item in '{said}'"
        ):
            open_source(scene, reads(bands={"unit": "K"}))
        np.testing.assert_array_equal(whole(open_source(scene, reads())).values, STORED)  # of no unit
    with rasterio.open(path, "r+") as file:
        file.units = ["DN"]
    packed = {"name": "B04", "unit": "K", "raster:scale": 0.01, "raster:offset": 100}
    scene = scene_item(tmp_path, {"B04": {"href": str(path), "bands": [packed]}})
    found = whole(open_source(scene, reads(bands={"unit": "degC"}))).values
    np.testing.assert_allclose(found, STORED * 0.01 + 100 - 273.15, rtol=1e-5)


def test_statistics_of_each_band_that_are_not_by_channel_are_refused() -> None:
    entries = [{"mean": 10, "stddev": 2}, {"mean": 20, "stddev": 2}]
    said = {"norm_type": "z-score", "statistics": entries, "bands": ["a", "b"], "input": {}}
    assert not unmet(said)[0]
    assert not unmet(said | {"norm_by_channel": False, "statistics": entries[:1] * 2})[0]
    blocking, _ = unmet(said | {"norm_by_channel": False})
    assert "'z-score not by channel, with statistics of each' is not known here" in blocking[0]


def test_labels_are_compared_in_the_unit_of_the_map(tmp_path: Path) -> None:
    values = np.linspace(270, 300, 720, dtype=np.float32).reshape(1, 24, 30)
    paths = {}
    for unit, moved in (("K", 0), ("degC", -273.15), ("", 0), ("m", 0)):
        paths[unit] = str(tif(tmp_path / f"in{unit}.tif", values + np.float32(moved)))
        with rasterio.open(paths[unit], "r+") as file:
            file.units = [unit]
    for unit in ("K", "degC", ""):
        found = evaluate_maps([(paths["K"], paths[unit])])
        assert found.scores["rmse"] == pytest.approx(0, abs=1e-4)
    with pytest.raises(DataError, match=r"inm.tif are in 'm' and the map .*inK.tif in 'K', which they cannot become"):
        evaluate_maps([(paths["K"], paths["m"])])
