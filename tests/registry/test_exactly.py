"""A model is what its framework computes on the shape at hand; a quick way is taken where it was found to be that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modelstac.registry.runtimes.quick.per_shape import PerShape

Python = Callable[..., dict[str, Any]]
Array = np.ndarray[Any, Any]


class Counted:
    """Computes a factor times the input, and counts its calls."""

    def __init__(self, factor: float) -> None:
        self.factor, self.calls = factor, 0

    def __call__(self, flat: Sequence[Any]) -> list[Array]:
        self.calls += 1
        return [np.float32(self.factor) * flat[0]]


def inputs(*shape: int) -> list[Array]:
    return [np.random.default_rng(1).random(shape, np.float32)]


def test_the_quick_way_is_taken_after_the_call_that_compares() -> None:
    exactly, quickly, made = Counted(2), Counted(2 * (1 + 1e-7)), []
    run = PerShape(exactly, lambda flat: made.append(flat[0].shape) or quickly, on=3)
    for number, calls in enumerate([(1, 0), (2, 0), (3, 1), (3, 2)]):
        np.testing.assert_allclose(run(inputs(2, 3))[0], 2 * inputs(2, 3)[0], rtol=1e-6)
        assert (exactly.calls, quickly.calls) == calls, number
    run(inputs(3, 3))
    assert (exactly.calls, quickly.calls) == (4, 2)
    assert made == [(2, 3)]


def test_a_quick_way_that_differs_or_fails_on_a_shape_is_not_taken_there() -> None:
    exactly = Counted(2)
    ways = {(2, 3): Counted(2.001), (3, 3): Counted(2)}
    run = PerShape(exactly, lambda flat: ways[flat[0].shape])  # none for (4, 3): KeyError
    for shape in ((2, 3), (3, 3), (4, 3)):
        for _ in range(4):
            np.testing.assert_array_equal(run(inputs(*shape))[0], 2 * inputs(*shape)[0])
    assert [way.calls for way in ways.values()] == [1, 3]
    assert exactly.calls == 4 + 2 + 4


def test_an_input_of_one_value_does_not_tell_two_ways_apart_so_that_others_are_tried() -> None:
    exactly, quickly = Counted(2), Counted(3)
    run = PerShape(exactly, lambda _: quickly)
    zeros = [np.zeros((2, 3), np.float32)]
    for _ in range(3):
        run(zeros)
    np.testing.assert_array_equal(run(inputs(2, 3))[0], 2 * inputs(2, 3)[0])


def test_so_many_shapes_are_remembered_and_no_more() -> None:
    exactly, made = Counted(2), []
    run = PerShape(exactly, lambda flat: made.append(flat[0].shape) or Counted(2), most=2)
    for _ in range(2):
        run(inputs(1))
        run(inputs(1))
        run(inputs(2))
        run(inputs(3))
    assert made == [(1,), (1,)]
    assert len(run._known) == 2


def test_many_threads_make_the_quick_way_once() -> None:
    made: list[int] = []
    run = PerShape(Counted(2), lambda _: made.append(1) or Counted(2))
    given, found = inputs(64, 64), []
    threads = [
        threading.Thread(target=lambda: [found.append(run(given)[0]) for _ in range(20)], daemon=True) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 160
    assert all(np.array_equal(one, 2 * given[0]) for one in found)
    assert len(made) == 1


KERAS = """
    import keras, numpy as np
    from keras import layers as L
    from modelstac.registry.runtimes.keras import opened

    rng = np.random.default_rng(0)
    keras.utils.set_random_seed(3)

    def made(shape, *stack, **how):
        x = keras.Input(shape, **how)
        y = x
        for layer in stack:
            y = layer(y)
        return keras.Model(x, y)

    class Mean(keras.layers.Layer):
        def call(self, x):  # asks for the static length, as people's own code does
            return keras.ops.sum(x, 1) / (x.shape[1] or 1)

    video, image, series = (None, 12, 10, 2), (None, None, 3), (None, 4)
    words = keras.Input((None,), dtype="int32", name="words")
    embedded = L.Embedding(9, 4, mask_zero=True)(words)
    networks = {
        "frames": (made(video, L.TimeDistributed(L.Conv2D(3, 3))), [(2, 5, 12, 10, 2), (3, 2, 12, 10, 2)]),
        "steps": (
            made(video, L.TimeDistributed(L.GlobalAveragePooling2D()), L.LSTM(4), L.Dense(1)),
            [(2, 5, 12, 10, 2), (1, 7, 12, 10, 2)],
        ),
        "nested": (
            made((None, None, 3), L.TimeDistributed(L.TimeDistributed(L.Dense(2)))),
            [(2, 5, 4, 3), (5, 2, 3, 3)],
        ),
        "bilinear": (
            made(image, L.Conv2D(4, 3, strides=2, padding="same"), L.UpSampling2D(2, interpolation="bilinear")),
            [(1, 24, 20, 3), (2, 17, 31, 3)],
        ),
        "bicubic": (made(image, L.UpSampling2D(3, interpolation="bicubic")), [(1, 8, 6, 3), (2, 5, 7, 3)]),
        "resized": (made(image, L.Resizing(9, 7)), [(1, 8, 6, 3), (2, 15, 17, 3)]),
        "masked": (made(series, L.Masking(0.0), L.Bidirectional(L.GRU(3))), [(2, 5, 4), (1, 9, 4)]),
        "words": (keras.Model(words, L.TimeDistributed(L.Dense(3))(embedded)), [(2, 5), (4, 3)]),
        "static": (made(series, Mean()), [(2, 5, 4), (1, 9, 4)]),
        "unrolled": (made((6, 4), L.LSTM(3, unroll=True)), [(2, 6, 4), (1, 6, 4)]),
    }
    x = keras.Input(series)
    networks["attention"] = (keras.Model(x, L.MultiHeadAttention(2, 3)(x, x)), [(2, 5, 4), (1, 9, 4)])
    found = {}
    for name, (network, shapes) in networks.items():
        model = opened(network)
        apart = []
        for shape in shapes * 5:  # itself, compared, and twice the quick way
            given = rng.integers(0, 9, shape).astype("int32") if len(shape) == 2 else rng.random(shape, "float32")
            if name == "masked":
                given[:, 2:] = 0
            right = keras.ops.convert_to_numpy(network(given, training=False))
            for run in (model.run, model.exactly):
                got = list(run({model.inputs[0]: given}).values())[0]
                assert got.shape == right.shape, (name, got.shape, right.shape)
                apart.append(float(abs(got - right).max()))
            assert abs(right).max() > 1e-4, name
        found[name] = max(apart)
    answer(found=found)
