"""Published sources for export jobs. As a program, Keras' part in a process of its own, as a process has one backend.

``KERAS_BACKEND=… python sources.py CATALOG`` publishes a Keras ConvLSTM and one whose item lies about its activation,
exports both, and prints what happened as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.mlm import InputStructure, ModelInput, ModelOutput, ResultStructure
from modelstac.catalog.items.writing import write_item
from modelstac.training.spec import ConvLSTMSpec
from modelstac.training.weights import initial_weights

# What loads without a note: only the versions that are here.
INSTALLED = {form: version(package) for form, package in {"keras": "keras", "torch": "torch"}.items()}
SPEC = ConvLSTMSpec(filters=(4, 3), kernels=(3, 5), cell_activation="leaky_relu", frames=4, height=10, width=13)
LAYOUTS = {
    "keras": ("batch", "time", "height", "width", "variables"),
    "torch": ("batch", "time", "variables", "height", "width"),
}


def trained_looking_weights(spec, seed=0):
    """Weights where nothing is zero, one or symmetric, with an output that the sigmoid does not flatten."""
    rng = np.random.default_rng(seed)
    weights = initial_weights(spec, seed)
    for name, value in weights.items():
        # The same spread before the sigmoid whatever the number of filters: wide enough to see a difference through it.
        output = name == "output/kernel"
        deviation = 4 / np.sqrt(value.shape[-2]) if output else 1 / np.sqrt(np.prod(value.shape[:-1]) + 90)
        noise = rng.normal(0, deviation, value.shape).astype(np.float32)
        weights[name] = np.abs(value + noise) + 0.1 if name.endswith("moving_variance") else value + noise
    return weights


def describe(artifact, form, spec=SPEC, **fields):
    """Describe a model file as a training job does."""
    dim_order = LAYOUTS[form]
    sizes = {"batch": -1, "variables": 1, "time": spec.frames, "height": spec.height, "width": spec.width}
    if form == "torch":
        sizes |= {"time": -1, "height": -1, "width": -1}
    layout = {"shape": tuple(sizes[name] for name in dim_order), "dim_order": dim_order, "data_type": "float32"}
    rain = ("rainfall_rate",)
    box = [[0.0, 49.0], [10.0, 49.0], [10.0, 55.0], [0.0, 55.0], [0.0, 49.0]]
    known = {
        "name": "rain",
        "version": "1.0.0",
        "variant": form,
        "title": "Rain",
        "description": "A ConvLSTM.",
        "license": "MIT",
        "geometry": {"type": "Polygon", "coordinates": [box]},
        "start": datetime(2010, 8, 26, tzinfo=UTC),
        "end": datetime(2010, 8, 26, 7, 35, tzinfo=UTC),
        "format": form,
        "framework_version": INSTALLED.get(form, "1.2.3"),
        "architecture": "ConvLSTM",
        "tasks": ("regression",),
        "inputs": (ModelInput(name="frames", variables=rain, input=InputStructure(**layout)),),
        "outputs": (
            ModelOutput(name="forecast", variables=rain, tasks=("regression",), result=ResultStructure(**layout)),
        ),
        "hyperparameters": {"architecture": spec.to_dict()},
        "parameters": spec.parameters,
        "scores": {"rmse": 1.0},
        "cube_dimensions": {"time": {"type": "temporal", "extent": ["2010-08-26T00:00:00Z", None]}},
        "cube_variables": {"rainfall_rate": {"dimensions": ["time"], "type": "data", "unit": "mm h-1"}},
        "artifact": artifact,
    }
    return ModelDescription(**(known | fields))


def publish_torch(catalog, folder, spec=SPEC, weights=None, **fields):
    """Publish a native PyTorch ConvLSTM."""
    from safetensors.torch import save_file

    from modelstac.training.architectures import convlstm_torch

    net = convlstm_torch.build(spec)
    convlstm_torch.set_weights(net, trained_looking_weights(spec) if weights is None else weights)
    save_file(net.state_dict(), folder / "model.safetensors")
    entrypoint = "modelstac.training.architectures.convlstm_torch:build"
    description = describe(folder / "model.safetensors", "torch", spec, entrypoint=entrypoint, **fields)
    return catalog.publish(write_item(description))


def publish_keras(catalog, folder, spec=SPEC, **fields):
    """Publish a Keras ConvLSTM made on the backend of this process."""
    import keras

    from modelstac.registry.runtimes.backends import without_tensorflow
    from modelstac.training.architectures import convlstm_keras

    model = convlstm_keras.build(spec)
    convlstm_keras.set_weights(model, trained_looking_weights(spec))
    with without_tensorflow():
        model.save(folder / "model.keras")
    fields = {"backend": keras.config.backend(), "backend_version": "1.2.3", **fields}
    variant = f"keras-{keras.config.backend()}"
    description = describe(folder / "model.keras", "keras", spec, **{"variant": variant, **fields})
    return catalog.publish(write_item(description))


def die(*_):
    """Be killed, as a converter that takes too much memory is."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_too(*_):
    """Be killed, as another converter."""
    die()


def main(href):
    from modelstac.catalog import open_catalog
    from modelstac.catalog.errors import ModelStacError
    from modelstac.exporters.jobs import ExportJob, export

    catalog = open_catalog(href, create=True)
    found = {}
    lie = {**SPEC.to_dict(), "cell_activation": "linear"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        honest = publish_keras(catalog, folder)
        liar = publish_keras(catalog, folder, name="liar", hyperparameters={"architecture": lie})
    windows = np.random.default_rng(5).random((2, 4, 10, 13, 1), np.float32)
    jobs = {item.id: ExportJob(source=item.id) for item in (honest, liar)}
    jobs["liar by a tool"] = ExportJob(source=liar.id, target="saved-model")
    for name, job in jobs.items():
        try:
            found[name] = export(job, catalog, windows=windows).id
        except ModelStacError as error:
            found[name] = f"{type(error).__name__}: {error}"
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
