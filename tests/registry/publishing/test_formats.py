"""Every format that is loaded is published from its file, or folder, or pair of files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import modelstac
from modelstac.catalog.errors import InvalidItemError, NotFoundError, SpecError
from modelstac.catalog.messages import Note

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


@pytest.mark.filterwarnings("ignore")  # of the converters, about each other
def test_a_file_of_whole_numbers_is_held_to_what_whole_numbers_tell_apart(tmp_path: Path) -> None:
    """Kernels round a number between two steps up, or down: one step of 255 is no other model."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    weights = tf.constant(rng.normal(size=(3, 3, 3, 4)).astype(np.float32))
    network = tf.function(lambda x: tf.nn.conv2d(x, weights, 1, "SAME"))
    made = network.get_concrete_function(tf.TensorSpec((1, 8, 8, 3), tf.float32, name="x"))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([made])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    given = rng.random((5, 1, 8, 8, 3), np.float32)
    converter.representative_dataset = lambda: ([one] for one in given)
    (tmp_path / "net.tflite").write_bytes(converter.convert())
    said = {name: value for name, value in SAID.items() if name != "classes"} | {"output_bands": list("abcd")}
    said["output_dims"] = ("batch", "height", "width", "bands")
    item = modelstac.publish(tmp_path / "net.tflite", catalog=tmp_path / "models", example=given[0], **said)
    assert item.properties["interop:precision"] == "int8"
    model = modelstac.load(item.id, catalog=tmp_path / "models")
    assert model.self_test().passed
    for one in given:
        [quick], [plain] = (run({"x": one}).values() for run in (model.run, model.run_exactly))
        step = np.diff(np.unique(plain)).min()
        assert np.abs(quick - plain).max() <= 1.01 * step
        np.testing.assert_allclose(plain, network(one).numpy(), atol=2 * step)


@pytest.mark.filterwarnings("ignore")  # of the converters, about each other
def test_an_item_says_what_whole_numbers_stand_for(tmp_path: Path) -> None:
    import tensorflow as tf

    network = tf.function(lambda x: tf.nn.relu(x) * 3)
    made = network.get_concrete_function(tf.TensorSpec((1, 8, 8, 3), tf.float32, name="x"))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([made])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([2 * IMAGE[:1] - 1] for _ in range(3))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    (tmp_path / "net.tflite").write_bytes(converter.convert())
    dims = ("batch", "height", "width", "channel")
    said = {name: value for name, value in SAID.items() if name not in {"bands", "classes"}}
    said |= {"input_dims": dims, "output_dims": dims, "task": "regression"}
    notes: list[Any] = []
    item = modelstac.publish(tmp_path / "net.tflite", catalog=tmp_path / "models", report=notes.append, **said)
    steps = item.properties["mlm:hyperparameters"]["litert"]["quantization"]
    assert [note.text for note in notes if isinstance(note, Note) and "'x' stand for others" in note.text]
    model = modelstac.load(item.id, catalog=tmp_path / "models")
    into, back = steps["x"], steps[model.signature.outputs[0].name]
    numbers = np.arange(-128, 64).reshape(1, 8, 8, 3).astype(np.int8)
    values = into["scale"] * (numbers.astype(float) - into["zero_point"])
    found = back["scale"] * (model.predict(numbers).astype(float) - back["zero_point"])
    np.testing.assert_allclose(found, 3 * values.clip(0), atol=2 * back["scale"])


def test_an_input_is_called_as_the_file_of_openvino_calls_it(tmp_path: Path) -> None:
    """Compiling takes out what does nothing, and gives the input its names, too, of which one is shorter."""
    import openvino as ov
    from openvino import opset13 as ops

    step, frames = ops.parameter([-1], name="step"), ops.parameter([-1, 4], name="frames")
    whole = ops.convert(step, "f32")
    result = ops.multiply(frames, ops.unsqueeze(whole, [1]))
    for node, name in ((step, "step"), (whole, "3"), (frames, "frames"), (result, "result")):
        node.output(0).get_tensor().set_names({name})
    ov.save_model(ov.Model([result], [frames, step], "net"), tmp_path / "net.xml", compress_to_fp16=False)
    said = {name: value for name, value in SAID.items() if name not in {"bands", "classes"}}
    said |= {"input_dims": {"frames": ("batch", "feature"), "step": ("batch",)}, "output_dims": ("batch", "feature")}
    item = modelstac.publish(tmp_path / "net.xml", catalog=tmp_path / "models", **said)
    given = {"frames": np.ones((3, 4), np.float32), "step": np.arange(3, dtype=np.float32)}
    found = modelstac.load(item.id, catalog=tmp_path / "models").predict(given)
    np.testing.assert_array_equal(found, given["frames"] * given["step"][:, None])


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
