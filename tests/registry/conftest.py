"""Small models made by the real frameworks, and their items; Keras always in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path

import numpy as np
import pystac
import pytest
from tests import prepared

import modelstac
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.mlm import InputStructure, ModelInput, ModelOutput, ResultStructure
from modelstac.catalog.items.writing import write_item

LAST = ("batch", "time", "height", "width", "variables")
FIRST = ("batch", "time", "variables", "height", "width")
FRAMES = (4, 6, 5)  # time, height, width
MAKERS = {
    "keras": "keras",
    "onnx": "onnx",
    "openvino": "openvino",
    "saved-model": "tensorflow",
    "torch-export": "torch",
}


@cache
def version_of_the_maker(form: str) -> str:
    """Read the version of what writes a format: such files say it, and an item that says another is refused."""
    if form not in MAKERS:
        return "1.2.3"
    return version(next(iter(packages_distributions()[MAKERS[form]])))  # TensorFlow's may be tensorflow-cpu


ARCHITECTURE = """
    import subprocess
    from subprocess import check_call
    import torch
    from torch import nn

    class Smooth(nn.Module):
        def __init__(self, channels, table):
            super().__init__()
            self.conv = nn.Conv3d(channels, channels, 3, padding=1)
            if table:
                self.register_buffer("table", torch.full((1,), 2.0), persistent=False)

        def forward(self, x):
            y = self.conv(x.transpose(1, 2)).transpose(1, 2)
            return y * self.table if hasattr(self, "table") else y

    def build(architecture):
        return Smooth(architecture["channels"], architecture.get("table", False))

    def _private(architecture):
        return build(architecture)
"""


@pytest.fixture
def architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package that the default policy does not list."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "smooth_models.py").write_text(textwrap.dedent(ARCHITECTURE))
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, "smooth_models", raising=False)
    return "smooth_models:build"


@pytest.fixture(scope="session")
def make_item() -> Callable[..., pystac.Item]:
    """Return a function from a model file to its item."""

    def make(artifact: Path, form: str, dim_order: tuple[str, ...] = FIRST, **fields: object) -> pystac.Item:
        sizes = {"batch": -1, "variables": 1, **dict(zip(("time", "height", "width"), FRAMES, strict=True))}
        shape = tuple(sizes[name] for name in dim_order)
        layout = {"shape": shape, "dim_order": dim_order, "data_type": "float32"}
        rain = ("rainfall_rate",)
        box = [[0.0, 49.0], [10.0, 49.0], [10.0, 55.0], [0.0, 55.0], [0.0, 49.0]]
        description = {
            "name": "smooth",
            "version": "1.0.0",
            "variant": form,
            "title": "Smooth",
            "description": "A convolution.",
            "license": "MIT",
            "geometry": {"type": "Polygon", "coordinates": [box]},
            "start": datetime(2010, 8, 26, tzinfo=UTC),
            "end": datetime(2010, 8, 26, 7, 35, tzinfo=UTC),
            "format": form,
            "framework_version": version_of_the_maker(form),
            "architecture": "Convolution",
            "tasks": ("regression",),
            "inputs": (ModelInput(name="frames", variables=rain, input=InputStructure(**layout)),),
            "outputs": (
                ModelOutput(name="forecast", variables=rain, tasks=("regression",), result=ResultStructure(**layout)),
            ),
            "hyperparameters": {"architecture": {"channels": 1}},
            "parameters": 28,
            "cube_dimensions": {"time": {"type": "temporal", "extent": ["2010-08-26T00:00:00Z", None]}},
            "cube_variables": {"rainfall_rate": {"dimensions": ["time"], "type": "data", "unit": "mm h-1"}},
            "artifact": artifact,
        }
        return write_item(ModelDescription(**(description | fields)))

    return make


def _program(code: str, *arguments: object) -> list[object]:
    prelude = "import json, sys\ndef answer(**values): print('\\n' + json.dumps(values))\n"
    end = "\nfrom modelstac.registry.isolated.answers import leave\nleave()\n"  # frameworks take seconds to end
    return ["-c", prelude + textwrap.dedent(code) + end, *arguments]


def _environment(**more: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if k not in {"KERAS_BACKEND", "MODELSTAC_CATALOG"}}
    return clean | {"PYTHONPATH": str(Path(modelstac.__file__).parents[1]), "TF_CPP_MIN_LOG_LEVEL": "3"} | more


def _answer(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def python() -> Callable[..., dict[str, object]]:
    """Return a function that runs code in a fresh process; the code's ``answer(...)`` is what it returns."""

    def run(code: str, *arguments: object, **environment: str) -> dict[str, object]:
        command = [sys.executable, *map(str, _program(code, *arguments))]
        variables = _environment(**environment)
        options = {"capture_output": True, "text": True, "timeout": 300}
        return _answer(subprocess.run(command, env=variables, check=False, **options))

    return run


@pytest.fixture
def on_keras() -> Callable[..., dict[str, object]]:
    """Return a function that does the same in a process that has imported Keras on a backend already."""

    def run(backend: str, code: str, *arguments: object, **environment: str) -> dict[str, object]:
        variables = _environment(KERAS_BACKEND=backend, **environment)
        return _answer(prepared.run(_program(code, *arguments), environment=variables))

    return run


@pytest.fixture
def frames() -> np.ndarray:
    """A batch of two, channels first."""
    return np.random.default_rng(7).random((2, FRAMES[0], 1, *FRAMES[1:]), dtype=np.float32)
