"""Networks of several inputs and outputs, in Keras (channels last) and PyTorch (channels first).

``join`` takes radar, optical images of half the resolution, the number of an orbit and a mask of clouds, and gives one
map; ``split`` takes one image and gives labels (an argmax), heights and where these are above zero; ``odd`` has names
that are no identifiers; ``same`` gives one tensor twice, and what it was given. Keras' part as a program, since a
process has one backend::

    KERAS_BACKEND=… python several_models.py CATALOG FOLDER

publishes, converts and runs them, and prints what happened as JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.mlm import InputStructure, ModelInput, ModelOutput, ResultStructure
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.items.sizes import Size
from modelstac.catalog.items.writing import write_item

TARGETS = ("saved-model", "litert", "onnx", "openvino", "keras-torch", "torch-export")
"""What a Keras model becomes, each by the cheapest route."""
STEPS = (1, 5)
"""How many steps above the least the grids are on which models are compared."""
SERIES = (
    ("series onnx", "onnx", {}),
    ("series torch-export", "torch-export", {}),
    ("series torch-export fixed", "torch-export", {"fixed": True}),
    ("series torch-export time 12", "torch-export", {"fixed": {"time": 12}}),
    ("series litert", "litert", {}),
    ("series litert time 7", "litert", {"fixed": {"time": 7}}),
    ("series litert fixed", "litert", {"fixed": True}),
)


def grid(step=1, symbol=True):
    """Give sizes of a grid; those of two inputs grow together."""
    return {axis: Size(step, step, symbol=axis if symbol else None) for axis in ("height", "width")}


def tensor(name, dtype, channels, sizes):
    """Give a name, its type, its channels (None without such an axis) and the sizes of its grid (None without one)."""
    return name, dtype, channels, sizes


SIGNATURES = {
    # The order is not that of the alphabet, nor that in which the networks use them.
    "join": (
        [
            tensor("s2", "float32", 3, grid()),
            tensor("s1", "float32", 2, grid(2)),
            tensor("orbit", "int32", None, None),
            tensor("clear", "bool", 1, grid(2)),
        ],
        [tensor("change", "float32", 1, grid(2))],
    ),
    "split": (
        [tensor("image", "float32", 3, grid(symbol=False))],
        [
            tensor("mask", "int64", None, grid(symbol=False)),
            tensor("height_m", "float32", 1, grid(symbol=False)),
            tensor("above", "bool", 1, grid(symbol=False)),
        ],
    ),
    "odd": (
        [tensor("s1:0", "float32", 2, grid(4)), tensor("class", "float32", 2, grid(4))],
        [tensor("vegetation-segmentation", "float32", 1, grid(4)), tensor("2m", "float32", 1, grid(4))],
    ),
    "same": (
        [tensor("x", "float32", 2, grid())],
        [tensor("b", "float32", 1, grid()), tensor("x", "float32", 2, grid()), tensor("a", "float32", 1, grid())],
    ),
}


def layout(kind, entry, channels_last, dtype=None):
    name, declared, channels, sizes = entry
    axes = [("batch", -1)]
    axes += [] if sizes is None else [("height", -1), ("width", -1)]
    if channels is not None:
        axes.insert(len(axes) if channels_last else 1, ("channel", channels))
    dims, shape = zip(*axes, strict=True)
    if kind == "input":
        return ModelInput(name=name, input=InputStructure.of(shape, dims, declared))
    return ModelOutput(name=name, tasks=("regression",), result=ResultStructure.of(shape, dims, dtype or declared))


def describe(network, artifact, form, *, channels_last, int_type="int64", **fields):
    """Describe a file by hand."""
    inputs, outputs = SIGNATURES[network]
    box = [[5.0, 50.0], [10.0, 50.0], [10.0, 55.0], [5.0, 55.0], [5.0, 50.0]]
    sizes = {name: found for name, _, _, found in (*inputs, *outputs) if found is not None}
    known = {
        "name": network,
        "version": "1.0.0",
        "variant": form,
        "title": network,
        "description": "A network of several tensors.",
        "license": "MIT",
        "geometry": {"type": "Polygon", "coordinates": [box]},
        "start": datetime(2020, 1, 1, tzinfo=UTC),
        "end": datetime(2021, 1, 1, tzinfo=UTC),
        "format": form,
        "framework_version": version("torch"),
        "architecture": "CNN",
        "tasks": ("regression",),
        "inputs": tuple(layout("input", entry, channels_last) for entry in inputs),
        "outputs": tuple(
            layout("output", entry, channels_last, int_type if entry[1] == "int64" else None) for entry in outputs
        ),
        "sizes": sizes,
        "parameters": 1,
        "artifact": artifact,
    }
    return ModelDescription(**known | fields)


def arrays(description, steps, batch=3, seed=0):
    """Give arrays that fit, so many steps above the least."""
    rng = np.random.default_rng(seed)
    found = {}
    for entry in description.inputs:
        sizes = description.sizes.get(entry.name, {})
        axes = zip(entry.input.dim_order, entry.input.shape, strict=True)
        number = {"batch": batch, "height": steps, "width": steps + 2}
        shape = [
            length if length != -1 else sizes[axis].above(number[axis]) if axis in sizes else number[axis]
            for axis, length in axes
        ]
        values = rng.normal(size=shape)
        found[entry.name] = values > 0 if entry.input.dtype == "bool" else (10 * values).astype(entry.input.dtype)
    return found


def keras_networks():
    import keras
    from keras import layers

    def conv(filters, size=3, name=None):
        return layers.Conv2D(filters, size, padding="same", name=name)

    s1, s2 = keras.Input((None, None, 2), name="s1"), keras.Input((None, None, 3), name="s2")
    orbit = keras.Input((), name="orbit", dtype="int32")
    clear = keras.Input((None, None, 1), name="clear", dtype="bool")
    x = layers.Concatenate()([conv(4)(s1), layers.UpSampling2D()(conv(4)(s2))])
    x = x * keras.ops.cast(clear, "float32") + keras.ops.cast(orbit, "float32")[:, None, None, None]
    join = keras.Model([s1, s2, orbit, clear], conv(1, name="change")(x))

    image = keras.Input((None, None, 3), name="image")
    x = conv(4)(image)
    outputs = {
        "mask": keras.ops.argmax(conv(5)(x), axis=-1),
        "height_m": (height := conv(1)(x)),
        "above": keras.ops.greater(height, 0),
    }
    split = keras.Model(image, outputs)

    first, second = keras.Input((None, None, 2), name="s1:0"), keras.Input((None, None, 2), name="class")
    x = layers.AveragePooling2D(4)(layers.Concatenate()([conv(3)(first), conv(3)(second)]))
    x = layers.UpSampling2D(4)(x)
    odd = keras.Model({"class": second, "s1:0": first}, {"2m": conv(1)(x), "vegetation-segmentation": conv(1)(x)})

    given = keras.Input((None, None, 2), name="x")
    y = conv(1)(given)
    same = keras.Model(given, {"a": y, "b": y, "x": given})
    return {"join": join, "split": split, "odd": odd, "same": same}


def torch_networks():
    import torch
    from torch import nn

    def conv(before, after):
        return nn.Conv2d(before, after, 3, padding=1)

    class Join(nn.Module):
        def __init__(self):
            super().__init__()
            self.s1, self.s2, self.change = conv(2, 4), conv(3, 4), conv(8, 1)

        def forward(self, s1, s2, clear, orbit):
            x = torch.cat([self.s1(s1), nn.functional.interpolate(self.s2(s2), scale_factor=2.0)], 1)
            return self.change(x * clear + orbit[:, None, None, None])

    class Split(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.labels, self.height = conv(3, 4), conv(4, 5), conv(4, 1)

        def forward(self, image):
            x = self.first(image)
            height = self.height(x)
            return {"above": height > 0, "height_m": height, "mask": self.labels(x).argmax(1)}

    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.a, self.b = conv(2, 3), conv(2, 3), conv(6, 1), conv(6, 1)

        def forward(self, first, second):
            x = nn.functional.avg_pool2d(torch.cat([self.first(first), self.second(second)], 1), 4)
            x = nn.functional.interpolate(x, scale_factor=4.0)
            return self.a(x), self.b(x)

    class Same(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = conv(2, 1)

        def forward(self, x):
            y = self.conv(x)
            return {"a": y, "b": y, "x": x}

    torch.manual_seed(0)
    return {"join": Join(), "split": Split(), "odd": Odd(), "same": Same()}


def publish_torch(catalog, folder):
    """Publish the networks in PyTorch as exported programs; open axes as their sizes say."""
    import torch

    batch, h, w = (torch.export.Dim(name, min=1) for name in ("batch", "h", "w"))
    double = {0: batch, 2: 2 * h, 3: 2 * w}
    four = {0: batch, 2: 4 * h, 3: 4 * w}
    given = {
        "join": (
            (torch.rand(2, 2, 16, 12), torch.rand(2, 3, 8, 6), torch.rand(2, 1, 16, 12) > 0.5, torch.ones(2).int()),
            (double, {0: batch, 2: h, 3: w}, double, {0: batch}),
        ),
        "split": ((torch.rand(2, 3, 8, 6),), ({0: batch, 2: h, 3: w},)),
        "same": ((torch.rand(2, 2, 8, 6),), ({0: batch, 2: h, 3: w},)),
        "odd": ((torch.rand(2, 2, 16, 12), torch.rand(2, 2, 16, 12)), (four, four)),
    }
    items = {}
    for name, module in torch_networks().items():
        values, dims = given[name]
        torch.export.save(torch.export.export(module.eval(), values, dynamic_shapes=dims), folder / f"{name}.pt2")
        described = describe(name, folder / f"{name}.pt2", "torch-export", channels_last=False)
        items[name] = catalog.publish(write_item(described))
    return items


def publish_keras(catalog, folder):
    """Publish the networks in Keras, on the backend of this process."""
    import keras

    from modelstac.registry.runtimes.backends import without_tensorflow
    from modelstac.training.variants.keras import versions

    backend, items = keras.config.backend(), {}
    for name, model in keras_networks().items():
        rng = np.random.default_rng(1)
        model.set_weights([rng.normal(0, 0.5, w.shape).astype(w.dtype) for w in model.get_weights()])
        with without_tensorflow():
            model.save(folder / f"{name}.keras")
        described = describe(
            name,
            folder / f"{name}.keras",
            "keras",
            channels_last=True,
            int_type="int32",
            variant=f"keras-{backend}",
            **versions(),
        )
        items[name] = catalog.publish(write_item(described))
    return items


def publish_series(catalog, folder):
    """Publish a recurrence of Keras that takes any batch and any number of steps."""
    import keras
    from keras import layers

    from modelstac.registry.runtimes.backends import without_tensorflow
    from modelstac.training.variants.keras import versions

    x = keras.Input((None, 3), name="series")
    y = layers.Bidirectional(layers.GRU(3, return_sequences=True))(x)
    model = keras.Model(x, layers.Dense(1, name="out")(layers.LSTM(4, return_sequences=True)(y)))
    with without_tensorflow():
        model.save(folder / "series.keras")
    dims = ("batch", "time", "feature")
    described = describe(
        "split",
        folder / "series.keras",
        "keras",
        channels_last=True,
        name="series",
        variant="keras",
        **versions(),
        inputs=(ModelInput(name="series", input=InputStructure.of((-1, -1, 3), dims, "float32")),),
        outputs=(
            ModelOutput(name="out", tasks=("regression",), result=ResultStructure.of((-1, -1, 1), dims, "float32")),
        ),
        sizes={"series": {"time": Size(1, 1, symbol="time")}, "out": {"time": Size(1, 1, symbol="time")}},
    )
    return catalog.publish(write_item(described))


def convert(catalog, item, target, workers, options=None):
    """Convert along the first route that can and publish the result, without a proof: that is another module's."""
    from modelstac.catalog.errors import ConversionError, InvalidItemError
    from modelstac.exporters.routes import ROUTES as EDGES
    from modelstac.registry.loading import load

    failed = []
    for path in EDGES.ways(read_item(item), target):
        with tempfile.TemporaryDirectory() as folder:
            try:
                found, made = _walked(path, item, workers, options, folder)
                load(found)
            except (ConversionError, InvalidItemError) as error:
                failed.append(error)
                continue
            return catalog.publish(found), made
    raise failed[0]


