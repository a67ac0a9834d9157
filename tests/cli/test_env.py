"""``modelstac env`` and ``predict --isolated``: the environment is made by uv, of what ONNX Runtime needs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from modelstac.catalog import open_catalog


@pytest.mark.usefixtures("_package_index")
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


@pytest.mark.usefixtures("_package_index")
def test_the_environment_of_somebody_elses_item(modelstac_command, catalog, here):
    item = open_catalog(catalog).get("damped-1.0.0-onnx").full_copy()
    item.id, item.properties["mlm:framework"] = "damped-foreign", "onnxruntime"
    item.properties = {name: value for name, value in item.properties.items() if not name.startswith("interop:")}
    item.save_object(include_self_link=False, dest_href=str(here / "foreign.json"))
    made = modelstac_command(
        "env", "create", "foreign.json", "-c", catalog, "--json", MODELSTAC_ENVIRONMENTS=str(here / "environments")
    )
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["asked"] == ["numpy", "onnxruntime"]
    item.assets["model"].extra_fields["mlm:artifact_type"] = "torch.save"
    item.save_object(include_self_link=False, dest_href=str(here / "foreign.json"))
    refused = modelstac_command("env", "create", "foreign.json", "-c", catalog)
    assert refused.returncode not in {0, None}
    (line,) = refused.stderr.splitlines()
    assert "'damped-foreign' holds torch.save" in line


def test_a_setting_without_sense(modelstac_command, catalog, here):
    np.save(here / "frames.npy", np.ones((1, 3, 1, 4, 5), np.float32))
    done = modelstac_command("predict", "damped-1.0.0-onnx", "frames.npy", "-c", catalog, MODELSTAC_ISOLATED="yes")
    assert done.returncode == 2
    assert done.stderr == "error: MODELSTAC_ISOLATED is 'yes': expected never, auto, always\n"
