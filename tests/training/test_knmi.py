import shutil
import subprocess
import sys
import tracemalloc
from datetime import datetime

import h5py
import numpy as np
import pyproj
import pytest

from modelstac.catalog.errors import DataError, NotFoundError
from modelstac.catalog.messages import Advanced, Started
from modelstac.training.data import READERS, Frame, Grid, Preparation, Reader, read_frames
from modelstac.training.data.readers import knmi
from modelstac.training.data.synthetic import generate

TIME = datetime(2010, 8, 26, 3, 20)


@pytest.fixture
def frames(rain_folder, tmp_path):
    """Six files that a test may spoil."""
    for path in sorted(rain_folder.iterdir())[:6]:
        shutil.copy(path, tmp_path)
    return tmp_path


def spoil(frames, index=3):
    return sorted(frames.iterdir())[index]


def assert_refused(source, *words):
    with pytest.raises(DataError) as error:
        read_frames(source).load()
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message


# What is read


def test_what_was_written_is_read(tmp_path):
    rate = np.array([[0.0, 0.12, 29.4], [np.nan, 1.2, 6.0]])
    path = tmp_path / knmi.file_name(TIME)
    knmi.write_knmi(path, rate, TIME, row_offset=10, column_offset=20)
    ds = read_frames(path)
    np.testing.assert_allclose(ds.rainfall_rate.values[0], rate, rtol=1e-6)
    assert ds.rainfall_rate.dtype == np.float32
    assert ds.time.values[0] == np.datetime64("2010-08-26T03:20")
    assert ds.x.values == pytest.approx([20_500, 21_500, 22_500])
    assert ds.y.values == pytest.approx([-3_660_500, -3_661_500])
    assert ds.attrs["step_minutes"] == 5
    assert ds.attrs["source_files"] == [path.name]


def test_counts_become_millimetres_an_hour(tmp_path):
    path = tmp_path / "one.h5"
    knmi.write_knmi(path, [[0.0, 1.0]], TIME)
    with h5py.File(path, "r+") as file:
        file["image1/image_data"][...] = [[245, 65535]]
    rate = read_frames(path).rainfall_rate.values[0, 0]
    assert rate[0] == pytest.approx(245 * 0.01 * 12)
    assert np.isnan(rate[1])


def test_other_calibrations_are_followed(tmp_path):
    path = tmp_path / "one.h5"
    knmi.write_knmi(path, [[0.0, 0.0]], TIME)
    with h5py.File(path, "r+") as file:
        file["image1/image_data"][...] = [[10, 99]]
        file["image1/calibration"].attrs["calibration_formulas"] = np.bytes_("GEO=0.500000*PV+-1.000000")
        file["image1/calibration"].attrs["calibration_out_of_image"] = np.array([99])
    rate = read_frames(path).rainfall_rate.values[0, 0]
    assert rate[0] == pytest.approx((0.5 * 10 - 1) * 12)
    assert np.isnan(rate[1])


def test_frames_are_in_order_of_time_and_cf_described(frames):
    paths = sorted(frames.iterdir())
    messages = []
    ds = read_frames(paths[::-1], report=messages.append)
    assert (np.diff(ds.time.values) == np.timedelta64(5, "m")).all()
    assert list(ds.source_file.values) == [path.name for path in paths]
    assert ds.rainfall_rate.attrs["standard_name"] == "rainfall_rate"
    assert ds.rainfall_rate.attrs["units"] == "mm h-1"
    assert ds[ds.rainfall_rate.attrs["grid_mapping"]].attrs["grid_mapping_name"] == "polar_stereographic"
    assert pyproj.CRS.from_cf(ds.crs.attrs) == pyproj.CRS.from_proj4(ds.crs.attrs["proj4"])
    assert messages[:2] == [Started("open radar files", 6), Advanced("open radar files")]


def test_pixels_are_read_when_indexed(frames):
    everything = read_frames(frames).load().rainfall_rate.values
    lazy = read_frames(frames).rainfall_rate
    np.testing.assert_array_equal(lazy[2].values, everything[2])
    np.testing.assert_array_equal(lazy[1:5:2, 3:9, ::-1].values, everything[1:5:2, 3:9, ::-1])
    np.testing.assert_array_equal(lazy[::-1, 4, 2].values, everything[::-1, 4, 2])
    np.testing.assert_array_equal(lazy[[4, 0], :, [1, 2, 7]].values, everything[[4, 0]][:, :, [1, 2, 7]])
    assert lazy[6:].values.shape == (0, 48, 40)
    # Only the frames that are asked for are opened: without its file, a frame that nobody asks for is no error.
    spoil(frames, 5).unlink()
    np.testing.assert_array_equal(lazy[:5].values, everything[:5])


