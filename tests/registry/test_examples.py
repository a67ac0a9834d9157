"""The example published with a model is replayed, and a model that changed does not pass."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pystac
import pytest
from onnx import TensorProto, helper, numpy_helper

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.errors import IntegrityError, InvalidItemError, NotFoundError
from modelstac.catalog.items.description import Parity
from modelstac.catalog.items.digests import multihash, sha256
from modelstac.registry.running.examples import INPUT, OUTPUT, read_example, write_example

Make = Callable[..., pystac.Item]


@pytest.fixture
def make(tmp_path: Path, make_item: Make, frames: np.ndarray) -> Make:
    """Return a function that makes the item of y = 3 x, with an example where y = factor * x."""

    def made(factor: float = 3, **fields: object) -> pystac.Item:
        layout = ["batch", 4, 1, 6, 5]
        x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, layout) for name in ("frames", "forecast"))
        weights = [numpy_helper.from_array(np.array([3], np.float32), "w")]
        graph = helper.make_graph([helper.make_node("Mul", ["frames", "w"], ["forecast"])], "g", [x], [y], weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        onnx.save(model, tmp_path / "model.onnx")
        assets = write_example(tmp_path, {"frames": frames}, {"forecast": frames * np.float32(factor)})
        return make_item(tmp_path / "model.onnx", "onnx", assets=assets, **fields)

    return made


def test_a_model_that_gives_what_was_published_passes(make: Make, tmp_path: Path) -> None:
    catalog = open_catalog(tmp_path / "catalog", create=True)
    item = catalog.publish(make())
    found = modelstac.load(item.id, catalog=catalog).self_test()
    assert found.passed
    assert found.max_absolute == 0
    assert str(found).startswith("smooth-1.0.0-onnx: passed, the example differs by 0.0e+00")
    assert json.loads(json.dumps(found.to_dict()))["shape"] == [2, 4, 1, 6, 5]


@pytest.mark.parametrize("factor", [3.001, -3, np.inf, np.nan])
def test_a_model_that_gives_something_else_fails(make: Make, factor: float) -> None:
    found = modelstac.load(make(factor)).self_test()
    assert not found.passed
    assert "FAILED" in str(found)
    json.dumps(found.to_dict(), allow_nan=False)


def test_the_tolerance_is_that_of_the_parity(make: Make) -> None:
    parity = Parity(
        source="smooth-1.0.0-torch",
        max_absolute_difference=1e-3,
        max_relative_difference=1e-3,
        root_mean_square_difference=1e-3,
        cases=1,
        absolute_tolerance=1e-2,
        relative_tolerance=1e-2,
        passed=True,
    )
    found = modelstac.load(make(3.001, parity=parity)).self_test()
    assert found.passed
    assert 0.0005 < found.max_absolute < 0.002


def test_an_item_without_an_example_says_so(make: Make) -> None:
    item = make()
    del item.assets[OUTPUT]
    with pytest.raises(NotFoundError, match="without an example"):
        modelstac.load(item).self_test()


def test_an_example_that_was_changed_is_refused(make: Make) -> None:
    item = make()
    path = Path(item.assets[INPUT].href)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(IntegrityError):
        modelstac.load(item).self_test()


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no array",
        npy(np.zeros(3))[:-1],
        npy(np.zeros(3)) + b"tail",
        npy(np.array([print], object)),  # a pickle
        npy(np.array(["text"])),
        npy(np.zeros((2, 3))).replace(b"(2, 3)", b"(2**9)"),
        npy(np.zeros(1)).replace(b"(1,), }" + b" " * 16, b"(99999999999999999,), }"),
        npy(np.zeros(1)).replace(b"(1,), }", b"(1,),  "),
    ],
)
def test_what_is_no_plain_array_is_refused_in_one_line(make: Make, content: bytes) -> None:
    item = make()
    path = Path(item.assets[INPUT].href)
    path.write_bytes(content)
    item.assets[INPUT].extra_fields |= {"file:checksum": multihash(sha256(path)), "file:size": len(content)}
    with pytest.raises(InvalidItemError, match=INPUT) as raised:
        read_example(item)
    assert "\n" not in str(raised.value)


def test_the_card_shows_text_and_no_markup_of_the_item(make: Make) -> None:
    model = modelstac.load(make(title="<script>alert(1)</script>"))
    assert model.card().startswith("smooth-1.0.0-onnx\n  title           <script>")
    shown = model._repr_html_()
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown
