"""Radar products of further services, on files written as their formats say, with other readers as witnesses."""

from __future__ import annotations

import bz2
import warnings
from datetime import datetime, timedelta

import h5py
import netCDF4
import numpy as np
import pyproj
import pytest
import xarray as xr
from PIL import Image

from modelstac.catalog.errors import DataError
from modelstac.training.data import cf, make_windows, read_frames
from modelstac.training.data.readers import meteoswiss, radolan
from modelstac.training.data.readers.zr import MARSHALL_PALMER

TIME = datetime(2024, 7, 1, 12, 0)
BELGIUM = "+proj=lcc +lat_1=49.83333333333334 +lat_2=51.16666666666666 +lat_0=50.797815 +lon_0=4.359215833333333"
BELGIUM += " +x_0=649328 +y_0=665262 +ellps=GRS80 +towgs84=0,0,0,0,0,0,0 +units=m +no_defs "


def assert_refused(source, *words):
    with pytest.raises(DataError) as error:
        read_frames(source).load()
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def rmi(path, data, time=TIME):
    """Write a composite as RMI does: no word on packing, corners in the root, size of the pixels in the dataset."""
    rows, columns = data.shape
    with h5py.File(path, "w") as file:
        file.attrs["Conventions"] = np.bytes_("ODIM_H5/V2_2")
        root = {"object": np.bytes_("COMP"), "source": np.bytes_("NOD:behel"), "version": np.bytes_("H5rad 2.2")}
        stamp = {"date": np.bytes_(f"{time:%Y%m%d}"), "time": np.bytes_(f"{time:%H%M%S}")}
        file.create_group("what").attrs.update(**root, **stamp)
        where = file.create_group("where").attrs
        where.update(projdef=np.bytes_(BELGIUM), lat=51.07, lon=5.41, height=144.0)
        to_degrees = pyproj.Proj(BELGIUM)
        for name, place in {"UL": (300000.0, 1000000.0), "LL": (300000.0, 1000000.0 - 1000 * rows)}.items():
            where[f"{name}_lon"], where[f"{name}_lat"] = to_degrees(*place, inverse=True)
        dataset = file.create_group("dataset1")
        edges = {"startdate": "%Y%m%d", "starttime": "%H%M%S", "enddate": "%Y%m%d", "endtime": "%H%M%S"}
        dataset.create_group("what").attrs.update({key: np.bytes_(time.strftime(form)) for key, form in edges.items()})
        size = {"xsize": columns, "ysize": rows, "xscale": 1000.0, "yscale": 1000.0}
        dataset.create_group("where").attrs.update(UL_x=300000.0, UL_y=1000000.0, **size)
        group = dataset.create_group("data1")
        group.create_dataset("data", data=data.astype(np.float32))
        group.create_group("what").attrs["quantity"] = np.bytes_("RATE")


def test_rmi_leaves_its_grid_to_two_places_and_packing_unsaid(tmp_path):
    data = np.array([[0.0, 0.25, np.nan], [3.5, 12.0, 0.0]])
    for minute in (0, 5):
        rmi(tmp_path / f"{minute}.hdf", data, TIME + timedelta(minutes=minute))
    ds = read_frames(tmp_path)
    np.testing.assert_array_equal(ds.rainfall_rate.values[0], data.astype(np.float32))
    np.testing.assert_array_equal(ds.x.values, [300500.0, 301500.0, 302500.0])
    np.testing.assert_array_equal(ds.y.values, [999500.0, 998500.0])
    assert ds.attrs["step_minutes"] == 5
    assert ds.rainfall_rate.attrs["cell_methods"] == "time: point", "a rate is of a moment"


def test_whole_numbers_without_their_packing_are_refused(tmp_path):
    rmi(tmp_path / "a.hdf", np.zeros((2, 2)))
    with h5py.File(tmp_path / "a.hdf", "r+") as file:
        del file["dataset1/data1/data"]
        file["dataset1/data1"].create_dataset("data", data=np.zeros((2, 2), np.uint8))
    assert_refused(tmp_path, "no gain for RATE")