def test_memory_is_that_of_what_is_taken(tmp_path):
    generate(tmp_path, 24, shape=(300, 300))
    ds = read_frames(tmp_path)
    tracemalloc.start()
    try:
        Preparation(rows=(0, 64), columns=(0, 64)).apply(ds)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < ds.rainfall_rate.nbytes / 4


def test_generated_files_do_not_claim_to_be_observations(frames):
    ds = read_frames(frames)
    assert "KNMI" not in ds.attrs["institution"] + ds.attrs["credit"]
    assert ds.attrs["licence"] == "MIT"


def test_every_reader_has_the_verbs():
    for reader in READERS.values():
        for verb in ("recognises", "describe", "rain_rate"):
            assert callable(getattr(reader, verb))
        assert all(suffix.startswith((".", "---bin")) for suffix in reader.SUFFIXES)


def test_another_product_is_one_more_module(tmp_path, monkeypatch):
    class Text(Reader):
        """Numbers in a text file, as the smallest product there can be."""

        SUFFIXES = (".txt",)

        def recognises(self, path):
            return path.suffix == ".txt"

        def describe(self, path):
            grid = Grid(1, 2, 0, 0, 1000, 1000, "+proj=utm +zone=31 +ellps=WGS84 +units=m")
            return Frame(path, datetime.fromisoformat(path.stem), 10, grid, "text", "us", "MIT", "us")

        def rain_rate(self, path):
            return np.loadtxt(path, dtype=np.float32, ndmin=2)

    monkeypatch.setitem(READERS, "text", Text())
    for minute in (0, 10):
        (tmp_path / f"2020-01-01T00{minute:02d}.txt").write_text(f"{minute} 1.5")
    ds = read_frames(tmp_path)
    assert ds.rainfall_rate.values.tolist() == [[[0, 1.5]], [[10, 1.5]]]
    assert ds.attrs["product"] == "text"
    assert ds.crs.attrs["grid_mapping_name"] == "transverse_mercator"