"""


def test_keras_on_tensorflow_gives_what_keras_computes_on_each_shape(on_keras: Python) -> None:
    found = on_keras("tensorflow", KERAS)["found"]
    assert len(found) == 11
    assert max(found.values()) < 1e-6, found


TORCH = """
    import keras, numpy as np
    from keras import layers as L
    from modelstac.registry.runtimes.keras import opened

    x = keras.Input((None, 9, 7, 2))
    cells = L.ConvLSTM2D(3, 3, padding="same", return_sequences=True)
    network = keras.Model(x, L.Conv3D(1, 3, padding="same")(cells(x)))
    model = opened(network)
    own, called = cells.call, []
    cells.call = lambda *a, **k: called.append(1) or own(*a, **k)
    rng = np.random.default_rng(0)
    apart, calls = [], []
    for shape in [(2, 4, 9, 7, 2)] * 4 + [(1, 6, 9, 7, 2)] * 4:
        given = rng.random(shape, "float32")
        called.clear()
        got = model.run({model.inputs[0]: given})[model.outputs[0]]
        calls.append(len(called))
        right = model.exactly({model.inputs[0]: given})[model.outputs[0]]
        assert got.flags.writeable and not keras.ops.convert_to_tensor(right).requires_grad
        apart.append(float(abs(got - right).max()))
    answer(apart=max(apart), calls=calls, plain=opened(keras.Model(x, L.Dense(1)(x))).exactly is None)
