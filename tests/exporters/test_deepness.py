"""ONNX files that we write say to Deepness, the QGIS plugin, what it reads: read back as it does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import modelstac
from modelstac.catalog import open_catalog
from modelstac.exporters.attempts.deepness import metadata, with_metadata
from modelstac.exporters.jobs import ExportJob, export
from modelstac.registry.choosing.claims import described
from modelstac.registry.choosing.model_assets import model_assets

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of converters
X = np.random.default_rng(0).uniform(0, 255, (1, 3, 16, 16)).astype(np.float32)
SAID: dict[str, Any] = {
    "name": "cover",
    "task": "semantic-segmentation",
    "architecture": "CNN",
    "license": "MIT",
    "code": False,
    "bbox": (5, 50, 10, 55),
    "datetime": "2020",
    "bands": ("red", "green", "blue"),
    "classes": ("water", "land"),
    "input_dims": ("batch", "bands", "height", "width"),
    "output_dims": ("batch", "class", "height", "width"),
}


def network(folder: Path) -> Path:
    """Write a network of bands first."""
    ends = [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])]
    ends += [helper.make_tensor_value_info("cover", TensorProto.FLOAT, ["n", 2, "h", "w"])]
    weight = np.random.default_rng(1).normal(size=(2, 3, 3, 3)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["image", "weight"], ["scores"], pads=[1, 1, 1, 1])]
    nodes += [helper.make_node("Softmax", ["scores"], ["cover"], axis=1)]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(weight, "weight")])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, folder / "net.onnx")
    return folder / "net.onnx"


def told(path: Path) -> dict[str, Any]:
    """Read what the plugin reads, in its way."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("deepness")
    scaling = [{"type": "z-score", "mean": 100.0, "stddev": 50.0}, {"type": "scale", "value": 255.0}]
    scaling += [{"type": "min-max", "minimum": 10.0, "maximum": 200.0}]
    said = SAID | {"scaling": scaling}
    item = modelstac.publish(network(folder), catalog=folder / "models", **said)
    job = ExportJob(item.id, "onnx", precision="fp16")
    return export(job, open_catalog(folder / "models")), folder / "models"


def test_an_export_says_what_the_plugin_reads(exported: Any) -> None:
    item, catalog = exported
    path = Path(item.assets["model"].get_absolute_href())
    found = told(path)
    assert found["model_type"] == "Segmentor"
    assert found["class_names"] == {"0": "water", "1": "land"}
    assert found["tile_size"] == found["tiles_size"] == 512
    assert found["tiles_overlap"] == 1  # a pixel at each side
    # What it feeds: the image over 255, less the mean, over the deviation.
    mean, deviation = (np.array(found[f"standardization_{name}"]).reshape(1, 3, 1, 1) for name in ("mean", "std"))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    fed = ((X / 255 - mean) / deviation).astype(np.float32)
    theirs = session.run(None, {session.get_inputs()[0].name: fed})[0]
    model = modelstac.load(item.id, catalog=catalog)
    np.testing.assert_allclose(theirs, model.predict(X, scaled=False), atol=2e-3)  # of half precision


def test_what_the_file_says_already_stays(exported: Any, tmp_path: Path) -> None:
    item, _ = exported
    [asset] = model_assets(item)
    description, _ = described(item, asset)
    path = tmp_path / "model.onnx"
    path.write_bytes(Path(item.assets["model"].get_absolute_href()).read_bytes())
    before = path.read_bytes()
    with_metadata(description.model_copy(update={"artifact": path}))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"tasks": ("object-detection",)},
        {"format": "keras", "backend": None, "backend_version": None},
    ],
)
def test_what_it_cannot_open_is_left_alone(exported: Any, changes: dict[str, Any]) -> None:
    item, _ = exported
    [asset] = model_assets(item)
    description, _ = described(item, asset)
    assert metadata(description)
    assert metadata(description.model_copy(update=changes)) == {}


def test_scaling_that_is_no_straight_line_is_left_out(exported: Any) -> None:
    item, _ = exported
    [asset] = model_assets(item)
    description, _ = described(item, asset)
    from modelstac.catalog.items.mlm import Clip

    image = description.inputs[0].model_copy(update={"value_scaling": (Clip(minimum=0.0, maximum=50.0),)})
    assert "standardization_mean" not in metadata(description.model_copy(update={"inputs": (image,)}))
    with_gsd = description.model_copy(update={"common": {"gsd": 10}})
    assert metadata(with_gsd)["resolution"] == 1000
