"""Readers beside KNMI's accumulations, on files written as their formats say, with pysteps' importers as witness."""

import gzip
from datetime import datetime, timedelta

import h5py
import numpy as np
import pyproj
import pytest

from modelstac.catalog.errors import DataError
from modelstac.training.data import make_windows, read_frames
from modelstac.training.data.readers.knmi import write_knmi
from modelstac.training.data.readers.zr import FINLAND, MARSHALL_PALMER

TIME = datetime(2024, 7, 1, 12, 0)
BYTES = np.array([[0, 1, 64], [110, 174, 255], [90, 100, 120], [0, 0, 80]], dtype=np.uint8)


LAEA = "+proj=laea +lat_0=55.0 +lon_0=10.0 +x_0=1950000.0 +y_0=-2100000.0 +units=m +ellps=WGS84"


def odim(path, data, time=TIME, *, quantity="RATE", minutes=15, proj4=LAEA, top=-300000.0, **what):
    """Write a composite with pixels of 2 x 2 km whose upper left corner is at (100 km, top)."""
    rows, columns = data.shape
    to_degrees = pyproj.Proj(proj4)
    corners = {"UL": (100000.0, top), "LL": (100000.0, top - 2000 * rows)}
    corners |= {"UR": (100000.0 + 2000 * columns, top), "LR": (100000.0 + 2000 * columns, top - 2000 * rows)}
    with h5py.File(path, "w") as file:
        file.attrs["Conventions"] = np.bytes_("ODIM_H5/V2_2")
        root = file.create_group("what").attrs
        root.update(object=np.bytes_("COMP"), version=np.bytes_("H5rad 2.2"), source=np.bytes_("ORG:247"))
        root.update(date=np.bytes_(f"{time:%Y%m%d}"), time=np.bytes_(f"{time:%H%M%S}"))
        where = file.create_group("where").attrs
        where.update(projdef=np.bytes_(proj4), xsize=columns, ysize=rows, xscale=2000.0, yscale=2000.0)
        for name, place in corners.items():
            where[f"{name}_lon"], where[f"{name}_lat"] = to_degrees(*place, inverse=True)
        dataset = file.create_group("dataset1")
        start = time - timedelta(minutes=minutes)
        dataset.create_group("what").attrs.update(
            product=np.bytes_("COMP"),
            startdate=np.bytes_(f"{start:%Y%m%d}"),
            starttime=np.bytes_(f"{start:%H%M%S}"),
            enddate=np.bytes_(f"{time:%Y%m%d}"),
            endtime=np.bytes_(f"{time:%H%M%S}"),
        )
        group = dataset.create_group("data1")
        group.create_dataset("data", data=data)
        scaling = {"gain": 1.0, "offset": 0.0, "nodata": -9999000.0, "undetect": -8888000.0} | what
        group.create_group("what").attrs.update(quantity=np.bytes_(quantity), **scaling)


HEADER = """P5
# obstime {time:%Y%m%d%H%M}
# producttype CAPPI
# productname LOWEST
# param CorrectedReflectivity
# metersperpixel_x 999.674053
# metersperpixel_y 999.62859
# projection radar {{
# type stereographic
# centrallongitude 25
# centrallatitude 90
# truelatitude 60
# bottomleft 18.600000 57.930000
# topright 34.903000 69.005000
# }}
3 4
255
"""


def pgm(path, counts=BYTES, time=TIME, header=HEADER):
    data = header.format(time=time).encode() + counts.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def assert_refused(source, *words):
    with pytest.raises(DataError) as error:
        read_frames(source).load()
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_relation_leads_there_and_back():
    assert MARSHALL_PALMER.rain_rate(10 * np.log10(200 * 10**1.6)) == pytest.approx(10.0)
    rates = np.array([0.1, 1.0, 50.0])
    for relation in (MARSHALL_PALMER, FINLAND):
        np.testing.assert_allclose(relation.rain_rate(relation.reflectivity(rates)), rates, rtol=1e-6)
    assert MARSHALL_PALMER.reflectivity(0.0) == -np.inf
    assert np.isnan(MARSHALL_PALMER.rain_rate(np.nan))