"""


def test_keras_on_torch_runs_its_layers_until_the_quick_ones_were_compared_with_them(on_keras: Python) -> None:
    answer = on_keras("torch", TORCH)
    assert answer["calls"] == [1, 1, 0, 0] * 2
    assert answer["apart"] < 1e-5
    assert answer["plain"] is True  # of a model without such layers there is no other way


PUBLISH = """
    import keras, numpy as np, modelstac
    from pathlib import Path
    from keras import layers as L
    from tests.registry.statements import statement
    from modelstac.catalog import open_catalog
    from modelstac.catalog.errors import ModelStacError
    from modelstac.catalog.items.writing import write_item
    from modelstac.registry.describing.describe import describe_file

    folder = Path(sys.argv[1])
    catalog = open_catalog(folder / "catalog", create=True)

    heard = []

    def published(name, network, dims, results):
        network.save(folder / f"{name}.keras")
        backend = {"backend": "tensorflow", "backend_version": "2.19.1"}
        said = statement(name=name, input_dims=dims, output_dims=results, **backend)
        return catalog.publish(write_item(describe_file(folder / f"{name}.keras", said, report=heard.append)))

    rng = np.random.default_rng(0)
    refused = {}
    x = keras.Input(batch_shape=(1, 5, 3))
    for name, layer in (("lstm", L.LSTM(4, stateful=True)), ("both", L.Bidirectional(L.GRU(4, stateful=True)))):
        try:
            published(name, keras.Model(x, layer(x)), ("batch", "time", "feature"), ("batch", "feature"))
        except ModelStacError as error:
            refused[name] = str(error)
    x = keras.Input((8, 8, 3))
    resized = L.Conv2D(4, 3)(L.Resizing(8, 8)(x))  # of which Keras writes training=True, too
    drop = keras.Model(x, L.BatchNormalization()(L.Dropout(0.5)(resized, training=True), training=True))
    image = ("batch", "height", "width", "channel")
    item = published("drop", drop, image, image)
    given = rng.random((2, 8, 8, 3), "float32")
    model = modelstac.load(item.id, catalog=catalog)
    right = np.asarray(drop(given, training=False))
    inert = max(float(abs(model.predict(given) - right).max()) for _ in range(4))

    x = keras.Input((None, 6, 5, 2))
    steps = L.TimeDistributed(L.GlobalAveragePooling2D())(L.TimeDistributed(L.Conv2D(3, 3))(x))
    network = keras.Model(x, L.Dense(1)(L.LSTM(4)(steps)))
    item = published("steps", network, ("batch", "time", "height", "width", "feature"), ("batch", "out"))
    given = rng.random((2, 5, 6, 5, 2), "float32")
    right = np.asarray(network(given, training=False))
    ours = modelstac.load(item.id, catalog=catalog).predict(given)
    notes = [m.text for m in heard if hasattr(m, "text") and "training" in m.text]
    answer(refused=refused, notes=notes, inert=inert, apart=float(abs(ours - right).max()), spread=float(right.std()))
"""


def test_a_keras_model_that_keeps_a_state_is_refused_and_layers_for_training_are_inert(
    on_keras: Python, tmp_path: Path
) -> None:
    answer = on_keras("tensorflow", PUBLISH, tmp_path)
    assert "(LSTM, stateful=True) begins where the last call ended" in answer["refused"]["lstm"]
    assert "(GRU, stateful=True)" in answer["refused"]["both"]
    assert answer["inert"] == 0
    (note,) = answer["notes"]
    assert note.endswith("training=True of batch_normalization, dropout is not heeded there")
    assert answer["apart"] < 1e-6
    assert answer["spread"] > 1e-4
