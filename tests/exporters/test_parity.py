"""What a comparison of two models measures, and what it lets pass."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from modelstac.catalog.errors import ConversionError, DataError
from modelstac.exporters.proof.cases import Case, make_cases
from modelstac.exporters.proof.parity import TOLERANCES, Tolerance, compare, measure
from modelstac.exporters.proof.parity_picture import draw_parity
from modelstac.training.scoring.metrics import score

FP32 = TOLERANCES["fp32"]


@dataclass
class Layout:
    name: str
    shape: tuple[int, ...]
    dim_order: tuple[str, ...]
    dtype: str = "float32"


class Function:
    """A model that is a NumPy function of an array (batch, height, width), held in some layout."""

    def __init__(self, function, dim_order=("batch", "height", "width"), shape=(-1, -1, -1)):
        layout = Layout("x", shape, dim_order)
        self.signature = SimpleNamespace(inputs=(layout,), outputs=(layout,))
        self.axes = [dim_order.index(name) for name in ("batch", "height", "width")]
        self.function = function

    def predict(self, x):
        assert x.flags.c_contiguous
        return self.function(x.transpose(self.axes)).transpose(np.argsort(self.axes))


def rows_up(x):
    """A function that knows its axes apart."""
    return np.cumsum(x, axis=1) * np.linspace(0.5, 1, x.shape[2], dtype=np.float32)


def test_equal_functions_in_different_layouts_pass_exactly():
    report = compare(Function(rows_up), Function(rows_up, dim_order=("width", "batch", "height")))
    assert report.passed
    assert report.total.max_absolute == report.total.rmse == report.total.max_relative == 0
    assert report.total.cosine == pytest.approx(1)


def test_exchanged_axes_are_found():
    def columns_up(x):
        return rows_up(x.swapaxes(1, 2)).swapaxes(1, 2)

    assert not compare(Function(rows_up), Function(columns_up)).passed


@pytest.mark.parametrize(("shift", "passed"), [(5e-6, True), (2e-5, False)])
def test_a_shift_is_measured_and_judged(shift, passed):
    # Values between 1 and 2, in double precision, so that the shift is the only difference.
    def source(x):
        return 1 + 1 / (1 + np.exp(-x.astype(np.float64)))

    report = compare(Function(source), Function(lambda x: source(x) + shift))
    assert report.passed is passed
    assert report.total.max_absolute == pytest.approx(shift)
    assert report.total.rmse == pytest.approx(shift)
    assert report.total.p99 == pytest.approx(shift)
    assert report.summary("a-1.0.0-torch").max_absolute_difference == pytest.approx(shift)


def test_one_wrong_value_in_one_case_fails_the_whole():
    def source(x):
        return np.tanh(x)

    def target(x):
        y = np.tanh(x)
        if x.max() > 5:
            y[0, 0, 0] += 1e-3
        return y

    report = compare(Function(source), Function(target))
    assert [case.case for case in report.cases if not case.passed] == ["large values"]
    assert report.worst.case == "large values"
    assert not report.passed
    assert not report.summary("a-1.0.0-torch").passed


def test_tiny_outputs_are_judged_by_their_own_size():
    """Outputs of a millionth may be wrong by half within the absolute tolerance alone."""
    difference = measure("tiny", (), np.full(4, 1e-4), np.full(4, 1.05e-4), FP32)
    assert difference.max_absolute < FP32.absolute
    assert difference.max_relative == pytest.approx(0.05)
    assert not difference.passed


@pytest.mark.parametrize(
    ("expected", "actual", "largest"),
    [
        ([1, np.nan], [1, np.nan], 0),
        ([1, np.inf], [1, np.inf], 0),
        ([1, np.inf], [1, -np.inf], np.inf),
        ([1, np.nan], [1, 2], np.inf),
        ([1, 2], [1, np.nan], np.inf),
        ([1, 2], [1, np.inf], np.inf),
    ],
)
def test_what_is_no_number_must_be_so_in_both(expected, actual, largest):
    difference = measure("odd", (2,), np.array(expected, float), np.array(actual, float), FP32)
    assert difference.max_absolute == largest
    assert difference.passed is (largest == 0)
    json.dumps(difference.to_dict(), allow_nan=False)


values = arrays.arrays(np.float32, 12, elements=st.floats(-1, 1, width=32))


@given(values, values)
def test_measures_agree_with_their_definitions(e, a):
    difference = measure("x", (12,), e, a, FP32)
    wide = np.abs(a.astype(np.float64) - e.astype(np.float64))
    assert difference.max_absolute == wide.max()
    assert difference.rmse <= difference.max_absolute * (1 + 1e-12)
    assert difference.p99 <= difference.max_absolute
    assert difference.passed is bool(
        wide.max() <= FP32.absolute and wide.max() <= FP32.relative * max(np.abs(e).max(), FP32.absolute)
    )
    assert measure("x", (12,), a, e, FP32).max_absolute == difference.max_absolute


def test_cases_try_two_batches_and_two_grids():
    cases = make_cases(Function(rows_up).signature, Function(rows_up).signature)
    assert {case.name for case in cases} == {"zeros", "random", "random, second shape", "large values"}
    batches, heights, widths = (set(sizes) for sizes in zip(*(case.inputs.shape for case in cases), strict=True))
    assert len(batches) == len(heights) == len(widths) == 2
    again = make_cases(Function(rows_up).signature, Function(rows_up).signature)
    assert all(np.array_equal(a.inputs, b.inputs) for a, b in zip(cases, again, strict=True))


def test_a_size_that_either_model_fixes_is_kept():
    free, fixed = Function(rows_up), Function(rows_up, dim_order=("width", "batch", "height"), shape=(9, -1, -1))
    assert {case.inputs.shape[2] for case in make_cases(free.signature, fixed.signature)} == {9}
    assert {case.inputs.shape[0] for case in make_cases(fixed.signature, free.signature)} == {9}


def test_real_windows_become_cases_where_they_fit():
    window = Case("a window", np.ones((1, 3, 3), np.float32))
    signature = Function(rows_up).signature
    assert make_cases(signature, signature, windows=[window])[-1] is window
    with pytest.raises(DataError, match="a window has 3 as its dimension 'width' and the model takes 9"):
        make_cases(signature, Function(rows_up, shape=(-1, -1, 9)).signature, windows=[window])


def test_scores_of_source_and_conversion_are_pooled_over_windows():
    """Two windows, the conversion 1 mm/h too high everywhere: RMSE 1, and rain where there is none."""

    def window(observed):
        observed = np.full((2, 8, 8), observed, np.float32)

        def scores(output):
            return score(output.reshape(2, 8, 8), observed, scales=(), ssim=False)

        return Case("window", observed[:1], score=scores)

    def same(x):
        return np.repeat(x, 2, axis=0)

    # The source repeats what it is given, which is what was observed.
    windows = [window(0.2), window(3.0)]
    report = compare(Function(same), Function(lambda x: same(x) + 1), cases=windows, tolerance=Tolerance(2, 10))
    assert report.task["source"]["rmse"] == 0
    assert report.task["change"]["rmse"] == pytest.approx(1)
    assert report.task["source"]["csi_1"] == 1
    assert report.task["change"]["csi_1"] == -0.5
    assert report.summary("a-1.0.0-torch").rmse_change == pytest.approx(1)
    assert report.summary("a-1.0.0-torch").csi_change == 0.5
    assert report.to_dict()["task"] == report.task


def test_large_outputs_may_differ_by_their_own_spacing():
    values = np.full(4, 1000.0)
    assert measure("logits", (), values, values + 5e-3, FP32).passed
    assert not measure("logits", (), values, values + 2e-2, FP32).passed


def test_reduced_precision_promises_nothing_beyond_what_models_are_fed():
    def target(x):
        return np.tanh(x) + (1 if np.abs(x).max() > 5 else 0)

    report = compare(Function(np.tanh), Function(target), tolerance=TOLERANCES["int8"])
    assert report.passed
    assert report.total.max_absolute == 0
    large = report.cases[-1]
    assert (large.case, large.judged, large.passed) == ("large values", False, False)
    assert not compare(Function(np.tanh), Function(target)).passed


def test_differences_by_lead_time_are_those_of_each_step():
    def function(drift):
        model = Function(lambda x: x + drift * np.arange(x.shape[1], dtype=np.float32)[:, None])
        model.signature.inputs[0].dim_order = ("batch", "time", "width")
        return model

    report = compare(function(0), function(1e-6))
    assert report.cases[0].by_lead_time == pytest.approx(1e-6 * np.arange(6))
    assert draw_parity(report).startswith(b"\x89PNG")
    assert compare(Function(rows_up), Function(rows_up)).cases[0].by_lead_time == ()


def test_models_that_cannot_be_compared_are_refused():
    other = Function(rows_up)
    other.signature.inputs[0].dim_order = ("batch", "y", "x")
    with pytest.raises(ConversionError, match="batch, height, width, but 'x' has batch, y, x"):
        compare(Function(rows_up), other)
    with pytest.raises(ConversionError, match="8 as its dimension 'width', the conversion 9"):
        compare(Function(rows_up, shape=(-1, -1, 8)), Function(rows_up, shape=(-1, -1, 9)))
    with pytest.raises(ConversionError, match=r"'zeros'.*different shapes: \[1, 24, 20\] and \[1, 23, 20\]"):
        compare(Function(rows_up), Function(lambda x: rows_up(x)[:, 1:]))


def test_nothing_compared_is_no_proof():
    with pytest.raises(DataError, match="at least one case"):
        compare(Function(rows_up), Function(rows_up), cases=())
    with pytest.raises(DataError, match="no values"):
        compare(Function(rows_up), Function(rows_up), cases=[Case("empty", np.zeros((0, 2, 2), np.float32))])


@pytest.mark.parametrize("absolute", [-1.0, np.nan, np.inf])
def test_a_tolerance_must_be_one(absolute):
    with pytest.raises(DataError, match="finite"):
        Tolerance(absolute, 1e-4)


@pytest.mark.parametrize(("difference", "passed"), [(5e-3, True), (2e-2, False)])
def test_the_absolute_tolerance_grows_with_outputs_beyond_one(difference, passed):
    """Half a millionth of a thousand is what float32 rounds; fifty times as much is another weight."""
    expected = np.linspace(-1000, 1000, 50)
    assert measure("large", (50,), expected, expected + difference, TOLERANCES["fp32"]).passed is passed
