"""The contract for Keras on the backend of this process; run by test_runtimes.py."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pystac
import pytest
from tests.registry import pairs

from modelstac.registry.runtimes.backends import without_tensorflow
from modelstac.registry.testing import Example, RuntimeContract

# Keras and its backends warn of each other's ways.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")


class TestKeras(RuntimeContract):
    @pytest.fixture
    def example(
        self, tmp_path: Path, make_item: Callable[..., pystac.Item], frames: np.ndarray
    ) -> tuple[pystac.Item, np.ndarray, np.ndarray]:
        inputs = keras.Input((4, 1, 6, 5))
        layer = keras.layers.Dense(5, use_bias=False)
        model = keras.Model(inputs, layer(inputs))
        layer.set_weights([3 * np.eye(5, dtype=np.float32)])
        with without_tensorflow():
            model.save(tmp_path / "model.keras")
        backend = {"backend": keras.config.backend(), "backend_version": "1.2.3"}
        return make_item(tmp_path / "model.keras", "keras", **backend), frames, 3 * frames


class TestTwoInputsAndTwoOutputs(RuntimeContract):
    @pytest.fixture
    def example(self, tmp_path: Path, make_item: Callable[..., pystac.Item]) -> Example:
        backend = {"backend": keras.config.backend(), "backend_version": "1.2.3"}
        return make_item(pairs.write_keras(tmp_path), "keras", **pairs.fields(), **backend), *pairs.example()
