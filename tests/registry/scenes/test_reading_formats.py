"""Files of other formats: GRIB in its own units, groups of NetCDF, files of other names and inside others."""

from __future__ import annotations

import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import h5py
import netCDF4
import numpy as np
import pyproj
import pytest
import rasterio
import xarray as xr
from affine import Affine
from tests.registry.scenes.reading_models import CORNER, UTM, model, scene_item, tensor, tif, whole
from tests.registry.scenes.small_models import average

from modelstac.catalog.errors import DataError
from modelstac.registry.running.aligning import aligned
from modelstac.registry.running.labels.systems import are_one, called, import_proj
from modelstac.registry.scenes.predicting import predict_scene
from modelstac.registry.scenes.reading.opening import open_source

VALUES = np.arange(16, dtype=np.float32).reshape(4, 4)
TIMED = ("batch", "time", "bands", "height", "width")


def grib(path: Path, *fields: tuple[np.ndarray, dict[str, Any]]) -> Path:
    """Write a GRIB of 4 x 4 degrees."""
    import_proj()
    import eccodes

    place = {
        "Ni": 4, "Nj": 4, "latitudeOfFirstGridPointInDegrees": 50, "longitudeOfFirstGridPointInDegrees": 5,
        "latitudeOfLastGridPointInDegrees": 47, "longitudeOfLastGridPointInDegrees": 8,
        "iDirectionIncrementInDegrees": 1, "jDirectionIncrementInDegrees": 1,
    }  # fmt: skip
    with path.open("wb") as file:
        for values, keys in fields:
            message = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib2")
            for key, value in (place | keys).items():
                eccodes.codes_set(message, key, value)
            eccodes.codes_set_values(message, values.ravel().astype(float))
            eccodes.codes_write(message, file)
            eccodes.codes_release(message)
    return path


def of_units(**units: str) -> Any:
    return model(tensor(list(units)), bands=[{"name": name, "unit": unit} for name, unit in units.items()])


def test_a_grib_has_its_own_units_and_elements(tmp_path: Path) -> None:
    """GDAL makes degrees Celsius of kelvins unless it is told not to, and says so in a tag alone."""
    fields = [(VALUES + 280, {"shortName": "2t"}), (VALUES * 0 + 9e4, {"shortName": "sp"})]
    path = grib(tmp_path / "weather.grib2", *fields)
    for unit, moved in (("K", 280), ("degC", 280 - 273.15)):
        found = whole(open_source(path, of_units(PRES="hPa", TMP=unit))).values
        np.testing.assert_allclose(found, [VALUES * 0 + 900, VALUES + moved], rtol=1e-5)
    with pytest.raises(DataError, match="the data are in 'K' and the item says 'm'"):
        open_source(path, of_units(TMP="m"))


def test_times_and_levels_of_a_grib(tmp_path: Path) -> None:
    steps = [(VALUES + hour, {"shortName": "2t", "step": hour}) for hour in (6, 0, 12)]
    path = grib(tmp_path / "forecast.grib2", *steps)
    scene = open_source(path, model(tensor(["TMP"], (-1,) * 5, TIMED)))
    np.testing.assert_allclose(whole(scene).values[:, 0], [VALUES + hour for hour in (0, 6, 12)], atol=1e-3)
    (times,) = scene.times.values()
    assert np.diff(np.array(times)).tolist() == [np.timedelta64(6, "h")] * 2
    with pytest.raises(DataError, match="has 3 times, and the model reads one"):
        open_source(path, model(tensor(["TMP"])))
    level = {"shortName": "t", "typeOfLevel": "isobaricInhPa"}
    both = [(VALUES + height, level | {"level": height}) for height in (500, 850)]
    found = whole(open_source(grib(tmp_path / "air.grib2", *both), model(tensor(["TMP 85000-ISBL"])))).values
    np.testing.assert_allclose(found, VALUES[None] + 850, atol=1e-3)


