"""Models of Keras: a subclass becomes the graph of what it calls."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tests.registry.publishing.test_objects import SAID

import modelstac
from modelstac.catalog.errors import InvalidItemError, SpecError, UntrustedError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, as it saves
IMAGE = np.random.default_rng(0).uniform(0, 1, (2, 16, 16, 3)).astype(np.float32)


class Net(keras.Model):  # type: ignore[misc,unused-ignore]
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = keras.layers.Conv2D(4, 3, padding="same"), keras.layers.Conv2D(2, 1)

    def call(self, image: Any, training: bool = False) -> Any:
        return keras.ops.softmax(self.last(keras.ops.relu(self.first(image)) + 1.0))


def test_a_subclass_is_published_as_the_graph_of_what_it_calls(tmp_path: Path) -> None:
    net = Net()
    item = modelstac.publish(net, catalog=tmp_path, example=IMAGE, classes=["water", "land"], **SAID)
    assert item.properties["mlm:architecture"] == "Net"
    assert item.properties["interop:backend"] == keras.config.backend()
    model = modelstac.load(item.id, catalog=tmp_path)
    other = np.random.default_rng(1).uniform(0, 1, (3, 10, 12, 3)).astype(np.float32)
    np.testing.assert_allclose(model.predict(other), keras.ops.convert_to_numpy(net(other)), atol=1e-6)


class Training(keras.Model):  # type: ignore[misc,unused-ignore]
    """Trains in a way of its own, and computes as any model of layers."""

    def train_step(self, *given: Any) -> Any:
        return super().train_step(*given)


def test_a_way_of_training_is_no_part_of_the_model(tmp_path: Path) -> None:
    entry = {"image": keras.Input((None, None, 3), name="image")}
    found = {"mask": keras.layers.Conv2D(2, 1, activation="softmax", name="mask")(entry["image"])}
    net = Training(entry, found)
    said = SAID | {"classes": ["water", "land"], "example": {"image": IMAGE}}
    item = modelstac.publish(net, catalog=tmp_path, **said)
    assert item.id == f"net-1.0.0-keras-{keras.config.backend()}"
    assert item.properties["mlm:architecture"] == "Training"
    given = modelstac.load(item.id, catalog=tmp_path).predict(IMAGE)
    np.testing.assert_allclose(given, keras.ops.convert_to_numpy(net({"image": IMAGE})["mask"]), atol=1e-6)


def dice(truth: Any, found: Any) -> Any:
    return 1 - keras.ops.mean(found)


@pytest.mark.filterwarnings("ignore:The object being serialized includes a:UserWarning")
@pytest.mark.parametrize("loss", [dice, lambda truth, found: keras.ops.mean(found)], ids=["function", "lambda"])
def test_a_loss_of_ones_own_is_no_part_of_the_model(tmp_path: Path, loss: Any) -> None:
    """Nor is a metric; the model can be trained on as before."""
    entry = keras.Input((None, None, 3))
    net = keras.Model(entry, keras.layers.Conv2D(2, 1, activation="softmax")(entry))
    net.compile("sgd", loss, metrics=[dice])
    truth = np.zeros((2, 16, 16, 2), np.float32)
    net.fit(IMAGE, truth, verbose=0)
    item = modelstac.publish(
        net, catalog=tmp_path, example=IMAGE, classes=["water", "land"], **SAID | {"architecture": "CNN"}
    )
    assert item.id == f"net-1.0.0-keras-{keras.config.backend()}"
    expected = keras.ops.convert_to_numpy(net(IMAGE))
    np.testing.assert_allclose(modelstac.load(item.id, catalog=tmp_path).predict(IMAGE), expected, atol=1e-6)
    assert net.compiled
    net.fit(IMAGE, truth, verbose=0)
    net.save(tmp_path / "own.keras")
    said = SAID | {"architecture": "CNN", "classes": ["water", "land"], "version": "2.0.0"}
    with pytest.raises(UntrustedError, match=r"for its training.*: save it without how it was trained, keras\.Model\("):
        modelstac.publish(tmp_path / "own.keras", catalog=tmp_path, example=IMAGE, **said)
    keras.Model(net.inputs, net.outputs).save(tmp_path / "own.keras")  # as it says
    assert modelstac.publish(tmp_path / "own.keras", catalog=tmp_path, example=IMAGE, **said)


def test_a_model_without_shapes_and_one_that_is_no_graph_are_said(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="Net has no shapes yet: give example="):
        modelstac.publish(Net(), catalog=tmp_path, **SAID)

    class Unlike(Net):
        def call(self, image: Any, training: bool = False) -> Any:
            return super().call(image) if float(keras.ops.max(image)) > 0 else image

    with pytest.raises(SpecError, match="Unlike is no graph of layers"):
        modelstac.publish(Unlike(), catalog=tmp_path, example=IMAGE, **SAID)


def test_a_subclass_that_is_no_function_of_its_input_is_refused(tmp_path: Path) -> None:
    class Drawing(Net):
        def call(self, image: Any, training: bool = False) -> Any:
            return super().call(image) + float(np.random.default_rng().uniform(1, 2))

    said = SAID | {"classes": ["water", "land"]}
    with pytest.raises(InvalidItemError, match=r"other numbers for .* than the model itself"):
        modelstac.publish(Drawing(), catalog=tmp_path / "models", example=IMAGE, **said)
    assert not (tmp_path / "models").exists()


def test_a_chain_of_layers_that_was_built_by_a_call_takes_any_number_of_samples(tmp_path: Path) -> None:
    net = keras.Sequential([keras.layers.Conv2D(2, 3, padding="same")])
    net(IMAGE)
    item = modelstac.publish(
        net, catalog=tmp_path, example=IMAGE, classes=["water", "land"], architecture="a net", **SAID
    )
    model = modelstac.load(item.id, catalog=tmp_path)
    other = np.random.default_rng(1).uniform(0, 1, (5, 16, 16, 3)).astype(np.float32)
    np.testing.assert_allclose(model.predict(other), keras.ops.convert_to_numpy(net(other)), atol=1e-6)


class Joined(keras.Model):  # type: ignore[misc,unused-ignore]
    def __init__(self) -> None:
        super().__init__()
        self.join, self.last = keras.layers.Concatenate(), keras.layers.Conv2D(2, 1)

    def call(self, images: Any) -> Any:
        return self.last(self.join([images["fine"], images["extra"]]))


class Apart(Joined):
    def call(self, fine: Any, extra: Any) -> Any:
        return super().call({"fine": fine, "extra": extra})


@pytest.mark.parametrize("kind", [Joined, Apart])
def test_a_subclass_of_several_inputs_takes_them_by_name(kind: Any, tmp_path: Path) -> None:
    net, extra = kind(), IMAGE[..., :1]
    said = SAID | {
        "bands": {"fine": SAID["bands"]},
        "input_dims": {"extra": ["batch", "height", "width", "channel"]},
        "classes": ["water", "land"],
    }
    item = modelstac.publish(net, catalog=tmp_path, example={"fine": IMAGE, "extra": extra}, **said)
    found = modelstac.load(item.id, catalog=tmp_path).predict(fine=IMAGE[:1, :8], extra=extra[:1, :8])
    expected = Joined.call(net, {"fine": IMAGE[:1, :8], "extra": extra[:1, :8]})
    np.testing.assert_allclose(found, keras.ops.convert_to_numpy(expected), atol=1e-6)


def test_a_layer_of_a_package_of_somebodys_own_is_named_as_it_was_registered(tmp_path: Path) -> None:
    @keras.saving.register_keras_serializable("indices")
    class Ratio(keras.layers.Layer):  # type: ignore[misc,unused-ignore]
        __module__ = "__main__"  # of a script

        def call(self, image: Any) -> Any:
            return image[..., :1] / (image[..., 1:2] + 1)

    entry = keras.Input((None, None, 3))
    with pytest.raises(UntrustedError, match="wants indices>Ratio as 'ratio'"):
        modelstac.publish(keras.Model(entry, Ratio(name="ratio")(entry)), catalog=tmp_path, **SAID)


class Gain(keras.layers.Layer):  # type: ignore[misc,unused-ignore]
    def __init__(self, gain: Any = 2.0, **more: Any) -> None:
        super().__init__(**more)
        self.gain = gain

    def call(self, image: Any) -> Any:
        return image * (self.gain() if callable(self.gain) else self.gain)


def shifted(scores: Any) -> Any:
    return keras.ops.softmax(scores + 1.0)


def custom(entry: Any, how: str) -> Any:
    layer: dict[str, Any] = {
        "layer": lambda: Gain()(entry),
        "lambda": lambda: keras.layers.Lambda(lambda image: image * 2)(entry),
        "function": lambda: keras.layers.Conv2D(3, 1, activation=shifted)(entry),
        "lambda function": lambda: keras.layers.Conv2D(3, 1, activation=lambda scores: scores * 2)(entry),
    }
    return layer[how]()


@pytest.mark.filterwarnings("ignore:The object being serialized includes a:UserWarning")
@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="a graph of TensorFlow")
@pytest.mark.parametrize("how", ["layer", "lambda", "function", "lambda function"])
def test_code_of_ones_own_is_published_as_the_graph_of_what_it_computes(how: str, tmp_path: Path) -> None:
    """With one input, and with two in a list and in a dictionary; whoever loads it needs none of the code."""
    said = SAID | {"architecture": "CNN", "classes": ["water", "land"]}
    other = np.random.default_rng(1).uniform(0, 1, (3, 10, 12, 3)).astype(np.float32)
    for number, structure in enumerate((None, list, dict)):
        image, extra = keras.Input((None, None, 3), name="image"), keras.Input((None, None, 3), name="extra")
        scores = keras.layers.Conv2D(2, 1)(custom(image if structure is None else image + extra, how))
        several = {"image": image, "extra": extra} if structure is dict else [image, extra]
        net = keras.Model(image if structure is None else several, scores)
        example: Any = IMAGE if structure is None else {"image": IMAGE, "extra": IMAGE[..., ::-1]}
        more: dict[str, Any] = {"bands": {"image": SAID["bands"], "extra": SAID["bands"]}} if structure else {}
        item = modelstac.publish(net, catalog=tmp_path, example=example, version=f"1.0.{number}", **said | more)
        assert item.properties["interop:format"] == "saved-model"
        named = {"image": other} if structure is None else {"image": other, "extra": other / 2}
        given: Any = other if structure is None else named if structure is dict else list(named.values())
        found = modelstac.load(item.id, catalog=tmp_path).predict(**named)
        np.testing.assert_allclose(found, keras.ops.convert_to_numpy(net(given)), atol=1e-6)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="a graph of TensorFlow")
def test_code_that_is_no_function_of_its_input_is_refused(tmp_path: Path) -> None:
    entry = keras.Input((None, None, 3))
    net = keras.Model(entry, Gain(lambda: float(np.random.default_rng().uniform(1, 2)))(entry))
    said = SAID | {"architecture": "CNN", "output_dims": ["batch", "height", "width", "channel"], "task": "regression"}
    with pytest.raises(InvalidItemError, match=r"other numbers for .* than the model itself"):
        modelstac.publish(net, catalog=tmp_path / "models", example=IMAGE, **said)
    with pytest.raises(SpecError, match="which no file holds"):  # nothing shows what it computes
        modelstac.publish(net, catalog=tmp_path / "models", **said)
    assert not (tmp_path / "models").exists()


def test_publishing_draws_no_random_numbers_and_names_no_layers(tmp_path: Path) -> None:
    entry = keras.Input((None, None, 3), name="image")
    hidden = keras.layers.Dropout(0.5)(keras.layers.Conv2D(4, 3)(entry))
    net = keras.Model(entry, keras.layers.Conv2D(2, 1)(hidden))
    keras.Input((1,))
    before = states()
    first = number_of_an_input()
    modelstac.publish(net, catalog=tmp_path, example=IMAGE, classes=["water", "land"], architecture="CNN", **SAID)
    assert states() == before
    assert number_of_an_input() == first + 1


def states() -> Any:
    torch = sys.modules.get("torch")  # which Keras draws from where it predicts on it
    drawn = None if torch is None else torch.get_rng_state().tolist()
    return random.getstate(), np.random.get_state()[1].tolist(), drawn  # type: ignore[index]


def number_of_an_input() -> int:
    return int(keras.Input((1,))._keras_history.operation.name.rpartition("_")[2])


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="TensorFlow is not loaded")
def test_a_module_of_tensorflow_is_written_first(tmp_path: Path) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    with pytest.raises(SpecError, match=r"Module is a graph of TensorFlow: write it by tf.saved_model.save\("):
        modelstac.publish(tensorflow.Module(), catalog=tmp_path, **SAID)


def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path: Path) -> None:
    entry = keras.Input((None, None, 3))
    layer = keras.layers.Conv2D(2, 1, name="last")
    net = keras.Model(entry, layer(entry))
    layer.bias.assign([0.0, float("nan")])
    with pytest.raises(SpecError, match=r"the weights 'last/bias' are no numbers \(1 of 2 are NaN\).*an earlier state"):
        modelstac.publish(net, catalog=tmp_path, classes=["water", "land"], architecture="CNN", **SAID)