def test_knmi_reflectivity(tmp_path, reflectivity_of_knmi):
    path = tmp_path / "RAD_NL25_PCP_NA_202407011200.h5"
    reflectivity_of_knmi(path, BYTES, TIME)
    ds = read_frames(path)
    rate = ds.rainfall_rate.values[0]
    # KNMI's viewer states R = 10^((PV - 109) / 32) for the calibration 0.5 PV - 31.5, which is one count away.
    np.testing.assert_allclose(rate[1, 0], 10 ** ((110 - 110) / 32), rtol=2e-3)
    np.testing.assert_allclose(rate[1, 1], 10 ** ((174 - 110) / 32), rtol=2e-3)
    assert rate[0, 0] == 0.0, "no echo is dry"
    assert np.isnan(rate[1, 2])
    assert np.isnan(rate).sum() == 1
    assert (ds.attrs["step_minutes"], ds.attrs["product"]) == (5, "RAD_NL25_PCP_NA")
    assert "Z = 200 R^1.6" in ds.rainfall_rate.attrs["comment"]
    assert ds.rainfall_rate.attrs["cell_methods"] == "time: point"


def test_knmi_reflectivity_agrees_with_pysteps(tmp_path, reflectivity_of_knmi):
    from pysteps.io.importers import import_knmi_hdf5

    path = tmp_path / "one.h5"
    reflectivity_of_knmi(path, BYTES, TIME)
    dbz, _, about = import_knmi_hdf5(str(path), qty="DBZH")
    expected = MARSHALL_PALMER.rain_rate(dbz)
    rate = read_frames(path).rainfall_rate.values[0]
    echo = BYTES > 0
    np.testing.assert_allclose(rate[echo], expected[echo], rtol=1e-6)
    assert (about["zr_a"], about["zr_b"]) == (MARSHALL_PALMER.a, MARSHALL_PALMER.b)


def test_odim_agrees_with_pysteps_in_value_and_place(tmp_path):
    from pysteps.io.importers import import_odim_hdf5

    data = np.array([[0.5, -8888000.0], [-9999000.0, 12.5], [3.0, 0.0]])
    for minute in (0, 5, 10):
        odim(tmp_path / f"T_PAAH{minute:02d}.h5", data, TIME + timedelta(minutes=minute))
    ds = read_frames(tmp_path)
    expected, _, about = import_odim_hdf5(str(tmp_path / "T_PAAH00.h5"), qty="RATE")
    np.testing.assert_allclose(ds.rainfall_rate.values[0], [[0.5, 0.0], [np.nan, 12.5], [3.0, 0.0]])
    measured = data > -8888000.0
    np.testing.assert_allclose(ds.rainfall_rate.values[0][measured], expected[measured])
    assert ds.x.values == pytest.approx(about["x1"] + about["xpixelsize"] * np.array([0.5, 1.5]), abs=1)
    assert ds.y.values == pytest.approx(about["y2"] - about["ypixelsize"] * np.array([0.5, 1.5, 2.5]), abs=1)
    assert ds.attrs["step_minutes"] == 5, "from the frames themselves: the files do not say"
    assert ds.attrs["institution"] == "ORG:247"
    assert len(make_windows(ds, 1, 2)) == 1


def test_odim_quantities(tmp_path):
    counts = np.array([[0, 255, 100]], dtype=np.uint8)
    scaling = {"gain": 0.5, "offset": -32.0, "nodata": 255.0, "undetect": 0.0}
    path = tmp_path / "a.h5"
    odim(path, counts, quantity="DBZH", **scaling)
    ds = read_frames(path)
    np.testing.assert_allclose(ds.rainfall_rate.values[0, 0], [0, np.nan, MARSHALL_PALMER.rain_rate(18.0)], rtol=1e-6)
    assert "Z = 200 R^1.6" in ds.rainfall_rate.attrs["comment"]
    odim(path, counts, quantity="ACRR", **(scaling | {"gain": 0.01, "offset": 0.0}))
    ds = read_frames(path)
    np.testing.assert_allclose(ds.rainfall_rate.values[0, 0], [0, np.nan, 1.0 * 4], rtol=1e-6)
    assert ds.attrs["step_minutes"] == 15
    assert "comment" not in ds.rainfall_rate.attrs


