from datetime import datetime

import numpy as np
import pytest

from modelstac.catalog.errors import DataError, StorageError
from modelstac.training.data import Preparation, make_windows, read_frames
from modelstac.training.data.synthetic import generate, valid_region
from modelstac.training.scoring.metrics import persistence, score


def bytes_of(paths):
    return [path.read_bytes() for path in paths]


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    once = generate(tmp_path / "once", 3, seed=7, shape=(32, 32))
    again = generate(tmp_path / "again", 3, seed=7, shape=(32, 32))
    other = generate(tmp_path / "other", 3, seed=8, shape=(32, 32))
    assert bytes_of(once) == bytes_of(again)
    assert bytes_of(once) != bytes_of(other)


@pytest.fixture(scope="module")
def national(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("national"), 24, seed=3)


def test_the_national_grid_is_that_of_the_composite(national):
    ds = read_frames(national)
    assert ds.rainfall_rate.shape == (24, 765, 700)
    assert national[4].name == "RAD_NL25_RAP_5min_201008260020.h5"
    valid = np.isfinite(ds.rainfall_rate[0].values)
    assert (valid == valid_region((765, 700))).all()
    assert 0.25 < valid.mean() < 0.26
    assert valid[300:556, 240:496].all()
    assert max(path.stat().st_size for path in national) < 150_000


def test_the_mask_is_near_the_real_one(knmi_folder):
    first = next(iter(sorted(knmi_folder.glob("*.h5"))))
    real = np.isfinite(read_frames(first).rainfall_rate[0].values)
    assert np.mean(real != valid_region((765, 700))) < 0.005


def test_generated_rain_resembles_rain(national):
    rate = Preparation().apply(read_frames(national)).rainfall_rate.values
    assert 0.1 < (rate >= 0.1).mean() < 0.9, "some of the area is wet"
    assert 0.1 < rate.mean() < 2
    assert 4 < rate.max() < 100
    wet = (rate >= 1.0).any(axis=0).mean()
    assert wet > 2 * (rate[0] >= 1.0).mean(), "rain visits more places than it covers at a time"


def test_rain_moves_grows_and_decays(national):
    windows = make_windows(Preparation().apply(read_frames(national)), 4, 12)
    last, future = windows.inputs(0)[-1], windows.targets(0)
    still = score(persistence(windows.inputs(0), 12), future)
    # It is predictable at first and less and less so.
    assert still.csi[0, 0] > 0.4
    assert still.csi[0, 0] > still.csi[0, 3] > still.csi[0, 11]
    # Moved by the best whole displacement, the last frame forecasts better than left in place: there is advection.
    inner = (slice(40, -40), slice(40, -40))
    errors = {
        (down, across): np.square(np.roll(last, (down, across), (0, 1))[inner] - future[5][inner]).mean()
        for down in range(-32, 33, 4)
        for across in range(-32, 33, 4)
    }
    best = min(errors, key=errors.__getitem__)
    assert best != (0, 0)
    assert errors[best] < 0.8 * errors[0, 0]
    # Even then something is left to forecast: cells grow and decay.
    assert errors[best] > 0.02 * np.square(future[5][inner]).mean()


@pytest.mark.parametrize("seed", range(5))
def test_small_grids_are_rainy_as_well(tmp_path, seed):
    rate = read_frames(generate(tmp_path, 36, seed=seed, shape=(64, 48))).rainfall_rate.values
    assert np.isfinite(rate).all()
    wet = (rate >= 0.5).mean(axis=(1, 2))
    assert np.count_nonzero(wet > 0.01) > 24, "most frames have rain"


def test_time_begins_where_it_should(tmp_path):
    generate(tmp_path, 2, shape=(8, 8), start=datetime(2020, 12, 31, 23, 55))
    assert read_frames(tmp_path).time.values.astype("datetime64[m]").astype(str).tolist() == [
        "2020-12-31T23:55",
        "2021-01-01T00:00",
    ]


@pytest.mark.parametrize("arguments", [{"frames": 0}, {"shape": (4, 64)}, {"shape": (766, 700)}])
def test_impossible_wishes_are_refused(tmp_path, arguments):
    with pytest.raises(DataError, match="pixels"):
        generate(tmp_path, **{"frames": 1, **arguments})


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="write"):
        generate(tmp_path / "file" / "sub", 1, shape=(8, 8))
