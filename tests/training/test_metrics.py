import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelstac.catalog.errors import DataError
from modelstac.training.data import Preparation, make_windows, read_frames, split_by_time
from modelstac.training.scoring.metrics import Scores, comparison, persistence, score
from modelstac.training.scoring.spatial import SSIM_RANGE


def test_scores_of_four_pixels_by_hand():
    observed = np.array([[[[0.0, 1.0], [3.0, 0.4]]]])
    forecast = np.array([[[[0.6, 1.0], [1.0, 0.0]]]])
    scores = score(forecast, observed)
    assert scores.rmse == pytest.approx([math.sqrt((0.36 + 0 + 4 + 0.16) / 4)])
    assert scores.mae == pytest.approx([(0.6 + 0 + 2 + 0.4) / 4])
    # 0.5 mm/h: two hits and a false alarm; 1 mm/h: two hits (the threshold itself is rain); 2 mm/h: one miss.
    assert scores.csi[:, 0] == pytest.approx([2 / 3, 1.0, 0.0])
    assert scores.pod[:, 0] == pytest.approx([1.0, 1.0, 0.0])
    assert scores.far[:, 0] == pytest.approx([1 / 3, 0.0, np.nan], nan_ok=True)
    assert scores.bias == pytest.approx([(0.6 + 0 - 2 - 0.4) / 4])


def test_masked_pixels_do_not_count():
    observed = np.array([[[[1.0, np.nan]]]])
    forecast = np.array([[[[2.0, 50.0]]]])
    assert score(forecast, observed).rmse == pytest.approx([1.0])
    mask = np.array([[[[False, False]]]])
    assert np.isnan(score(forecast, observed, mask).rmse).all()
    assert score(forecast, observed, mask).summary() == {}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_pooling_parts_equals_scoring_the_whole(seed, cut):
    random = np.random.default_rng(seed)
    observed = random.gamma(0.5, 2.0, (5, 3, 4, 6))
    observed[random.random(observed.shape) < 0.3] = np.nan
    forecast = random.gamma(0.5, 2.0, observed.shape)
    whole = score(forecast, observed).to_dict()
    parts = score(forecast[:cut], observed[:cut]) + score(forecast[cut:], observed[cut:])
    assert_close(parts.to_dict(), whole)


def assert_close(found, expected):
    assert found["pixels"] == expected["pixels"]
    for key in ("rmse", "mae", "bias"):
        assert found[key] == pytest.approx(expected[key])
    for name in ("csi", "pod", "far"):
        for threshold, values in expected[name].items():
            assert found[name][threshold] == pytest.approx(values)
    for threshold, scales in expected["fss"].items():
        for scale, values in scales.items():
            assert found["fss"][threshold][scale] == pytest.approx(values)


def test_scores_of_other_lead_times_are_not_pooled():
    one = np.ones((1, 2, 2, 2))
    with pytest.raises(DataError, match="pooled"):
        score(one, one) + score(one, one, step_minutes=10)


@pytest.mark.parametrize("name", ["forecast", "observation"])
def test_a_nan_that_counts_is_refused(name):
    good, bad = np.ones((1, 1, 2, 2)), np.full((1, 1, 2, 2), np.nan)
    pair = (bad, good) if name == "forecast" else (good, bad)
    with pytest.raises(DataError, match=f"the {name} is NaN or infinite in 4 pixels"):
        score(*pair, np.ones((1, 1, 2, 2), dtype=bool))


def test_what_a_masked_array_masks_is_not_measured_and_not_forecast():
    observed = np.ma.array([[[[1.0, 99.0]]]], mask=[[[[False, True]]]])
    forecast = np.array([[[[2.0, 1.0]]]])
    scores = score(forecast, observed)
    assert scores.count.tolist() == [1]
    assert scores.rmse == pytest.approx([1.0])
    with pytest.raises(DataError, match="the observation is NaN or infinite in 1 pixels that count"):
        score(forecast, observed, np.ones(observed.shape, bool))
    with pytest.raises(DataError, match="the forecast is NaN or infinite in 1 pixels that count"):
        score(observed, forecast)
    assert score(np.ma.array([[[[2, 1]]]]), forecast).count.tolist() == [2], "whole numbers, nothing masked"


def test_no_lead_time_at_all():
    with pytest.raises(DataError, match=r"forecast \(1, 0, 4, 4\) has no lead time"):
        score(np.zeros((1, 0, 4, 4)), np.zeros((1, 0, 4, 4)))


def test_shapes_must_agree():
    with pytest.raises(DataError, match=r"\(1, 1, 2, 2\).*\(1, 2, 2, 2\)"):
        score(np.ones((1, 1, 2, 2)), np.ones((1, 2, 2, 2)))


def test_undefined_scores_are_none_in_json_and_absent_from_the_summary():
    dry = np.zeros((1, 2, 2, 2))
    scores = score(dry, dry)
    assert scores.to_dict()["csi"]["1"] == [None, None]
    assert json.loads(json.dumps(scores.to_dict(), allow_nan=False))["lead_minutes"] == [5, 10]
    assert scores.summary() == {"rmse": 0.0, "mae": 0.0, "bias": 0.0}


def test_persistence_repeats_the_last_frame_without_a_copy():
    inputs = np.arange(24, dtype=np.float32).reshape(1, 3, 2, 4)
    forecast = persistence(inputs, 5)
    assert forecast.shape == (1, 5, 2, 4)
    assert (forecast == inputs[:, -1:]).all()
    assert np.shares_memory(forecast, inputs)


