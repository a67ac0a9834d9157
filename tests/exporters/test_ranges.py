"""What inputs are fed, as items say it, and what a proof makes of it."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pystac
import pytest

from modelstac.catalog.errors import ConversionError, DataError
from modelstac.catalog.items.mlm import InputStructure, ModelInput
from modelstac.catalog.items.sizes import Size
from modelstac.exporters.proof.cases import BESIDE, DIM, GAPS, LARGE_WHOLE, STEPS, STREWN, Case, make_cases
from modelstac.exporters.proof.evidence import larger_least
from modelstac.exporters.proof.measuring import measure
from modelstac.exporters.proof.parity import Taken, compare
from modelstac.exporters.proof.ranges import known_ranges
from modelstac.exporters.proof.tolerances import TOLERANCES, tolerance_of
from modelstac.registry.running.signature import Signature, TensorSignature

DIMS = ("batch", "bands", "height", "width")
FP32 = TOLERANCES["fp32"]


def given(dtype="float32", bands=2, **fields):
    names = [f"B{n}" for n in range(bands)]
    structure = InputStructure.of((-1, bands, -1, -1), DIMS, dtype)
    return ModelInput(**{"name": "x", "bands": names, "input": structure} | fields)


def item(**asset):
    """Give what a range is read from: properties, and one asset with the model."""
    return SimpleNamespace(
        properties={}, assets={"model": pystac.Asset("model.onnx", roles=["mlm:model"], extra_fields=asset)}
    )


def limits(one, example=None, **asset):
    found = known_ranges(item(**asset), [one], example).get("x")
    return None if found is None else (np.ravel(found.lowest).tolist(), np.ravel(found.highest).tolist())


def statistics(*pairs, **more):
    return [{"name": f"B{n}", "statistics": {"minimum": a, "maximum": b}} | more for n, (a, b) in enumerate(pairs)]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([{"type": "min-max", "minimum": 0, "maximum": 10000}], ([0], [1])),
        ([{"type": "z-score", "mean": 500, "stddev": 100}], ([-3], [3])),
        ([{"type": "clip", "minimum": -25, "maximum": 5}], ([-25], [5])),
        ([{"type": "scale", "value": 10000}], ([0], [1])),
        ([{"type": "offset", "value": 100}, {"type": "scale", "value": 50}], ([-3, -3], [3, 3])),
        ([{"type": "processing", "format": "numpy", "expression": "x"}], None),
        (
            [{"type": "min-max", "minimum": 0, "maximum": 9}, {"type": "z-score", "mean": 5, "stddev": 1}],
            ([0, -3], [1, 3]),
        ),
    ],
)
def test_scaling_says_what_comes_out_of_it(steps, expected):
    found = limits(given(value_scaling=steps))
    if steps[0]["type"] == "offset":  # one of each band: the first alone says nothing
        assert found is None
    else:
        assert found == expected


def test_one_band_is_scaled_step_by_step():
    steps = [{"type": "clip", "minimum": 0, "maximum": 3000}, {"type": "scale", "value": 10000}]
    assert limits(given(bands=1, value_scaling=steps)) == ([0], [pytest.approx(0.3)])


def test_statistics_go_through_the_scaling_of_their_bands():
    raw = statistics((0, 10000), (200, 4200))
    assert limits(given(), **{"raster:bands": raw}) == ([0, 200], [10000, 4200])
    scaled = given(value_scaling=[{"type": "scale", "value": 10000}])
    assert limits(scaled, bands=raw) == ([0, 0.02], [1, 0.42])
    spread = [{"name": f"B{n}", "data_type": "uint16", "statistics": {"mean": 1000, "stddev": 500}} for n in range(2)]
    assert limits(given(), bands=spread) == ([0, 0], [2500, 2500])
    assert limits(given(), bands=raw[:1]) is None  # of the other band nothing is known


def test_what_is_declared_counts_before_what_is_measured():
    one = given(value_scaling=[{"type": "scale", "value": 2}], **{"interop:range": [[0, 5], [-1, 1]]})
    assert limits(one, bands=statistics((0, 9), (0, 9))) == ([0, -1], [5, 1])
    assert limits(given(**{"interop:range": [0, 10000]})) == ([0], [10000])


def test_an_example_says_what_its_bands_span():
    array = np.stack([np.linspace(0, 3000, 16), np.linspace(-5, 5, 16)]).reshape(1, 2, 4, 4).astype(np.float32)
    assert limits(given(), {"x": array}) == ([0, -5], [3000, 5])
    array[0, 0, 0, 0] = np.nan
    assert known_ranges(item(), [given()], {"x": array})["x"].gaps
    assert limits(given(), {"x": np.zeros((1, 2, 4, 4), np.float32)}) is None


def test_what_makes_no_sense_says_nothing():
    assert limits(given(), bands=[{"name": "B0", "statistics": "many"}, {"name": "B1", "statistics": None}]) is None
    assert limits(given(**{"interop:range": "wide"})) is None
    assert limits(given(), **{"raster:bands": 7}) is None


def test_whole_numbers_stay_within_their_type_and_classes():
    assert limits(given("uint8", **{"interop:range": [-5, 1000]})) == ([0], [255])
    one = given("int64", **{"classification:classes": [{"value": 3}, {"value": 7}, {"value": 11}]})
    known = known_ranges(item(), [one])["x"]
    drawn = known.draw((4, 2, 8, 8), np.dtype("int64"), np.random.default_rng(0))
    assert set(np.unique(drawn)) == {3, 7, 11}


def test_an_axis_of_any_number_of_bands_has_one_range():
    open_bands = ModelInput(name="x", input=InputStructure.of((-1, -1), ("batch", "channel"), "float32"))
    one = open_bands.model_copy(update={"bands": ("B0", "B1")})
    assert limits(one, bands=statistics((0, 5), (-3, 2))) == ([-3], [5])


# Cases.


def signature(dtype="float32", bands=2):
    sizes = (Size(), Size() if bands is None else Size.fixed(bands), Size(), Size())
    return Signature((TensorSignature("x", sizes, DIMS, dtype),), (TensorSignature("y", sizes, DIMS, dtype),))


def cases_of(one, dtype="float32", **more):
    ranges = known_ranges(item(), [one])
    return {case.name: case for case in make_cases(signature(dtype), signature(dtype), ranges=ranges, **more)}


def test_cases_are_drawn_from_the_range_and_what_lies_outside_is_not_judged():
    cases = cases_of(given(**{"interop:range": [[100, 10000], [-25, 5]]}))
    x = cases["random"].inputs["x"]
    assert (x[:, 0].min(), x[:, 0].max()) == (pytest.approx(100, abs=200), pytest.approx(10000, abs=200))
    assert x[:, 1].min() >= -25
    assert x[:, 1].max() <= 5
    assert {name for name, case in cases.items() if case.stated} == {"zeros", "from 0 to 1", "large values"}
    special = cases["special values"].inputs["x"]
    assert {100, 10000} <= set(special[:, 0].ravel().tolist())
    assert 0 in special[:, 1]
    assert special[:, 1].min() >= -25
    both = cases[BESIDE].inputs["x"]
    np.testing.assert_array_equal(both[:1], cases[DIM].inputs["x"])
    assert both[0, 0].max() <= 1090
    assert both[0, 1].max() <= -22
    assert (both[1, 0] == 10000).all()


def test_zeros_within_a_range_are_judged():
    cases = cases_of(given(**{"interop:range": [0, 10000]}))
    assert {name for name, case in cases.items() if case.stated} == {"large values"}


def test_special_values_reach_guarded_branches():
    x = cases_of(given())["special values"].inputs["x"]
    assert (x == 0).any()
    assert (x < -0.5).any()
    assert ((x > 0) & (x < 1e-7)).any()
    assert ((x < 0) & (x > -1e-7)).any()
    assert (x == 0).all(axis=1).any()  # whole pixels
    assert (x == 0).all(axis=3).any()  # whole rows
    assert ((x > 0.1) & (x < 0.9)).mean() > 0.3


def test_values_in_steps_are_tenths_hundredths_and_finer_of_the_range():
    cases = cases_of(given(**{"interop:range": [[0, 10000], [-25, 5]]}))
    reflectance, decibel = (cases[STEPS].inputs["x"][:, band].astype(np.float64) for band in (0, 1))
    np.testing.assert_array_equal(reflectance, reflectance.round())
    assert {0, 1000} <= set(reflectance.ravel().tolist())
    assert (reflectance % 100 == 0).mean() > 0.5
    np.testing.assert_allclose(decibel, decibel.round(3), atol=2e-6)
    assert -25 <= decibel.min() < decibel.max() <= 5
    x = cases_of(given())[STEPS].inputs["x"]
    assert (x == (x * 10).round() / np.float32(10)).mean() > 0.25
    assert STEPS not in cases_of(given("uint16"), "uint16")


def test_another_bin_at_values_in_steps_is_said():
    heard = []
    by = np.float32(0.07)
    report = judged(lambda x: np.floor(x / by), lambda x: np.floor(x * (1 / by)), report=heard.append)
    (case,) = (case for case in report.cases if case.case == STEPS)
    assert report.passed
    assert case.max_absolute == 1
    assert any(f"{STEPS!r} is not judged: 'y' of the source is 1.0e+00 apart" in str(one) for one in heard)
    assert not judged(lambda x: x * 10, lambda x: np.where(np.rint(x * 10) / 10 == x, x * 10 + 1, x * 10)).passed


def test_masks_of_everything_are_tried_which_random_ones_are_not():
    source, target = Function(lambda x: x & ~x.all((1, 2, 3), keepdims=True), "bool"), Function(lambda x: x, "bool")
    cases = make_cases(source.signature, target.signature)
    report = compare(source, target, cases=cases)
    assert not report.passed
    assert "masks of everything" in {case.case for case in report.cases if not case.passed}
    assert compare(source, source, cases=cases).passed


@pytest.mark.parametrize(("dtype", "least", "most"), [("uint8", 0, 255), ("int8", -128, 127), ("uint16", 0, 10000)])
def test_whole_numbers_of_which_nothing_is_known_are_those_of_their_type(dtype, least, most):
    x = cases_of(given(dtype), dtype)["random"].inputs["x"]
    assert least <= x.min() < least + (most - least) / 10
    assert most - (most - least) / 10 < x.max() <= most


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "int64", "uint32", "uint64"])
def test_long_whole_numbers_are_small_first_and_then_of_every_length(dtype):
    cases = cases_of(given(dtype), dtype)
    assert set(np.unique(cases["random"].inputs["x"])) == {0, 1} or dtype.endswith("16")
    assert 9000 < cases["whole numbers up to 10,000"].inputs["x"].max() <= 10_000
    large, limits = cases[LARGE_WHOLE].inputs["x"], np.iinfo(dtype)
    assert large.dtype == dtype
    assert large.max() > limits.max // 16
    assert (np.abs(large.astype(float)) < 2**8).any()
    assert (large < 0).any() == (limits.min < 0)
    known = cases_of(given(dtype, **{"interop:range": [0, 50]}), dtype)
    assert all(case.inputs["x"].max() <= 50 for case in known.values())


def whole(function, result="float32"):
    one = Function(function, "int64")
    outputs = (dataclasses.replace(one.signature.outputs[0], dtype=result),)
    one.signature = dataclasses.replace(one.signature, outputs=outputs)
    return one


def wrapped(x):
    return x.astype(np.int32).astype(np.int64)


@pytest.mark.parametrize(
    ("source", "target", "result"),
    [
        (lambda x: x * 3, lambda x: wrapped(x * 3), "int64"),
        (lambda x: (x - 7).astype("f"), lambda x: wrapped(x - 7).astype("f"), "float32"),
        (lambda x: x // 7, lambda x: np.floor(x.astype("f") / 7).astype("i8"), "int64"),
        (lambda x: x >> 14, lambda x: x * 0, "int64"),
    ],
    ids=["product", "difference", "quotient", "shift"],
)
def test_arithmetic_of_fewer_bits_is_found(source, target, result):
    with np.errstate(all="ignore"):
        assert compare(whole(source, result), whole(source, result)).passed
        assert not compare(whole(source, result), whole(target, result)).passed


def test_what_looks_something_up_is_tried_with_nothing_larger():
    largest = 0

    def table(x):
        nonlocal largest
        largest = max(largest, int(np.abs(x).max()))
        if largest > 9:
            raise DataError("out of bounds")
        return x.astype("f")

    report = compare(whole(table), whole(lambda x: np.where(x > 9, 7, x).astype("f")))
    assert report.passed
    assert largest <= 10_000


def test_whole_numbers_that_are_lengths_are_tried_with_nothing_larger():
    seen = []

    def repeated(x):
        seen.append(int(x.max()))
        return np.ones((1 + seen[-1] // 10, *x.shape[1:]), np.float32)

    one = whole(repeated)
    sizes = (Size(at_least=0), *one.signature.outputs[0].sizes[1:])
    dims = ("row", *DIMS[1:])
    one.signature = dataclasses.replace(one.signature, outputs=(TensorSignature("y", sizes, dims, "float32"),))
    assert compare(one, one).passed
    assert max(seen) <= 10_000


def test_whole_numbers_that_are_numbers_of_steps_are_known_by_what_they_take():
    taken, found = Taken(), {"y": np.zeros(3)}
    for name, seconds in ((STREWN, 0.5), ("as quick", 5.0), ("as many steps", 8.0)):
        taken.add(Case(name, {}), found, seconds)
    assert [taken.steadily(name) for name in ("", "as quick", "as many steps", "never run")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_float_of_a_large_whole_number_may_be_as_far_as_its_own_rounding():
    def day(kind):
        return lambda x: np.sin(x.astype(kind) * kind(2 * np.pi / 365)).astype("f")

    report = compare(whole(day(np.float64)), whole(day(np.float32)))
    assert report.passed
    assert not next(case for case in report.cases if case.case == LARGE_WHOLE).judged
    assert not compare(whole(day(np.float64)), whole(lambda x: day(np.float32)(wrapped(x) % 7))).passed


def test_a_sigmoid_that_is_rounded_to_nothing_has_no_logarithm():
    def stable(x):
        return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))

    with np.errstate(all="ignore"):
        assert not judged(stable, lambda x: np.where(x < -35, -np.inf, stable(x))).passed


def test_zeros_are_judged_where_an_example_alone_says_what_a_model_is_fed():
    """A tile at the edge of a scene, a series that was filled up to its length."""
    array = np.random.default_rng(0).uniform(100, 3000, (1, 2, 8, 8)).astype(np.float32)
    one = given()
    ranges = known_ranges(item(), [one], {"x": array})
    assert str(ranges["x"]).endswith(" and 0 (the published example)")
    x = {case.name: case for case in make_cases(signature(), signature(), ranges=ranges)}["special values"].inputs["x"]
    assert (x == 0).all(axis=1).any()  # whole pixels
    assert (x == 0).all(axis=3).any()  # whole rows
    assert x[x != 0].min() >= array.min()

    def unit(x):
        length = np.sqrt((x * x).sum(1, keepdims=True))
        return np.divide(x, length, out=np.zeros_like(x), where=length > 0)

    def without_guard(x):
        return x / np.sqrt((x * x).sum(1, keepdims=True))

    with np.errstate(invalid="ignore"):
        for function, passed in ((unit, True), (without_guard, False)):
            found = compare(
                Function(unit), Function(function), cases=make_cases(signature(), signature(), ranges=ranges)
            )
            assert found.passed is passed
    declared = cases_of(given(**{"interop:range": [100, 3000]}))["special values"].inputs["x"]
    assert declared.min() >= 100


def test_special_values_meet_in_small_inputs():
    x = cases_of(given(bands=2))["special values"].inputs["x"]
    assert x.size >= 2048
    assert ((x[:, 0] == 0) & (x[:, 1] < 0)).any()


# What comes of it.


class Function:
    """A model that is a function of NumPy."""

    def __init__(self, function, dtype="float32"):
        self.function, self.signature = function, signature(dtype)

    def run(self, inputs, /, *, finite=True):
        return {"y": self.function(inputs["x"])}


def judged(source, target, one=None, **more):
    ranges = known_ranges(item(), [one or given()])
    source, target = Function(source), Function(target)
    cases = make_cases(source.signature, target.signature, ranges=ranges, gaps=True)
    return compare(source, target, cases=cases, **more)


def softly(error):
    """Be off where numbers are larger than 20, as a softmax of another runtime is."""
    return lambda x: np.tanh(x) + np.where(np.abs(x) > 20, np.float32(error), 0).astype(np.float32)


def test_large_numbers_are_judged_roughly_where_nothing_is_known_and_not_where_it_is():
    report = judged(np.tanh, softly(2.7e-5))
    assert report.passed
    large = next(case for case in report.cases if case.case == "large values")
    assert (large.judged, large.passed) == (False, False)
    assert "numbers larger than models are fed: 2.7e-05 apart, allowed 1.0e-05" in large.note
    assert not judged(np.tanh, softly(0.1)).passed
    known = given(**{"interop:range": [0, 1]})
    assert judged(np.tanh, softly(0.1), known).passed
    assert judged(np.tanh, softly(0.1), known).beyond == pytest.approx(0.1)


def test_what_a_model_refuses_beyond_its_range_is_no_case():
    def table(x):
        if np.abs(x).max() > 9:  # an index beyond a table
            raise DataError("out of bounds")
        return np.tanh(x)

    known = given(**{"interop:range": [0, 9]})
    for source, target in ((table, table), (table, np.tanh), (np.tanh, table)):
        assert judged(source, target, known).passed
    with pytest.raises(DataError, match="out of bounds"):
        judged(table, table)
    with pytest.raises(ConversionError, match="the conversion fails: out of bounds"):
        judged(np.tanh, table)


def test_where_the_range_is_large_so_are_the_numbers_that_are_judged():
    known = given(**{"interop:range": [0, 10000]})
    report = judged(np.tanh, softly(0.06), known, tolerance=TOLERANCES["int8"])
    assert not report.passed
    assert report.worst.max_absolute == pytest.approx(0.06, rel=0.01)
    assert judged(np.tanh, softly(0.06), known, tolerance=tolerance_of("int8", asked=0.1)).passed


@pytest.mark.parametrize(
    ("source", "target"),
    [
        # tf2onnx writes where() as a product, so that the NaN of the branch not taken comes through
        (lambda x: np.where(x > 0, np.sqrt(np.abs(x)), 0), lambda x: np.where(x > 0, 1, 0) * np.sqrt(x)),
        (lambda x: np.sqrt(np.abs(x) + np.float32(1e-8)), lambda x: np.sqrt(np.abs(x))),
        (lambda x: np.log(np.abs(x) + np.float32(1e-8)), lambda x: np.log(np.abs(x))),
        (lambda x: x / (np.abs(x) + np.float32(1e-8)), np.sign),
        (lambda x: (x > 0).astype("f"), lambda x: (x >= 0).astype("f")),
        (np.nan_to_num, lambda x: x),
    ],
    ids=["guarded", "root", "log", "ratio", "border", "gaps"],
)
def test_another_function_is_found_where_only_special_values_show_it(source, target):
    with np.errstate(all="ignore"):
        assert judged(source, source).passed
        assert not judged(source, target).passed


def test_gaps_are_not_judged_in_a_model_that_was_not_made_for_them():
    def relu(x):  # of NaN it makes 0, by the order of a comparison
        return np.where(x > 0, x, 0) + 1

    report = judged(relu, lambda x: np.maximum(x, 0) + 1)
    assert report.passed
    gaps = next(case for case in report.cases if case.case == GAPS)
    assert (gaps.judged, gaps.passed) == (False, False)
    assert "was not made for gaps" in gaps.note


def test_a_constant_field_through_a_normalisation_is_rounding_and_said_to_be():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=9).astype(np.float32)

    def instance_norm(order):
        def function(x):
            mixed = np.zeros_like(x) + np.float32(0.3)
            for weight in weights[order]:
                mixed = mixed + weight * (x + np.float32(0.7)) - np.float32(0.1)
            centred = mixed - mixed.mean(axis=(2, 3), keepdims=True, dtype=np.float32)
            return centred / np.sqrt((centred**2).mean(axis=(2, 3), keepdims=True) + np.float32(1e-12))

        return function

    heard = []
    report = judged(instance_norm(slice(None)), instance_norm(slice(None, None, -1)), report=heard.append)
    assert report.passed
    zeros = report.cases[0]
    assert (zeros.case, zeros.judged) == ("zeros", zeros.passed)
    for case in report.cases:
        assert case.judged or case.note
    assert all(case.judged for case in report.cases if case.case in {"random", "special values"})
    assert not judged(instance_norm(slice(None)), lambda x: instance_norm(slice(None))(x) * 1.001).passed


def test_a_border_that_rounding_crosses_once_excuses_nothing():
    def mask(x):
        return (x >= np.float32(0.5)).astype(np.float32)

    x = np.random.default_rng(0).random((1, 2, 24, 20), np.float32)
    x[0, 0, 0, 0] = 0.5
    tie = [Case("a tie", {"x": x})]
    assert not compare(Function(mask), Function(lambda x: 1 - mask(x)), cases=tie).passed


def test_a_source_that_gives_another_answer_each_time_is_not_held_against_its_conversion():
    count = iter(range(10_000))

    def small(x):
        return x + (next(count) if x.shape[2] < 3 else 0)

    report = judged(small, small)
    assert report.passed
    assert any("gives another answer each time" in case.note for case in report.cases)
    with pytest.raises(ConversionError, match="no case proves anything of 'y'"):
        judged(lambda x: x + next(count), lambda x: x + next(count))


def test_a_sample_that_moves_with_its_neighbours_is_said():
    def dynamic(x):  # 8 bits, of a scale from the whole batch
        step = np.abs(x).max() / 127 or 1
        return (np.rint(x / step) * step).astype(np.float32)

    report = judged(
        lambda x: x, dynamic, given(**{"interop:range": [0, 20]}), tolerance=tolerance_of("int8", asked=0.2)
    )
    assert report.passed
    step = 20 / 127
    assert 0.4 * step < report.batch_difference <= 0.6 * step  # a tenth of the range has steps of a tenth alone
    assert judged(lambda x: x, lambda x: x).batch_difference is None


def test_nothing_that_is_nan_in_both_shows_anything():
    def none(x):
        return np.full_like(x, np.nan)

    difference = measure("x", none(np.ones(4)), none(np.ones(4)), FP32)
    assert (difference.passed, difference.values, difference.cosine) == (True, 0, 1)
    with np.errstate(invalid="ignore"):
        report = judged(lambda x: x / x, lambda x: x / x)
    assert report.passed
    assert "shows nothing" in report.cases[0].note


def test_how_many_are_nan_in_one_alone_is_counted():
    expected, actual = np.ones(8, np.float32), np.ones(8, np.float32)
    actual[:3] = np.nan
    difference = measure("x", expected, actual, FP32)
    assert (difference.missing, difference.passed) == (3, False)
    assert difference.told() == "3 of 8 values NaN or infinite in one alone"
    assert np.isfinite(measure("x", np.full(3, 1e200), np.full(3, 2e200), FP32).cosine)


@pytest.mark.parametrize(
    ("precision", "source", "asked", "absolute", "by"),
    [
        ("fp32", "fp32", None, 1e-5, None),
        ("fp32", "fp16", None, 5e-3, "the source computes in float16"),
        ("fp32", "bf16", None, 4e-2, "the source computes in bfloat16"),
        ("int8", "fp16", None, 5e-2, None),
        ("fp32", "fp32", 1e-3, 1e-3, "asked for in the conversion"),
    ],
)
def test_the_tolerance_is_that_of_the_lower_precision_unless_asked(precision, source, asked, absolute, by):
    found = tolerance_of(precision, source, asked)
    assert (found.absolute, found.by) == (absolute, by)


def test_a_case_of_real_values_is_always_judged():
    window = Case("real windows", {"x": np.full((1, 2, 4, 4), 50, np.float32)})
    function = Function(np.tanh)
    report = compare(function, Function(softly(1e-3)), cases=[window])
    assert not report.passed


def test_where_small_grids_alone_differ_the_proof_is_done_on_larger_ones():
    def source(x):
        return x + 1

    def target(x):  # an encoder that has nothing left of a small grid
        return source(x) + (0.5 if x.shape[2] < 8 else 0)

    known = takes = signature()
    report = compare(Function(source), Function(target), cases=make_cases(known, takes))
    assert not report.passed
    known, takes = larger_least(known, takes, report)
    assert [size.at_least for size in takes.inputs[0].sizes] == [1, 2, 24, 20]
    assert [size.at_least for size in takes.outputs[0].sizes] == [1, 2, 24, 20]
    report = compare(Function(source), Function(target), cases=make_cases(known, takes))
    assert report.passed
    wrong = compare(Function(source), Function(lambda x: x + 2), cases=make_cases(known, takes))
    assert larger_least(known, takes, wrong) is None


def test_bands_are_not_as_many_as_in_a_usual_image_where_small_grids_differ():
    source, target = Function(np.copy), Function(lambda x: x + (0.5 if x.shape[2] < 8 else 0))
    source.signature = target.signature = known = takes = signature(bands=None)
    report = compare(source, target, cases=make_cases(known, takes))
    known, takes = larger_least(known, takes, report)
    assert [size.at_least for size in takes.inputs[0].sizes] == [1, 1, 24, 20]
    assert compare(source, target, cases=make_cases(known, takes)).passed
