"""What a comparison of two models measures, and what it lets pass."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from modelstac.catalog.errors import ConversionError, DataError
from modelstac.catalog.items.sizes import Size
from modelstac.catalog.messages import Note
from modelstac.exporters.proof.cases import MOST_VALUES, Case, make_cases
from modelstac.exporters.proof.measuring import measure
from modelstac.exporters.proof.parity import compare
from modelstac.exporters.proof.parity_picture import draw_parity
from modelstac.exporters.proof.tolerances import TOLERANCES, Tolerance
from modelstac.registry.running.signature import Signature, TensorSignature
from modelstac.training.scoring.metrics import score

FP32 = TOLERANCES["fp32"]


def tensor(name, dims=("batch", "height", "width"), shape=(-1, -1, -1), dtype="float32"):
    return TensorSignature(name, tuple(map(Size.of, shape)), tuple(dims), dtype)


class Function:
    """A model that is a NumPy function of an array (batch, height, width), held in some layout."""

    def __init__(self, function, dim_order=("batch", "height", "width"), shape=(-1, -1, -1), output="float32"):
        self.signature = Signature((tensor("x", dim_order, shape),), (tensor("y", dim_order, shape, output),))
        self.axes = [dim_order.index(name) for name in ("batch", "height", "width") if name in dim_order]
        self.function = function

    def run(self, inputs):
        x = inputs["x"]
        assert x.flags.c_contiguous
        return {"y": self.function(x.transpose(self.axes)).transpose(np.argsort(self.axes))}


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


def test_nothing_more_is_run_once_a_difference_settles_it():
    ran = []

    def wrong(x):
        ran.append(x.shape)
        return rows_up(x) + (len(ran) > 1)

    every = compare(Function(rows_up), Function(wrong))
    assert len(ran) == len(every.cases) > 3
    ran.clear()
    found = compare(Function(rows_up), Function(wrong), settled=lambda case: case.judged and not case.passed)
    assert not found.passed
    assert [case.case for case in found.cases] == [case.case for case in every.cases[:2]]
    assert len(ran) == 2
    ran.clear()
    assert compare(Function(rows_up), Function(wrong), settled=lambda case: not case.judged).cases == every.cases


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
        if 50 > x.max() > 5:
            y[0, 0, 0] += 2e-3
        return y

    report = compare(Function(source), Function(target))
    assert [case.case for case in report.cases if not case.passed] == ["large values"]
    assert report.worst.case == "large values"
    assert not report.passed
    assert not report.summary("a-1.0.0-torch").passed


def test_tiny_outputs_are_judged_by_their_own_size():
    """Outputs of a millionth may be wrong by half within the absolute tolerance alone."""
    difference = measure("tiny", np.full(4, 1e-4), np.full(4, 1.05e-4), FP32)
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
    difference = measure("odd", np.array(expected, float), np.array(actual, float), FP32)
    assert difference.max_absolute == largest
    assert difference.passed is (largest == 0)
    json.dumps(difference.to_dict(), allow_nan=False)


values = arrays.arrays(np.float32, 12, elements=st.floats(-1, 1, width=32))


@given(values, values)
def test_measures_agree_with_their_definitions(e, a):
    difference = measure("x", e, a, FP32)
    wide = np.abs(a.astype(np.float64) - e.astype(np.float64))
    assert difference.max_absolute == wide.max()
    assert difference.rmse <= difference.max_absolute * (1 + 1e-12)
    assert difference.p99 <= difference.max_absolute
    assert difference.passed is bool(
        wide.max() <= FP32.absolute and wide.max() <= FP32.relative * max(np.abs(e).max(), FP32.absolute)
    )
    assert measure("x", a, e, FP32).max_absolute == difference.max_absolute


def test_cases_try_every_open_axis_alone_and_all_together():
    signature = Function(rows_up).signature
    cases = make_cases(signature, signature)
    names = [case.name for case in cases]
    assert names[:2] == ["zeros", "random"]
    assert names[-2:] == ["large values", "very large values"]
    shapes = {case.name: case.inputs["x"].shape for case in cases}
    assert shapes["random"] == shapes["zeros"] == shapes["large values"] == (1, 24, 20)
    assert shapes["random, least"] == (1, 1, 1)
    assert shapes["random, height of x one step more"] == (1, 2, 1)
    assert shapes["random, width of x far"] == (1, 1, 37)
    assert shapes["random, batch far"] == (6, 1, 1)
    assert shapes["random, all one step more"] == (2, 2, 2)
    assert shapes["random, all far"] == (6, 37, 37)
    again = make_cases(signature, signature)
    assert all(np.array_equal(a.inputs["x"], b.inputs["x"]) for a, b in zip(cases, again, strict=True))


def test_sizes_with_a_least_length_and_a_step_are_kept():
    sizes = (Size(), Size(16, 16), Size(32, 32, symbol="grid"))
    signature = Signature((TensorSignature("x", sizes, ("batch", "height", "width"), "float32"),), (tensor("y"),))
    fixed = Function(rows_up, shape=(-1, 48, -1)).signature
    for case in make_cases(signature, Function(rows_up).signature):
        assert all(size.fits(length) for size, length in zip(sizes, case.inputs["x"].shape, strict=True))
    assert {case.inputs["x"].shape[1] for case in make_cases(signature, fixed)} == {48}
    with pytest.raises(ConversionError, match="from 16 in steps of 16 as its dimension 'height', the conversion 40"):
        make_cases(signature, Function(rows_up, shape=(-1, 40, -1)).signature)


def test_a_batch_is_cut_where_it_would_cost_too_much():
    def batches(side):
        signature = Function(rows_up, shape=(-1, side, side)).signature
        return {case.inputs["x"].shape[0] for case in make_cases(signature, signature)}

    assert batches(100) == {1, 2, 6}
    assert batches(130) == {1, 2, 3}
    assert 3 * 130**2 <= MOST_VALUES < 4 * 130**2
    assert batches(300) == {1, 2}


def test_a_size_that_either_model_fixes_is_kept():
    free, fixed = Function(rows_up), Function(rows_up, dim_order=("width", "batch", "height"), shape=(9, -1, -1))
    assert {case.inputs["x"].shape[2] for case in make_cases(free.signature, fixed.signature)} == {9}
    assert {case.inputs["x"].shape[0] for case in make_cases(fixed.signature, free.signature)} == {9}


def test_real_windows_become_cases_where_they_fit():
    window = Case("a window", {"x": np.ones((1, 3, 3), np.float32)})
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

        return Case("window", {"x": observed[:1]}, score=scores)

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
    assert measure("logits", values, values + 5e-3, FP32).passed
    assert not measure("logits", values, values + 2e-2, FP32).passed


def test_reduced_precision_promises_nothing_beyond_what_models_are_fed():
    def target(x):
        return np.tanh(x) + (1 if np.abs(x).max() > 5 else 0)

    report = compare(Function(np.tanh), Function(target), tolerance=TOLERANCES["int8"])
    assert report.passed
    assert report.total.max_absolute == 0
    for large, name in zip(report.cases[-2:], ("large values", "very large values"), strict=True):
        assert (large.case, large.judged, large.passed) == (name, False, False)
    assert not compare(Function(np.tanh), Function(target)).passed


def test_differences_by_lead_time_are_those_of_each_step():
    def function(drift):
        model = Function(lambda x: x + drift * np.arange(x.shape[1], dtype=np.float32)[:, None])
        dims, shape = ("batch", "time", "width"), (-1, 6, -1)
        model.signature = Signature((tensor("x", dims, shape),), (tensor("y", dims, shape),))
        return model

    report = compare(function(0), function(1e-6))
    assert report.cases[0].by_lead_time == pytest.approx(1e-6 * np.arange(6))
    assert draw_parity(report).startswith(b"\x89PNG")
    assert compare(Function(rows_up), Function(rows_up)).cases[0].by_lead_time == ()


def test_models_that_cannot_be_compared_are_refused():
    other = Function(rows_up)
    other.signature = Signature((tensor("x", ("batch", "y", "x")),), other.signature.outputs)
    with pytest.raises(ConversionError, match="batch, height, width, but 'x' has batch, y, x"):
        compare(Function(rows_up), other)
    with pytest.raises(ConversionError, match="8 as its dimension 'width', the conversion 9"):
        compare(Function(rows_up, shape=(-1, -1, 8)), Function(rows_up, shape=(-1, -1, 9)))
    with pytest.raises(ConversionError, match=r"'zeros'.*different shapes of 'y': \[1, 24, 20\] and \[1, 23, 20\]"):
        compare(Function(rows_up), Function(lambda x: rows_up(x)[:, 1:]))
    with pytest.raises(ConversionError, match=r"'y' is declared float32 .*width 9.* and what comes is \[1, 24, 8\]"):
        compare(Function(rows_up, shape=(-1, -1, 9)), Function(lambda x: x[:, :, 1:], shape=(-1, -1, 9)))


def test_nothing_compared_is_no_proof():
    with pytest.raises(DataError, match="at least one case"):
        compare(Function(rows_up), Function(rows_up), cases=())
    empty = Case("empty", {"x": np.zeros((0, 2, 2), np.float32)})
    with pytest.raises(DataError, match="no values"):
        compare(Function(rows_up), Function(rows_up), cases=[empty])


@pytest.mark.parametrize("absolute", [-1.0, np.nan, np.inf])
def test_a_tolerance_must_be_one(absolute):
    with pytest.raises(DataError, match="finite"):
        Tolerance(absolute, 1e-4)


@pytest.mark.parametrize(("difference", "passed"), [(5e-3, True), (2e-2, False)])
def test_the_absolute_tolerance_grows_with_outputs_beyond_one(difference, passed):
    """Half a millionth of a thousand is what float32 rounds; fifty times as much is another weight."""
    expected = np.linspace(-1000, 1000, 50)
    assert measure("large", expected, expected + difference, TOLERANCES["fp32"]).passed is passed


def logistic(wrong=0.0):
    """A recurrence that is chaotic: each step doubles what rounding changes, until after 37 it is all there is."""

    def function(x):
        y = x.astype(np.float32)
        for _ in range(x.shape[1]):
            y = np.clip(np.float32(4) * y * (1 - y) + np.float32(wrong), 0, 1)
        return y

    return Function(function)


def _standardised(mean, wrong=0.0):
    def function(x):
        centred = x - mean(x) + np.float32(wrong)
        with np.errstate(invalid="ignore", divide="ignore"):
            return centred / np.sqrt((centred * centred).mean((1, 2), keepdims=True))

    return Function(function)


def test_a_constant_field_by_its_standard_deviation_is_not_judged_where_rounding_makes_it_a_number():
    def mean(x):
        return x.mean((1, 2), keepdims=True)

    def rounded(x):
        return np.nextafter(mean(x), np.float32(0)) if (x == x[:, :1, :1]).all() else mean(x)

    x = np.random.default_rng(0).random((2, 5, 4)).astype(np.float32)
    cases = [Case("random", {"x": x}), Case("constant", {"x": np.full_like(x, 0.5)})]
    report = compare(_standardised(mean), _standardised(rounded), cases=cases)
    assert report.passed
    assert [case.judged for case in report.cases] == [True, False]
    assert "'constant' is not judged: 'y' of the source is" in report.cases[1].note
    assert not compare(_standardised(mean), _standardised(rounded, wrong=0.1), cases=cases).passed


@pytest.mark.parametrize("wrong", ["other numbers", "missing"])
def test_what_rounding_makes_of_one_field_excuses_no_other(wrong):
    def mean(x):
        return x.mean((1, 2), keepdims=True)

    def target(x):
        found = np.array(_standardised(mean).function(x))
        found[0, 0, 0] = np.nan if wrong == "missing" else found[0, 0, 0] + 0.1
        found[1] = 1
        return found

    x = np.full((2, 5, 4), 0.5, np.float32)
    x[0] = np.random.default_rng(0).random((5, 4))
    report = compare(_standardised(mean), Function(target), cases=[Case("one of two is constant", {"x": x})])
    assert not report.passed


def test_chaos_beyond_what_models_are_fed_is_measured_and_not_judged():
    heard = []

    def other_order(x):
        y = x.astype(np.float32)
        for _ in range(x.shape[1]):
            y = np.clip(np.float32(4) * y - np.float32(4) * y * y, 0, 1)
        return y

    report = compare(logistic(), Function(other_order), cases=_lengths(3, 37), report=heard.append)
    short, long = report.cases
    assert report.passed
    assert (short.judged, short.passed) == (True, True)
    assert (long.judged, long.passed) == (False, False)
    assert long.max_absolute > 0.1
    assert report.total.max_absolute == short.max_absolute < 1e-5
    notes = [message.text for message in heard if isinstance(message, Note)]
    assert notes == [long.note]
    assert "'37 steps, far' is not judged: 'y' of the source is" in long.note
    # What is wrong where the source is steady stays wrong, and chaos alone proves nothing.
    assert not compare(logistic(), logistic(1e-3), cases=_lengths(3, 37)).passed
    with pytest.raises(ConversionError, match="no case proves anything of 'y': the case '37 steps, far' is not judged"):
        compare(logistic(), Function(other_order), cases=_lengths(37))


def _lengths(*steps):
    rng = np.random.default_rng(0)
    return [
        Case(f"{n} steps, {'far' if n > 10 else 'near'}", {"x": rng.uniform(0.1, 0.9, (1, n, 50)).astype(np.float32)})
        for n in steps
    ]


def test_a_steady_source_is_judged_far_away_too():
    def wrong(x):
        return rows_up(x) + (1e-3 if x.shape[1] > 30 else 0)

    report = compare(Function(rows_up), Function(wrong))
    assert not report.passed
    assert {case.case for case in report.cases if not case.passed} == {"random, height of x far", "random, all far"}


# Labels: whole numbers and truth values.


def labels(*scores):
    """A model that gives the class of the largest of some linear scores of each pixel."""
    return Function(lambda x: np.argmax([a * x + b for a, b in scores], 0).astype(np.int64), output="int64")


def test_labels_are_judged_by_how_many_differ():
    source = labels((1, 0), (-1, 1))
    near = compare(source, labels((1, 0), (-1, 1 + 2e-6)))
    assert near.passed
    assert near.total.differing_ppm < 100
    # A twentieth of the numbers between 0 and 1 is beyond the moved border, and none in the cases of small numbers.
    far = compare(source, labels((1, 0), (-1, 1.1)))
    assert not far.passed
    assert far.total.differing_ppm == pytest.approx(40_000, rel=0.25)
    assert far.total.max_absolute == 1
    swapped = compare(source, labels((-1, 1), (1, 0)))
    assert not swapped.passed
    assert swapped.total.differing_ppm > 900_000
    said = far.summary("a-1.0.0-torch")
    assert (said.differing_ppm_tolerance, said.passed) == (100, False)
    assert said.differing_ppm == far.total.differing_ppm


def test_one_label_of_a_thousand_may_be_a_tie_and_one_of_few_may_not():
    for size, passed in ((999, False), (1000, True)):
        expected = np.zeros(size, np.int32)
        actual = expected.copy()
        actual[3] = 7
        difference = measure("tie", expected, actual, FP32)
        assert (difference.passed, difference.max_absolute) == (passed, 7)
        assert difference.differing_ppm == pytest.approx(1e6 / size)
        actual[4] = 1
        assert not measure("two", expected, actual, FP32).passed
    assert measure("none", expected, expected, Tolerance(0, 0, differing_ppm=0)).passed


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64])
def test_truth_values_and_indices_are_labels(kind):
    expected = np.ones(20_000, kind)
    actual = expected.copy()
    actual[:2] = 0
    assert measure("x", expected, actual, FP32).differing_ppm == 100
    assert measure("x", expected, actual, FP32).passed
    actual[:3] = 0
    assert not measure("x", expected, actual, FP32).passed
    assert measure("x", expected, actual, TOLERANCES["fp16"]).passed


def test_large_indices_are_not_rounded():
    index = np.array([2**60], np.int64)
    assert measure("x", index, index + 1, FP32).differing_ppm == 1e6


# What is no number.


def test_numbers_that_are_missing_in_both_agree_and_the_rest_is_measured():
    def with_gaps(x):
        y = np.sqrt(x - 0.5)
        y[:, 0, 0] = np.inf
        return y

    with np.errstate(invalid="ignore"):
        report = compare(Function(with_gaps), Function(with_gaps))
    assert report.passed
    assert report.total.cosine == pytest.approx(1)
    assert report.summary("a-1.0.0-torch").passed


# Several inputs and outputs.

NHWC, NCHW = ("batch", "height", "width", "band"), ("batch", "band", "height", "width")


class Two:
    """A network of radar (2 bands) and optical (3 bands) that gives a mask and a height, in either layout."""

    def __init__(self, order=NHWC, *, inputs=("s1", "s2"), outputs=("mask", "height"), change=None):
        bands = {"s1": 2, "s2": 3, "mask": 1, "height": 1}

        def layout(name):
            dtype = "int32" if name == "mask" else "float32"
            return tensor(name, order, [bands[name] if dim == "band" else -1 for dim in order], dtype)

        self.signature = Signature(tuple(map(layout, inputs)), tuple(map(layout, outputs)))
        self.out, self.change = [NHWC.index(name) for name in order], change
        self.into = [order.index(name) for name in NHWC]

    def run(self, inputs):
        s1, s2 = (inputs[name].transpose(self.into) for name in ("s1", "s2"))
        height = rows_up(s1[..., 0])[..., None] + s2[..., 2:]
        found = {"mask": (s1[..., 1:] > s2[..., :1]).astype(np.int32), "height": height}
        found = {name: array.transpose(self.out) for name, array in (self.change or dict)(found).items()}
        return {tensor.name: found[tensor.name] for tensor in self.signature.outputs}


def test_several_inputs_and_outputs_are_compared_in_different_layouts():
    report = compare(Two(), Two(NCHW))
    assert report.passed
    assert [output.name for output in report.outputs] == ["mask", "height"]
    assert report.total.max_absolute == report.total.differing_ppm == 0
    assert all(output.total.values > 1000 for output in report.outputs)
    said = report.summary("two-1.0.0-keras")
    assert said.outputs["mask"].differing_ppm == 0
    assert said.outputs["height"].differing_ppm is None
    written = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert written["outputs"]["height"]["cases"][1]["shapes"]["s2"] == [1, 24, 20, 3]
    assert written["cases"][1]["shape"] == [1, 24, 20, 2]
    assert draw_parity(report).startswith(b"\x89PNG")


def test_names_and_not_their_order_say_which_is_which():
    assert compare(Two(), Two(inputs=("s2", "s1"), outputs=("height", "mask"))).passed


def test_exchanged_outputs_fail():
    def exchanged(found):
        return {"mask": found["height"].round().astype(np.int32), "height": found["mask"].astype(np.float32)}

    report = compare(Two(), Two(change=exchanged))
    assert not report.passed
    assert [output.total.passed for output in report.outputs] == [False, False]


@pytest.mark.parametrize(
    ("name", "worst"),
    [("height", lambda d: d.max_absolute == pytest.approx(0.5, 1e-5)), ("mask", lambda d: d.differing_ppm == 1e6)],
)
def test_the_worst_output_is_named(name, worst):
    def damaged(found):
        return found | {name: (found[name] + 0.5 if name == "height" else 1 - found[name]).astype(found[name].dtype)}

    report = compare(Two(), Two(change=damaged))
    assert not report.passed
    assert report.worst.output == name
    assert worst(report.worst)
    assert {output.name: output.total.passed for output in report.outputs}[name] is False
    assert sum(output.total.passed for output in report.outputs) == 1
    assert report.summary("a").max_absolute_difference == report.worst.max_absolute


def test_other_names_are_told_and_one_alone_needs_none():
    other = Two()
    other.signature = Signature((other.signature.inputs[0], tensor("s3", NHWC)), other.signature.outputs)
    with pytest.raises(ConversionError, match="inputs s1, s2, the conversion s1, s3"):
        compare(Two(), other)
    renamed = Function(rows_up)
    renamed.signature = Signature((tensor("x"),), (tensor("Identity"),))
    renamed.run = lambda inputs: {"Identity": rows_up(inputs["x"])}
    assert compare(Function(rows_up), renamed).passed


def test_an_input_that_may_be_left_out_is_left_out_once():
    def model(factor):
        found = Two()
        inputs = found.signature.inputs
        optional = TensorSignature("mask", inputs[0].sizes, NHWC, "float32", optional=True)
        found.signature = Signature((*inputs, optional), found.signature.outputs)
        run = found.run
        found.run = lambda given: run(given) if "mask" in given else {n: factor * a for n, a in run(given).items()}
        return found

    assert compare(model(1), model(1)).passed
    worst = compare(model(1), model(2)).worst
    assert worst.case == "random, without mask"


# Boxes: as many as there are things to be found.


class Boxes:
    """A detector of bright pixels: their rows and columns, and how bright they are."""

    def __init__(self, least=0.9, most=1.0, said=True):
        sizes = (Size(at_least=0) if said else Size(), Size.fixed(2))
        found = TensorSignature("boxes", sizes, ("box", "corner"), "float32")
        self.signature = Signature((tensor("x", ("height", "width"), (-1, -1)),), (found,))
        self.least, self.most = least, most

    def run(self, inputs):
        found = np.argwhere((inputs["x"] > self.least) & (inputs["x"] < self.most))
        return {"boxes": found.astype(np.float32)}


@pytest.mark.parametrize("said", [True, False])
def test_boxes_are_compared_and_as_many_or_as_few_agree(said):
    report = compare(Boxes(said=said), Boxes(said=said))
    assert report.passed
    empty = {case.case for case in report.cases if not case.values}
    assert "zeros" in empty
    assert "random" not in empty
    assert report.total.values > 200


@pytest.mark.parametrize("said", [True, False])
def test_another_number_of_boxes_is_a_difference_in_one_line(said):
    report = compare(Boxes(said=said), Boxes(0.8, said=said))
    assert not report.passed
    assert report.worst.note.startswith("in the case 'random' the source gives 'boxes' with ")
    assert "along 'box' and the conversion " in report.worst.note
    assert "\n" not in report.worst.note
    json.dumps(report.to_dict(), allow_nan=False)


def test_an_output_that_is_always_empty_is_said_and_alone_proves_nothing():
    heard = []

    def both(model):
        model.signature = Signature(model.signature.inputs, (*model.signature.outputs, tensor("sum", ("one",), (1,))))
        run = model.run
        model.run = lambda given: run(given) | {"sum": given["x"].sum(keepdims=True)[0]}
        return model

    assert compare(both(Boxes(2)), both(Boxes(2)), report=heard.append).passed
    assert [m.text for m in heard if isinstance(m, Note)] == [
        "the output 'boxes' was empty in every case, in both: no value of it was compared"
    ]
    with pytest.raises(DataError, match="give no values"):
        compare(Boxes(2), Boxes(2))
