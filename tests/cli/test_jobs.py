"""Jobs from the command line: train, export, and what comes out, run by its id."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from modelstac.catalog import open_catalog
from modelstac.training.architectures import convlstm_torch
from modelstac.training.spec import ConvLSTMSpec

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def convlstm(tmp_path: Path, describe: Callable[..., object]) -> Path:
    """A catalog with a ConvLSTM in PyTorch, ``rain-1.0.0-torch``."""
    spec = ConvLSTMSpec(filters=(3, 2), kernels=(3, 1), frames=3, height=6, width=5)
    torch.manual_seed(1)
    save_file(convlstm_torch.build(spec).state_dict(), tmp_path / "rain.safetensors")
    description = describe(
        tmp_path / "rain.safetensors",
        name="rain",
        variant="torch",
        format="torch",
        framework_version="2.13.0",
        architecture="ConvLSTM",
        entrypoint="modelstac.training.architectures.convlstm_torch:build",
        hyperparameters={"architecture": spec.to_dict()},
        parameters=spec.parameters,
    )
    open_catalog(tmp_path / "models", create=True).publish(description.to_item())
    return tmp_path / "models"


def test_export_publishes_what_computes_the_same(modelstac_command: Command, convlstm: Path, tmp_path: Path) -> None:
    done = modelstac_command("export", "rain-1.0.0-torch", "-c", convlstm)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("published rain-1.0.0-onnx-from-torch: at most ")
    np.save(tmp_path / "x.npy", np.random.default_rng(3).random((1, 3, 1, 6, 5), dtype=np.float32))
    for variant in ("torch", "onnx-from-torch"):
        output = tmp_path / f"{variant}.npy"
        arguments = ["predict", f"rain-1.0.0-{variant}", tmp_path / "x.npy", "-o", output, "-c", convlstm]
        assert modelstac_command(*arguments).returncode == 0
    np.testing.assert_allclose(np.load(tmp_path / "torch.npy"), np.load(tmp_path / "onnx-from-torch.npy"), atol=1e-6)
    again = modelstac_command("export", "rain-1.0.0-torch", "--json", "-c", convlstm)
    assert again.returncode == 0
    assert json.loads(again.stdout)["properties"]["interop:parity"]["passed"]
    page = modelstac_command("show", "rain-1.0.0-onnx-from-torch", "-c", convlstm).stdout
    assert "torch -> onnx" in page
    assert "rain-1.0.0-torch" in page


@pytest.mark.parametrize(
    ("arguments", "part", "code"),
    [
        (["rain-1.0.0-toch"], "rain-1.0.0-torch", 2),
        (["rain-1.0.0-torch", "--to", "onx"], "onnx", 2),
        (["rain-1.0.0-torch", "--to", "torch"], "torch", 1),
        (["rain-1.0.0-torch", "--seed", "-1"], "seed", 2),
    ],
)
def test_export_that_cannot_be_done(
    modelstac_command: Command, convlstm: Path, arguments: list[str], part: str, code: int
) -> None:
    done = modelstac_command("export", *arguments, "-c", convlstm)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert part in done.stderr
