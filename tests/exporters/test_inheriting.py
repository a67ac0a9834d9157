"""A conversion has what its source says beside its numbers: the card, the classes, the example before scaling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelstac
from modelstac.catalog import open_catalog
from modelstac.exporters.jobs import ExportJob, export

onnx = pytest.importorskip("onnx")
pytest.importorskip("openvino")


def graph() -> Any:
    """One convolution of two bands into two classes."""
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.asarray([[1, 0], [0, 2]], np.float32).reshape(2, 2, 1, 1), "w")
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2, "h", "w"]) for name in ("image", "scores")]
    made = helper.make_graph(
        [helper.make_node("Conv", ["image", "w"], ["scores"])], "g", sides[:1], sides[1:], [weights]
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def test_a_conversion_carries_card_classes_and_the_raw_example(workers: Any, tmp_path: Path) -> None:
    scenes = np.random.default_rng(0).integers(0, 10000, (1, 2, 8, 8)).astype(np.int16)
    source = modelstac.publish(
        graph(),
        catalog=tmp_path,
        name="land-cover",
        task="semantic-segmentation",
        architecture="CNN",
        license="MIT",
        bbox=(5, 50, 10, 55),
        datetime="2020",
        bands=["B04", "B08"],
        classes=[{"name": "water", "color": "#1F77B4"}, {"name": "forest", "color": "green"}],
        scaling=10000,
        card="# Land cover",
        example=scenes,
    )
    item = export(ExportJob(source=source.id, target="openvino"), open_catalog(tmp_path), workers=workers)
    assert (tmp_path / Path(item.assets["card"].get_absolute_href() or "")).read_text().startswith("# Land cover")
    [output] = item.properties["mlm:output"]
    assert [one["name"] for one in output["classification:classes"]] == ["water", "forest"]
    assert [one["color_hint"] for one in output["classification:classes"]] == ["1F77B4", "008000"]
    assert "example-raw-input" in item.assets
    test = modelstac.load(item.id, catalog=tmp_path).self_test()
    assert test.passed
    assert any("raw values" in name for name in test.outputs)
