"""Keras files with several inputs and outputs, each test in a process of its own, because a process has one backend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Python = Callable[..., dict[str, object]]
BUILD = """
    import os
    import numpy as np, modelstac
    from pathlib import Path
    from tests.registry.statements import statement
    from modelstac.catalog import open_catalog
    from modelstac.catalog.errors import ModelStacError
    from modelstac.catalog.items.validation import validate
    from modelstac.catalog.items.writing import write_item
    from modelstac.registry.describing.describe import describe_file
    from modelstac.registry.facts import read_facts
    from modelstac.registry.runtimes.backends import require_keras, spare_beside, without_tensorflow

    spare_beside()
    require_keras(os.environ.get("KERAS_BACKEND", "tensorflow"), purpose="the test")
    import keras

    image = ("batch", "height", "width", "channel")
    folder = Path(sys.argv[1])

    def layers(kind):
        s1, s2 = (keras.Input((None, None, n), name=name) for name, n in (("s1", 2), ("s2", 3)))
        both = keras.layers.Concatenate(name="both")([s1, s2])
        mask = keras.layers.Conv2D(1, 1, activation="sigmoid", name="mask")(both)
        height = keras.layers.Conv2D(1, 3, padding="same", name="height")(both)
        made = {
            "lists": ([s1, s2], [mask, height]),
            "dictionaries": ({"s2": s2, "s1": s1}, {"relief": height, "water": mask}),
        }
        return keras.Model(*made[kind])

    def publish(model, **said):
        with without_tensorflow():
            model.save(folder / "net.keras")
        catalog = open_catalog(folder / "catalog", create=True)
        item = catalog.publish(write_item(describe_file(folder / "net.keras", statement(**said))))
        validate(item)
        return item, modelstac.load(item.id, catalog=catalog)
"""
SEVERAL = """
    native = layers(sys.argv[2])
    names = sys.argv[3].split(",")
    item, model = publish(
        native,
        input_dims={"s1": image, "s2": image},
        output_dims={name: image for name in names},
        bands={"s1": ("VV", "VH")},
    )
    rng = np.random.default_rng(0)
    given = {"s1": rng.random((1, 6, 5, 2), np.float32), "s2": rng.random((1, 6, 5, 3), np.float32)}
    expected = native(given if sys.argv[2] == "dictionaries" else list(given.values()))
    expected = expected if isinstance(expected, dict) else dict(zip(names, expected))
    found = model.predict(given)
    answer(
        inputs=[tensor.name for tensor in model.signature.inputs],
        outputs=list(found),
        bands=[tensor.get("interop:bands") for tensor in item.properties["mlm:input"]],
        shape=item.properties["mlm:output"][0]["result"]["shape"],
        apart=max(float(abs(found[n] - keras.ops.convert_to_numpy(expected[n])).max()) for n in names),
        spread=min(float(values.std()) for values in found.values()),
    )
"""
OPTIONAL = """
    words = keras.Input((None,), name="words", dtype="int32")
    allowed = keras.Input((None, None), name="allowed", dtype="bool", optional=True)
    x = keras.layers.Embedding(9, 4)(words)
    # What is left out is None to the layer: then every word looks at every other.
    y = keras.layers.MultiHeadAttention(2, 4, name="y")(x, x, attention_mask=allowed)
    native = keras.Model([words, allowed], y)
    dims = {"words": ("batch", "token"), "allowed": ("batch", "token", "other")}
    with without_tensorflow():
        native.save(folder / "net.keras")
    facts = read_facts(folder / "net.keras")
    given = {"words": np.array([[1, 8, 3]], np.int32)}
    found = {}
    for name, named in (("without", {"words": dims["words"]}), ("with", dims)):
        item, model = publish(native, name=name, input_dims=named, output_dims=("batch", "token", "feature"))
        found[name] = [tensor["name"] for tensor in item.properties["mlm:input"]]
        found[f"{name}, alone"] = model.predict(given)
    narrow = given | {"allowed": np.eye(3, dtype=bool)[None]}
    expected = keras.ops.convert_to_numpy(native(list(narrow.values())))
    answer(
        optional=[(tensor.name, tensor.dtype, tensor.optional) for tensor in facts.inputs],
        without=found["without"],
        both=found["with"],
        alike=bool(np.allclose(found["without, alone"], found["with, alone"], atol=1e-6)),
        apart=float(abs(model.predict(narrow) - expected).max()),
        matters=float(abs(expected - found["with, alone"]).max()),
    )
