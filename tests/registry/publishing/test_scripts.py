"""A newcomer's script, in Keras, PyTorch and Lightning: train, publish, find, and load in another process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.items.validation import validate

BEGIN = """
import numpy as np
import modelstac
rng = np.random.default_rng(0)
scenes = rng.integers(0, 10000, SHAPE).astype("int16")
truth = (scenes.argmax(AXIS) > 1).astype("int64")
"""
KERAS = """
import keras
from keras import layers
x = keras.Input((None, None, 4))
e = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
m = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.MaxPool2D()(e))
y = layers.Conv2D(2, 1, activation="softmax")(layers.Concatenate()([layers.UpSampling2D()(m), e]))
net = keras.Model(x, y)
net.compile("adam", "sparse_categorical_crossentropy")
net.fit(scenes / 10000, truth, epochs=1, verbose=0)
"""
TORCH = """
import torch
from torch import nn
class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.deep = nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.up = nn.Conv2d(16, 2, 1)
        self.drop = nn.Dropout(0.5)
    def forward(self, image):
        e = torch.relu(self.down(image))
        m = nn.functional.interpolate(torch.relu(self.deep(nn.functional.max_pool2d(e, 2))), scale_factor=2.0)
        return self.up(self.drop(torch.cat([m, e], 1))).softmax(1)
net, given = UNet(), torch.tensor(scenes / 10000, dtype=torch.float32)
optimiser = torch.optim.Adam(net.parameters())
loss = nn.functional.nll_loss(torch.log(net(given)), torch.tensor(truth))
loss.backward()
optimiser.step()
"""
LIGHTNING = """
import lightning
class Task(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = UNet()
    def forward(self, image):
        return self.net(image)
    def training_step(self, batch, _):
        return nn.functional.nll_loss(torch.log(self(batch[0])), batch[1])
    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())
net = Task()
data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(given, torch.tensor(truth)))
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
lightning.Trainer(max_epochs=1, accelerator="cpu", **quiet).fit(net, data)
"""
PUBLISH = """
item = modelstac.publish(
    net, example=scenes[:1], catalog="models", name="land-cover", task="semantic-segmentation", architecture="U-Net",
    license="CC-BY-4.0", bbox=(5, 50, 10, 55), datetime="2020", season="Jun-Aug", region="Rhineland",
    bands=["B02", "B03", "B04", "B08"], scaling=10000, units="1", card="# Land cover\\n\\nMade of noise.",
    classes=[{"name": "water", "color": "#1F77B4"}, {"name": "forest", "color": "green"}], metrics={"mIoU": 0.71})
"""
SCRIPTS = {
    "keras": BEGIN.replace("SHAPE", "(2, 32, 32, 4)").replace("AXIS", "3") + KERAS + PUBLISH,
    "torch": BEGIN.replace("SHAPE", "(2, 4, 32, 32)").replace("AXIS", "1") + TORCH + PUBLISH,
    "lightning": BEGIN.replace("SHAPE", "(2, 4, 32, 32)").replace("AXIS", "1") + TORCH + LIGHTNING + PUBLISH,
}


@pytest.mark.parametrize("framework", SCRIPTS)
def test_a_script_publishes_what_it_trained(framework: str, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPTS[framework])
    repository = ["git", "-C", str(tmp_path), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "train.py"], ["commit", "-qm", "Train"]):
        subprocess.run([*repository, *command], check=True)
    source = str(Path(modelstac.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "train.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": source},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    catalog = open_catalog(tmp_path / "models")
    [item] = catalog.items()
    validate(item)
    for wanted in (
        {"text": "forest"},
        {"text": "B08"},
        {"text": "Rhineland"},
        {"filter": "interop:scores.mIoU > 0.6"},
        {"filter": "mIoU > 0.6"},
        {"filter": "miou > 0.6 AND license = 'CC-BY-4.0'"},
        {"classes": ("forest", "Water"), "bands": "b08"},
        {"license": "cc-by-4.0", "region": "rhineland", "months": "Jul"},
        {"architecture": "unet"},
        {"filter": "license = 'CC-BY-4.0'"},
        {"filter": "a_contains(interop:months, (7))"},
    ):
        assert [found.id for found in catalog.search(**wanted)] == [item.id], wanted
    assert not catalog.search(filter="interop:scores.mIoU > 0.8")
    assert not catalog.search(text="tundra")
    assert not catalog.search(classes="tundra")
    assert not catalog.search(months="Jan")
    [output] = item.properties["mlm:output"]
    classes = [(one["value"], one["name"], one["color_hint"]) for one in output["classification:classes"]]
    assert classes == [(0, "water", "1F77B4"), (1, "forest", "008000")]
    assert item.properties["interop:months"] == [6, 7, 8]
    assert item.properties["interop:code"]["path"] == "train.py"
    assert item.properties["interop:code"]["changed"] is False
    assert "Made of noise." in item.properties["description"]
    assert "| mIoU | 0.71 |" in item.properties["description"]
    assert "requirements" in item.assets
    [first, *_] = item.assets["model"].extra_fields["raster:bands"]
    assert (first["name"], first["unit"]) == ("B02", "1")
    assert first["statistics"]["maximum"] > 9000
    model = modelstac.load(item.id, catalog=catalog)
    assert {axis: size.mlm for axis, size in model.signature.inputs[0].axes.items()}["height"] == -1
    tested = model.self_test()
    assert tested.passed
    assert len(tested.outputs) == 2  # of scaled values, and of raw ones
    assert read_item(item).band_details["B02"]["unit"] == "1"

    refuse_another_scaling(tmp_path / "models", item.id)


def refuse_another_scaling(catalog: Path, item_id: str) -> None:
    """A test of a model whose item scales otherwise than it was published fails."""
    [path] = catalog.glob(f"*/{item_id}/{item_id}.json")
    document = json.loads(path.read_text())
    document["properties"]["mlm:input"][0]["value_scaling"][0]["value"] = 5000
    path.write_text(json.dumps(document))
    tested = modelstac.load(item_id, catalog=catalog).self_test()
    assert not tested.passed
    assert tested.output.endswith("of raw values")