def test_levels_of_cubes_are_bands(tmp_path: Path) -> None:
    """As the Copernicus store has them in hPa, CMIP in Pa, and the ocean by depths that are none of round numbers."""
    places = {
        "latitude": ("latitude", 60 - 0.25 * np.arange(4), {"units": "degrees_north"}),
        "longitude": ("longitude", 5 + 0.25 * np.arange(4), {"units": "degrees_east"}),
    }
    dims, values = ("pressure_level", *places), np.stack([VALUES + 280, VALUES + 250])
    along = {"pressure_level": ("pressure_level", [850.0, 500.0], {"units": "hPa"})}
    air = xr.Dataset({"t": (dims, values, {"units": "K"}), "z": (dims, values + 1), "sp": (dims[1:], VALUES)}, along)
    air = air.assign_coords(places)
    air.to_netcdf(tmp_path / "air.nc")
    reads = model(tensor(["z_500", "t_850"]), bands=[{"name": "z_500"}, {"name": "t_850", "unit": "degC"}])
    found = [values[1] + 1, values[0] - 273.15]
    np.testing.assert_allclose(whole(open_source(tmp_path / "air.nc", reads)).values, found, rtol=1e-5)
    np.testing.assert_allclose(aligned(air, reads)[0].array.squeeze(drop=True), found, rtol=1e-5)
    level = ("plev", [85000.0, 50000.0], {"units": "Pa", "axis": "Z"})
    pascals = air["t"].rename(pressure_level="plev").assign_coords(plev=level)
    np.testing.assert_array_equal(whole(open_source(pascals, model(tensor(["t500"])))).values[0], values[1])
    with pytest.raises(DataError, match="found t850, t500: rename 't500' if it is t700"):
        open_source(pascals, model(tensor(["t700"])))
    deep = pascals.rename("thetao", plev="depth").assign_coords(depth=("depth", np.float32([0.494025, 1.541375])))
    assert whole(open_source(deep, model(tensor(["sst"])), bands=["thetao0.494025"])).values[0, 0, 0] == 280


def cube() -> xr.Dataset:
    y, x = 5_800_000 - 10 * np.arange(4.0) - 5, 600_000 + 10 * np.arange(4.0) + 5
    return xr.Dataset({"red": (("y", "x"), VALUES)}, {"y": y, "x": x})


def test_groups_and_names_of_cubes(tmp_path: Path) -> None:
    cube().to_netcdf(tmp_path / "scene.nc", group="fine/red")
    cube().to_netcdf(tmp_path / "download", engine="netcdf4")
    with pytest.raises(DataError, match=r"in the groups fine/red: name one of them, .*scene.nc/fine/red"):
        open_source(tmp_path / "scene.nc", model(tensor(["red"])), crs=UTM)
    for path in (tmp_path / "scene.nc/fine/red", tmp_path / "download"):
        found = whole(open_source(path, model(tensor(["red"])), crs=UTM)).values
        np.testing.assert_array_equal(found[0], VALUES)
    for part in ("scene.nc/none", "none.nc/red", "download/red"):
        with pytest.raises(DataError, match=r"cannot open .*(no such file|group not found)"):
            open_source(tmp_path / part, model(tensor(["red"])), crs=UTM)
    with pytest.raises(DataError, match=r"a part of a file in the words of GDAL: name the file, or a group of it"):
        open_source(f'NETCDF:"{tmp_path}/scene.nc":/fine/red', model(tensor(["red"])))
    tree = xr.DataTree.from_dict({"/fine": cube()})
    with pytest.raises(DataError, match=r"a tree has its variables in its groups, fine: name one of them"):
        open_source(tree, model(tensor(["red"])))


@pytest.mark.parametrize("name", ["zip://{}/red.zip!red.tif", "/vsizip/{}/red.zip/red.tif", "vrt://{}/red.tif?bands=1"])
def test_a_file_inside_another_makes_a_map(tmp_path: Path, name: str) -> None:
    """Which links to a file, and not to what only GDAL reads."""
    path = tif(tmp_path / "red.tif", VALUES, names=["red"])
    with zipfile.ZipFile(tmp_path / "red.zip", "w") as file:
        file.write(path, "red.tif")
    made = predict_scene(average(), name.format(tmp_path), tmp_path / "map.tif")
    assert (tmp_path / "map.json").exists()
    assert made.paths


def test_bands_that_have_no_place_in_common_are_refused(tmp_path: Path) -> None:
    red = tif(tmp_path / "red.tif", VALUES, names=["red"])
    for shift, ok in ((20, True), (5_000, False)):
        nir = tif(tmp_path / "nir.tif", VALUES, names=["nir"], transform=Affine.translation(shift, 0) * CORNER)
        if ok:
            block = whole(open_source([red, nir], model(tensor(["red", "nir"]))))
            assert block.missing is not None
            np.testing.assert_array_equal((~block.missing.any(axis=0)).sum(axis=0), [0, 0, 4, 4, 0, 0])
            continue
        with pytest.raises(DataError, match=r"nir.tif has no place in common with .*red.tif"):
            open_source([red, nir], model(tensor(["red", "nir"])))


