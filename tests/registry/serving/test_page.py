"""What docs/inference.md shows, run against a server."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from tests.catalog.server.conftest import ROOT
from tests.registry.serving.conftest import MakeItem, predicting, save

from modelstac.catalog import open_catalog
from modelstac.catalog.items.mlm import InputStructure, ModelInput, ModelOutput, ResultStructure

PAGE = (ROOT / "docs" / "inference.md").read_text("utf-8")
WEIGHTS = np.random.default_rng(0).random((3, 4, 1, 1), np.float32)


def test_what_the_page_shows_runs(tmp_path: Path, make_item: MakeItem) -> None:
    grid = ["batch", 4, "height", "width"]
    tensors = [("image", TensorProto.FLOAT, grid), None, ("scores", TensorProto.FLOAT, ["batch", 3, *grid[2:]])]
    nodes = [helper.make_node("Conv", ["image", "w"], ["scores"])]
    path = save(tmp_path / "landcover" / "model.onnx", nodes, tensors, numpy_helper.from_array(WEIGHTS, "w"))
    given, found = (
        {"shape": (-1, count, -1, -1), "dim_order": ("batch", "channel", "height", "width"), "data_type": "float32"}
        for count in (4, 3)
    )
    fields = {
        "inputs": (ModelInput(name="image", bands=(), input=InputStructure(**given)),),
        "outputs": (ModelOutput(name="scores", tasks=("segmentation",), result=ResultStructure(**found)),),
    }
    catalog = open_catalog(str(tmp_path / "models.sqlite"), create=True)
    item = catalog.publish(make_item(path, "onnx", name="landcover", **fields))
    catalog.set_alias("landcover", "champion", item.id)
    with predicting(tmp_path, catalog, "landcover@champion") as server:
        here = PAGE.replace("http://127.0.0.1:8080", server.href)
        here = here.replace("127.0.0.1:8080", server.href.removeprefix("http://"))
        (shell,) = re.findall(r"^```bash\n(.*?)^```", here, re.M | re.S)
        done = subprocess.run(shell, shell=True, capture_output=True, text=True, check=True)
        (output,) = json.loads(done.stdout)["outputs"]
        image = np.array([0.1, 0.2, 0.3, 0.1, 0.2, 0.2, 0.5, 0.4], np.float32).reshape(4, 2)
        np.testing.assert_allclose(np.reshape(output["data"], (3, 2)), WEIGHTS[:, :, 0, 0] @ image, rtol=1e-5)
        programs = re.findall(r"^```python\n(.*?)^```", here, re.M | re.S)
        assert len(programs) == 2
        for program in programs:
            names: dict[str, Any] = {}
            exec(program, names)
            expected = np.einsum("oc,bchw->bohw", WEIGHTS[:, :, 0, 0], names["tile"])
            np.testing.assert_allclose(names["scores"], expected, rtol=1e-5)
