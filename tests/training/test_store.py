import shutil
import tracemalloc
from datetime import datetime, timedelta

import numpy as np
import pytest
import xarray as xr
import zarr

from modelstac.catalog.errors import DataError, SpecError, StorageError
from modelstac.catalog.messages import Advanced, Note
from modelstac.training.data import Preparation, make_windows, read_frames, split_by_time
from modelstac.training.data.augmentation import SHARE, Augmented
from modelstac.training.data.readers.knmi import file_name, write_knmi
from modelstac.training.data.store import open_store, prepare

PREPARATION = Preparation(rows=(4, 44), columns=(0, 40), coarsen=2)


@pytest.fixture(scope="module")
def raw(rain_folder):
    return read_frames(rain_folder)


@pytest.fixture(scope="module")
def in_memory(raw):
    return PREPARATION.apply(raw)


@pytest.fixture(scope="module")
def stored(raw, tmp_path_factory):
    store = tmp_path_factory.mktemp("store") / "rain.zarr"
    prepare(raw, store, PREPARATION, frames=7)
    return store


def test_a_store_gives_the_windows_that_memory_gives(stored, in_memory):
    ds = PREPARATION.apply(read_frames(stored))
    for axis in ("time", "y", "x"):
        np.testing.assert_array_equal(ds[axis].values, in_memory[axis].values)
    assert {key: ds.attrs[key] for key in ("product", "credit", "step_minutes")} == {
        key: in_memory.attrs[key] for key in ("product", "credit", "step_minutes")
    }
    assert PREPARATION.footprint(ds) == PREPARATION.footprint(read_frames(stored))
    for part, expected in zip(split_by_time(ds, 30), split_by_time(in_memory, 30), strict=True):
        ours, theirs = make_windows(part, 4, 3, stride=2), make_windows(expected, 4, 3, stride=2)
        assert (len(ours), ours.shape) == (len(theirs), theirs.shape)
        for index in (0, -1, [1, 0], slice(0, 2)):
            for name in ("inputs", "targets", "mask", "times"):
                np.testing.assert_array_equal(getattr(ours, name)(index), getattr(theirs, name)(index), err_msg=name)


def test_any_program_can_read_a_store(stored, in_memory):
    with xr.open_zarr(stored, chunks=None, consolidated=False) as ds:
        np.testing.assert_array_equal(ds.rainfall_rate.values, in_memory.rainfall_rate.values)
        assert ds.rainfall_rate.attrs["standard_name"] == "rainfall_rate"
        assert ds.crs.attrs["grid_mapping_name"] == "polar_stereographic"
    assert zarr.open_group(stored, mode="r")["rainfall_rate"].chunks == (7, 20, 20)


def test_another_preparation_is_refused(stored):
    with pytest.raises(DataError, match="prepare anew"):
        Preparation(rows=(4, 44), columns=(0, 40)).apply(read_frames(stored))
    other_scale = Preparation(rows=(4, 44), columns=(0, 40), coarsen=2, scale=3.0)
    assert other_scale.apply(read_frames(stored)).sizes["time"] == 40, "the store holds mm/h, whatever the model sees"


def test_memory_stays_flat_however_many_windows(stored, tmp_path):
    long = tmp_path / "long.zarr"
    frames, rows, columns = 240, 80, 80
    times = np.datetime64("2024-01-01", "ns") + np.timedelta64(5, "m") * np.arange(frames)
    rates = np.random.default_rng(0).random((frames, rows, columns), dtype=np.float32)
    template = open_store(stored)
    ds = xr.Dataset(
        {"rainfall_rate": (("time", "y", "x"), rates), "crs": template["crs"]},
        coords={
            "time": times,
            "y": np.arange(rows)[::-1] * 1e3,
            "x": np.arange(columns) * 1e3,
            "source_file": ("time", np.arange(frames).astype(str)),
        },
        attrs={"step_minutes": 5},
    )
    prepare(ds, long, Preparation(rows=None, columns=None), frames=6)
    total = rates.nbytes
    tracemalloc.start()
    try:
        windows = make_windows(read_frames(long), 3, 3)
        for index in np.random.default_rng(1).permutation(len(windows))[:60]:
            windows.inputs(int(index)), windows.mask(int(index))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < total / 4


class DiedError(Exception):
    """The process dies."""


@pytest.mark.parametrize("after", [1, 7, 8, 20])
def test_an_interrupted_preparation_goes_on(raw, in_memory, tmp_path, after):
    store = tmp_path / "rain.zarr"
    seen = []

    def die(message):
        seen.append(message)
        if sum(isinstance(message, Advanced) and message.steps == 1 for message in seen) == after + 1:
            raise DiedError

    with pytest.raises(DiedError):
        prepare(raw, store, PREPARATION, frames=7, report=die)
    with pytest.raises(DataError, match="not finished"):
        read_frames(store)
    if after > 7:  # what a kill in the middle of a write leaves: frames that are not counted yet
        zarr.open_group(store, mode="r+")["rainfall_rate"].resize((39, 20, 20))
    again = []
    prepare(raw, store, PREPARATION, frames=7, report=again.append)
    np.testing.assert_array_equal(read_frames(store).rainfall_rate.values, in_memory.rainfall_rate.values)
    np.testing.assert_array_equal(read_frames(store).time.values, in_memory.time.values)
    read = sum(isinstance(message, Advanced) and message.steps == 1 for message in again)
    assert read == 40 - after // 7 * 7, "whole chunks are not read again"
    prepare(raw, store, PREPARATION, frames=7)  # a second run changes nothing
    np.testing.assert_array_equal(read_frames(store).rainfall_rate.values, in_memory.rainfall_rate.values)