def test_two_pictures_of_one_time_in_an_array_are_said(tmp_path: Path) -> None:
    times = np.array(["2020-01-01", "2020-01-01", "2020-01-02"], "datetime64[ns]")
    array = cube().red.expand_dims(time=times)
    with pytest.raises(DataError, match="has 2 of red at 2020-01-01T00:00: leave one of each time"):
        open_source(array, model(tensor(["red"], (-1,) * 5, TIMED)), crs=UTM)


def test_one_system_by_two_names_is_one(tmp_path: Path) -> None:
    """As HDF of MODIS and what PROJ writes of it; and longitudes before latitudes."""
    datum = 'DATUM["unnamed",SPHEROID["sphere",6371007.181,0]],PRIMEM["Greenwich",0]'
    sphere = f'GEOGCS["unnamed",{datum},UNIT["degree",0.0174532925199433]]'
    others = (
        f'PROJCS["MODIS",{sphere},PROJECTION["Sinusoidal"],PARAMETER["longitude_of_center",0],UNIT["Meter",1]]',
        "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs",
    )
    paths = [tif(tmp_path / f"{n}.tif", VALUES + n, names=[n_]) for n, n_ in enumerate(("red", "nir"))]
    for path, system in zip(paths, others, strict=True):
        with rasterio.open(path, "r+") as file:
            file.crs = rasterio.CRS.from_user_input(system)
    found = open_source(paths, model(tensor(["red", "nir"])))
    np.testing.assert_array_equal(whole(found).values, [VALUES, VALUES + 1])
    assert not found.notes
    assert are_one("EPSG:4326", "OGC:CRS84")
    assert not any(are_one("EPSG:32633", other) for other in ("EPSG:32632", "EPSG:25833", "nonsense"))
    assert [called(one) for one in ("EPSG:4326", others[0])] == ["EPSG:4326", "MODIS"]
    nameless = {"grid_mapping_name": "geostationary", "perspective_point_height": 35786023.0, "sweep_angle_axis": "x"}
    assert called(nameless | {"longitude_of_projection_origin": -75.0}) == "Geostationary Satellite (Sweep X)"


def test_granules_of_two_zones_are_covered_by_the_grid_that_is_named(tmp_path: Path) -> None:
    """The second lies two kilometres to the west, and its corners are known to PROJ alone."""
    east = tif(tmp_path / "east.tif", VALUES, names=["red"])
    x, y = pyproj.Transformer.from_crs(UTM, "EPSG:32632").transform(CORNER.c - 2_000, CORNER.f)
    west = tif(
        tmp_path / "west.tif", np.full((40, 40), 7, np.float32), names=["red"], crs="EPSG:32632",
        transform=Affine(10, 0, round(x, -1), 0, -10, round(y, -1)),
    )  # fmt: skip
    scene = open_source([east, west], model(tensor(["red"])), grid=UTM)
    grid, block = scene.grids["image"], whole(scene)
    assert block.missing is not None
    back = pyproj.Transformer.from_crs("EPSG:32632", UTM)
    for row, column in ((5, 5), (5, 34), (34, 5), (34, 34)):
        place = back.transform(round(x, -1) + 10 * column + 5, round(y, -1) - 10 * row - 5)
        left, top = (int(number) for number in ~grid.affine @ place)
        assert block.values[0, top, left] == pytest.approx(7, abs=1e-4)
    top, left = (round(number) for number in (~grid.affine @ (CORNER.c, CORNER.f))[::-1])
    np.testing.assert_array_equal(block.values[0, top : top + 4, left : left + 4], VALUES)


def fci(path: Path, side: int = 24) -> np.ndarray[Any, Any]:
    """Write a channel of MTG's imager (FCI L1c product user guide): its columns are angles to the west."""
    stored = np.random.default_rng(3).integers(0, 4000, (side, side)).astype("u2")
    stored[0, :2] = 65535, 4096
    with netCDF4.Dataset(path, "w") as file:
        data = file.createGroup("data")
        mapping = data.createVariable("mtg_geos_projection", "i4")
        mapping.setncatts(
            {
                "grid_mapping_name": "geostationary", "perspective_point_height": 35_786_400.0,
                "semi_major_axis": 6_378_137.0, "semi_minor_axis": 6_356_752.31424518,
                "longitude_of_projection_origin": 0.0, "sweep_angle_axis": "y",
            }
        )  # fmt: skip
        group = data.createGroup("vis_06").createGroup("measured")
        for name in ("y", "x"):
            group.createDimension(name, side)
        field = group.createVariable("effective_radiance", "u2", ("y", "x"), fill_value=65535)
        field.set_auto_maskandscale(False)
        field[:] = stored
        packing = {"scale_factor": 0.0012, "add_offset": -0.2, "valid_range": np.array([0, 4095], "u2")}
        field.setncatts(packing | {"grid_mapping": "mtg_geos_projection"})
        for name, said, first, step in (
            ("y", "zenith angle encoded as row", 0.04, 5.58871526031607e-05),
            ("x", "azimuth angle encoded as column", 0.03, -5.58871526031607e-05),
        ):
            along = group.createVariable(name, "i2", (name,))
            along.set_auto_maskandscale(False)
            along[:] = np.arange(side)
            along.setncatts({"scale_factor": step, "add_offset": first, "units": "radian", "long_name": said})
    return stored


