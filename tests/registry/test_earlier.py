"""Items of earlier builds still read, search, load and give what they gave.

``earlier/0.1`` was published by the build of November 2026, before tensors had names: one model in each format.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import modelstac
from modelstac.catalog import Catalog
from modelstac.catalog.items.validation import validate

KEPT = Path(__file__).with_name("earlier") / "0.1"
RAIN = {
    f"rain-1.0.0-{variant}"
    for variant in (
        "torch",
        "onnx-from-torch",
        "torch-export-from-torch",
        "keras-tensorflow-from-torch",
        "saved-model-from-torch",
        "litert-from-torch",
        "openvino-from-torch",
    )
}


@pytest.fixture
def earlier(tmp_path: Path) -> Catalog:
    return modelstac.open(shutil.copytree(KEPT, tmp_path / "catalog"))


def test_all_are_found_and_valid(earlier: Catalog) -> None:
    items = list(earlier.search())
    assert {item.id for item in items} == {*RAIN, "dense-1.0.0-onnx"}
    for item in items:
        validate(item)
    assert {item.id for item in earlier.search(framework="ONNX")} == {"rain-1.0.0-onnx-from-torch", "dense-1.0.0-onnx"}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("item_id", sorted(RAIN))
def test_it_gives_what_its_source_gave(earlier: Catalog, item_id: str) -> None:
    with modelstac.load(item_id, catalog=earlier) as model:
        assert [tensor.name for tensor in model.signature.inputs] == ["frames"]
        if item_id != "rain-1.0.0-torch":  # the source itself has no example
            assert model.self_test().passed
        shape = [
            {"batch": 1, "time": 2, "height": 6, "width": 5, "variables": 1}[d]
            for d in model.signature.inputs[0].dim_order
        ]
        frames = np.random.default_rng(0).random(shape, np.float32)
        forecast = model.predict(frames)
        assert forecast.shape == frames.shape
        np.testing.assert_array_equal(model.run({"frames": frames})["forecast"], forecast)


def test_open_axes_of_theirs_take_any_length(earlier: Catalog) -> None:
    with modelstac.load("dense-1.0.0-onnx", catalog=earlier) as model:
        assert str(model.signature.inputs[0]) == "float32 (batch any, feature 6)"
        assert model.predict(np.zeros((5, 6), np.float32)).shape == (5, 3)
