"""``modelstac publish`` says all that the call in Python says, by options or in one file."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from tests.registry.statements import graph

from modelstac.catalog import open_catalog

Command = Callable[..., subprocess.CompletedProcess[str]]
SHAPE: list[int | str | None] = ["n", 3, "h", "w"]
FIELDS = {
    "name": "land-cover",
    "task": "semantic-segmentation",
    "architecture": "U-Net",
    "license": "CC-BY-4.0",
    "bbox": [5, 50, 10, 55],
    "datetime": "2020-06",
    "bands": ["B02", "B03", "B04"],
    "classes": "classes.yaml",
    "scaling": [{"type": "scale", "value": 10000}, {"type": "offset", "value": 1}, 100],
    "example": "tile.npy",
    "metrics": {"mIoU": 0.7},
    "card": "README.md",
    "author": [{"name": "Ada Lovelace", "url": "https://example.org"}],
    "season": "JJA",
}


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A graph with three bands in and three classes out, and the files that are said of it."""
    np.save(tmp_path / "tile.npy", np.random.default_rng(0).integers(2, 9999, (1, 3, 8, 8)).astype(np.int16))
    (tmp_path / "classes.yaml").write_text("water: '#1F77B4'\nforest: green\nbuilt: red\n")
    (tmp_path / "tile.npy.md").write_bytes((tmp_path / "tile.npy").read_bytes())
    (tmp_path / "two.yaml").write_text("- 1\n- 2\n")
    (tmp_path / "odd.yaml").write_text("a b: 1\nmIoU: high\n")
    (tmp_path / "README.md").write_text("# Land cover\n\n| a | b |\n| - | - |\n| 1 | 2 |\n")
    return graph(tmp_path / "net.onnx", [("Softmax", ["x"], ["y"], {"axis": 1})], [("x", SHAPE)], [("y", SHAPE)])


def assert_all_is_said(catalog: Path, command: Command) -> None:
    item = open_catalog(catalog).get("land-cover-1.0.0-onnx")
    [output] = item.properties["mlm:output"]
    assert output["result"]["dim_order"] == ["batch", "class", "height", "width"]
    colours = [one["color_hint"] for one in output["classification:classes"]]
    assert colours == ["1F77B4", "008000", "FF0000"]
    [given] = item.properties["mlm:input"]
    assert [step["type"] for step in given["value_scaling"]] == ["scale", "offset", "scale"]
    assert item.properties["interop:scores"] == {"mIoU": 0.7}
    assert item.properties["interop:months"] == [6, 7, 8]
    assert item.properties["providers"][0]["name"] == "Ada Lovelace"
    assert "| a | b |" in item.properties["description"]
    assert {"card", "example-input", "example-raw-input", "example-output"} <= item.assets.keys()
    assert "of raw values" in command("test", item.id, "-c", catalog, "--json").stdout
    shown = command("show", item.id, "-c", catalog).stdout
    assert "months          Jun, Jul, Aug\n" in shown
    assert "bands           x: B02 x / 10,000, B03 x − 1, B04 x / 100\n" in shown
    assert "classes         y: 0 water, 1 forest, 2 built\n" in shown


def test_one_file_holds_all(modelstac_command: Command, network: Path, tmp_path: Path) -> None:
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(FIELDS))
    done = modelstac_command("publish", network, "--with", tmp_path / "model.yaml", "-c", tmp_path / "new")
    assert (done.returncode, done.stdout) == (0, "published land-cover-1.0.0-onnx\n"), done.stderr
    assert "axes of the output are taken for y: batch, class, height, width" in done.stderr
    assert_all_is_said(tmp_path / "new", modelstac_command)


