import numpy as np
import pytest

from modelstac.catalog.errors import DataError
from modelstac.training.scoring.bootstrap import difference, intervals
from modelstac.training.scoring.metrics import Scores, score


def errors_of(random, windows, spread=1.0):
    """Scores of windows of four pixels whose errors are normal."""
    observed = np.zeros((windows, 2, 2, 2))
    return score(random.normal(0, spread, observed.shape), observed, scales=(), ssim=False)


def test_nineteen_of_twenty_intervals_hold_the_truth():
    random = np.random.default_rng(1)
    inside = 0
    for _ in range(200):
        found = intervals(errors_of(random, 60), resamples=200)["rmse"]
        inside += int(found.low[0] <= 1.0 <= found.high[0])
    # 95 % with the sampling error of 200 trials, and the known optimism of percentiles at 60 windows.
    assert 0.89 < inside / 200 < 0.985


def test_intervals_hold_the_score_and_narrow_with_more_windows():
    random = np.random.default_rng(2)
    few, many = errors_of(random, 20), errors_of(random, 320)
    for scores in (few, many):
        for name in ("rmse", "mae", "bias"):
            found = intervals(scores)[name]
            assert (found.low < scores.by_name()[name]).all()
            assert (scores.by_name()[name] < found.high).all()
            assert found.mean[0] < scores.summary()[name] < found.mean[1]
    width = [float(np.mean(intervals(scores)["mae"].high - intervals(scores)["mae"].low)) for scores in (few, many)]
    assert width[1] < 0.4 * width[0]


def test_the_same_seed_gives_the_same_interval():
    scores = errors_of(np.random.default_rng(3), 12)
    first, again, other = (intervals(scores, seed=seed)["rmse"].low for seed in (4, 4, 5))
    assert (first == again).all()
    assert (first != other).any()


def test_a_paired_difference_sees_what_single_intervals_do_not():
    random = np.random.default_rng(6)
    observed = np.zeros((30, 2, 4, 4))
    weather = random.gamma(1, 2, (30, 1, 1, 1))  # windows differ far more than the forecasts do
    worse = random.normal(0, 1, observed.shape) * weather
    ours, theirs = (score(f, observed, scales=(), ssim=False) for f in (0.95 * worse, worse))
    a, b = intervals(ours)["rmse"], intervals(theirs)["rmse"]
    assert (a.high > b.low).all(), "apart from each other they overlap"
    assert (difference(ours, theirs)["rmse"].high < 0).all()
    assert difference(theirs, theirs)["rmse"].mean == (0.0, 0.0)


def test_windows_that_depend_on_each_other_are_drawn_in_runs():
    random = np.random.default_rng(7)
    errors = np.repeat(random.gamma(0.5, 1.0, 40), 8).reshape(-1, 1, 1, 1)  # eight alike in a row
    scores = score(errors, np.zeros_like(errors), scales=(), ssim=False)
    single, runs = (intervals(scores, block=block)["mae"] for block in (1, 8))
    assert (runs.high - runs.low)[0] > 1.5 * (single.high - single.low)[0]


def test_one_window_needs_tiles():
    random = np.random.default_rng(8)
    observed, forecast = random.gamma(1, 1, (2, 1, 3, 24, 24))
    with pytest.raises(DataError, match="1 window says nothing about chance"):
        intervals(score(forecast, observed))
    scores = score(forecast, observed, tiles=4)
    found = intervals(scores, over="tiles")["rmse"]
    assert (found.low < scores.rmse).all()
    assert (scores.rmse < found.high).all()


def test_what_cannot_be_drawn_or_compared_is_refused():
    scores = errors_of(np.random.default_rng(9), 5)
    with pytest.raises(DataError, match="block of 6"):
        intervals(scores, block=6)
    with pytest.raises(DataError, match="other windows"):
        difference(scores, errors_of(np.random.default_rng(9), 4))


def test_a_score_that_is_never_defined_has_no_interval():
    dry = np.zeros((3, 1, 2, 2))
    scores: Scores = score(dry, dry)
    found = intervals(scores)["csi_1"]
    assert np.isnan(found.low).all()
    assert np.isnan(found.mean).all()
