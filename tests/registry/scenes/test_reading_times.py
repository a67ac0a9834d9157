"""Times of scenes, whatever they are called and however they are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cftime
import netCDF4
import numpy as np
import pytest
import xarray as xr
from tests.registry.scenes.reading_models import Read, model, scene_item, tensor, tif, whole
from tests.registry.scenes.small_models import average
from tests.registry.scenes.test_reading_products import packed

import modelstac
from modelstac.catalog.errors import DataError, ModelStacError
from modelstac.registry.scenes.reading.finding.arrays import offers_of_array
from modelstac.registry.scenes.reading.opening import open_source

TIMED = ("batch", "time", "bands", "height", "width")


def reanalysis(path: Path) -> np.ndarray[Any, Any]:
    """Write hours as the Climate Data Store has them since 2024: their dimension is ``valid_time``."""
    values = np.random.default_rng(2).random((3, 5, 6)).astype(np.float32)
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("valid_time", 3), ("latitude", 5), ("longitude", 6)):
            file.createDimension(name, size)
        hours = 1686787200 + 3600 * np.arange(3)
        packed(file, "valid_time", ("valid_time",), hours, units="seconds since 1970-01-01", standard_name="time")
        packed(file, "latitude", ("latitude",), 60 - 0.25 * np.arange(5), units="degrees_north")
        packed(file, "longitude", ("longitude",), 358 + 0.25 * np.arange(6), units="degrees_east")
        packed(file, "number", (), 0, units="1", standard_name="realization")
        said = {"units": "m", "coordinates": "number valid_time latitude longitude"}
        packed(file, "tp", ("valid_time", "latitude", "longitude"), values, **said)
    return values


def frames(names: list[str], count: int) -> Read:
    return model(tensor(names, (-1, count, -1, -1, -1), TIMED), bands=[{"name": "tp", "unit": "mm"}])


def test_times_are_those_of_the_copernicus_store_and_of_openeo(tmp_path: Path) -> None:
    values = reanalysis(tmp_path / "era5.nc")
    scene = open_source(tmp_path / "era5.nc", frames(["tp"], 3))
    assert [str(time)[11:16] for time in scene.times["image"]] == ["00:00", "01:00", "02:00"]
    np.testing.assert_allclose(whole(scene).values[:, 0], values * 1000, rtol=1e-6)
    cube = xr.open_dataset(tmp_path / "era5.nc")["tp"].rename(valid_time="t")
    shuffled = open_source(cube.isel(t=[2, 0, 1]), frames(["tp"], 3))
    np.testing.assert_allclose(whole(shuffled).values[:, 0], values * 1000, rtol=1e-6)
    one = open_source(cube.isel(t=1), model(tensor(["tp"])))
    assert [str(time)[:16] for time in one.times["image"]] == ["2023-06-15T01:00"]


def test_a_forecast_is_of_the_time_for_which_it_is(tmp_path: Path) -> None:
    values = reanalysis(tmp_path / "era5.nc")
    hours = xr.open_dataset(tmp_path / "era5.nc")["tp"]
    made = np.datetime64("2023-06-14T12:00", "ns")
    steps = hours["valid_time"].values - made
    forecast = hours.drop_vars("valid_time").rename(valid_time="step")
    forecast = forecast.assign_coords(time=made, step=steps, valid_time=("step", made + steps))
    scene = open_source(forecast, frames(["tp"], 3))
    assert [str(time)[:13] for time in scene.times["image"]] == [f"2023-06-15T0{hour}" for hour in range(3)]
    np.testing.assert_allclose(whole(scene).values[:, 0], values * 1000, rtol=1e-6)
    one = open_source(forecast.isel(step=2), model(tensor(["tp"])))
    assert [str(time)[:13] for time in one.times["image"]] == ["2023-06-15T02"]


def test_a_map_of_eight_days_is_of_eight_days(tmp_path: Path) -> None:
    """Composites of MODIS have no time of their own, but a first and a last."""
    tif(tmp_path / "red.tif", np.ones((6, 6), np.float32))
    period = {"datetime": None, "start_datetime": "2023-06-10T00:00:00Z", "end_datetime": "2023-06-17T23:59:59Z"}
    path = tmp_path / "item.json"
    path.write_text(json.dumps(scene_item(tmp_path, {"red": {}}, **period)))
    modelstac.predict_scene(average(), path, tmp_path / "map.tif")
    found = json.loads((tmp_path / "map.json").read_text())["properties"]
    assert {name: found[name] for name in period} == period


@pytest.mark.parametrize(
    "times",
    [
        xr.Variable(("time",), ["2023-06-15T06:00", "2023-06-15T00:00"]),
        xr.Variable(("time",), [30, 24], {"units": "hours since 2023-06-14"}),
    ],
)
def test_times_that_were_not_decoded_are_put_in_order(times: xr.Variable) -> None:
    values = np.arange(2, dtype=np.float32)[:, None, None] * np.ones((4, 5), np.float32)
    places = {"y": 4_500_000 - 10.0 * np.arange(4), "x": 300_000 + 10.0 * np.arange(5)}
    array = xr.DataArray(values, places | {"time": times}, ("time", "y", "x"), "tp", {"crs": "EPSG:32613"})
    scene = open_source(array, frames(["tp"], 2))
    assert [str(time)[:13] for time in scene.times["image"]] == ["2023-06-15T00", "2023-06-15T06"]
    assert whole(scene).values[:, 0, 0, 0].tolist() == [1, 0]
    one = open_source(array.isel(time=0), model(tensor(["tp"])))
    assert [str(time)[:13] for time in one.times["image"]] == ["2023-06-15T06"]


def test_a_time_is_read_of_many(tmp_path: Path) -> None:
    values, alone = reanalysis(tmp_path / "era5.nc"), model(tensor(["tp"]))
    with pytest.raises(DataError, match="select it, --datetime"):
        open_source(tmp_path / "era5.nc", alone)
    one = open_source(tmp_path / "era5.nc", alone, datetime="2023-06-15T01:00:00Z")
    np.testing.assert_array_equal(whole(one).values[0], values[1])
    for period, there in (("../2023-06-15T01:30:00Z", slice(2)), ("2023-06-15T00:30:00Z/..", slice(1, 3))):
        two = open_source(tmp_path / "era5.nc", frames(["tp"], 2), datetime=period)
        np.testing.assert_allclose(whole(two).values[:, 0], values[there] * 1000, rtol=1e-6)
    with pytest.raises(DataError, match="nothing at the time 2023-06-16: its times are 2023-06-15T00:00, 2023"):
        open_source(tmp_path / "era5.nc", alone, datetime="2023-06-16")
    with pytest.raises(ModelStacError, match="'noon' cannot be read"):
        open_source(tmp_path / "era5.nc", alone, datetime="noon")


def test_days_of_other_calendars_are_not_left_out(tmp_path: Path) -> None:
    """A month of 30 days each has a 30th of February; World Ocean Atlas counts in months, which nobody decodes."""
    places = {"lat": 50.0 - np.arange(4), "lon": 5.0 + np.arange(4)}
    days = [cftime.datetime(2000, month, day, calendar="360_day") for month, day in ((2, 28), (2, 30), (3, 1))]
    values = np.arange(48, dtype=np.float32).reshape(3, 4, 4)
    daily = xr.Dataset({"tas": (("time", *places), values)}, {"time": days, **places})
    timed = model(tensor(["tas"], (-1,) * 5, TIMED))
    with pytest.raises(DataError, match="the time 2000-02-30 00:00:00 of the calendar 360_day, which is no day"):
        open_source(daily, timed, datetime="2000-02")
    np.testing.assert_array_equal(whole(open_source(daily.isel(time=[0, 2]), timed)).values[:, 0], values[[0, 2]])
    months = daily.assign_coords(time=("time", [0.5, 1.5, 2.5], {"units": "months since 1955-01-01"}))
    months.to_netcdf(tmp_path / "woa.nc")
    np.testing.assert_array_equal(whole(open_source(tmp_path / "woa.nc", timed)).values[:, 0], values)


@pytest.mark.parametrize(
    ("name", "dates"),
    [
        ("HLS.L30.T32TNS.{}T102021.v2.0.B04.tif", ["2023168", "2023152"]),
        ("MOD13Q1.A{}.h18v04.061.2023200183425.B04.tif", ["2023168", "2023152"]),
        ("chirps-v2.0.{}.tif", ["2023.06.17", "2023.06.01"]),
    ],
)
def test_dates_in_names_of_files_as_their_publishers_write_them(tmp_path: Path, name: str, dates: list[str]) -> None:
    files = [tif(tmp_path / name.format(date), np.full((4, 5), n, np.float32)) for n, date in enumerate(dates)]
    found = open_source(files, model(tensor(["B04"], (-1,) * 5, TIMED)), bands=[1])
    assert whole(found).values[:, 0, 0, 0].tolist() == [1, 0]
    assert [str(time)[:10] for time in found.times["image"]] == ["2023-06-01", "2023-06-17"]


def test_files_without_a_date_are_no_frames_and_it_is_said_how_they_become_some(tmp_path: Path) -> None:
    paths = [str(tif(tmp_path / name, np.ones((1, 4, 4), np.float32))) for name in ("a.tif", "b.tif", "c.tif")]
    reads = model(tensor([], (-1, 3, 1, -1, -1), ("batch", "time", "channel", "height", "width")))
    with pytest.raises(DataError, match=r"the scene has 3 \(a, b, c\).*names say dates, as S2_20240601\.tif does"):
        open_source(paths, reads)


def test_times_of_bands_are_no_axis_of_times() -> None:
    """Which stackstac and others give each of the bands of one date."""
    places = {"y": 4_500_000 - 10.0 * np.arange(4), "x": 300_000 + 10.0 * np.arange(5), "band": ["red", "nir"]}
    dates = ("band", np.array(["2023-06-01", "2023-06-01"], "M8[ns]"))
    values = np.random.default_rng(1).random((2, 4, 5))
    array = xr.DataArray(values, places | {"time": dates}, ("band", "y", "x"), "s", {"crs": "EPSG:32613"})
    np.testing.assert_array_equal(whole(open_source(array, model(tensor(["nir", "red"])))).values, values[::-1])


def test_times_that_are_not_read_are_not_opened() -> None:
    """Hours of a year have one grid, which is found once, and a part for each that is read."""
    times = np.datetime64("2023-01-01T00", "ns") + np.arange(50) * np.timedelta64(1, "h")
    values = np.arange(50 * 6, dtype="f4").reshape(50, 2, 3)
    places = {"valid_time": times, "latitude": [52.0, 51.0], "longitude": [4.0, 5.0, 6.0]}
    array = xr.DataArray(values, places, ("valid_time", "latitude", "longitude"), "t2m")
    offers = offers_of_array(array, 0, "t2m")
    assert len(offers) == 50
    assert offers[7].open() is offers[7].open()
    assert offers[7].open().grid is offers[0].open().grid
    np.testing.assert_array_equal(offers[7].open().read((0,), slice(0, 2), slice(0, 3))[0][0], values[7])
    block = whole(open_source(array, model(tensor(["t2m"])), datetime="2023-01-03T01:00:00Z"))
    np.testing.assert_array_equal(block.values[0], values[49])
    assert offers_of_array(array.isel(valid_time=slice(0, 0)), 0, "t2m") == []
