"""The command line, in this process or one of its own, and a small catalog made by a real framework."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pystac
import pytest
from onnx import TensorProto, helper, numpy_helper

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.mlm import InputStructure, MinMax, ModelInput, ModelOutput, ResultStructure
from modelstac.catalog.items.writing import write_item
from modelstac.cli import main

SOURCE = Path(modelstac.__file__).parents[1]
DIM_ORDER = ("batch", "time", "variables", "height", "width")


def environment(**more: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MODELSTAC_", "KERAS_BACKEND"))}
    return clean | {"PYTHONPATH": str(SOURCE)} | more


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Return an empty working folder."""
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


@pytest.fixture
def modelstac_command(
    here: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs the command line in this process: quick, for what needs no Keras."""

    def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        capfd.readouterr()
        with monkeypatch.context() as patch:
            patch.chdir(here)
            for name in os.environ.keys() - environment().keys():
                patch.delenv(name)
            for name, value in variables.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as end:
                main([str(argument) for argument in arguments], prog_name="modelstac")
        return subprocess.CompletedProcess([], end.value.code, *capfd.readouterr())

    return run


@pytest.fixture
def fresh_command(here: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that runs the command line in a process of its own, as a user does."""

    def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "modelstac", *map(str, arguments)],
            env=environment(**variables),
            cwd=here,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


def describe(artifact: Path, **fields: object) -> ModelDescription:
    """Describe the model of `write_graph`."""
    scaled = {"value_scaling": (MinMax(minimum=0, maximum=50),)}
    rate = {"format": "numpy", "expression": "x * 50"}
    layout = {"shape": (-1, 3, 1, -1, -1), "dim_order": DIM_ORDER, "data_type": "float32"}
    rain = ("rainfall_rate",)
    box = [[0.0, 49.0], [10.0, 49.0], [10.0, 55.0], [0.0, 55.0], [0.0, 49.0]]
    plain = {
        "name": "damped",
        "version": "1.0.0",
        "variant": "onnx",
        "title": "Damped persistence",
        "description": "Half of the rain.",
        "license": "MIT",
        "geometry": {"type": "Polygon", "coordinates": [box]},
        "start": datetime(2010, 8, 26, tzinfo=UTC),
        "end": datetime(2010, 8, 26, 7, 35, tzinfo=UTC),
        "format": "onnx",
        "framework_version": "1.22.0",
        "architecture": "Persistence",
        "tasks": ("regression",),
        "inputs": (ModelInput(name="frames", variables=rain, input=InputStructure(**layout), **scaled),),
        "outputs": (
            ModelOutput(
                name="forecast",
                variables=rain,
                tasks=("regression",),
                result=ResultStructure(**layout),
                post_processing_function=rate,
                **{"interop:lead_time": "PT5M"},
            ),
        ),
        "hyperparameters": {
            "preparation": {"rows": [300, 308], "columns": [240, 250], "coarsen": 2, "scale": 50.0},
            "architecture": {"frames": 3},
        },
        "parameters": 1,
        "cube_dimensions": {"time": {"type": "temporal", "extent": ["2010-08-26T00:00:00Z", None]}},
        "cube_variables": {"rainfall_rate": {"dimensions": ["time"], "type": "data", "unit": "mm h-1"}},
        "artifact": artifact,
    }
    return ModelDescription(**(plain | fields))


def write_graph(path: Path) -> Path:
    """Write the graph y = x / 2."""
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", 3, 1, "h", "w"]) for name in ("frames", "forecast")
    )
    half = numpy_helper.from_array(np.array([0.5], np.float32), "half")
    graph = helper.make_graph([helper.make_node("Mul", ["frames", "half"], ["forecast"])], "g", [x], [y], [half])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


@pytest.fixture(name="describe")
def describe_fixture() -> Callable[..., ModelDescription]:
    """Return the function `describe`."""
    return describe


@pytest.fixture
def item(tmp_path: Path) -> pystac.Item:
    """The item of a real model, not published yet."""
    return write_item(describe(write_graph(tmp_path / "damped.onnx")))


@pytest.fixture
def item_file(item: pystac.Item, tmp_path: Path) -> Path:
    """The same as somebody would send it: ITEM.json with its file beside it."""
    value = item.to_dict(transform_hrefs=False)
    value["assets"]["model"]["href"] = "./damped.onnx"
    path = tmp_path / "damped.json"
    path.write_text(json.dumps(value))
    return path


@pytest.fixture
def catalog(item: pystac.Item, tmp_path: Path) -> Path:
    """A catalog that holds it."""
    open_catalog(tmp_path / "catalog", create=True).publish(item)
    return tmp_path / "catalog"
