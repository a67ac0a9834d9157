"""Arithmetic of items is computed, and nothing else is."""

import numpy as np
import pytest

from modelstac.catalog.errors import InvalidItemError
from modelstac.registry.running.values.expressions import evaluate
from modelstac.registry.running.values.scaling import processed, scale
from modelstac.training.data import Preparation
from modelstac.training.jobs.describe import _scaling, _unscaling

X = np.array([0.0, 0.1, 1.0, 30.0, 80.0], np.float32)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("x / 2 - 1", X / 2 - 1),
        ("clip(x, 0, 30) / 30", np.clip(X, 0, 30) / 30),
        ("log1p(x / 0.2) / log1p(50 / 0.2)", np.log1p(X / 0.2) / np.log1p(250)),
        ("where(x > 0.5, -x ** 2, 0)", np.where(X > 0.5, -(X**2), 0)),
    ],
)
def test_arithmetic(expression: str, expected: np.ndarray) -> None:
    found = evaluate(expression, X, of="item")
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('touch canary')",
        "x.__class__",
        "x.tofile('canary')",
        "[y for y in x]",
        "(lambda: x)()",
        "open('canary', 'w')",
        "fromfile('canary')",
        "save('canary', x)",
        "x @ x",
        "x[0]",
        "clip(x, a_min=0, a_max=1)",
        "'x'",
        "True",
        "y",
        "",
        "1",
        "9 ** 9 ** 9 ** 9",
        "(" * 400 + "x" + ")" * 400,
        "x+" * 600 + "x",
        "x := 1",
        7,
        None,
    ],
)
def test_anything_else_is_refused_in_one_line(
    expression: object, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidItemError) as raised:
        evaluate(expression, X, of="item 'toy'")
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_each_kind_of_scaling() -> None:
    steps = [
        ({"type": "min-max", "minimum": 10, "maximum": 20}, (X - 10) / 10),
        ({"type": "z-score", "mean": 2, "stddev": 4}, (X - 2) / 4),
        ({"type": "clip", "minimum": 1, "maximum": 5}, np.clip(X, 1, 5)),
        ({"type": "clip-min", "minimum": 1}, np.maximum(X, 1)),
        ({"type": "clip-max", "maximum": 1}, np.minimum(X, 1)),
        ({"type": "offset", "value": 3}, X - 3),
        ({"type": "scale", "value": 4}, X / 4),
        ({"type": None}, X),
    ]
    for step, expected in steps:
        np.testing.assert_allclose(scale(X, [step], ("time",), of="item"), expected, rtol=1e-6)


def test_one_step_a_band_several_for_one_band_and_no_third_way() -> None:
    bands = np.stack([X, X])
    steps = [{"type": "scale", "value": 2}, {"type": "offset", "value": 1}]
    np.testing.assert_array_equal(scale(bands, steps, ("bands", "time"), of="item"), np.stack([X / 2, X - 1]))
    np.testing.assert_array_equal(scale(X[None], steps, ("bands", "time"), of="item"), (X / 2 - 1)[None])
    with pytest.raises(InvalidItemError, match="scales 2 bands and has 3"):
        scale(np.stack([X, X, X]), steps, ("bands", "time"), of="item")
    counts = np.array([[0, 5000]], np.uint16)
    np.testing.assert_array_equal(
        scale(counts, [{"type": "scale", "value": 10_000}], ("bands", "x"), of="item"), [[0, 0.5]]
    )


@pytest.mark.parametrize("step", [{"type": "python"}, {"type": "scale"}, {"type": "scale", "value": "much"}])
def test_scaling_without_sense_is_named(step: dict[str, object]) -> None:
    with pytest.raises(InvalidItemError, match="item"):
        scale(X, [step], ("time",), of="item")


@pytest.mark.parametrize("form", ["python", "docker", "uri", None])
def test_a_processing_function_that_is_code_is_never_run(form: object) -> None:
    with pytest.raises(InvalidItemError, match="only arithmetic"):
        processed(X, {"format": form, "expression": "os:system"}, of="item")
    with pytest.raises(InvalidItemError, match="only arithmetic"):
        processed(X, "os:system", of="item")


@pytest.mark.parametrize("transform", ["linear", "log", "reflectivity"])
def test_items_write_what_the_training_computes(transform: str) -> None:
    preparation = Preparation(transform=transform)
    values = preparation.to_model(X)
    np.testing.assert_allclose(evaluate(_scaling(preparation).expression, X, of="item"), values, atol=1e-6)
    rates = evaluate(_unscaling(preparation).expression, values, of="item")
    np.testing.assert_allclose(rates, preparation.to_rate(values), rtol=1e-5)
