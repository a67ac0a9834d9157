"""Scenes as jobs: a map of each, made once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner
from tests.registry.statements import graph, statement

import modelstac
from modelstac.catalog.errors import ModelStacError
from modelstac.catalog.items.writing import write_item
from modelstac.cli import main
from modelstac.pipeline.plan import plan
from modelstac.pipeline.spec import load
from modelstac.registry.describing.describe import describe_file

TEXT = """\
catalog: catalog
scenes:
  item: double-1.0.0-onnx
  sources: ["*.tif"]
  output: maps/{name}.tif
  options: {tile: 32}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a model, two scenes, and a pipeline."""
    tensors = [(name, ["n", 1, "h", "w"]) for name in ("image", "twice")]
    path = graph(tmp_path / "double.onnx", [("Add", ["image", "image"], ["twice"])], tensors[:1], tensors[1:])
    dims = ("batch", "channel", "height", "width")
    said = statement(name="double", input_dims=dims, output_dims=dims)
    modelstac.open(tmp_path / "catalog", create=True).publish(write_item(describe_file(path, said)))
    for number, name in enumerate(("one", "two")):
        values = np.full((1, 40, 50), number + 1, np.float32)
        profile = {"crs": "EPSG:32631", "transform": Affine(10, 0, 600000, 0, -10, 5800000), "dtype": "float32"}
        with rasterio.open(
            tmp_path / f"{name}.tif", "w", driver="GTiff", count=1, height=40, width=50, **profile
        ) as file:
            file.write(values)
    (tmp_path / "pipeline.yaml").write_text(TEXT)
    return tmp_path


def test_each_scene_is_run_once(folder: Path) -> None:
    for state in ("done", "there"):
        ran = CliRunner().invoke(main, ["pipeline", str(folder / "pipeline.yaml"), "--json"])
        assert ran.exit_code == 0, ran.output
        assert [one["state"] for one in json.loads(ran.stdout)] == [state, state]
    for number, name in enumerate(("one", "two")):
        with rasterio.open(folder / "maps" / f"{name}.tif") as file:
            assert (file.read() == 2 * (number + 1)).all()
    (folder / "maps" / "two.tif").unlink()
    ran = CliRunner().invoke(main, ["pipeline", str(folder / "pipeline.yaml"), "--json"])
    assert [one["state"] for one in json.loads(ran.stdout)] == ["there", "done"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("{tile: 32}", "{tiles: 32}"), r"line 6, scenes\.options\.tiles: no option of scenes 'tiles'.*'tile'"),
        (("{name}.tif", "map.tif"), r"line 5, scenes\.output: several scenes would become one map"),
        (('["*.tif"]', '["*.vrt"]'), r"line 4, scenes\.sources\[0\]: no file fits '\*\.vrt'"),
        (('["*.tif"]', '["*.tif", "one.tif"]'), r"line 4, scenes\.sources\[1\]: two scenes are called 'one'"),
        (("item: double-1.0.0-onnx", "model: x"), r"scenes\.item: this field is needed"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(folder: Path, changes: tuple[str, str], message: str) -> None:
    path = folder / "pipeline.yaml"
    text = TEXT.replace(*changes)
    with pytest.raises(ModelStacError, match=message):
        plan(load(text, path), str(folder / "catalog"))


def test_files_by_input_are_one_scene(folder: Path) -> None:
    text = TEXT.replace('["*.tif"]', "[{before: one.tif, after: [two.tif]}, [two.tif], https://example.org/x.tif]")
    found = [job.parameters["source"] for job in plan(load(text, folder / "pipeline.yaml"), "catalog")]
    one, two = (str(folder / f"{name}.tif") for name in ("one", "two"))
    assert found == [{"before": one, "after": [two]}, [two], "https://example.org/x.tif"]
