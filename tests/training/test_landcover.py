"""The small model of land cover: what is trained is what is written down, and what is published says all of it."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from modelstac.catalog import open_catalog
from modelstac.catalog.items.writing import write_item
from modelstac.registry.scenes.evaluating.evaluation import evaluate_maps
from modelstac.registry.scenes.evaluating.writing import read_metrics, write_evaluation
from modelstac.training.scenes.generating import generate_scene
from modelstac.training.scenes.landcover import BANDS, describe_landcover, train_landcover
from modelstac.training.scenes.network import STRIDE, Network, to_onnx
from modelstac.training.scenes.palette import CLASSES


@pytest.fixture(scope="module")
def trained():
    return train_landcover(steps=20, places=2, unseen=1)


@pytest.fixture(scope="module")
def described(trained, tmp_path_factory):
    return describe_landcover(trained, tmp_path_factory.mktemp("landcover"))


@pytest.mark.parametrize("shape", [(1, 4, 4), (2, 36, 20)])
def test_the_graph_is_the_network(shape):
    torch.manual_seed(1)
    network = Network(10, 9)
    session = onnxruntime.InferenceSession(to_onnx(network, 10, 9).SerializeToString())
    x = np.random.default_rng(0).normal(size=(shape[0], 10, *shape[1:])).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(session.run(None, {"image": x})[0], expected, atol=1e-5)


def test_it_is_small_and_learns(trained):
    assert trained.parameters < 200_000
    assert trained.scores["overall_accuracy"] > 0.35  # chance gives less than 0.2, and 200 steps 0.97
    assert {"miou", "macro_f1", "kappa"} < trained.scores.keys()


def test_its_description_is_measured_and_says_bands_scaling_and_classes(trained, described):
    (image,), (scores,) = described.inputs, described.outputs
    assert image.bands == BANDS
    assert [step.mean for step in image.value_scaling] == pytest.approx(trained.mean.tolist(), abs=1e-6)
    assert {axis: described.sizes["image"][axis].step for axis in ("height", "width")} == {
        "height": STRIDE,
        "width": STRIDE,
    }
    halo = described.halo["image"]["height"]
    # Convolutions reach 2 at full, 2 x 2 at half and 2 x 4 at quarter size, going down, and 2 x 2 + 2 coming up.
    assert 12 < halo < 32
    listed = scores.model_extra["classification:classes"]
    assert [(one["value"], one["title"]) for one in listed] == [(one.value, one.name) for one in CLASSES]


def test_it_is_published_with_its_scores_and_those_of_an_evaluation(described, tmp_path):
    scene = generate_scene(tmp_path / "scene", 64, labels=tmp_path / "labels.tif")
    write_evaluation(evaluate_maps([(str(scene.labels), str(scene.labels))], classes=CLASSES), tmp_path / "metrics")
    scores, assets = read_metrics(tmp_path / "metrics")
    item = write_item(described.model_copy(update={"scores": scores, "assets": {**described.assets, **assets}}))
    found = open_catalog(tmp_path / "catalog", create=True).publish(item)
    assert found.properties["interop:scores"]["miou"] == 1
    assert any(name.startswith("iou_") for name in found.properties["interop:scores"])
    assert {"metrics", "metrics-table", "metrics-picture"} < found.assets.keys()