def test_amounts_of_an_hour_every_quarter_overlap(tmp_path):
    for minute in (0, 15, 30):
        rmi(tmp_path / f"{minute}.hdf", np.ones((2, 2)), TIME + timedelta(minutes=minute))
        with h5py.File(tmp_path / f"{minute}.hdf", "r+") as file:
            file["dataset1/data1/what"].attrs["quantity"] = np.bytes_("ACRR")
            start = TIME + timedelta(minutes=minute - 60)
            file["dataset1/what"].attrs.update(starttime=np.bytes_(f"{start:%H%M%S}"))
    with pytest.raises(
        DataError, match=r"15.hdf is of 60 minutes and follows 0.hdf by 15: their periods overlap .*keep"
    ):
        make_windows(read_frames(tmp_path), 1, 1)


def australian(path, amounts, *, start=TIME - timedelta(minutes=10), y=(1.25, 0.75), unit="km", **attrs):
    """Write an accumulation as Australia's Bureau of Meteorology does: kilometres, the start beside the end."""
    with netCDF4.Dataset(path, "w") as file:
        for axis, values in (("y", y), ("x", (-0.75, -0.25, 0.25))):
            file.createDimension(axis, len(values))
            variable = file.createVariable(axis, "f8", (axis,))
            variable.setncatts({"standard_name": f"projection_{axis}_coordinate", "units": unit})
            variable[:] = values
        for name, time in (("valid_time", TIME), ("start_time", start)):
            variable = file.createVariable(name, "i8", ())
            variable.setncatts({"units": "seconds since 1970-01-01 00:00:00 UTC"})
            variable[...] = (time - datetime(1970, 1, 1)).total_seconds()
        file["valid_time"].standard_name = "time"
        proj = file.createVariable("proj", "i1", ())
        proj.setncatts({"grid_mapping_name": "albers_conical_equal_area", "standard_parallel": [-26.2, -29.3]})
        proj.setncatts({"longitude_of_central_meridian": 153.24, "latitude_of_projection_origin": -27.7178})
        proj.setncatts({"semi_major_axis": 6378137.0, "semi_minor_axis": 6356752.31414})
        rain = file.createVariable("precipitation", "i2", ("y", "x"), fill_value=-1)
        rain.setncatts({"standard_name": "precipitation_amount", "units": "kg m-2", "grid_mapping": "proj"} | attrs)
        rain.scale_factor, rain.add_offset = 0.05, 0.0
        rain[:] = np.ma.array(np.nan_to_num(amounts), mask=np.isnan(amounts))


AMOUNTS = np.array([[0.0, 0.5, np.nan], [1.0, 2.0, 0.05]])


def test_cf_of_another_service(tmp_path):
    australian(tmp_path / "a.nc", AMOUNTS)
    ds = read_frames(tmp_path / "a.nc")
    np.testing.assert_allclose(ds.rainfall_rate.values[0], AMOUNTS * 6, rtol=1e-6)
    np.testing.assert_allclose(ds.x.values, [-750.0, -250.0, 250.0])
    np.testing.assert_allclose(ds.y.values, [1250.0, 750.0])
    assert ds.time.values[0] == np.datetime64("2024-07-01T12:00")
    assert ds.attrs["step_minutes"] == 10
    assert "+proj=aea" in ds.crs.attrs["proj4"]
    assert ds.rainfall_rate.attrs["cell_methods"] == "time: mean"
    australian(tmp_path / "b.nc", AMOUNTS[::-1], y=(0.75, 1.25))
    np.testing.assert_array_equal(read_frames(tmp_path / "b.nc").rainfall_rate.values, ds.rainfall_rate.values)


