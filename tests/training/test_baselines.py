import numpy as np
import pytest

from modelstac.catalog.errors import DataError
from modelstac.training.data import Preparation, make_windows, read_frames, split_by_time
from modelstac.training.scoring.baselines import SMALLEST, available, extrapolation
from modelstac.training.scoring.metrics import persistence, score


def test_a_moving_cell_goes_on():
    y, x = np.mgrid[:64, :64]
    frames = np.array([20 * np.exp(-((y - 32) ** 2 + (x - 16 - 2 * step) ** 2) / 40) for step in range(8)], np.float32)
    forecast = extrapolation(frames[:3], 5)
    centres = [float((frame * x).sum() / frame.sum()) for frame in forecast]
    np.testing.assert_allclose(centres, 20 + 2 * np.arange(1, 6), atol=1.0)
    ours, theirs = (score(f, frames[3:]).rmse for f in (forecast, persistence(frames[:3], 5)))
    assert (ours < 0.5 * theirs).all()


def test_what_is_not_measured_is_dry_and_nothing_is_missing():
    frames = np.random.default_rng(0).gamma(0.5, 2, (3, 40, 40)).astype(np.float32)
    frames[:, :10] = np.nan
    forecast = extrapolation(frames, 2)
    assert np.isfinite(forecast).all()
    assert forecast.dtype == np.float32


def test_small_frames_are_read_within_their_memory():
    frames = np.random.default_rng(0).gamma(0.5, 2, (2, SMALLEST, SMALLEST)).astype(np.float32)
    expected = extrapolation(frames, 2)
    for _ in range(100):
        left_in_memory = [np.full(size, np.nan) for size in range(1, 40) for _ in range(20)]
        del left_in_memory
        np.testing.assert_array_equal(extrapolation(frames, 2), expected)


def test_too_small_or_too_few():
    with pytest.raises(DataError, match="too few or too small"):
        extrapolation(np.zeros((1, 64, 64), np.float32), 2)
    with pytest.raises(DataError, match="too few or too small"):
        extrapolation(np.zeros((2, SMALLEST - 1, 64), np.float32), 2)
    assert not available((SMALLEST - 1, 64))
    assert available((SMALLEST, SMALLEST))


def test_on_the_real_frames_it_beats_persistence(knmi_folder):
    frames = Preparation(coarsen=4).apply(read_frames(knmi_folder))
    windows = make_windows(split_by_time(frames, 56)[1], 18, 18)
    ours = score(extrapolation(windows.inputs(0), 18), windows.targets(0), windows.mask(0))
    theirs = score(persistence(windows.inputs(0), 18), windows.targets(0), windows.mask(0))
    assert ours.rmse.mean() < 0.8 * theirs.rmse.mean()
    assert ours.csi[1].mean() > 1.4 * theirs.csi[1].mean()
