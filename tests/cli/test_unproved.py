"""``modelstac publish --unproved`` and ``modelstac probe --record``, as a user meets them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from onnx import numpy_helper
from tests.registry.statements import graph

from modelstac.catalog import open_catalog
from modelstac.catalog.items.validation import validate

Command = Callable[..., subprocess.CompletedProcess[str]]
SAID = {
    "name": "water",
    "task": "semantic-segmentation",
    "architecture": "CNN",
    "license": "MIT",
    "bbox": [5, 50, 10, 55],
    "datetime": "2020-01-01/2021-12-31",
    "bands": ["B02", "B03", "B04"],
    "classes": [{"name": "land", "color": "green"}, {"name": "water", "color": "#1F77B4"}],
    "scaling": 10000,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A convolution of 3 x 3 pixels, of any size."""
    weights = [numpy_helper.from_array(np.random.default_rng(1).random((2, 3, 3, 3), np.float32), "w")]
    nodes = [("Conv", ["x", "w"], ["y"], {"pads": [1, 1, 1, 1]})]
    return graph(
        tmp_path / "net.onnx", nodes, [("x", ["n", 3, "h", "w"])], [("y", ["n", 2, "h", "w"])], weights=weights
    )


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """What is said of it, in a file."""
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(SAID))
    return tmp_path / "model.yaml"


def test_it_is_published_shown_and_proved(
    modelstac_command: Command, path: Path, written: Path, tmp_path: Path
) -> None:
    where = ("-c", tmp_path / "new.sqlite")
    done = modelstac_command("publish", path, "--with", written, "--unproved", *where)
    assert (done.returncode, done.stdout) == (0, "published water-1.0.0-onnx\n")
    item = open_catalog(tmp_path / "new.sqlite").get("water-1.0.0-onnx")
    validate(item)
    assert item.properties["mlm:output"][0]["classification:classes"][1]["name"] == "water"
    assert item.properties["mlm:input"][0]["bands"] == SAID["bands"]
    shown = modelstac_command("show", item.id, *where).stdout
    assert "NOT PROVED: published without running it" in shown
    assert "halo" not in shown
    modelstac_command("alias", "water", "champion", "--require", "proved", *where)
    refused = modelstac_command("alias", "water", "champion", item.id, *where)
    assert (refused.returncode, "run 'modelstac probe water-1.0.0-onnx --record'" in refused.stderr) == (2, True)
    assert modelstac_command("report", "-o", tmp_path / "report.html", *where).returncode == 0
    assert "not proved" in (tmp_path / "report.html").read_text()
    proved = modelstac_command("probe", item.id, "--record", *where)
    assert (proved.returncode, proved.stdout) == (0, "proved water-1.0.0-onnx\n")
    shown = modelstac_command("show", item.id, *where).stdout
    assert "NOT PROVED" not in shown
    assert "halo            x: height 1 pixels, width 1 pixels" in shown
    assert modelstac_command("alias", "water", "champion", item.id, *where).returncode == 0


def test_a_scene_is_told_that_nothing_is_proved(
    modelstac_command: Command, path: Path, written: Path, tmp_path: Path
) -> None:
    rasterio = pytest.importorskip("rasterio")
    scene, where = tmp_path / "scene.tif", ("-c", tmp_path / "new")
    values = np.random.default_rng(0).integers(1, 9000, (3, 96, 96)).astype(np.uint16)
    how = {"driver": "GTiff", "dtype": "uint16", "count": 3, "height": 96, "width": 96, "crs": "EPSG:32632"}
    with rasterio.open(scene, "w", **how, transform=rasterio.Affine(10, 0, 5e5, 0, -10, 55e5)) as file:
        file.write(values)
        file.descriptions = ("B02", "B03", "B04")
    modelstac_command("publish", path, "--with", written, "--unproved", *where)
    run = ["predict", "water-1.0.0-onnx", scene, "--tile", "32", *where]
    planned = modelstac_command(*run, "-o", tmp_path / "a.tif", "--dry-run", "--json")
    assert "was published without running it" in planned.stderr
    plan = json.loads(planned.stdout)
    assert plan["tiles"].endswith("blended")
    assert any("was published without running it" in note for note in plan["notes"])
    before = modelstac_command(*run, "-o", tmp_path / "b.tif")
    assert "was published without running it" in before.stderr
    modelstac_command("probe", "water-1.0.0-onnx", "--record", *where)
    plan = json.loads(modelstac_command(*run, "-o", tmp_path / "c.tif", "--dry-run", "--json").stdout)
    assert plan["tiles"].endswith("cut at a margin of 1")
    assert "was published without running it" not in modelstac_command(*run, "-o", tmp_path / "d.tif").stderr


def test_what_makes_no_sense_is_one_line(
    modelstac_command: Command, path: Path, written: Path, tmp_path: Path, item: object
) -> None:
    where = ("-c", tmp_path / "new.sqlite")
    weights = tmp_path / "net.safetensors"
    weights.write_bytes(b"")
    done = modelstac_command("publish", weights, "--with", written, "--unproved", *where)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "net.safetensors is read by its framework alone: leave out --unproved, or give a file" in done.stderr
    path.write_bytes(path.read_bytes()[:-9])
    done = modelstac_command("publish", path, "--with", written, "--unproved", *where)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert not (tmp_path / "new.sqlite").exists()
    (tmp_path / "item.json").write_text("{}")
    done = modelstac_command("publish", tmp_path / "item.json", "--unproved", *where)
    assert (done.returncode, "an item says all by itself" in done.stderr) == (2, True)
    done = modelstac_command("probe", "water", "--record", "--isolated", *where)
    assert (done.returncode, "leave out --output, --isolated" in done.stderr) == (2, True)


def test_sizes_that_the_file_states_are_in_the_item(
    modelstac_command: Command, path: Path, written: Path, tmp_path: Path
) -> None:
    modelstac_command("publish", path, "--with", written, "--unproved", "-c", tmp_path / "new")
    item = open_catalog(tmp_path / "new").get("water-1.0.0-onnx")
    symbols = {axis: size["symbol"] for axis, size in item.properties["interop:sizes"]["x"].items()}
    assert symbols == {"batch": "batch", "height": "height", "width": "width"}
    assert onnx.load(path).graph.input[0].type.tensor_type.shape.dim[2].dim_param == "h"
