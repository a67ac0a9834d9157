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


@pytest.mark.parametrize("library", sorted(builders.LIBRARIES))
def test_a_library_that_is_not_installed_is_named(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = builders.LIBRARIES[library]
    monkeypatch.setitem(sys.modules, known.module.partition(".")[0], None)
    spec = {known.name: "resnet18"}
    with pytest.raises(ModelStacError, match=f"pip install {library.replace('_', '-')}") as caught:
        getattr(builders, library)(spec)
    assert isinstance(caught.value, MissingPackageError)