def test_options_say_the_same(modelstac_command: Command, network: Path, tmp_path: Path) -> None:
    plain = ("name", "task", "architecture", "license", "datetime", "season")
    options = [f"--{name}={FIELDS[name]}" for name in plain]
    options += ["--bbox=5,50,10,55", "--bands=B02,B03,B04", "--metrics", "mIoU=0.7"]
    options += ["--author", "Ada Lovelace <https://example.org>"]
    for name, file in (("classes", "classes.yaml"), ("example", "tile.npy"), ("card", "README.md")):
        options += [f"--{name}", str(tmp_path / file)]
    options += ["--scaling", "[{type: scale, value: 10000}, x - 1, 100]"]
    options[-1] = "[{type: scale, value: 10000}, {type: offset, value: 1}, 100]"
    done = modelstac_command("publish", network, *options, "-c", tmp_path / "new")
    assert done.returncode == 0, done.stderr
    assert_all_is_said(tmp_path / "new", modelstac_command)


def test_the_template_is_a_file_to_fill_in(modelstac_command: Command, network: Path, tmp_path: Path) -> None:
    done = modelstac_command("publish", "--template")
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "model.yaml").write_text(done.stdout)
    options = ["--bands=B02,B03,B04", "--input-dims=batch,bands,height,width", "--output-dims=batch,class,height,width"]
    done = modelstac_command("publish", network, "--with", tmp_path / "model.yaml", *options, "-c", tmp_path / "new")
    assert (done.returncode, done.stdout) == (0, "published land-cover-1.0.0-onnx\n"), done.stderr


@pytest.mark.parametrize(
    ("changes", "options", "reason"),
    [
        ({"licence": "MIT"}, [], "licence: 'licence' is nothing that can be said"),
        ({"classes": ["a", "b"]}, [], "classes: there are 2 classes (a, b)"),
        ({"classes": {"a": "blau", "b": "red", "c": "red"}}, [], "classes.a: class 'a' has the colour 'blau'"),
        ({"example": "gone.npy"}, [], "example: "),
        ({"card": "gone.md"}, [], "card: card: there is no file"),
        ({"scaling": [1, 2]}, [], "scaling: scaling of 'x' has 2 entries for 3 bands"),
        ({"card": "tile.npy.md"}, [], "card: card "),
        ({"bbox": [5, 55, 10, 50]}, [], "bbox: bbox [5, 55, 10, 50] has its south above its north"),
        ({"code": "gone.py"}, [], "code: code 'gone.py' is neither a script that is there"),
        ({"bands": ["B02"]}, [], "bands: bands are B02, and no axis of 'x'"),
        ({"input_dims": ["batch", "bands"]}, [], "input_dims: --input-dims names 2 axes"),
        ({"range": [1, 0]}, [], "range: --range of 'x' goes from a lower to a higher number"),
        ({"main_metric": "OA"}, [], "main_metric: main_metric 'OA' is none of the metrics"),
        ({"classes": ["a", "b"]}, ["--classes", "a,b"], "error: there are 2 classes (a, b)"),
        ({}, ["--scaling", "[1, 2]"], "error: scaling of 'x' has 2 entries for 3 bands"),
        ({}, ["--scaling", "two.yaml"], "two.yaml line 1: scaling of 'x' has 2 entries for 3 bands"),
        ({}, ["--metrics", "odd.yaml"], "odd.yaml line 2, mIoU: metrics: 'mIoU' is 'high', no number"),
        ({}, ["--hyperparameters", "odd.yaml"], "odd.yaml line 1, a b: hyperparameters"),
        ({}, ["--scaling", "{type: zscore}"], "did you mean 'z-score'?"),
        ({}, ["--scaling", "{type:"], "no value as YAML writes one"),
        ({}, ["--metrics", "0.7"], "write NAME=NUMBER"),
        ({}, ["--classes", "gone.yaml"], "no file"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_line(
    modelstac_command: Command, network: Path, changes: dict[str, object], options: list[str], reason: str
) -> None:
    tmp_path = network.parent
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(FIELDS | changes))
    options = [str(tmp_path / one) if one in {"two.yaml", "odd.yaml"} else one for one in options]
    done = modelstac_command("publish", network, "--with", tmp_path / "model.yaml", *options, "-c", tmp_path / "new")
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr
    if changes and not options:
        assert re.search(rf"model.yaml line \d+, {re.escape(reason)}", done.stderr)
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "new").exists()