def test_cf_beyond_its_valid_range_or_never_written_is_not_measured(tmp_path):
    australian(tmp_path / "a.nc", AMOUNTS, valid_range=np.array([0, 30], "i2"))  # of what is stored: up to 1.5 mm
    expected = np.where(AMOUNTS > 1.5, np.nan, AMOUNTS)
    np.testing.assert_allclose(read_frames(tmp_path / "a.nc").rainfall_rate.values[0], expected * 6, rtol=1e-6)
    australian(tmp_path / "b.nc", AMOUNTS)
    with netCDF4.Dataset(tmp_path / "b.nc", "a") as file:
        del file["precipitation"].standard_name
        rain = file.createVariable("rate", "f4", ("y", "x"), fill_value=False)
        rain.setncatts({"standard_name": "rainfall_rate", "units": "mm h-1", "grid_mapping": "proj", "valid_max": 90.0})
        rain.set_auto_mask(False)
        rain[:] = [[0.0, 9.969209968386869e36, 2.0], [1.0, 400.0, 90.0]]
    expected = [[0.0, np.nan, 2.0], [1.0, np.nan, 90.0]]
    np.testing.assert_array_equal(read_frames(tmp_path / "b.nc").rainfall_rate.values[0], expected)


def test_cf_that_does_not_say_enough_is_refused(tmp_path):
    path = tmp_path / "a.nc"
    australian(path, AMOUNTS, start=TIME)
    assert_refused(path, "is an amount, and its time has no bounds")
    australian(path, AMOUNTS, units="kelvin")
    assert_refused(path, "'precipitation' is in 'kelvin', which is neither mm nor kg m-2")
    australian(path, AMOUNTS, standard_name="air_temperature")
    assert_refused(path, "holds air_temperature, none of rainfall_rate")
    australian(path, AMOUNTS, grid_mapping="nowhere")
    assert_refused(path, "no variable says the projection")
    australian(path, np.zeros((3, 3)), y=(3.0, 2.0, 0.5))
    assert_refused(path, "the pixels along 'y' are not evenly apart")
    path.write_bytes(path.read_bytes()[:900])
    assert_refused(path, "a.nc")


PROJECTIONS = {
    "KNMI": "+proj=stere +lat_0=90 +lon_0=0 +lat_ts=60 +a=6378137 +b=6356752 +x_0=0 +y_0=0 +units=m",
    "FMI": "+proj=stere +lon_0=25 +lat_0=90 +lat_ts=60 +a=6371288 +b=6371288 +x_0=380886.31 +y_0=3395677.92 +units=m",
    "OPERA": "+proj=laea +lat_0=55.0 +lon_0=10.0 +x_0=1950000.0 +y_0=-2100000.0 +units=m +ellps=WGS84",
    "RMI": BELGIUM,
    "MeteoSwiss": meteoswiss.PROJ4,
    "RADOLAN": radolan.PROJ4,
    "BOM": "+proj=aea +lat_0=-27.7178 +lon_0=153.24 +lat_1=-26.2 +lat_2=-29.3 +x_0=0 +y_0=0 +ellps=GRS80 +units=m",
    "MRMS": "+proj=longlat +a=6378160 +b=6356775 +no_defs",
}
CORNERS = {"KNMI": (0, -3.65e6), "FMI": (0, 1e6), "OPERA": (1e6, -1e6), "RMI": (3e5, 1e6), "MeteoSwiss": (255e3, 480e3)}
CORNERS |= {"RADOLAN": (-523e3, -3.7586e6), "BOM": (-128e3, 128e3), "MRMS": (-5.0, 50.0)}


