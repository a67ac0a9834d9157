"""``modelstac env`` and ``predict --isolated``: the environment is made by uv, of what ONNX Runtime needs."""

from __future__ import annotations

import json

import numpy as np


def test_create_run_list_prune(modelstac_command, catalog, here):
    variables = {"MODELSTAC_ENVIRONMENTS": str(here / "environments"), "MODELSTAC_CATALOG": str(catalog)}
    made = modelstac_command("env", "create", "damped-1.0.0-onnx", "--json", **variables)
    assert made.returncode == 0, made.stderr
    digest = json.loads(made.stdout)["digest"]
    frames = np.ones((1, 3, 1, 4, 5), np.float32)
    np.save(here / "frames.npy", frames)
    run = ("predict", "damped-1.0.0-onnx", "frames.npy", "-o", "half.npy", "--isolated")
    done = modelstac_command(*run, MODELSTAC_OFFLINE="1", **variables)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(here / "half.npy"), frames / 2)
    (listed,) = json.loads(modelstac_command("env", "ls", "--json", **variables).stdout)
    assert listed["digest"] == digest
    assert listed["asked"] == ["numpy", "onnxruntime"]
    assert listed["size"] > 10_000_000
    text = modelstac_command("env", "ls", **variables).stdout
    assert digest[:12] in text
    assert "numpy onnxruntime" in text
    assert modelstac_command("env", "prune", "--days", "1", **variables).stdout == "0 environments removed\n"
    assert f"removed {digest[:12]}" in modelstac_command("env", "prune", **variables).stdout
    assert modelstac_command("env", "ls", "--json", **variables).stdout == "[]\n"
    assert not [path for path in (here / "environments").iterdir() if path.is_dir()]


def test_a_setting_without_sense(modelstac_command, catalog, here):
    np.save(here / "frames.npy", np.ones((1, 3, 1, 4, 5), np.float32))
    done = modelstac_command("predict", "damped-1.0.0-onnx", "frames.npy", "-c", catalog, MODELSTAC_ISOLATED="yes")
    assert done.returncode == 2
    assert done.stderr == "error: MODELSTAC_ISOLATED is 'yes': expected never, auto, always\n"
