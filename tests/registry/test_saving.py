"""What saves a loaded model anew: files that say who wrote them, and give the same."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

from modelstac.registry.facts import read_facts
from modelstac.registry.isolated.saving import save

SHAPE = (2, 3, 8)


@pytest.fixture
def module() -> torch.nn.Module:
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(8, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2)).eval()


# Its exporter of ONNX uses what PyTorch itself calls deprecated.
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
@pytest.mark.parametrize(("form", "suffix"), [("torch", "safetensors"), ("torch-export", "pt2"), ("onnx", "onnx")])
def test_pytorch_saves_it_in_each_of_its_formats(
    module: torch.nn.Module, tmp_path: Path, form: str, suffix: str
) -> None:
    path = tmp_path / f"model.{suffix}"
    said = save(module, form, path, SHAPE, [0])
    assert said["torch"] == torch.__version__
    inputs = torch.rand(4, *SHAPE[1:])  # another batch than it was traced with
    expected = module(inputs).detach().numpy()
    if form == "torch":
        fresh = torch.nn.Sequential(torch.nn.Linear(8, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2))
        fresh.load_state_dict(load_file(path))
        found = fresh(inputs).detach().numpy()
    elif form == "torch-export":
        found = torch.export.load(path).module()(inputs).detach().numpy()
        assert "test_saving" not in path.read_bytes().decode("latin1")
    else:
        assert read_facts(path).parameters == sum(tensor.numel() for tensor in module.parameters())
        session = onnxruntime.InferenceSession(path)
        (found,) = session.run(None, {session.get_inputs()[0].name: inputs.numpy()})
    np.testing.assert_allclose(found, expected, atol=1e-6)
