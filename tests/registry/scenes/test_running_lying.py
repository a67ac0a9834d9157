"""Where outputs of another size lie: found by running the model where sizes alone leave it open, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from onnx import helper
from tests.registry.scenes.scenes_in_memory import Memory, corner, run
from tests.registry.scenes.small_models import in_onnx, of_images, onnx_graph

from modelstac.catalog.errors import DataError
from modelstac.catalog.items.sizes import Size

VALUES = np.random.default_rng(0).random((1, 150, 211), np.float32)


def of_one_size(node: Any, given: int, made: int, weights: Any = ()) -> Any:
    """Give a model of one input and one output length."""
    graph = onnx_graph([node], {"image": [1, 1, given, given]}, {"out": [1, 1, made, made]}, weights)
    found = of_images({"image": 1}, {"out": 1}, side=given, batch=1, halo={"image": {"height": 0, "width": 0}})
    (output,) = found.outputs
    result = output.result.model_copy(update={"shape": (1, 1, made, made)})
    return in_onnx(graph, found.model_copy(update={"outputs": (output.model_copy(update={"result": result}),)}))


def cut_out(given: int, begin: int, end: int) -> Any:
    """Give a model that leaves off the edges of its input."""
    places = {"begins": np.array([begin] * 2), "ends": np.array([end] * 2), "axes": np.array([2, 3])}
    return of_one_size(
        helper.make_node("Slice", ["image", "begins", "ends", "axes"], ["out"]), given, end - begin, places
    )


@pytest.mark.parametrize(("begin", "end"), [(16, 48), (12, 52)])
def test_the_middle_of_an_input_keeps_its_pixels(tmp_path: Path, begin: int, end: int) -> None:
    """Half as long is not always half as fine."""
    found = run(cut_out(64, begin, end), Memory({"image": VALUES}), tmp_path)
    np.testing.assert_array_equal(found["out"], VALUES)
    assert found["plan"].layers["out"].grid.affine == corner(10)


def test_half_as_fine_is_half_as_long(tmp_path: Path) -> None:
    model = of_one_size(
        helper.make_node("AveragePool", ["image"], ["out"], kernel_shape=[2, 2], strides=[2, 2]), 64, 32
    )
    found = run(model, Memory({"image": VALUES}), tmp_path)
    assert found["plan"].layers["out"].grid.affine == corner(10) @ Affine.scale(2)
    expected = VALUES[0, :150, :210].reshape(75, 2, 105, 2).mean((1, 3))
    np.testing.assert_allclose(found["out"][0, :75, :105], expected, rtol=1e-6)


def test_deep_networks_change_blocks(tmp_path: Path) -> None:
    """A quarter as fine, of a network that pools by 32: eight rows change, wherever in 32 a row of the input is."""
    scales = np.array([1, 1, 8, 8], np.float32)
    nodes = [
        helper.make_node("AveragePool", ["image"], ["deep"], kernel_shape=[32, 32], strides=[32, 32]),
        helper.make_node("Resize", ["deep", "", "scales"], ["out"], mode="linear"),
    ]
    graph = onnx_graph(nodes, {"image": [1, 1, 256, 256]}, {"out": [1, 1, 64, 64]}, {"scales": scales})
    found = of_images({"image": 1}, {"out": 1}, side=256, batch=1, halo={"image": {"height": 64, "width": 64}})
    (output,) = found.outputs
    result = output.result.model_copy(update={"shape": (1, 1, 64, 64)})
    model = in_onnx(graph, found.model_copy(update={"outputs": (output.model_copy(update={"result": result}),)}))
    grid = run(model, Memory({"image": VALUES}), tmp_path)["plan"].layers["out"].grid
    assert (grid.affine, grid.shape) == (corner(10) @ Affine.scale(4), (38, 53))


def test_strides_that_leave_off_edges_too(tmp_path: Path) -> None:
    """64 pixels become 30 by a mean of five in steps of two: of a slope it is the height in the middle of the five."""
    node = helper.make_node("Conv", ["image", "w"], ["out"], strides=[2, 2])
    rows, columns = np.mgrid[:150, :211].astype(np.float32)
    slope = (rows + 3 * columns)[None]
    kernel = np.full((1, 1, 5, 5), 1 / 25, np.float32)
    found = run(of_one_size(node, 64, 30, {"w": kernel}), Memory({"image": slope}), tmp_path)
    grid = found["plan"].layers["out"].grid
    height, width = grid.shape
    assert (abs(grid.affine.a), abs(grid.affine.e), height, width) == (20, 20, 76, 106)
    x, y = grid.affine @ tuple(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5))
    across, down = ~corner(10) @ (x, y)
    expected = (down - 0.5) + 3 * (across - 0.5)  # of pixels whose middle lies half a pixel from their edge
    inner = np.s_[2:-2, 2:-2]  # the others see reflections
    np.testing.assert_allclose(found["out"][0][inner], expected[inner], rtol=1e-5)
    assert np.isfinite(found["out"]).all()
    assert found["out"][0, -1].max() > 0


def test_what_lies_elsewhere_is_refused(tmp_path: Path) -> None:
    """Of one size, and of open ones: a map would lie as many pixels off."""
    line = (
        "does not lie in the middle of it along 'height', so that a map of it would lie elsewhere: run the model on arr"
    )
    with pytest.raises(DataError, match=line):
        run(cut_out(64, 0, 40), Memory({"image": VALUES}), tmp_path)
    graph = onnx_graph(
        [helper.make_node("Slice", ["image", "begins", "ends", "axes"], ["out"])],
        {"image": ["b", 1, "h", "w"]},
        {"out": ["b", 1, "i", "j"]},
        {"begins": np.array([0, 0]), "ends": np.array([-6, -6]), "axes": np.array([2, 3])},
    )
    sizes = {
        name: {axis: Size(least, 1, symbol=axis) for axis in ("height", "width")}
        for name, least in (("image", 7), ("out", 1))
    }
    model = in_onnx(graph, of_images({"image": 1}, {"out": 1}, halo={"image": {"height": 3, "width": 3}}, sizes=sizes))
    with pytest.raises(DataError, match=line):
        run(model, Memory({"image": VALUES}), tmp_path)
