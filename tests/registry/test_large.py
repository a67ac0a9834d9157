"""Large models: in memory once as the file that was verified and once as a model, whatever is done with them."""

from __future__ import annotations

import gc
import io
import tracemalloc
import weakref
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tests.registry.publishing.test_objects import SAID
from tests.registry.statements import statement

import modelstac
from modelstac.catalog.items.writing import write_item
from modelstac.registry.describing.describe import describe_file
from modelstac.registry.describing.measuring import opened
from modelstac.registry.describing.repeating import require_function
from modelstac.registry.files.artifact import Artifact
from modelstac.registry.files.part import Part
from modelstac.registry.inspecting.archives import inspect_archive, open_weights
from modelstac.registry.running.memory import LARGE
from modelstac.registry.running.model import Model
from modelstac.registry.runtimes.keras import opened as opened_by_keras
from modelstac.registry.runtimes.keras import read_archive
from modelstac.registry.trust.policy import DEFAULT_POLICY

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras, as it saves
WIDTH, LAYERS = 1024, 8
DIMS = ("batch", "feature")
VECTORS = {name: said for name, said in SAID.items() if name != "bands"} | {
    "input_dims": DIMS,
    "output_dims": DIMS,
    "task": "regression",
    "architecture": "MLP",
    "code": False,
}
FED = np.random.default_rng(0).uniform(0, 1, (2, WIDTH)).astype(np.float32)


def saved(path: Path, width: int = WIDTH, layers: int = LAYERS) -> keras.Model:
    """Save a stack of layers, each of an eighth of the file."""
    keras.utils.set_random_seed(7)
    dense = [keras.layers.Dense(width, bias_initializer="uniform") for _ in range(layers)]
    model = keras.Sequential([keras.Input((width,)), *dense])
    model.save(path)
    return model


def copies(path: Path, run: Callable[[], Any]) -> float:
    """Measure how often a file lies in memory that Python and NumPy take; a framework's own tensors do not count."""
    gc.collect()
    gc.freeze()  # what other tests left would delay collections of what is made here, as in no process of its own
    gc.collect()  # and so would their number, which is counted anew by this: a layer waits in a cycle, or two
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)  # as Python has it, unlike tests/conftest.py
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1] / path.stat().st_size
    finally:
        tracemalloc.stop()
        gc.set_threshold(*before)
        gc.unfreeze()


def test_the_weights_of_a_keras_file_are_not_copied_beside_it(tmp_path: Path) -> None:
    large, small = tmp_path / "large.keras", tmp_path / "small.keras"
    model = saved(large)
    saved(small, 8, 1)

    def publish(path: Path) -> Any:
        return modelstac.publish(path, catalog=tmp_path / path.stem, **VECTORS)

    modelstac.load(publish(small).id, catalog=tmp_path / "small")  # imports what there is to import
    items = []
    assert copies(large, lambda: items.append(publish(large))) < 1.5  # the file, and one layer of eight on its way
    assert copies(large, lambda: items.append(modelstac.load(items[0].id, catalog=tmp_path / "large"))) < 1.5
    np.testing.assert_allclose(items[1].predict(FED), keras.ops.convert_to_numpy(model(FED)), rtol=1e-5, atol=1e-5)


def test_a_model_is_closed_before_its_file_is_opened_once_more(tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    saved(path, 8, 1)
    description = describe_file(path, statement(input_dims=DIMS, output_dims=DIMS))
    model, found = opened(description, policy=DEFAULT_POLICY), []

    def again() -> Model:
        found.append(repr(model))
        return opened(description, policy=DEFAULT_POLICY)

    artifact = Artifact("net", path, path.read_bytes(), "")
    assert require_function(model, again, artifact, "keras", model.signature) is None
    assert [text.endswith("closed>") for text in found] == [True]


def test_a_large_model_is_gone_when_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    net = saved(path, 8, 1)
    description = describe_file(path, statement(input_dims=DIMS, output_dims=DIMS))
    described = description.model_copy(update={"parameters": LARGE})
    model, gone = Model(write_item(described), described, opened_by_keras(net)), weakref.ref(net)
    assert model.predict(FED[:, :8]).shape == (2, 8)
    del net
    assert gone() is not None
    model.close()
    assert gone() is None


@pytest.mark.parametrize("compressed", [False, True], ids=["of more than 4 GB", "compressed"])
def test_weights_that_lie_otherwise_in_the_archive_are_read_the_same(tmp_path: Path, compressed: bool) -> None:
    path, other = tmp_path / "net.keras", tmp_path / "other.keras"
    net = saved(path, 8, 1)
    with zipfile.ZipFile(path) as given, zipfile.ZipFile(other, "w") as made:
        for name in given.namelist():
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
            with made.open(member, "w", force_zip64=not compressed) as file:  # as zip writes members of 4 GB
                file.write(given.read(name))
    data = other.read_bytes()
    inspect_archive(data, other, max_bytes=1 << 20)
    with open_weights(data, other) as file:
        assert isinstance(file, Part) is not compressed
    found = read_archive(Artifact("net", other, data, ""))
    for one, two in zip(net.weights, found.weights, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(two))


def test_a_part_is_a_file_of_its_bytes() -> None:
    part = Part(b"0123456789", 2, 8)
    assert part.read() == b"234567"
    assert part.seek(-2, io.SEEK_END) == 4
    assert part.read(1) == b"6"
    assert part.tell() == 5
    assert part.seek(-4, io.SEEK_CUR) == 1
    assert part.read(9) == b"34567"
    assert part.seek(7) == 7
    assert part.read(1) == b""
