"""Products as their specifications have them, small: their places, times and numbers, computed here otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pyproj
import pytest
import rasterio
import xarray as xr
from affine import Affine
from tests.registry.scenes.reading_models import UTM, model, scene_item, tensor, tif, whole

from modelstac.catalog.errors import DataError
from modelstac.registry.running.labels.reading import read_values
from modelstac.registry.scenes.reading.opening import open_source
from modelstac.registry.scenes.writing.places import footprint

HEIGHT, ANGLE = 35_786_023.0, np.float32(0.000056)


def packed(file: Any, name: str, dims: tuple[str, ...], values: Any, **attributes: Any) -> None:
    """Write a variable as it is stored, with what is said of it."""
    fill = attributes.pop("_FillValue", None)
    values = np.asarray(values)
    variable = file.createVariable(name, values.dtype, dims, fill_value=fill)
    variable.setncatts(attributes)
    variable.set_auto_maskandscale(False)
    variable[...] = values


def goes(path: Path, side: int = 60) -> np.ndarray[Any, Any]:
    """Write an image of GOES-R ABI (PUG volume 5): radians packed in 16 bits, times by ``t``."""
    stored = np.random.default_rng(1).integers(0, 4095, (side, side)).astype("i2")
    stored[:5] = -1
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("y", side)
        file.createDimension("x", side)
        said = {"scale_factor": np.float32(0.00024420026), "add_offset": np.float32(0), "units": "1"}
        packed(
            file, "CMI", ("y", "x"), stored, _FillValue=np.int16(-1), _Unsigned="true", **said,
            valid_range=np.array([0, 4095], "i2"), grid_mapping="goes_imager_projection", coordinates="t y x",
        )  # fmt: skip
        for axis, step, first in (("y", -ANGLE, 0.1), ("x", ANGLE, -0.08)):
            said = {"scale_factor": step, "add_offset": np.float32(first), "units": "rad", "axis": axis.upper()}
            packed(file, axis, (axis,), np.arange(side, dtype="i2"), **said)
        packed(file, "t", (), 7.4e8, units="seconds since 2000-01-01 12:00:00", standard_name="time", axis="T")
        packed(
            file, "goes_imager_projection", (), np.int32(-2147483647), grid_mapping_name="geostationary",
            perspective_point_height=HEIGHT, semi_major_axis=6378137.0, semi_minor_axis=6356752.31414,
            latitude_of_projection_origin=0.0, longitude_of_projection_origin=-75.0, sweep_angle_axis="x",
        )  # fmt: skip
    return stored


def test_a_geostationary_image_lies_where_its_satellite_sees_it(tmp_path: Path) -> None:
    stored = goes(tmp_path / "goes.nc")
    reflectances = model(tensor(["CMI"]), bands=[{"name": "CMI", "unit": "1"}])
    pixel = float(ANGLE) * HEIGHT
    corner = float(np.float32(-0.08)) * HEIGHT - pixel / 2, float(np.float32(0.1)) * HEIGHT + pixel / 2
    for given in (tmp_path / "goes.nc", xr.open_dataset(tmp_path / "goes.nc")):
        scene = open_source(given, reflectances)
        grid, block = scene.grids["image"], whole(scene)
        np.testing.assert_allclose(grid.affine[:6], (pixel, 0, corner[0], 0, -pixel, corner[1]), atol=1)
        there = ~block.missing[0]
        assert (there == (stored >= 0)).all()
        np.testing.assert_allclose(block.values[0][there], stored[stored >= 0] * np.float32(0.00024420026), rtol=1e-6)
        assert scene.times["image"] == (np.datetime64("2000-01-01T12:00") + np.timedelta64(740_000_000, "s"),)
        # On the ellipsoid below, by the formulas of the product's own guide (PUG volume 3, 5.1.2.8.1).
        longitude, latitude = _seen(*(corner[0] + pixel / 2, corner[1] - pixel / 2))
        found = pyproj.Transformer.from_crs(grid.crs.proj, grid.crs.proj.geodetic_crs, always_xy=True).transform(
            *(grid.affine @ (0.5, 0.5))
        )
        np.testing.assert_allclose(found, (longitude, latitude), atol=1e-5)


def _seen(x: float, y: float) -> tuple[float, float]:
    x, y = x / HEIGHT, y / HEIGHT
    far, major, minor = HEIGHT + 6378137.0, 6378137.0, 6356752.31414
    a = np.sin(x) ** 2 + np.cos(x) ** 2 * (np.cos(y) ** 2 + (major / minor) ** 2 * np.sin(y) ** 2)
    b, c = -2 * far * np.cos(x) * np.cos(y), far**2 - major**2
    long = (-b - np.sqrt(b * b - 4 * a * c)) / (2 * a)
    sx, sy, sz = long * np.cos(x) * np.cos(y), -long * np.sin(x), long * np.cos(x) * np.sin(y)
    latitude = np.arctan((major / minor) ** 2 * sz / np.sqrt((far - sx) ** 2 + sy**2))
    return -75 - float(np.degrees(np.arctan(sy / (far - sx)))), float(np.degrees(latitude))


def placed(system: str, unit: str | None, step: float = 2.0) -> xr.DataArray:
    """Give an array in a reference system, with a unit of its coordinates."""
    said = {} if unit is None else {"units": unit}
    steps = step * (np.arange(8) + 0.5)
    array = xr.DataArray(
        np.zeros((8, 8), np.float32),
        {"y": ("y", 100 * step - steps, said), "x": ("x", 500 * step + steps, said)},
        ("y", "x"), "z", {"grid_mapping": "crs"},
    )  # fmt: skip
    return array.assign_coords(crs=xr.Variable((), 0, {"crs_wkt": pyproj.CRS(system).to_wkt()}))


POLAR_KM = "+proj=stere +lat_0=90 +lat_ts=60 +ellps=WGS84 +units=km"


@pytest.mark.parametrize(
    ("system", "unit", "pixel"),
    [
        ("EPSG:2263", None, 2.0),  # feet of New York
        ("EPSG:2263", "US_survey_foot", 2.0),
        ("EPSG:2263", "m", 2 * 3937 / 1200),
        ("EPSG:32631", "m", 2.0),
        ("EPSG:32631", "km", 2000.0),
        ("EPSG:32631", "ft", 0.6096),
        (POLAR_KM, None, 2.0),
        (POLAR_KM, "km", 2.0),
        (POLAR_KM, "m", 0.002),
        ("EPSG:32631", "no unit at all", 2.0),
    ],
)
def test_coordinates_are_brought_to_the_unit_of_their_reference_system(
    system: str, unit: str | None, pixel: float
) -> None:
    affine = open_source(placed(system, unit), model(tensor(["z"]))).grids["image"].affine
    np.testing.assert_allclose(affine[:6], (pixel, 0, 500 * pixel, 0, -pixel, 100 * pixel), rtol=1e-9)


def test_coordinates_in_no_unit_of_their_reference_system_are_refused() -> None:
    for system, unit in (("EPSG:32631", "rad"), ("EPSG:32631", "degrees_north"), ("EPSG:4326", "m")):
        with pytest.raises(DataError, match="has none such: name the right one, --crs"):
            open_source(placed(system, unit, 0.1), model(tensor(["z"])))


def test_rows_and_columns_are_told_by_their_coordinates() -> None:
    """MODIS as AppEEARS gives it: ydim and xdim; a swath numbers its rows, and lies nowhere by that."""
    array = placed("+proj=sinu +R=6371007.181", "m", 231.656358).rename(y="ydim", x="xdim")
    array["ydim"].attrs["standard_name"], array["xdim"].attrs["axis"] = "projection_y_coordinate", "X"
    grid = open_source(array, model(tensor(["z"]))).grids["image"]
    np.testing.assert_allclose(grid.resolution.xy, (231.656358, -231.656358))
    swath = xr.DataArray(
        np.zeros((4, 5), np.float32),
        {
            "scanline": ("scanline", np.arange(4), {"units": "1", "axis": "Y"}),
            "ground_pixel": ("ground_pixel", np.arange(5), {"units": "1", "axis": "X"}),
            "latitude": (("scanline", "ground_pixel"), np.ones((4, 5)), {"units": "degrees_north"}),
        },
        ("scanline", "ground_pixel"), "no2",
    )  # fmt: skip
    with pytest.raises(DataError, match="has no coordinates along 'scanline'"):
        open_source(swath, model(tensor(["no2"])), crs="EPSG:4326")


def test_bands_of_an_imaging_spectrometer_lie_along_wavelengths() -> None:
    """EMIT as its own tools lay it onto a grid."""
    lengths = np.linspace(400, 1000, 61)
    cube = xr.DataArray(
        np.random.default_rng(3).random((6, 7, 61)).astype(np.float32),
        {
            "latitude": 52 - 0.0005 * np.arange(6),
            "longitude": 5 + 0.0005 * np.arange(7),
            "wavelengths": ("wavelengths", lengths, {"units": "nm"}),
        },
        ("latitude", "longitude", "wavelengths"), "reflectance",
    )  # fmt: skip
    named = [
        {"name": name, "eo:center_wavelength": centre, "eo:full_width_half_max": 0.009}
        for name, centre in (("nir", 0.85), ("red", 0.66))
    ]
    found = whole(open_source(cube, model(tensor(["nir", "red"]), bands=named))).values
    np.testing.assert_array_equal(found, cube.values[:, :, [45, 26]].transpose(2, 0, 1))


def rotated() -> xr.DataArray:
    """Give a field about a rotated pole, as regional climate models have it (CORDEX)."""
    turned = {
        "grid_mapping_name": "rotated_latitude_longitude",
        "grid_north_pole_latitude": 39.25,
        "grid_north_pole_longitude": -162.0,
    }
    array = xr.DataArray(
        np.random.default_rng(4).random((30, 40)).astype(np.float32),
        {
            "rlat": ("rlat", -5 + 0.11 * np.arange(30), {"units": "degrees", "standard_name": "grid_latitude"}),
            "rlon": ("rlon", -10 + 0.11 * np.arange(40), {"units": "degrees", "standard_name": "grid_longitude"}),
        },
        ("rlat", "rlon"), "tas", {"grid_mapping": "pole"},
    )  # fmt: skip
    return array.assign_coords(pole=xr.Variable((), 0, turned))


def unrotated(longitude: Any, latitude: Any) -> tuple[Any, Any]:
    """Return degrees of places about the rotated pole, by spherical trigonometry."""
    pole, across, up = np.radians(39.25), np.radians(longitude), np.radians(latitude)
    found = np.arcsin(np.sin(pole) * np.sin(up) + np.cos(pole) * np.cos(up) * np.cos(across))
    along = np.arctan2(
        np.cos(up) * np.sin(across), np.cos(pole) * np.sin(up) - np.sin(pole) * np.cos(up) * np.cos(across)
    )
    return (-162.0 - np.degrees(along) + 180) % 360 - 180, np.degrees(found)


def test_degrees_about_a_rotated_pole_are_no_longitudes() -> None:
    scene = open_source(rotated(), model(tensor(["tas"])))
    columns, rows = np.meshgrid(np.linspace(-10.055, -5.655, 41), np.linspace(-5.055, -1.755, 31))
    longitude, latitude = unrotated(columns, rows)
    found = np.array(footprint(scene.grids["image"])["coordinates"][0])
    ends = [[side.min(), side.max()] for side in (longitude, latitude)]
    np.testing.assert_allclose([found.min(axis=0), found.max(axis=0)], np.transpose(ends), atol=0.01)
    box = [5.0, 46.5, 7.0, 47.5]
    columns, rows = np.meshgrid(np.linspace(-10.055, -5.655, 401), np.linspace(-5.055, -1.755, 301))
    longitude, latitude = unrotated(columns, rows)
    cut = open_source(rotated(), model(tensor(["tas"])), bbox=box).grids["image"].boundingbox
    inside = (longitude > box[0]) & (longitude < box[2]) & (latitude > box[1]) & (latitude < box[3])
    ends = [columns[inside].min(), columns[inside].max(), rows[inside].min(), rows[inside].max()]
    np.testing.assert_allclose([cut.left, cut.right, cut.bottom, cut.top], ends, atol=0.17)


def test_a_band_of_another_light_is_none_of_the_same_name(tmp_path: Path) -> None:
    """HLS calls B05 what is near infrared of Landsat and red edge of Sentinel-2."""
    folder = tmp_path / "hls"
    folder.mkdir()
    for number, name in enumerate(("B05", "B8A"), 2):
        tif(folder / f"{name}.tif", np.full((4, 4), number, np.int16), scales=[0.0001], offsets=[0.0])
    lights = {"B05": ("rededge", 0.705), "B8A": ("nir08", 0.865)}
    assets = {
        key: {"eo:bands": [{"name": key, "common_name": name, "center_wavelength": centre}]}
        for key, (name, centre) in lights.items()
    }
    path = folder / "item.json"
    path.write_text(json.dumps(scene_item(folder, assets, platform="sentinel-2a")))
    for said in ({"eo:common_name": "nir08"}, {"eo:center_wavelength": 0.86, "eo:full_width_half_max": 0.03}):
        landsat = model(tensor(["B05"]), bands=[{"name": "B05", **said}])
        with pytest.raises(DataError, match=r"its band B05 sees .* and that of the data, of the same name, 0.705 µm"):
            open_source(path, landsat)
        np.testing.assert_allclose(whole(open_source(path, landsat, bands={"B05": "B8A"})).values, 3e-4, rtol=1e-6)
    for said in ({"eo:common_name": "rededge071"}, {"eo:center_wavelength": 0.704}):
        assert open_source(path, model(tensor(["B05"]), bands=[{"name": "B05", **said}])).feeds


@pytest.mark.parametrize("named", ["topleft", "center"])
def test_coordinates_of_corners_are_told_by_the_transform_beside_them(named: str) -> None:
    """Those of stackstac are corners unless asked for; a part of them has the transform of the whole."""
    at = 10 * np.arange(20) + (0 if named == "topleft" else 5)
    array = xr.DataArray(
        np.zeros((20, 20)),
        {"y": 4_500_000 - at, "x": 300_000 + at, "epsg": 32613},
        ("y", "x"), "red", {"transform": Affine(10.0, 0.0, 300_000.0, 0.0, -10.0, 4_500_000.0)},
    )  # fmt: skip
    grid = open_source(array[3:, 5:], model(tensor(["red"]))).grids["image"]
    assert tuple(grid.affine[:6]) == (10, 0, 300_050, 0, -10, 4_499_970)


def test_a_reference_system_in_the_words_of_stac(tmp_path: Path) -> None:
    """Zarr of EOPF says it of each band, GeoZarr once for all of a group."""
    bands = {"b04": (("y", "x"), np.ones((4, 4), np.float32))}
    places = {"y": 4_500_000 - 10.0 * np.arange(4) - 5, "x": 300_005 + 10.0 * np.arange(4)}
    for number, said in enumerate(({"proj:epsg": 32613}, {"proj:code": "EPSG:32613"})):
        path = tmp_path / f"{number}.zarr"
        dataset = xr.Dataset(bands, places, said if number else {})
        dataset["b04"].attrs |= {} if number else said
        dataset.to_zarr(path, zarr_format=2)
        grid = open_source(path, model(tensor(["B04"])), bands=["b04"]).grids["image"]
        assert (grid.crs.epsg, grid.affine.c, grid.affine.f) == (32613, 300_000, 4_500_000)


@pytest.mark.parametrize("registration", ["pixel", "node"])
def test_a_transform_in_the_words_of_zarr(tmp_path: Path, registration: str) -> None:
    """The spatial convention of Zarr places pixels without coordinates; of a part that was cut out it says nothing."""
    said = {
        "proj:code": UTM, "spatial:dimensions": ["y", "x"], "spatial:shape": [4, 5],
        "spatial:transform": [10.0, 0.0, 600_000.0, 0.0, -20.0, 5_800_000.0], "spatial:registration": registration,
    }  # fmt: skip
    bands = {"b04": (("y", "x"), np.arange(20, dtype="f4").reshape(4, 5))}
    xr.Dataset(bands, attrs=said).to_zarr(tmp_path / "a.zarr", zarr_format=3, consolidated=False)
    source = open_source(tmp_path / "a.zarr", model(tensor(["B04"])), bands=["b04"])
    centre = (600_005, 5_799_990) if registration == "pixel" else (600_000, 5_800_000)
    assert source.grids["image"].affine @ (0.5, 0.5) == centre
    assert source.grids["image"].crs == UTM
    np.testing.assert_array_equal(whole(source).values[0], bands["b04"][1])
    cut = xr.open_zarr(tmp_path / "a.zarr", consolidated=False).isel(y=slice(1, None))
    with pytest.raises(DataError, match="no coordinates along 'y' and 'x' and no transform"):
        open_source(cut, model(tensor(["B04"])), bands=["b04"])


def vegetation(path: Path, flags: list[int]) -> np.ndarray[Any, Any]:
    """Write an index as the Copernicus Land Monitoring Service has it: bytes with codes of water and the like."""
    stored = np.random.default_rng(5).integers(0, 251, (1, 8, 9)).astype("u1")
    stored[0, 0], stored[0, 1, :4], stored[0, 2, :3] = 255, 254, 20
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("time", 1), ("lat", 8), ("lon", 9)):
            file.createDimension(name, size)
        packed(file, "lat", ("lat",), 52 - (np.arange(8) + 0.5) / 336, units="degrees_north")
        packed(file, "lon", ("lon",), 5 + (np.arange(9) + 0.5) / 336, units="degrees_east")
        packed(file, "time", ("time",), np.array([19519.0]), units="days since 1970-01-01")
        said = {"scale_factor": np.float32(0.004), "add_offset": np.float32(-0.08), "_FillValue": np.uint8(255)}
        meanings = " ".join(f"code{flag}" for flag in flags)
        said |= {"flag_values": np.array(flags, "u1"), "flag_meanings": meanings}
        packed(file, "NDVI", ("time", "lat", "lon"), stored, **said)
    return stored[0]


def test_codes_among_packed_numbers_are_missing_and_the_others_no_classes(tmp_path: Path) -> None:
    stored = vegetation(tmp_path / "ndvi.nc", [20, 254, 255])  # 20 is a zero, as no rain is, and a number
    block = whole(open_source(tmp_path / "ndvi.nc", model(tensor(["NDVI"]), bands=[{"name": "NDVI", "unit": "1"}])))
    there = ~block.missing[0]
    assert (there == (stored < 251)).all()
    np.testing.assert_allclose(block.values[0][there], stored[there] * 0.004 - 0.08, atol=1e-6)
    for unpacked in (False, True):
        given = xr.open_dataset(tmp_path / "ndvi.nc", mask_and_scale=unpacked)["NDVI"]
        found = read_values(given, of="image").values[0]
        np.testing.assert_array_equal(np.isfinite(found), there)
        np.testing.assert_allclose(found[there], stored[there] * 0.004 - 0.08, atol=1e-6)


def test_a_palette_of_packed_numbers_makes_no_classes_of_them(tmp_path: Path) -> None:
    stored = np.arange(36, dtype=np.uint8).reshape(6, 6)
    path = tif(tmp_path / "ndvi.tif", stored, scales=[0.004], offsets=[-0.08], photometric="palette")
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {number: (number, number, 0, 255) for number in range(256)})
    found = whole(open_source(path, model(tensor(["NDVI"]), bands=[{"name": "NDVI", "unit": "1"}]), bands=[1]))
    np.testing.assert_allclose(found.values[0], stored * 0.004 - 0.08, atol=1e-6)


def test_a_cube_that_says_no_system_has_that_of_its_item(tmp_path: Path) -> None:
    places = {"y": 4_500_000 - 10.0 * np.arange(4), "x": 300_000 + 10.0 * np.arange(5)}
    xr.Dataset({"red": (("y", "x"), np.ones((4, 5), np.float32))}, places).to_netcdf(tmp_path / "red.nc")
    asset = {"data": {"href": "./red.nc", "type": "application/netcdf"}}
    path = tmp_path / "item.json"
    path.write_text(json.dumps(scene_item(tmp_path, asset, **{"proj:epsg": 32613})))
    assert open_source(path, model(tensor(["red"]))).grids["image"].crs.epsg == 32613


@pytest.mark.parametrize("value", ["abc", [1, 2], np.array([1.0, 2.0, 3.0]), {"a": 1}])
def test_odd_attributes_of_coordinates_are_one_line_or_say_nothing(value: Any) -> None:
    for name in ("units", "standard_name", "axis", "transform", "crs_wkt"):
        array = placed("EPSG:32631", None)
        for at in (array, array["y"], array["x"]):
            at.attrs[name] = value
        assert open_source(array, model(tensor(["z"]))).feeds
    array = placed("EPSG:32631", None)
    array["y"].attrs["scale_factor"] = value
    with pytest.raises(DataError, match=r"the coordinate 'y' says scale_factor .*, which is no number: correct it"):
        open_source(array, model(tensor(["z"])))
