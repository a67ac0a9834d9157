"""A function of somebody's as a job: done once, again after a change, resumed after a kill, and in a grid."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import modelstac
from modelstac.catalog import open_catalog
from modelstac.cli import main

MODULE = """
import json
import numpy as np
import torch
import modelstac

@modelstac.training_job(license="MIT", bbox=(5, 50, 10, 55), datetime="2020", task="regression", architecture="Linear",
                        load=lambda path: np.load(path))
def train(config, data, checkpoints):
    runs = checkpoints / "runs.json"
    before = json.loads(runs.read_text()) if runs.exists() else 0
    runs.write_text(json.dumps(before + 1))
    if config.get("fail") and before == 0:
        raise SystemExit(9)
    torch.manual_seed(config["seed"])
    net = torch.nn.Linear(3, 1)
    loss = (net(torch.tensor(data)) - 1).square().mean()
    print("trained", before)
    return net, {"rmse": float(loss.detach()) ** 0.5}, {"example": data[:4], "input_dims": ["batch", "channel"],
                                               "output_dims": ["batch", "target"]}

def plain(config, data):
    return None

@modelstac.training_job
def nothing(config, data):
    return 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import numpy as np

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("sys.path", [*sys.path])
    # A name of its own: one process has one module of a name.
    (tmp_path / f"{tmp_path.name}_lab.py").write_text(MODULE)
    np.save(tmp_path / "data.npy", np.random.default_rng(0).uniform(0, 1, (20, 3)).astype(np.float32))
    written(tmp_path)
    return tmp_path


def written(folder: Path, **config: Any) -> None:
    fields = {"config": {"seed": 1} | config, "data": "data.npy", "publish": {"name": "linear"}}
    (folder / "c.yaml").write_text(json.dumps(fields))  # JSON is YAML


def command(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run the command line in this process: exit code, and all that it printed."""
    runner = CliRunner()
    before = Path.cwd()
    os.chdir(folder)
    try:
        done = runner.invoke(main, list(arguments), prog_name="modelstac")
    finally:
        os.chdir(before)
    return done.exit_code, done.output


def train(folder: Path, function: str = "train") -> tuple[int, str]:
    return command(folder, "train", f"{folder.name}_lab:{function}", "--config", "c.yaml", "-c", "models")


def test_a_function_is_done_once_and_refused_after_a_change(folder: Path) -> None:
    code, printed = train(folder)
    assert code == 0, printed
    assert "published linear-1.0.0-torch-export" in printed
    item = open_catalog(folder / "models").get("linear-1.0.0-torch-export")
    assert item.properties["mlm:hyperparameters"]["seed"] == 1
    assert item.properties["interop:scores"].keys() == {"rmse"}
    assert modelstac.load(item.id, catalog=folder / "models").self_test().passed
    code, printed = train(folder)
    assert (code, "trained" in printed) == (0, False)
    assert "was published by this job before" in printed
    written(folder, seed=2)
    code, printed = train(folder)
    assert code == 2
    assert "was made by another job" in printed
    assert "new version" in printed


def test_a_killed_run_finds_what_it_kept(folder: Path) -> None:
    written(folder, fail=True)
    assert train(folder)[0] == 9
    code, printed = train(folder)
    assert (code, "trained 1" in printed) == (0, True), printed
    assert not list((folder / "cache").rglob("runs.json"))


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("plain", "no training job: write @modelstac.training_job above it"),
        ("gone", "has no function 'gone'"),
        ("nothing", "returned int: return model and scores"),
    ],
)
def test_what_is_no_training_job_is_said(folder: Path, function: str, reason: str) -> None:
    code, printed = train(folder, function)
    assert code == 2
    assert reason in printed
    assert "Traceback" not in printed


def test_a_grid_of_trainings_and_exports_runs_as_jobs(folder: Path) -> None:
    module = f"{folder.name}_lab"
    lines = [f"train: {module}:train", "data: data.npy", "grid: {seed: [1]}", "exports: [onnx]", "retries: 0"]
    (folder / "grid.yaml").write_text("\n".join([*lines, "publish: {name: 'linear-{seed}'}", "catalog: models"]) + "\n")
    code, printed = command(folder, "pipeline", "grid.yaml")
    assert code == 0, printed
    found = {item.id for item in open_catalog(folder / "models").items()}
    assert found == {"linear-1-1.0.0-torch-export", "linear-1-1.0.0-onnx-from-torch-export"}
    code, printed = command(folder, "pipeline", "grid.yaml", "--dry-run")
    assert "0 of 2 jobs are to be done" in printed
    (folder / "grid.yaml").write_text("\n".join([*lines, "publish: {name: 'linear-{sed}'}"]) + "\n")
    code, printed = command(folder, "pipeline", "grid.yaml", "-c", "models")
    assert code == 2
    assert "grid.yaml line 6, publish: the name 'linear-{sed}' holds a field that is none of the grid" in printed
