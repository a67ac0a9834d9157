from datetime import UTC, datetime, timedelta, timezone

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstac.catalog.errors import DataError, SpecError
from modelstac.training.data import Preparation, footprint, make_windows, read_frames, split_by_time
from modelstac.training.data.readers.knmi import file_name, write_knmi

WHOLE = Preparation(rows=None, columns=None)


@pytest.fixture(scope="session")
def raw(rain_folder):
    return read_frames(rain_folder)


@pytest.fixture(scope="session")
def prepared(raw):
    return WHOLE.apply(raw)


# Preparation


def test_a_crop_keeps_pixels_and_their_place(raw):
    ds = Preparation(rows=(4, 20), columns=(8, 32)).apply(raw)
    assert ds.rainfall_rate.shape == (40, 16, 24)
    np.testing.assert_array_equal(ds.rainfall_rate.values, raw.rainfall_rate[:, 4:20, 8:32].values)
    np.testing.assert_array_equal(ds.x.values, raw.x.values[8:32])
    np.testing.assert_array_equal(ds.y.values, raw.y.values[4:20])
    assert ds.attrs == raw.attrs


def test_blocks_are_means_of_what_was_measured(tmp_path):
    rate = np.array([[1.2, 2.4, np.nan, np.nan], [3.6, 4.8, 6.0, np.nan], *[[0.0, 0.0, np.nan, np.nan]] * 2])
    write_knmi(tmp_path / "one.h5", rate, datetime(2010, 8, 26))
    ds = Preparation(rows=None, columns=None, coarsen=2).apply(read_frames(tmp_path))
    np.testing.assert_allclose(ds.rainfall_rate.values[0], [[3.0, 6.0], [0.0, np.nan]], rtol=1e-6)
    assert ds.x.values == pytest.approx([1000, 3000])
    assert ds.y.values == pytest.approx([-3_651_000, -3_653_000])


def test_model_values_are_between_zero_and_one_and_lead_back():
    preparation = Preparation(scale=30.0)
    values = preparation.to_model([0.0, 15.0, 30.0, 60.0, np.nan])
    assert values.dtype == np.float32
    assert values.tolist() == [0.0, 0.5, 1.0, 1.0, 0.0]
    assert preparation.to_rate(values).tolist() == [0.0, 15.0, 30.0, 30.0, 0.0]


def test_model_values_leave_the_rates_alone():
    rates = np.array([np.nan, 1.0], dtype=np.float32)
    Preparation(scale=1.0).to_model(rates)
    assert np.isnan(rates[0])


@given(
    st.tuples(st.integers(0, 50), st.integers(51, 700)) | st.none(),
    st.integers(1, 8),
    st.floats(1e-3, 1e3),
)
def test_a_preparation_survives_json(rows, coarsen, scale):
    preparation = Preparation(rows=rows, coarsen=coarsen, scale=scale)
    assert Preparation.from_dict(preparation.to_dict()) == preparation


@pytest.mark.parametrize(
    "fields",
    [{"rows": [5, 5]}, {"columns": [-1, 5]}, {"coarsen": 0}, {"scale": 0.0}, {"scale": float("nan")}, {"no": 1}],
)
def test_a_preparation_without_sense_is_refused(fields):
    with pytest.raises(SpecError):
        Preparation.from_dict(fields)


def test_a_range_outside_the_frames_is_refused(raw, prepared):
    with pytest.raises(DataError, match="rows 300-556 were asked for and the frames have 48 rows"):
        Preparation().apply(raw)
    with pytest.raises(DataError, match="blocks of 7"):
        Preparation(rows=None, columns=None, coarsen=7).apply(raw)


def test_a_frame_without_any_measurement_is_named(tmp_path):
    for minute in (0, 5):
        time = datetime(2010, 8, 26, 0, minute)
        write_knmi(tmp_path / file_name(time), np.full((8, 8), np.nan if minute else 1.0), time)
    with pytest.raises(DataError, match=r"RAD_NL25_RAP_5min_201008260005\.h5 holds no measurement"):
        WHOLE.apply(read_frames(tmp_path))