def test_odim_reads_the_most_direct_quantity(tmp_path):
    path = tmp_path / "a.h5"
    odim(path, np.array([[30.0]]), quantity="DBZH")
    with h5py.File(path, "r+") as file:
        second = file["dataset1"].create_group("data2")
        second.create_dataset("data", data=[[2.5]])
        scaling = {"gain": 1.0, "offset": 0.0, "nodata": -1.0, "undetect": -2.0}
        second.create_group("what").attrs.update(quantity=np.bytes_("RATE"), **scaling)
    assert read_frames(path).rainfall_rate.values.item() == 2.5


def test_odim_of_other_kinds_is_refused(tmp_path):
    path = tmp_path / "a.h5"
    odim(path, np.array([[1.0]]), quantity="VRAD")
    assert_refused(path, "a.h5 holds VRAD, none of RATE, ACRR, DBZH, TH")
    odim(path, np.array([[1.0]]), proj4="+proj=longlat +ellps=WGS84", top=10.0)
    assert_refused(path, "not in projected metres")
    odim(path, np.array([[1.0]]))
    with h5py.File(path, "r+") as file:
        file["what"].attrs["time"] = np.bytes_("noon")
    assert_refused(path, "is no time such as 20260101120000")
    with h5py.File(path, "r+") as file:
        del file["dataset1/data1/what"].attrs["gain"]
        file["what"].attrs["time"] = np.bytes_("120000")
    assert_refused(path, "no gain for RATE")
    with h5py.File(path, "r+") as file:
        file["what"].attrs["object"] = np.bytes_("PVOL")
    assert_refused(path, "is an ODIM PVOL", "composites")


@pytest.mark.parametrize("name", ["201609281600_fmi.radar.pgm", "201609281600_fmi.radar.pgm.gz"])
def test_fmi_agrees_with_pysteps_in_value_and_place(tmp_path, name):
    from pysteps.io.importers import import_fmi_pgm

    pgm(tmp_path / name)
    ds = read_frames(tmp_path)
    dbz, _, about = import_fmi_pgm(str(tmp_path / name), gzipped=name.endswith("gz"))
    rate = ds.rainfall_rate.values[0]
    echo = BYTES > 0
    np.testing.assert_allclose(rate[echo], FINLAND.rain_rate(dbz)[echo], rtol=1e-6)
    assert rate[0, 0] == 0.0
    assert (about["zr_a"], about["zr_b"]) == (FINLAND.a, FINLAND.b)
    left, right = (ds.x.values[edge] for edge in (0, -1))
    half = (right - left) / 2 / 2
    assert (left - half, right + half) == pytest.approx((about["x1"], about["x2"]), abs=0.01)
    assert ds.y.values[0] > ds.y.values[-1]
    assert ds.time.values[0] == np.datetime64("2024-07-01T12:00")


def test_fmi_files_that_are_none(tmp_path):
    path = tmp_path / "a.pgm"
    pgm(path, header=HEADER.replace("CorrectedReflectivity", "RadialVelocity"))
    assert_refused(path, "holds RadialVelocity")
    pgm(path, counts=BYTES[:3])
    assert_refused(path, "announces 4 x 3 pixels and holds 9")
    pgm(path, header=HEADER.replace("# truelatitude 60\n", ""))
    assert_refused(path, "no truelatitude")
    pgm(tmp_path / "b.pgm.gz")
    whole = (tmp_path / "b.pgm.gz").read_bytes()
    (tmp_path / "b.pgm.gz").write_bytes(whole[:-20])
    assert_refused(tmp_path / "b.pgm.gz", "cut short or damaged")


def test_products_are_not_mixed(tmp_path, reflectivity_of_knmi):
    reflectivity_of_knmi(tmp_path / "a.h5", BYTES, TIME)
    write_knmi(tmp_path / "b.h5", np.zeros(BYTES.shape), TIME + timedelta(minutes=5))
    assert_refused(tmp_path, "b.h5", "keep one product")
    (tmp_path / "b.h5").unlink()
    odim(tmp_path / "b.h5", np.zeros((4, 3)), TIME)
    assert_refused(tmp_path, "b.h5")


def test_two_grids_are_not_mixed(tmp_path):
    odim(tmp_path / "a.h5", np.zeros((4, 3)), TIME)
    odim(tmp_path / "b.h5", np.zeros((4, 3)), TIME + timedelta(minutes=5), top=-302000.0)
    assert_refused(tmp_path, "b.h5 has another grid")
