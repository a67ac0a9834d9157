"""Models of Keras: a subclass becomes the graph of what it calls."""

from __future__ import annotations

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
