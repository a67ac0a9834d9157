"""Every format that is loaded is published from its file, or folder, or pair of files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelstac
from modelstac.catalog.errors import InvalidItemError, NotFoundError, SpecError

IMAGE = np.random.default_rng(0).uniform(0, 1, (2, 8, 8, 3)).astype(np.float32)
SAID: dict[str, Any] = {
    "name": "net",
    "license": "MIT",
    "bbox": (5, 50, 10, 55),
    "datetime": "2020",
    "task": "semantic-segmentation",
    "architecture": "CNN",
    "bands": ("B02", "B03", "B04"),
    "classes": ("water", "land"),
}


def network() -> Any:
    import keras

    entry = keras.Input((8, 8, 3), batch_size=2)
    return keras.Model(
        entry, keras.layers.Conv2D(2, 3, padding="same", activation="softmax", bias_initializer="ones")(entry)
    )


def saved_model(folder: Path, net: Any) -> Path:
    net.export(folder / "saved", verbose=False)
    return folder / "saved"


def litert(folder: Path, net: Any) -> Path:
    import tensorflow as tf

    made = tf.lite.TFLiteConverter.from_saved_model(str(saved_model(folder, net))).convert()
    (folder / "net.tflite").write_bytes(made)
    return folder / "net.tflite"


def openvino(folder: Path, net: Any) -> Path:
    import openvino as ov

    model = ov.convert_model(str(saved_model(folder, net)))
    ov.save_model(model, folder / "net.xml", compress_to_fp16=False)
    return folder / "net.xml"


@pytest.mark.filterwarnings("ignore")  # of the converters, about each other
@pytest.mark.parametrize("make", [saved_model, litert, openvino])
def test_a_file_of_every_format_is_published_and_runs(make: Any, tmp_path: Path) -> None:
    net = network()
    path = make(tmp_path, net)
    item = modelstac.publish(path, catalog=tmp_path / "models", example=IMAGE, **SAID)
    assert item.properties["mlm:total_parameters"] == 56
    model = modelstac.load(item.id, catalog=tmp_path / "models")
    assert model.self_test().passed
    import keras

    np.testing.assert_allclose(model.predict(IMAGE), keras.ops.convert_to_numpy(net(IMAGE)), atol=1e-5)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_publisher_hears_of_constants_that_openvino_made_smaller(compressed: bool, tmp_path: Path) -> None:
    import openvino as ov
    from openvino import opset13 as ops

    image = ops.parameter([-1, 8, 8, 3], np.float32, name="image")
    scaled = ops.add(image, np.array([101_325, 273.15, 1], np.float32), name="scaled")
    ov.save_model(ov.Model([scaled], [image], "net"), tmp_path / "net.xml", compress_to_fp16=compressed)
    heard: list[Any] = []
    said = {key: value for key, value in SAID.items() if key != "classes"} | {"task": "regression"}
    said["output_dims"] = ("batch", "height", "width", "variable")
    item = modelstac.publish(
        tmp_path / "net.xml", catalog=tmp_path / "models", example=IMAGE, report=heard.append, **said
    )
    notes = [note.text for note in heard if "compress_to_fp16=False" in getattr(note, "text", "")]
    assert len(notes) == compressed, notes
    assert all("float16, 1 times" in note for note in notes), notes
    result = modelstac.load(item.id, catalog=tmp_path / "models").predict(IMAGE)
    assert bool(np.asarray(result)[..., 0].max() < 70_000) is compressed


BUILDER = "from torch import nn\n\ndef build(spec):\n    return nn.Conv2d(3, spec['classes'], 1)\n"


def test_weights_are_published_with_the_function_that_builds_their_module(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    (tmp_path / "weights_lab.py").write_text(BUILDER)
    sys.path.insert(0, str(tmp_path))
    try:
        import weights_lab  # type: ignore[import-not-found]

        net = weights_lab.build({"classes": 2})
        path = tmp_path / "net.safetensors"
        save_file(net.state_dict(), path)
        image = np.moveaxis(IMAGE, 3, 1)
        with pytest.raises(SpecError, match="holds weights alone: give entrypoint="):
            modelstac.publish(path, catalog=tmp_path / "models", example=image, **SAID)
        more = {"entrypoint": "weights_lab:build", "hyperparameters": {"classes": 3}}
        with pytest.raises(InvalidItemError, match="does not fit what weights_lab:build builds"):
            modelstac.publish(path, catalog=tmp_path / "models", example=image, **SAID | more)
        more["hyperparameters"] = {"classes": 2}
        item = modelstac.publish(path, catalog=tmp_path / "models", example=image, **SAID | more)
        assert item.id == "net-1.0.0-torch"
        model = modelstac.load(item.id, catalog=tmp_path / "models", trust="entrypoint:weights_lab")
        assert model.self_test().passed
    finally:
        sys.path.remove(str(tmp_path))


def test_what_is_no_model_is_said(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(b"nothing")
    (tmp_path / "net.xml").write_text("<net/>")
    for name, error, reason in (
        ("net.tflite", InvalidItemError, "nothing that is known here"),
        ("net.xml", NotFoundError, "a pair, .xml and .bin"),
        (".", InvalidItemError, "a folder without saved_model.pb"),
    ):
        with pytest.raises(error, match=reason):
            modelstac.publish(tmp_path / name, catalog=tmp_path / "models", **SAID)
