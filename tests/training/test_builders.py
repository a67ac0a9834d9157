"""Networks of other libraries: what is asked of them, and what is not. The libraries are stand-ins."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import modelstac
from modelstac.catalog.errors import MissingPackageError, ModelStacError, SpecError, UntrustedError
from modelstac.training import builders

PLACE = {"bbox": (0, 0, 1, 1), "datetime": "2020", "license": "MIT", "architecture": "CNN", "code": False}
AXES = {"input_dims": "batch,channel,height,width", "output_dims": "batch,class,height,width"}


def create_model(model_name: str, *, pretrained: bool, in_chans: int = 3, num_classes: int = 2) -> nn.Module:
    """Build one convolution, and look at a number of a tensor as some networks do."""
    assert not pretrained
    assert model_name == "tiny"
    assert float(torch.ones(1)) == 1
    return nn.Sequential(nn.Conv2d(in_chans, num_classes, 1))


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    made: Any = types.ModuleType("timm")
    made.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", made)


@pytest.mark.usefixtures("library")
def test_weights_of_a_library_are_published_and_loaded_by_those_who_trust_it(tmp_path: Path) -> None:
    network = builders.timm({"model_name": "tiny", "num_classes": 3}).eval()
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    image = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)
    said: dict[str, Any] = {"entrypoint": "modelstac.training.builders:timm", "example": image} | PLACE | AXES
    said |= {"hyperparameters": {"model_name": "tiny", "num_classes": 3}, "task": "semantic-segmentation"}
    item = modelstac.publish(tmp_path / "weights.safetensors", name="net", catalog=tmp_path / "catalog", **said)
    with pytest.raises(UntrustedError, match=r"trust='entrypoint:modelstac\.training\.builders'"):
        modelstac.load(item.id, catalog=tmp_path / "catalog")
    model = modelstac.load(item.id, catalog=tmp_path / "catalog", trust="entrypoint:modelstac.training.builders")
    np.testing.assert_allclose(model.predict(image), network(torch.from_numpy(image)).detach().numpy(), atol=1e-6)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({}, "model_name=, which is None"),
        ({"model_name": "hf-hub:org/name"}, "networks of its own"),
        ({"model_name": "../tiny"}, "networks of its own"),
        ({"model_name": "tiny", "pretrained": True}, "is not told 'pretrained'"),
        ({"model_name": "tiny", "checkpoint_path": "a.pth"}, "is not told 'checkpoint_path'"),
        ({"model_name": "tiny", "num_clases": 3}, "did you mean 'num_classes'"),
        ({"model_name": "tiny", "global_pool": "/etc/passwd"}, "numbers and words alone"),
        ({"model_name": "tiny", "num_classes": {"a": 1}}, "numbers and words alone"),
    ],
)
def test_what_would_fetch_or_read_something_is_not_passed_on(spec: dict[str, Any], reason: str) -> None:
    with pytest.raises(SpecError, match=reason) as caught:
        builders.timm(spec)
    assert "\n" not in str(caught.value)


class DetectionModel(nn.Module):
    """Give boxes and what a loss takes, as detectors of ultralytics do once they are trained."""

    def __init__(self, cfg: str, *, ch: int = 3, nc: int = 80, verbose: bool = True) -> None:
        super().__init__()
        assert (cfg, verbose) == ("yolo11n.yaml", False)
        self.model = nn.Conv2d(ch, 4 + nc, 32, stride=32)

    def forward(self, x: torch.Tensor) -> Any:
        boxes = self.model(x).flatten(2)
        return boxes, {"features": [boxes]}


def test_a_detector_of_ultralytics_gives_its_boxes_by_weights_of_the_same_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: Any = types.ModuleType("ultralytics.nn.tasks")
    made.DetectionModel = DetectionModel
    monkeypatch.setitem(sys.modules, "ultralytics.nn.tasks", made)
    theirs = DetectionModel("yolo11n.yaml", ch=4, nc=2, verbose=False).eval()
    ours = builders.ultralytics({"cfg": "yolo11n", "ch": 4, "nc": 2}).eval()
    ours.load_state_dict(theirs.state_dict())
    image = torch.rand(1, 4, 64, 96)
    torch.testing.assert_close(ours(image), theirs(image)[0])
    for name in ("yolo11n-seg", "../yolo11n", "yolo11n.pt", "https://example.org/yolo11n.yaml"):
        with pytest.raises(SpecError, match="networks of its own"):
            builders.ultralytics({"cfg": name})


@pytest.mark.parametrize("library", sorted(builders.LIBRARIES))
def test_a_library_that_is_not_installed_is_named(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = builders.LIBRARIES[library]
    monkeypatch.setitem(sys.modules, known.module.partition(".")[0], None)
    spec = {known.name: "yolov8n" if library == "ultralytics" else "resnet18"}
    with pytest.raises(ModelStacError, match=f"pip install {library.replace('_', '-')}") as caught:
        getattr(builders, library)(spec)
    assert isinstance(caught.value, MissingPackageError)