def test_windows_span_neither_missing_nor_unmeasured_frames(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(20):
        time = datetime(2024, 1, 1) + timedelta(minutes=5 * number)
        rate = np.full((8, 8), np.nan if number == 12 else 1.2 * number)
        if number != 5:
            write_knmi(folder / file_name(time), rate, time)
    notes = []
    prepare(read_frames(folder), tmp_path / "a.zarr", Preparation(None, None), frames=4, report=notes.append)
    assert Note("1 of 19 frames hold no measurement and were left out") in notes
    windows = make_windows(read_frames(tmp_path / "a.zarr"), 2, 2)
    firsts = [round(windows.inputs(index)[0, 0, 0] / 1.2) for index in range(len(windows))]
    assert firsts == [0, 1, 6, 7, 8, 13, 14, 15, 16]
    with pytest.raises(DataError, match="no 8 frames follow each other"):
        make_windows(read_frames(tmp_path / "a.zarr"), 4, 4)


def test_frames_without_any_measurement(tmp_path):
    write_knmi(tmp_path / "a.h5", np.full((8, 8), np.nan), datetime(2024, 1, 1))
    with pytest.raises(DataError, match="no frame holds a measurement"):
        prepare(read_frames(tmp_path), tmp_path / "a.zarr", Preparation(None, None))


def test_a_store_is_not_overwritten(raw, stored, tmp_path):
    with pytest.raises(DataError, match="another way \\(preparation differ\\)"):
        prepare(raw, stored, Preparation(rows=None, columns=None), frames=7)
    with pytest.raises(DataError, match="other frames"):
        prepare(raw.isel(time=slice(1, None)), stored, PREPARATION, frames=7)
    (tmp_path / "notes.txt").write_text("keep me")
    with pytest.raises(DataError, match="is no Zarr store"):
        prepare(raw, tmp_path, PREPARATION)
    with pytest.raises(StorageError, match="cannot write"):
        prepare(raw, tmp_path / "notes.txt" / "a.zarr", PREPARATION)


def test_what_is_no_store(tmp_path, stored):
    broken = tmp_path / "broken.zarr"
    shutil.copytree(stored, broken)
    (broken / "zarr.json").write_text("{")
    with pytest.raises(DataError, match="no Zarr store of frames"):
        read_frames(broken)
    zarr.open_group(tmp_path / "other.zarr", mode="w")
    with pytest.raises(DataError, match="no store of prepared frames"):
        read_frames(tmp_path / "other.zarr")


# Augmentation


def test_orientations_are_all_different_and_of_the_same_rain(in_memory, stored):
    for windows in (make_windows(in_memory, 4, 3), make_windows(read_frames(stored), 4, 3)):
        augmented = Augmented(windows)
        assert len(augmented) == 8 * len(windows)
        assert (augmented.frames_in, augmented.shape) == (4, (20, 20))
        eight = augmented.inputs(np.arange(16, 24))
        np.testing.assert_array_equal(eight[0], windows.inputs(2))
        assert len({frames.tobytes() for frames in eight}) == 8
        assert [np.sort(frames.ravel()).tobytes() for frames in eight] == [np.sort(eight[0].ravel()).tobytes()] * 8
        # Input, target and mask of a window are turned alike.
        joined = np.concatenate([windows.inputs(2), windows.targets(2)])
        for index in range(16, 24):
            together = np.concatenate([augmented.inputs(index), augmented.targets(index)])
            assert any(
                np.array_equal(together, np.rot90(turned, turn, (-2, -1)))
                for turned in (joined, joined[..., ::-1])
                for turn in range(4)
            )
            assert augmented.mask(index).shape == (3, 20, 20)
        np.testing.assert_array_equal(augmented.times([16, 23]), windows.times([2, 2]))


def test_frames_that_are_not_square_turn_by_half(in_memory):
    windows = make_windows(in_memory.isel(y=slice(0, 10)), 4, 3)
    assert Augmented(windows).orientations == 4
    assert Augmented(windows, flips=False).orientations == 2
    np.testing.assert_array_equal(Augmented(windows, flips=False).inputs(1), windows.inputs(0)[:, ::-1, ::-1])
    with pytest.raises(SpecError, match="is none"):
        Augmented(windows, flips=False, rotations=False)


def test_lighter_windows_have_less_rain_at_the_same_places(in_memory):
    windows = make_windows(in_memory, 4, 3)
    augmented = Augmented(windows, lighter=True)
    assert len(augmented) == 16 * len(windows)
    for turned in range(8):
        for part in (augmented.inputs, augmented.targets):
            np.testing.assert_allclose(part(turned + 8), np.float32(SHARE) * part(turned), rtol=1e-6)
        np.testing.assert_array_equal(augmented.mask(turned + 8), augmented.mask(turned))
    assert augmented.inputs(15).dtype == np.float32
    assert augmented.mask(15).dtype == bool
