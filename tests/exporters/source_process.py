"""A recurrence over frames of any number, published and exported: what Keras itself computes is what is proved.

As a program, since a process has one backend: ``KERAS_BACKEND=tensorflow python source_process.py FOLDER`` prints JSON.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import keras
import numpy as np
from keras import layers

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.errors import ModelStacError
from modelstac.catalog.items.description import Step
from modelstac.catalog.items.writing import write_item
from modelstac.exporters.conversion import Conversion
from modelstac.exporters.converters.interfaces.saved_model import tensors_of
from modelstac.exporters.jobs import ExportJob, export
from modelstac.exporters.layouts import Found, measured
from modelstac.exporters.routes import Edge, Routes
from modelstac.registry.describing.describe import Statement, describe_file
from modelstac.registry.inspecting.folders import pack

DIMS = ("batch", "time", "height", "width", "feature")
SHAPES = ((2, 5, 6, 5, 2), (1, 3, 6, 5, 2), (3, 3, 6, 5, 2), (4, 1, 6, 5, 2))


def publish(catalog, network, folder):
    network.save(folder / "steps.keras")
    said = Statement(
        name="steps",
        version="1.0.0",
        tasks=("regression",),
        architecture="CNN-LSTM",
        license="MIT",
        geometry={"type": "Point", "coordinates": [5.0, 52.0]},
        start=datetime(2020, 1, 1, tzinfo=UTC),
        end=datetime(2021, 1, 1, tzinfo=UTC),
        input_dims=DIMS,
        output_dims=("batch", "out"),
        backend="tensorflow",
        backend_version="2.19.1",
    )
    return catalog.publish(write_item(describe_file(folder / "steps.keras", said)))


def as_keras_exports(model, folder, options):
    """Export as Keras does: traced once, with open sizes."""
    model.native.export(folder / "unpacked", format="tf_saved_model", verbose=False)
    inputs, outputs = tensors_of(folder / "unpacked")
    named = [
        [Found(known.name, one.shape, one.dtype) for one, known in zip(side, tensors, strict=True)]
        for side, tensors in ((inputs, model.signature.inputs), (outputs, model.signature.outputs))
    ]
    taken, given = measured(model.description, *named)
    pack(folder / "unpacked", folder / "model.savedmodel.zip")
    step = Step(source_format="keras", target_format="saved-model", tool="keras", version="3.15.1", method="exported")
    return Conversion(
        artifact=folder / "model.savedmodel.zip", framework_version="2.19.1", inputs=taken, outputs=given, steps=(step,)
    )


def main(folder):
    keras.utils.set_random_seed(3)
    frames = keras.Input((None, 6, 5, 2))
    pooled = layers.TimeDistributed(layers.GlobalAveragePooling2D())(
        layers.TimeDistributed(layers.Conv2D(3, 3))(frames)
    )
    network = keras.Model(frames, layers.Dense(1)(layers.LSTM(4)(pooled)))
    catalog = open_catalog(folder / "catalog", create=True)
    source = publish(catalog, network, folder)
    wrong = Edge("keras-tensorflow", "saved-model", as_keras_exports)
    try:
        made = export(ExportJob(source.id, "saved-model"), catalog, routes=Routes([wrong]))
        refused = f"published as {made.id}"
    except ModelStacError as error:
        refused = f"{type(error).__name__}: {error}"
    made = export(ExportJob(source.id, "saved-model"), catalog)
    converted = modelstac.load(made.id, catalog=catalog)
    rng, apart = np.random.default_rng(0), []
    for shape in SHAPES:
        given = rng.random(shape, np.float32)
        right = np.asarray(network(given, training=False))
        apart.append(float(abs(converted.predict(given) - right).max()))
    spread = float(np.asarray(network(rng.random(SHAPES[0], np.float32))).std())
    print("\n" + json.dumps({"refused": refused, "apart": max(apart), "spread": spread}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