def test_a_group_has_the_projection_and_the_coordinates_of_those_around_it(tmp_path: Path) -> None:
    stored = fci(tmp_path / "fci.nc")
    with pytest.raises(DataError, match=r"has its variables in the groups data/vis_06/measured: name one of them"):
        open_source(tmp_path / "fci.nc", model(tensor(["effective_radiance"])))
    source = open_source(tmp_path / "fci.nc" / "data/vis_06/measured", model(tensor(["effective_radiance"])))
    grid, block = source.grids["image"], whole(source)
    assert block.missing is not None
    np.testing.assert_array_equal(block.missing[0], (stored > 4095)[::-1])
    np.testing.assert_allclose(block.values[0][:-1], (stored * 0.0012 - 0.2)[:0:-1], rtol=1e-5)
    # 0.03 to the west and 0.04 to the north: its south-western corner lies north-west of the point below the satellite.
    x, y = grid.affine @ (0.5, grid.height - 0.5)
    np.testing.assert_allclose((x, y), (-0.03 * 35_786_400, 0.04 * 35_786_400), rtol=1e-9)

    places = {"YDim": 5_559_752.6 - 463.3 * np.arange(6), "XDim": 463.3 * np.arange(5)}
    values = np.arange(30, dtype="f4").reshape(6, 5)
    with h5py.File(tmp_path / "VNP09GA.he5", "w") as file:
        field = file.create_dataset("HDFEOS/GRIDS/VIIRS_Grid_500m_2D/Data Fields/SurfReflect_I1_1", data=values)
        around = file["HDFEOS/GRIDS/VIIRS_Grid_500m_2D"]
        for number, (name, along) in enumerate(places.items()):
            around[name] = along
            around[name].make_scale(name)
            around[name].attrs["units"] = "m"
            around[name].attrs["standard_name"] = f"projection_{name[0].lower()}_coordinate"
            field.dims[number].attach_scale(around[name])
        around["Projection"] = 0
        around["Projection"].attrs["grid_mapping_name"] = "sinusoidal"
        around["Projection"].attrs["earth_radius"] = 6_371_007.181
        field.attrs["grid_mapping"] = "Projection"
    group = tmp_path / "VNP09GA.he5" / "HDFEOS/GRIDS/VIIRS_Grid_500m_2D/Data Fields"
    source = open_source(group, model(tensor(["SurfReflect_I1_1"])))
    np.testing.assert_array_equal(whole(source).values[0], values)
    assert pyproj.CRS(source.grids["image"].crs).coordinate_operation.method_name == "Sinusoidal"
    np.testing.assert_allclose(source.grids["image"].affine @ (0.5, 0.5), (0.0, 5_559_752.6))


def test_a_group_of_zarr_on_a_server(tmp_path: Path) -> None:
    """Items of EOPF name groups, and a store of several names its groups as what to read."""
    values = np.arange(20, dtype="u2").reshape(4, 5)
    places = {"y": 5_799_995 - 10.0 * np.arange(4), "x": 600_005 + 10.0 * np.arange(5)}
    scene = xr.Dataset({"b04": (("y", "x"), values)}, places, {"proj:code": UTM})
    scene.to_zarr(tmp_path / "s2.zarr", group="measurements/r10m", zarr_format=2)

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/s2.zarr/measurements/r10m"
        block = whole(open_source(url, model(tensor(["b04"]))))
        asset = {"href": url, "type": "application/vnd+zarr", "bands": [{"name": "B04"}]}
        of_item = whole(open_source(scene_item(tmp_path, {"SR_10m": asset}), model(tensor(["b04"]))))
        server.shutdown()
    np.testing.assert_array_equal(block.values[0], values)
    np.testing.assert_array_equal(of_item.values[0], values)