"""
TYPES = """
    x = keras.Input((4,), name="x")
    y = keras.layers.Dense(2, dtype="bfloat16", name="y")(x)
    keras.Model(x, y).save(folder / "net.keras")
    try:
        read_facts(folder / "net.keras")
    except ModelStacError as error:
        answer(error=str(error))
"""


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
@pytest.mark.parametrize(("kind", "names"), [("lists", ["mask", "height"]), ("dictionaries", ["relief", "water"])])
def test_two_inputs_and_two_outputs_are_published_and_run(
    tmp_path: Path, on_keras: Python, backend: str, kind: str, names: list[str]
) -> None:
    found = on_keras(backend, BUILD + SEVERAL, tmp_path, kind, ",".join(names))
    assert sorted(found["inputs"]) == ["s1", "s2"]
    assert sorted(found["outputs"]) == sorted(names)
    assert found["bands"][found["inputs"].index("s1")] == ["VV", "VH"]
    assert found["shape"] == [-1, -1, -1, 1]
    assert found["apart"] < 1e-6
    assert found["spread"] > 1e-3


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_whole_numbers_go_in_and_an_optional_input_may_be_left_out(
    tmp_path: Path, on_keras: Python, backend: str
) -> None:
    found = on_keras(backend, BUILD + OPTIONAL, tmp_path)
    assert found["optional"] == [["words", "int32", False], ["allowed", "bool", True]]
    assert (found["without"], found["both"]) == (["words"], ["words", "allowed"])
    assert found["alike"]
    assert found["apart"] < 1e-6
    assert found["matters"] > 1e-4


def test_a_type_that_numpy_has_not_is_refused_by_name(tmp_path: Path, on_keras: Python) -> None:
    error = on_keras("tensorflow", BUILD + TYPES, tmp_path)["error"]
    assert "the output 'y' is of bfloat16" in str(error)
    assert "\n" not in str(error)


BILINEAR = """
    image_in = keras.Input((None, None, 2), name="image")
    half = keras.layers.Conv2D(3, 3, strides=2, padding="same", activation="tanh")(image_in)
    native = keras.Model(image_in, keras.layers.UpSampling2D(2, interpolation="bilinear")(half))
    item, model = publish(native, input_dims=image, output_dims=image)
    data = np.random.default_rng(0).random((2, 12, 8, 2), np.float32)
    answer(
        apart=float(np.abs(model.predict(data) - native.predict(data, verbose=0)).max()),
        sizes=item.properties["interop:sizes"]["image"]["height"],
    )
"""


def test_layers_that_no_graph_of_every_size_takes(tmp_path: Path, on_keras: Python) -> None:
    """Bilinear upsampling asks for the height that TensorFlow's graph leaves open; ``Model.predict`` runs it."""
    found = on_keras("tensorflow", BUILD + BILINEAR, tmp_path)
    assert found["apart"] < 1e-6
    assert found["sizes"] == {"at_least": 2, "step": 2}


TRAINED = """
    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="y")])
    net.compile("adam", "mse", metrics=["mae"])
    net.fit(np.zeros((4, 4)), np.zeros((4, 2)), verbose=0)
    net.save(folder / "net.keras")
    answer(parameters=read_facts(folder / "net.keras").parameters)
"""


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_a_file_with_its_optimizer_is_read(tmp_path: Path, on_keras: Python, backend: str) -> None:
    """On PyTorch Keras writes an optimizer as a class of that backend."""
    assert on_keras(backend, BUILD + TRAINED, tmp_path) == {"parameters": 10}