def test_a_frame_with_impossible_rates_is_named(tmp_path):
    time = datetime(2010, 8, 26)
    write_knmi(tmp_path / file_name(time), np.ones((8, 8)), time)
    with h5py.File(tmp_path / file_name(time), "r+") as file:
        file["image1/calibration"].attrs["calibration_formulas"] = np.bytes_("GEO=0.01*PV+-1.0")
    with pytest.raises(DataError, match=r"RAD_NL25_RAP_5min_201008260000\.h5 holds rain rates below zero"):
        WHOLE.apply(read_frames(tmp_path))


def test_the_footprint_is_a_closed_ring_the_right_way_round(raw, prepared):
    polygon, bbox = WHOLE.footprint(raw)
    ring = np.array(polygon["coordinates"][0])
    assert polygon["type"] == "Polygon"
    assert (ring[0] == ring[-1]).all()
    x, y = ring[:-1].T
    assert np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) > 0, "RFC 7946 wants counter-clockwise"
    assert bbox == (x.min(), y.min(), x.max(), y.max())
    assert (polygon, bbox) == footprint(prepared)
    # The middle of the national grid is in the Netherlands.
    assert 4 < x.mean() < 6
    assert 51.5 < y.mean() < 53.5


def test_a_smaller_crop_lies_inside_a_larger_one(raw):
    west, south, east, north = WHOLE.footprint(raw)[1]
    inner = Preparation(rows=(10, 20), columns=(10, 20)).footprint(raw)[1]
    assert west < inner[0] < inner[2] < east
    assert south < inner[1] < inner[3] < north


# Windows


def test_windows_are_consecutive_frames(prepared):
    windows = make_windows(prepared, 4, 3)
    rates = prepared.rainfall_rate.values
    assert len(windows) == 40 - 7 + 1
    assert windows.shape == (48, 40)
    for index in (0, 7, -1):
        first = index % len(windows)
        np.testing.assert_array_equal(windows.inputs(index), rates[first : first + 4])
        np.testing.assert_array_equal(windows.targets(index), rates[first + 4 : first + 7])
        np.testing.assert_array_equal(windows.times(index), prepared.time.values[first : first + 7])


def test_one_window_is_a_view_and_several_are_stacked(prepared):
    windows = make_windows(prepared, 4, 3)
    assert np.shares_memory(windows.inputs(2), windows.rates)
    assert np.shares_memory(windows.targets(2), windows.rates)
    for several in ([5, 1], np.array([5, 1])):
        assert windows.inputs(several).shape == (2, 4, 48, 40)
        np.testing.assert_array_equal(windows.targets(several)[1], windows.targets(1))
        assert windows.times(several).shape == (2, 7)
    np.testing.assert_array_equal(windows.inputs(slice(1, 3))[1], windows.inputs(2))
    with pytest.raises(IndexError):
        windows.inputs(len(windows))


@given(st.integers(1, 10), st.integers(1, 10), st.integers(1, 12))
def test_no_window_leaves_the_data(prepared, frames_in, frames_out, stride):
    windows = make_windows(prepared, frames_in, frames_out, stride)
    assert len(windows) == (40 - frames_in - frames_out) // stride + 1
    assert windows.inputs(-1).shape[0] == frames_in
    assert windows.targets(-1).shape[0] == frames_out


def test_the_mask_counts_what_was_measured_throughout(prepared):
    ds = prepared.copy(deep=True)
    ds.rainfall_rate[1, 0, 0] = np.nan  # within the input
    ds.rainfall_rate[5, 2, 2] = np.nan  # second target
    mask = make_windows(ds, 4, 3).mask(0)
    assert mask.shape == (3, 48, 40)
    assert not mask[:, 0, 0].any()
    assert mask[:, 2, 2].tolist() == [True, False, True]
    assert mask.sum() == mask.size - 4
    several = make_windows(ds, 4, 3).mask([0, 2])
    assert several.shape == (2, 3, 48, 40)
    np.testing.assert_array_equal(several[0], mask)
    assert several[1][:, 0, 0].all()


