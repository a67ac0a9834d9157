"""TensorFlow's model where there is no TensorFlow, PyTorch's where there is no PyTorch, and another TensorFlow.

Minutes and gigabytes, so it runs by ``pytest -m slow tests/registry/test_isolated_frameworks.py``. uv's settings say
where packages come from; with an index or folder of CPU builds (UV_FIND_LINKS, …) PyTorch is five times smaller.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import modelstac
from modelstac.catalog import open_catalog
from modelstac.registry.isolated.uv import find_uv
from modelstac.training.data import synthetic

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
SOURCE = Path(modelstac.__file__).parents[1]
ITEM = "convlstm-knmi-1.0.0-{}"
TRAIN = """
import sys
import numpy as np
import modelstac
from modelstac.catalog import open_catalog
from modelstac.training.fitting.fit import FitSpec
from modelstac.training.jobs.job import TrainJob
from modelstac.training.jobs.train import train
folder, variant = sys.argv[1:]
fit = FitSpec(epochs=1, batch_size=1)
job = TrainJob.from_preset("tiny", variant=variant, data=f"{folder}/frames", fit=fit)
item = train(job, open_catalog(f"{folder}/catalog", create=True))
with modelstac.load(item) as model:
    shape = [1 if n == -1 else n for n in model.signature.inputs[0].shape]
    if variant == "torch":
        shape = [1, 18, 1, 64, 64]
    frames = np.random.default_rng(3).random(shape, np.float32)
    np.savez(f"{folder}/{variant}.npz", frames=frames, forecast=model.predict(frames))
"""
RUN = """
import json, sys
from importlib.metadata import packages_distributions, version
import numpy as np
import modelstac
folder, variant, *absent = sys.argv[1:]
here = packages_distributions()
stored = np.load(f"{folder}/{variant}.npz")
heard = []
with modelstac.load(f"convlstm-knmi-1.0.0-{variant}", catalog=f"{folder}/catalog", isolated=True) as model:
    found = model.predict(stored["frames"])
    again = model.predict(stored["frames"])
    packages = model.environment.packages
difference = float(np.abs(found - stored["forecast"]).max())
print(json.dumps({
    "difference": difference,
    "spread": float(stored["forecast"].std()),
    "same": bool((found == again).all()),
    "absent": [name for name in absent if name not in here],
    "here": {name: version(here[name][0]) for name in ("tensorflow", "torch", "keras") if name in here},
    "imported": [name for name in ("tensorflow", "torch", "keras") if name in sys.modules],
    "packages": packages,
}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two models, each trained by its own framework, and what they forecast here."""
    folder = tmp_path_factory.mktemp("frameworks")
    synthetic.generate(folder / "frames", 72)
    for variant in ("keras-tensorflow", "torch"):
        program(Path(sys.executable), TRAIN, folder, variant)
    return folder


def program(python, code, *arguments):
    environment = {k: v for k, v in os.environ.items() if k not in {"KERAS_BACKEND", "VIRTUAL_ENV", "XDG_CACHE_HOME"}}
    done = subprocess.run(
        [python, "-c", code, *map(str, arguments)],
        env=environment | {"PYTHONPATH": str(SOURCE), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def parent(folder, *packages):
    """Make an environment of the core of modelstac and these packages."""
    core = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    python = folder / "-".join(packages).replace("=", "") / "bin" / "python"
    if python.exists():
        return python
    uv = find_uv("the test")
    cache = {k: v for k, v in os.environ.items() if k not in {"VIRTUAL_ENV", "XDG_CACHE_HOME"}}
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, python.parents[1]], check=True, env=cache)
    subprocess.run([uv, "pip", "install", "-q", "--python", python, "uv", *core, *packages], check=True, env=cache)
    return python


@pytest.mark.parametrize(
    ("variant", "used", "packages", "absent"),
    [
        ("keras-tensorflow", "tensorflow", ("torch==2.13.0", "safetensors"), ("tensorflow", "keras")),
        ("torch", "torch", ("tensorflow-cpu==2.21.0", "keras"), ("torch", "safetensors")),
        ("keras-tensorflow", "tensorflow", ("tensorflow-cpu==2.21.0", "keras"), ()),
    ],
    ids=["TensorFlow's from PyTorch alone", "PyTorch's from TensorFlow alone", "TensorFlow's from a later TensorFlow"],
)
def test_a_model_runs_where_its_framework_is_not(variant, used, packages, absent, *, folder, monkeypatch):
    monkeypatch.setenv("MODELSTAC_ENVIRONMENTS", str(folder / "environments"))
    found = json.loads(program(parent(folder, *packages), RUN, folder, variant, *absent).splitlines()[-1])
    print(found)
    item = open_catalog(folder / "catalog").get(ITEM.format(variant))
    wanted = item.properties.get("interop:backend_version", item.properties["mlm:framework_version"]).split("+")[0]
    installed = dict(package.replace("-cpu=", "=").split("==") for package in found["packages"])
    assert installed[used].split("+")[0] == wanted
    assert found["absent"] == list(absent)
    assert found["imported"] == []
    assert found["here"].get(used) != wanted
    assert found["spread"] > 1e-3
    assert found["difference"] <= 1e-5
    assert found["same"]
