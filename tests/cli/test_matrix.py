"""Every model in every environment: a small matrix of environments that uv makes in seconds."""

import json

import numpy as np
import onnx
import pytest

from modelstac.catalog import open_catalog
from modelstac.catalog.errors import ModelStacError
from modelstac.matrix.environments import read_environments
from modelstac.registry.examples import write_example

ENVIRONMENTS = """\
[[environment]]
name = "older"
packages = ["onnxruntime==1.20.1", "numpy==1.26.4"]

[[environment]]
name = "newer"
packages = ["onnxruntime==1.22.1", "numpy==2.1.3"]

[[environment]]
name = "numpy"
packages = ["numpy==2.1.3"]

[[environment]]
name = "nowhere"
packages = ["onnxruntime==0.0.1", "numpy==2.1.3"]
"""


@pytest.fixture
def halves(item, describe, tmp_path):
    """A catalog of a model with an example, one that says it gives something else, and one without example."""
    graph = tmp_path / "damped.onnx"
    onnx.load(graph)
    inputs = np.random.default_rng(1).random((1, 3, 1, 4, 5), dtype=np.float32)
    catalog = open_catalog(tmp_path / "halves", create=True)
    for name, outputs in (("half", inputs / 2), ("lie", inputs)):
        (tmp_path / name).mkdir()
        assets = write_example(tmp_path / name, inputs, outputs)
        catalog.publish(describe(graph, name=name, assets=assets).to_item())
    catalog.publish(item)
    return tmp_path / "halves"


@pytest.mark.usefixtures("_package_index")
def test_every_cell_is_measured_or_has_a_reason_and_is_measured_once(modelstac_command, halves, tmp_path, monkeypatch):
    (tmp_path / "environments.toml").write_text(ENVIRONMENTS)
    monkeypatch.setenv("MODELSTAC_ENVIRONMENTS", str(tmp_path / "made"))
    arguments = ["matrix", "-c", halves, "--environments", tmp_path / "environments.toml", "--work", tmp_path / "work"]
    made = {"MODELSTAC_ENVIRONMENTS": str(tmp_path / "made")}
    done = modelstac_command(*arguments, "--json", "--jobs", "2", "--out", tmp_path / "out", **made)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    cells = {(one["item"].split("-")[0], one["name"].rpartition("-in-")[2]): one["result"] for one in found}
    assert len(cells) == 12
    for environment in ("older", "newer"):
        half = cells["half", environment]
        assert half["runs"]
        assert half["difference"] <= 1e-7
        assert half["memory_bytes"] > 10e6
        assert cells["lie", environment]["difference"] > 0.4
        assert "published without an example" in cells["damped", environment]["reason"]
    assert "onnxruntime==1.20.1" in cells["half", "older"]["packages"]
    assert cells["half", "numpy"] == {"runs": False, "reason": "needs onnxruntime, which is not in the environment"}
    assert "onnxruntime==0.0.1" in cells["half", "nowhere"]["reason"]
    again = modelstac_command(*arguments, **made)
    assert again.returncode == 0
    assert again.stderr == ""  # nothing was done
    assert again.stdout.startswith("damped-1.0.0-onnx (ONNX 1.22.0)\n  older    item 'damped-1.0.0-onnx' was published")
    page = (tmp_path / "out" / "matrix.md").read_text()
    assert page.count("| half-1.0.0-onnx | ONNX 1.22.0 |") == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"e\.toml is a list of \[\[environment\]\]"),
        ("environment = [", "e.toml is no TOML"),
        ('[[environment]]\nname = "a"\n', "environment 1: packages is a list of texts, not None"),
        ('[[environment]]\nname = "a"\npackages = ["numpy==2.1.3"]\ncolour = 1\n', "unknown field 'colour'"),
        ('[[environment]]\nname = "a"\npackages = ["numpy>=2"]\n', "environment 1 says 'numpy>=2': only"),
        ('[[environment]]\nname = "a"\npackages = ["left-pad==1.0"]\n', "no known runtime nor needed by one"),
        ('[[environment]]\nname = "a"\npackages = ["keras==3.10.0"]\n', "keras==3.10.0, which has known holes"),
        (2 * '[[environment]]\nname = "a"\npackages = ["numpy==2.1.3"]\n', "two environments are called 'a'"),
    ],
)
def test_what_is_no_environment_is_refused(text, message):
    with pytest.raises(ModelStacError, match=message):
        read_environments(text, "e.toml")


def test_an_older_version_needs_the_word_of_whoever_compares():
    text = '[[environment]]\nname = "a"\npackages = ["keras==3.10.0"]\ntrusted = ["keras==3.10.0"]\n'
    (environment,) = read_environments(text, "e.toml")
    assert environment.trusted == ("keras==3.10.0",)