@pytest.fixture(params=PROJECTIONS)
def forecast(request, tmp_path):
    """Write a forecast in a projection of the readers; return the file, the rates, and the first pixel's centre."""
    proj4, (left, top) = PROJECTIONS[request.param], CORNERS[request.param]
    size = 0.01 if request.param == "MRMS" else 1000.0
    rates = np.random.default_rng(0).random((3, 6, 5)).astype(np.float32)
    time = np.datetime64("2024-07-01T12:05", "ns") + np.arange(3) * np.timedelta64(5, "m")
    x, y = left + size * (np.arange(5) + 0.5), top - size * (np.arange(6) + 0.5)
    about = {"title": "Rain", "source": "modelstac", "comment": "none", "references": "none", "history": "written"}
    ds = cf.forecast(rates, time, y, x, proj4, attributes=about, instantaneous=request.param != "KNMI")
    cf.write_netcdf(ds, tmp_path / "forecast.nc")
    return tmp_path / "forecast.nc", rates, degrees(pyproj.CRS.from_proj4(proj4), x[0], y[0]), request.param


def degrees(crs, x, y):
    """Give longitude and latitude on the ellipsoid of a reference system."""
    return pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True).transform(float(x), float(y))


def test_a_forecast_lies_at_its_place_in_every_reader(forecast):
    import iris
    import metpy.xarray  # noqa: F401 - it adds itself to xarray
    import rasterio
    import rioxarray  # noqa: F401 - it does so, too

    path, _, expected, name = forecast
    places = {}
    with rasterio.open(path) as raster:
        places["GDAL"] = degrees(pyproj.CRS.from_wkt(raster.crs.to_wkt()), *raster.xy(0, 0))
    with xr.open_dataset(path, decode_coords="all") as ds:
        places["rioxarray"] = degrees(pyproj.CRS.from_wkt(ds.rio.crs.to_wkt()), ds.x[0], ds.y[0])
    with xr.open_dataset(path) as ds:
        rain = ds.metpy.parse_cf("rainfall_rate")
        places["MetPy"] = degrees(rain.metpy.pyproj_crs, rain.x[0], rain.y[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cube = iris.load_cube(path, "rainfall_rate")
        x, y = (cube.coord(axis=axis, dim_coords=True).points[0] for axis in "xy")
        system = cube.coord_system().as_cartopy_crs()
        places["Iris"] = degrees(pyproj.CRS.from_user_input(system), x, y) if name != "MRMS" else (x, y)
    for reader, place in places.items():
        # Switzerland's projection is an oblique Mercator to CF: two formulas that differ by 8 mm here.
        assert place == pytest.approx(expected, abs=2e-7), reader


def test_a_forecast_keeps_to_cf(forecast, tmp_path):
    from compliance_checker.runner import CheckSuite, ComplianceChecker

    path, _, _, name = forecast
    CheckSuite.load_all_available_checkers()
    said = tmp_path / "said.txt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        how = {"output_filename": str(said), "output_format": "text"}
        ComplianceChecker.run_checker(str(path), ["cf:1.11"], 0, "strict", **how)
    assert "Errors" not in said.read_text(), said.read_text()
    with xr.open_dataset(path) as ds:
        assert ds.rainfall_rate.attrs["cell_methods"] == ("time: mean" if name == "KNMI" else "time: point")


def test_a_forecast_is_read_as_frames(forecast):
    path, rates, _, name = forecast
    ds = read_frames(path)
    np.testing.assert_array_equal(ds.rainfall_rate.values, rates)
    assert ds.attrs["step_minutes"] == 5
    assert ds.crs.attrs["proj4"] == PROJECTIONS[name]
    assert str(ds.time.values[2])[:16] == "2024-07-01T12:15"
    assert ds.x.values[0] == pytest.approx(CORNERS[name][0] + (0.005 if name == "MRMS" else 500))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pysteps leaves its file open
def test_meteoswiss_agrees_with_pysteps(tmp_path):
    from pysteps.io.importers import import_mch_gif

    counts = np.random.default_rng(0).integers(0, 256, (640, 710)).astype(np.uint8)
    comment = (
        b"generated by Meteoswiss\nPRDT=AQC241831200 SCALE=mmh2LASSEN8bitmm_mn COLOR=reddish ACCUm=000005 DeltaT=5"
    )
    picture = Image.fromarray(counts, "P")
    picture.putpalette([value for value in range(256) for _ in range(3)])
    path = tmp_path / "AQC241831200F_00005.801.gif"
    picture.save(path, comment=comment, optimize=False)
    ds = read_frames(tmp_path)
    millimetres, _, about = import_mch_gif(str(path), "AQC", "mm", 5.0)
    np.testing.assert_allclose(ds.rainfall_rate.values[0], millimetres * 12, rtol=1e-5, equal_nan=True)
    assert (ds.x.values[0] - 500, ds.x.values[-1] + 500) == (about["x1"], about["x2"])
    assert (ds.y.values[0] + 500, ds.y.values[-1] - 500) == (about["y2"], about["y1"])
    assert pyproj.CRS.from_proj4(about["projection"]) == pyproj.CRS.from_proj4(ds.crs.attrs["proj4"])
    assert ds.time.values[0] == np.datetime64("2024-07-01T12:00")
    assert ds.attrs["step_minutes"] == 5
    path.write_bytes(path.read_bytes()[:2000])
    assert_refused(path, "cut short or damaged")


def grib(path, values, *, west=358.0, step=1.0, **keys):
    """Write a field on longitudes from ``west`` on, rows from north to south, by ecCodes itself."""
    import eccodes

    handle = eccodes.codes_grib_new_from_samples("regular_ll_sfc_grib2")
    rows, columns = values.shape
    keys = {
        "Ni": columns,
        "Nj": rows,
        "longitudeOfFirstGridPointInDegrees": west,
        "longitudeOfLastGridPointInDegrees": (west + step * (columns - 1)) % 360,
        "latitudeOfFirstGridPointInDegrees": 55.0,
        "latitudeOfLastGridPointInDegrees": 55.0 - step * (rows - 1),
        "iDirectionIncrementInDegrees": step,
        "jDirectionIncrementInDegrees": step,
        "dataDate": 20240701,
        "dataTime": 1200,
    } | keys
    for key, value in keys.items():
        eccodes.codes_set(handle, key, value)
    eccodes.codes_set(handle, "bitmapPresent", 1)
    eccodes.codes_set(handle, "bitsPerValue", 24)
    eccodes.codes_set(handle, "missingValue", -1e9)
    eccodes.codes_set_values(handle, np.where(np.isnan(values), -1e9, values).ravel())
    with path.open("wb") as file:
        eccodes.codes_write(handle, file)
    eccodes.codes_release(handle)


RATES = np.arange(12.0).reshape(3, 4) / 3600
RATES[1, 1] = np.nan


def test_grib_over_greenwich(tmp_path):
    grib(tmp_path / "a.grib2", RATES, shortName="prate")
    ds = read_frames(tmp_path)
    np.testing.assert_allclose(ds.rainfall_rate.values[0], RATES * 3600, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ds.x.values, [-2, -1, 0, 1])
    np.testing.assert_allclose(ds.y.values, [55, 54, 53])
    assert ds.x.attrs["standard_name"] == "longitude"
    assert ds.time.values[0] == np.datetime64("2024-07-01T12:00")


def test_grib_of_mrms(tmp_path):
    values = np.array([[-3.0, 0.0, 2.5], [-1.0, 7.0, 0.1]])
    keys = {"discipline": 209, "parameterCategory": 6, "parameterNumber": 1}
    grib(tmp_path / "PrecipRate_00.00_20240701-120000.grib2", values, west=230.005, step=0.01, **keys)
    ds = read_frames(tmp_path)
    np.testing.assert_allclose(ds.rainfall_rate.values[0], [[np.nan, 0, 2.5], [np.nan, 7.0, 0.1]], atol=1e-3)
    assert ds.x.values[0] == pytest.approx(-129.995)
    assert ds.attrs["product"] == "MRMS PrecipRate"


def test_grib_of_amounts_is_read_in_the_unit_that_it_has(tmp_path):
    period = {"productDefinitionTemplateNumber": 8, "stepUnits": 1, "startStep": 0, "endStep": 6}
    for param, factor in ((228228, 1.0), (228, 1000.0)):  # kg m-2, and the metres of ECMWF
        grib(tmp_path / "a.grib2", RATES / factor, **period, paramId=param)
        ds = read_frames(tmp_path)
        np.testing.assert_allclose(ds.rainfall_rate.values[0], RATES / 6, rtol=1e-4, atol=1e-7)
        assert ds.attrs["step_minutes"] == 360


def test_grib_of_anything_else_is_refused(tmp_path):
    path = tmp_path / "a.grib2"
    grib(path, RATES, shortName="2t")
    assert_refused(path, "a.grib2 holds 2t")
    grib(path, RATES, shortName="prate")
    one = path.read_bytes()
    path.write_bytes(one + one)
    assert_refused(path, "has 2 messages", "split it")
    path.write_bytes(one[:-30])
    assert_refused(path, "a.grib2 is")


def composite(path, counts, product=b"RW", interval=b"60"):
    """Write a composite of RADOLAN: 900 x 900 counts of a tenth of a millimetre, from south to north."""
    about = b"VS 3SW   2.13.1PR E-01INT%4bGP 900x 900MS 22<boo,ros,emd,han,umd>" % interval
    header = product + b"011150100000724BY"
    length = len(header) + 7 + len(about) + 1 + counts.size * 2
    path.write_bytes(header + b"%7d" % length + about + b"\x03" + counts.astype("<u2").tobytes())


def test_radolan(tmp_path):
    counts = np.zeros((900, 900), np.uint16)
    counts[0, 0], counts[-1, -1], counts[5, 7] = 12, 40, 0x29C4
    path = tmp_path / "raa01-rw_10000-2407011150-dwd---bin"
    composite(path, counts)
    ds = read_frames(tmp_path)
    rate = ds.rainfall_rate.values[0]
    assert (rate[-1, 0], rate[0, -1]) == (pytest.approx(1.2), pytest.approx(4.0)), "the file begins in the south-west"
    assert np.isnan(rate[900 - 1 - 5, 7])
    assert np.isnan(rate).sum() == 1
    assert ds.time.values[0] == np.datetime64("2024-07-01T11:50")
    assert ds.attrs["step_minutes"] == 60
    corner = degrees(pyproj.CRS.from_proj4(radolan.PROJ4), ds.x.values[0] - 500, ds.y.values[-1] - 500)
    assert corner == pytest.approx((3.5889, 46.9526), abs=2e-4), "as DWD states it"
    (tmp_path / f"{path.name}.bz2").write_bytes(bz2.compress(path.read_bytes()))
    path.unlink()
    np.testing.assert_array_equal(read_frames(tmp_path).rainfall_rate.values[0], rate)
    path.write_bytes(bz2.decompress((tmp_path / f"{path.name}.bz2").read_bytes())[:5000])
    assert_refused(path, "cut short or no RADOLAN composite")


def test_reflectivity_in_cf_takes_a_relation(tmp_path):
    name = "equivalent_reflectivity_factor"
    australian(tmp_path / "a.nc", np.full((2, 3), 30.0), start=TIME, standard_name=name, units="dBZ")
    ds = read_frames(tmp_path / "a.nc")
    np.testing.assert_allclose(ds.rainfall_rate.values, MARSHALL_PALMER.rain_rate(30.0), rtol=1e-5)
    assert "Z = 200 R^1.6" in ds.rainfall_rate.attrs["comment"]
    australian(tmp_path / "a.nc", np.full((2, 3), 1000.0), start=TIME, standard_name=name, units="mm6 m-3")
    with pytest.raises(DataError, match="is in 'mm6 m-3'; reflectivity is read in dBZ"):
        read_frames(tmp_path / "a.nc").rainfall_rate.load()