def test_the_real_frames_are_read_as_described(knmi_folder):
    ds = read_frames(knmi_folder)
    assert ds.rainfall_rate.shape == (92, 765, 700)
    assert ds.time.values[0] == np.datetime64("2010-08-26T00:00")
    assert ds.time.values[-1] == np.datetime64("2010-08-26T07:35")
    first, last = ds.rainfall_rate[0].values, ds.rainfall_rate[-1].values
    valid = np.isfinite(first)
    assert round(100 * valid.mean(), 1) == 25.6
    assert (valid == np.isfinite(last)).all()
    rows, columns = np.flatnonzero(valid.any(axis=1)), np.flatnonzero(valid.any(axis=0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (220, 636, 160, 578)
    to_degrees = pyproj.Transformer.from_crs(ds.crs.attrs["crs_wkt"], "EPSG:4326", always_xy=True)
    left, right = ds.x.values[0] - 500, ds.x.values[-1] + 500
    top, bottom = ds.y.values[0] + 500, ds.y.values[-1] - 500
    # The attribute geo_product_corners: lower left, upper left, upper right, lower right.
    corners = [(0.0, 49.362), (0.0, 55.974), (10.856, 55.389), (9.009, 48.895)]
    for corner, place in zip(corners, [(left, bottom), (left, top), (right, top), (right, bottom)], strict=True):
        assert to_degrees.transform(*place) == pytest.approx(corner, abs=6e-4)
    assert ds.attrs["licence"] == "CC-BY-4.0"


# What is refused


@pytest.mark.parametrize("package", ["h5py", "pyproj", "xarray"])
def test_a_package_that_is_not_installed(package):
    program = f"""
import sys
sys.modules[{package!r}] = None  # as if it were not installed
from modelstac.catalog.errors import MissingPackageError
try:
    import modelstac.training.data
except MissingPackageError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert f"needs {package}" in done.stdout
    assert "modelstac[data]" in done.stdout


@pytest.mark.parametrize("keep", [0.02, 0.5, 0.99])
def test_a_truncated_file(frames, keep):
    path = spoil(frames)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    assert_refused(frames, str(path), "cut short or damaged", "fetch it again")


@pytest.mark.parametrize("index", [0, 3])
def test_an_empty_file(frames, index):
    path = spoil(frames, index)
    path.write_bytes(b"")
    assert_refused(frames, str(path), "remove it or fetch it again")


def test_damaged_pixels(frames):
    path = spoil(frames)
    with h5py.File(path) as file:
        chunk = file["image1/image_data"].id.get_chunk_info(0)
    data = bytearray(path.read_bytes())
    data[chunk.byte_offset : chunk.byte_offset + chunk.size] = b"\x00" * chunk.size
    path.write_bytes(data)
    assert_refused(frames, str(path), "cut short or damaged")


def test_an_empty_folder(tmp_path):
    (tmp_path / "README.md").write_text("no data")
    assert_refused(tmp_path, str(tmp_path), ".h5")
    assert_refused([], "name a folder")


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(NotFoundError, match="nowhere"):
        read_frames(tmp_path / "nowhere")


def test_a_frame_with_another_grid(frames):
    path = spoil(frames)
    knmi.write_knmi(path, np.zeros((48, 41)), TIME)
    assert_refused(frames, str(path), "another grid", "48 x 41", "48 x 40")


def test_a_frame_of_another_place(frames):
    path = spoil(frames)
    knmi.write_knmi(path, np.zeros((48, 40)), TIME, row_offset=1, column_offset=1)
    assert_refused(frames, str(path), "another grid")


def test_two_frames_of_one_time(frames):
    shutil.copy(spoil(frames), frames / "copy.h5")
    assert_refused(frames, "copy.h5", spoil(frames, 3).name, "2010-08-26 00:15", "remove one")


def test_another_period(frames):
    knmi.write_knmi(spoil(frames), np.zeros((48, 40)), TIME, step_minutes=15, row_offset=358, column_offset=330)
    assert_refused(frames, "15 minutes", "5", "keep one product")


def test_another_product(frames):
    path = spoil(frames)
    with h5py.File(path, "r+") as file:
        file["image1"].attrs["image_geo_parameter"] = np.bytes_("ECHOTOP_HEIGHT_[KM]")
    assert_refused(frames, str(path), "ECHOTOP_HEIGHT_[KM]", "keep one product")
    assert_refused(path, str(path), "no known radar product")


@pytest.mark.parametrize(
    ("group", "attribute", "value", "words"),
    [
        ("overview", "product_datetime_end", "yesterday", "'yesterday'"),
        ("overview", "product_datetime_end", "31-FEB-2010;00:00:00.000", "31-FEB-2010"),
        ("overview", "product_datetime_end", "26-AUG-2009;00:00:00.000", "whole number of minutes"),
        ("image1/calibration", "calibration_formulas", "GEO=exp(PV)", "GEO=exp(PV)"),
        ("geographic", "geo_dim_pixel", "DEG,DEG", "DEG,DEG"),
        ("geographic/map_projection", "projection_proj4_params", "+proj=nonsense", "+proj=nonsense"),
    ],
)
def test_nonsense_in_the_header(frames, group, attribute, value, words):
    for path in frames.iterdir():
        with h5py.File(path, "r+") as file:
            file[group].attrs[attribute] = np.bytes_(value)
    assert_refused(frames, str(spoil(frames, 0)), words)


def test_a_missing_attribute_and_a_missing_group(frames):
    path = spoil(frames)
    with h5py.File(path, "r+") as file:
        del file["overview"].attrs["product_datetime_end"]
    assert_refused(frames, str(path), "product_datetime_end")
    with h5py.File(path, "r+") as file:
        del file["image1"]
    assert_refused(frames, str(path), "image1")


def test_pixels_that_are_not_as_announced(frames):
    path = spoil(frames)
    with h5py.File(path, "r+") as file:
        file["geographic"].attrs["geo_number_rows"] = np.array([50])
    assert_refused(frames, str(path), "50 x 40", "(48, 40)")


def test_rates_that_the_format_cannot_hold(tmp_path):
    with pytest.raises(DataError, match="between 0 and"):
        knmi.write_knmi(tmp_path / "one.h5", [[-1.0, 0.0]], TIME)
    with pytest.raises(DataError, match="between 0 and"):
        knmi.write_knmi(tmp_path / "one.h5", [[1e6, 0.0]], TIME)
    assert not list(tmp_path.iterdir())


def test_values_that_lie_in_another_file(frames, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "other.h5"
    with h5py.File(other, "w") as file:
        file["image_data"] = np.zeros((48, 40), np.uint16)
    path = spoil(frames)
    with h5py.File(path, "r+") as file:
        del file["image1/image_data"]
        file["image1/image_data"] = h5py.ExternalLink(str(other), "/image_data")
    assert_refused(frames, str(path), "leads to another file by 'image_data'")
    with h5py.File(path, "r+") as file:
        del file["image1/image_data"]
        file["image1"].create_dataset("image_data", (48, 40), np.uint16, external=[(str(other), 0, 3840)])
    assert_refused(frames, str(path), "leads to another file")
    with h5py.File(path, "r+") as file:
        del file["image1/image_data"]
        layout = h5py.VirtualLayout(shape=(48, 40), dtype=np.uint16)
        layout[:] = h5py.VirtualSource(str(other), "image_data", shape=(48, 40))
        file["image1"].create_virtual_dataset("image_data", layout)
    assert_refused(frames, str(path), "leads to another file")


def test_groups_that_hold_each_other_end(frames):
    before = read_frames(frames).load()
    path = spoil(frames)
    with h5py.File(path, "r+") as file:
        file["overview/again"] = file["/"]
    assert read_frames(frames).load().equals(before)