def test_a_missing_frame_is_named_with_its_neighbours(rain_folder):
    paths = sorted(rain_folder.iterdir())
    ds = read_frames([*paths[:10], *paths[12:]])
    with pytest.raises(DataError) as error:
        make_windows(ds, 4, 3)
    message = str(error.value)
    assert "\n" not in message
    for word in ("2010-08-26 00:50 UTC", "2 missing", paths[9].name, paths[12].name):
        assert word in message
    # Neither side of the gap is concerned.
    assert len(make_windows(ds.isel(time=slice(0, 10)), 4, 3)) == 4


def test_a_frame_out_of_step_is_named(rain_folder, tmp_path):
    extra = tmp_path / "extra.h5"
    paths = sorted(rain_folder.iterdir())[:2]
    write_knmi(extra, np.zeros((48, 40)), datetime(2010, 8, 26, 0, 7), row_offset=358, column_offset=330)
    with pytest.raises(DataError, match=r"extra\.h5 is of 5 minutes and follows .* by 2"):
        make_windows(read_frames([*paths, extra]), 1, 1)


def test_a_window_longer_than_the_data(prepared):
    assert len(make_windows(prepared, 20, 20)) == 1
    with pytest.raises(DataError, match=r"20 \+ 21 frames is longer than the data \(40 frames\)"):
        make_windows(prepared, 20, 21)
    with pytest.raises(SpecError, match="at least 1"):
        make_windows(prepared, 0, 3)


# Split


@pytest.mark.parametrize(
    "first_test",
    [
        30,
        0.75,
        np.datetime64("2010-08-26T02:30"),
        datetime(2010, 8, 26, 2, 30),
        datetime(2010, 8, 26, 2, 30, tzinfo=UTC),
        datetime(2010, 8, 26, 4, 30, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_a_split_shares_no_frame(prepared, first_test):
    train, test = split_by_time(prepared, first_test)
    assert train.sizes["time"] == 30
    assert test.sizes["time"] == 10
    assert train.time.values[-1] < test.time.values[0]
    assert list(train.source_file.values) + list(test.source_file.values) == list(prepared.source_file.values)


@pytest.mark.parametrize("first_test", [0, 40, -3, 0.0, 1.0, datetime(2011, 1, 1), datetime(2009, 1, 1)])
def test_a_split_with_an_empty_side_is_refused(prepared, first_test):
    with pytest.raises(DataError, match="no frame on one side of 40 frames"):
        split_by_time(prepared, first_test)


@pytest.mark.parametrize("transform", ["linear", "log"])
def test_model_values_lead_back_to_rain_rates(transform):
    preparation = Preparation(scale=10.0, transform=transform)
    rate = np.array([0.0, 0.05, 0.5, 3.0, 10.0], dtype=np.float32)
    values = preparation.to_model(rate)
    np.testing.assert_allclose(values[[0, -1]], [0, 1], atol=1e-6)
    np.testing.assert_allclose(preparation.to_rate(values), rate, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(preparation.to_model([np.nan, 99.0]), [0, 1], atol=1e-6)


def test_the_model_reads_the_newest_frame_first_when_told_so():
    rate = np.arange(3, dtype=np.float32).reshape(1, 3, 1, 1)
    newest_first = Preparation(scale=2.0, newest_first=True).inputs_to_model(rate)
    assert newest_first.ravel().tolist() == [1.0, 0.5, 0.0]
    assert Preparation(scale=2.0).inputs_to_model(rate).ravel().tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("fields", [{"transform": "sqrt"}, {"newest_first": 1}])
def test_a_preparation_of_an_unknown_kind_is_refused(fields):
    with pytest.raises(SpecError, match=next(iter(fields))):
        Preparation(**fields)