def test_one_table_holds_the_forecasts_side_by_side():
    random = np.random.default_rng(0)
    observed, forecast = random.gamma(1, 1, (2, 2, 3, 3)), random.gamma(1, 1, (2, 2, 3, 3))
    scores = {"persistence": score(forecast, observed), "perfect": score(observed, observed)}
    header, *rows = comparison(scores, lead_minutes=(10,)).splitlines()
    assert "persistence RMSE" in header
    assert "perfect CSI 0.5" in header
    assert [row.split()[0] for row in rows] == ["10", "mean"]
    assert rows[0].split()[1] == f"{scores['persistence'].rmse[1]:.3f}"
    assert rows[0].split()[6] == "0.000"


@pytest.fixture(scope="module")
def pair():
    """Forecast and observation (window, time, y, x) of smooth rain, as different as two events."""
    random = np.random.default_rng(5)
    noise = random.gamma(0.5, 2.0, (2, 3, 2, 40, 36))
    kernel = np.ones(5) / 5
    for axis in (-1, -2):
        noise = np.apply_along_axis(lambda line: np.convolve(line, kernel, "same"), axis, noise)
    return noise[0], noise[1]


def test_fss_agrees_with_pysteps(pair):
    from pysteps.verification.spatialscores import fss

    forecast, observed = pair
    scores = score(forecast, observed, scales=(1, 5, 21))
    for i, level in enumerate(scores.thresholds):
        for j, scale in enumerate(scores.scales):
            for lead in range(2):
                # One window is pysteps' case; pooling windows adds sums above and below.
                one = score(forecast[0], observed[0], scales=(1, 5, 21)).fss[i, j, lead]
                with np.errstate(invalid="ignore"):  # pysteps divides by 0 where it is dry
                    theirs = fss(forecast[0, lead], observed[0, lead], level, scale)
                assert one == pytest.approx(theirs, abs=1e-12, nan_ok=True)
    assert (np.diff(scores.fss[0], axis=0) > 0).all(), "larger neighbourhoods forgive more"


def test_ssim_agrees_with_scikit_image(pair):
    from skimage.metrics import structural_similarity

    forecast, observed = pair
    options = {"data_range": SSIM_RANGE, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = np.mean([structural_similarity(f[1], o[1], **options) for f, o in zip(forecast, observed, strict=True)])
    assert score(forecast, observed).ssim[1] == pytest.approx(expected, abs=1e-9)


def test_spatial_scores_leave_out_what_is_masked(pair):
    forecast, observed = (values.copy() for values in pair)
    mask = np.ones(observed.shape, dtype=bool)
    mask[..., :, 20:] = False
    expected = score(forecast, observed, mask)
    forecast[~mask], observed[~mask] = 99.0, np.nan
    found = score(forecast, observed, mask)
    for name, values in expected.by_name().items():
        np.testing.assert_array_equal(found.by_name()[name], values, err_msg=name)
    # Of 36 columns 20 count, and the SSIM needs ten of them around a pixel.
    assert found.sums["similar"].sum(axis=0).tolist() == [3 * 30 * 10] * 2
    assert np.isnan(score(forecast[..., :10], observed[..., :10]).ssim).all()


def test_tiles_add_up_to_the_window(pair):
    whole, tiled = score(*pair), score(*pair, tiles=3)
    assert tiled.windows == whole.windows == 3
    for name, total in whole.total.items():
        np.testing.assert_allclose(tiled.total[name], total, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"scales": (4,)}, "4 pixels has no middle"), ({"tiles": 0}, "0 x 0 tiles"), ({"tiles": 37}, "37 x 37 tiles")],
)
def test_neighbourhoods_and_tiles_without_sense(pair, options, words):
    with pytest.raises(DataError, match=words):
        score(*pair, **options)


def test_no_window_at_all():
    nothing = np.empty((0, 2, 4, 4))
    with pytest.raises(DataError, match="no window"):
        score(nothing, nothing)


def test_a_table_of_chosen_scores(pair):
    table = comparison({"": score(*pair)}, columns=("bias", "fss_1_11", "ssim"))
    assert table.splitlines()[0].split() == ["minutes", "BIAS", "FSS", "1", "11", "SSIM"]
    with pytest.raises(DataError, match="there is no score 'skill'"):
        comparison({"": score(*pair)}, columns=("skill",))


@pytest.fixture(scope="module")
def real_test_windows(knmi_folder):
    frames = Preparation().apply(read_frames(knmi_folder))
    return make_windows(split_by_time(frames, 56)[1], 18, 18)


def test_persistence_on_the_real_frames_scores_as_published(real_test_windows):
    windows = real_test_windows
    assert len(windows) == 1
    scores: Scores = score(persistence(windows.inputs([0]), 18), windows.targets([0]), windows.mask([0]))
    shown = [scores.lead_minutes.index(minutes) for minutes in (5, 30, 60, 90)]
    assert [f"{value:.3f}" for value in scores.rmse[shown]] == ["0.586", "1.059", "1.242", "1.093"]
    means = scores.summary()
    assert [f"{means[name]:.3f}" for name in ("rmse", "csi_0.5", "csi_1")] == ["1.086", "0.484", "0.326"]
    assert [f"{value:.3f}" for value in scores.csi[0, shown]] == ["0.773", "0.534", "0.423", "0.319"]
    assert [f"{value:.3f}" for value in scores.csi[1, shown]] == ["0.604", "0.349", "0.268", "0.229"]


def test_no_rain_at_all_on_the_real_frames_scores_as_published(real_test_windows):
    observed = real_test_windows.targets([0])
    scores = score(np.zeros_like(observed), observed)
    # This published figure pools the lead times; the others are means over them.
    assert f"{scores.pooled_rmse:.3f}" == "1.224"
    assert f"{scores.summary()['rmse']:.3f}" == "1.219"
