"""How often intervals hold the truth, by simulation: errors that hang together over known distances."""

from __future__ import annotations

import numpy as np
import pytest

from modelstac.training.data import Preparation, Windows
from modelstac.training.scoring.bootstrap import intervals, student
from modelstac.training.scoring.correlation import correlation_length
from modelstac.training.scoring.held_out import APART, TILES, evaluate
from modelstac.training.scoring.metrics import score

SIZE = 128


def field(random, length, size=SIZE):
    """Return normal errors that correlate by 1/e at a distance in pixels."""
    side = 2 * size
    steps = np.minimum(np.arange(side), side - np.arange(side))
    distance = np.hypot(steps[:, None], steps[None, :])
    spectrum = np.fft.fft2(np.exp(-((distance / length) ** 2))).real.clip(0)
    noise = np.fft.fft2(random.standard_normal((side, side)))
    return np.fft.ifft2(noise * np.sqrt(spectrum)).real[:size, :size]


def covered(random, length, trials):
    """Return in which share of the trials the interval over tiles holds the true RMSE, which is 1."""
    inside = 0
    for _ in range(trials):
        errors = field(random, length)[None]
        scores = score(errors, np.zeros_like(errors), scales=(), ssim=False, tiles=TILES)
        found = intervals(scores, over="tiles", resamples=400)["rmse"]
        inside += int(found.low[0] <= 1.0 <= found.high[0])
    return inside / trials


def test_the_length_over_which_squared_errors_correlate_is_measured():
    random = np.random.default_rng(0)
    for length in (3.0, 6.0):
        # The squares of normal errors correlate by the square of what the errors do.
        found = correlation_length(np.stack([field(random, length) for _ in range(6)]))
        assert found == pytest.approx(length / np.sqrt(2), rel=0.25)
    rows = np.broadcast_to(random.standard_normal((1, 40, 1)), (1, 40, 30))
    assert correlation_length(rows) == 30, "along rows all errors are alike"
    assert correlation_length(np.zeros((1, 8, 8))) == 0


def test_what_is_not_measured_does_not_count():
    random = np.random.default_rng(1)
    errors = field(random, 4.0)[None]
    mask = np.ones(errors.shape, bool)
    mask[:, :, SIZE // 2 :] = False
    wild = np.where(mask, errors, 1e3)
    assert correlation_length(wild, mask) == pytest.approx(correlation_length(errors[:, :, : SIZE // 2]), rel=0.2)


def test_windows_without_an_error_shorten_no_length():
    random, preparation = np.random.default_rng(3), Preparation(transform="linear", scale=10.0)
    rates = np.zeros((12, 32, 32), np.float32)
    rates[6:] = np.abs([field(random, 6.0, 32) for _ in range(6)])
    time = np.datetime64("2024-07-01T00:00", "ns") + 5 * np.arange(12) * np.timedelta64(1, "m")

    def found(starts):
        windows = Windows(rates, time, np.array(starts), frames_in=1, frames_out=1, step_minutes=5)
        return evaluate(lambda x: x, windows, preparation).correlation

    assert found([0, 2, 4, 6, 8, 10]) == found([6, 8, 10]) > 2, "the first three are dry"
    assert found([0, 2]) == 0


def test_student_is_that_of_the_tables():
    for freedom, expected in ((4, 2.776), (9, 2.262), (15, 2.131), (30, 2.042)):
        assert student(1.959964, freedom) == pytest.approx(expected, abs=0.01)


@pytest.mark.slow
def test_intervals_over_tiles_cover_where_they_are_given_and_not_where_they_are_refused():
    random = np.random.default_rng(2)
    tile = SIZE / TILES
    given = tile / APART * np.sqrt(2)  # of the errors themselves, at the edge of what is taken
    assert covered(random, given, 300) > 0.92
    assert covered(random, 5 * given, 300) < 0.88, "which is why there is none"