def _walked(path, item, workers, options, folder):
    from modelstac.exporters.attempts.describing import describe_result

    found = source = read_item(item)
    for edge in path:
        made = workers.convert(edge, item, Path(tempfile.mkdtemp(dir=folder)), options or {})
        fixed = f"-fixed-{len(str(options['fixed']))}" if options else ""
        variant = f"{edge.target}{fixed}-from-{source.variant}"
        found = describe_result(source, found, made, variant=variant, target=edge.target)
        found = found.model_copy(update={"sizes": dict(made.sizes)})
        item = write_item(found)
    return item, made


def run(item, steps):
    """Give what a model makes of arrays that are the same in any format."""
    from modelstac.registry.loading import load

    with load(item) as model:
        return model.run(arrays(model.description, steps))


def keep(item, folder):
    """Keep what a model makes of a small grid and a larger one."""
    np.savez(folder / f"{item.id}.npz", **{f"{n} {name}": v for n in STEPS for name, v in run(item, n).items()})


def attempt(found, key, action):
    from modelstac.catalog.errors import ModelStacError

    try:
        item, made = action()
    except ModelStacError as error:
        found[key] = f"{type(error).__name__}: {error}"
        return None
    found[key] = {"id": item.id, "closed": made.closed}
    return item


def main(href, folder):
    from modelstac.catalog import open_catalog
    from modelstac.exporters.workers import Workers

    folder, catalog, found = Path(folder), open_catalog(href, create=True), {}
    with Workers() as workers:
        for name, item in publish_keras(catalog, folder).items():
            keep(item, folder)
            for target in TARGETS:
                made = attempt(found, f"{name} {target}", lambda t=target, i=item: convert(catalog, i, t, workers))
                if target == "saved-model" and made is not None:
                    keep(made, folder)
                    for more in ("litert", "openvino"):
                        key = f"{name} {target} {more}"
                        attempt(found, key, lambda t=more, i=made: convert(catalog, i, t, workers))
        series = publish_series(catalog, folder)
        for key, target, options in SERIES:
            attempt(found, key, lambda t=target, o=options: convert(catalog, series, t, workers, o))
    print("\n" + json.dumps(found))


def rerun(href, folder, *ids):
    """Run models of the backend of this process."""
    from modelstac.catalog import open_catalog

    for item_id in ids:
        keep(open_catalog(href).get(item_id), Path(folder))


if __name__ == "__main__":
    (rerun if len(sys.argv) > 3 else main)(*sys.argv[1:])
