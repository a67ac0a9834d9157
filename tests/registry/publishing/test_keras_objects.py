"""Models of Keras: a subclass becomes the graph of what it calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tests.registry.publishing.test_objects import SAID

import modelstac
from modelstac.catalog.errors import InvalidItemError, SpecError

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
