"""Publishes two networks, converts them, loads and runs all that there is; prints the runtimes that ran.

As a program, in a process from which the network is kept: ``python no_network.py private_program.py CATALOG``.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import modelstac
from modelstac.catalog.items.writing import write_item
from modelstac.exporters.jobs import ExportJob, export
from modelstac.exporters.workers import Workers
from modelstac.registry.describing.describe import Statement, describe_file
from modelstac.registry.runtimes import RUNTIMES

TARGETS = {
    "keras": ("saved-model", "onnx", "litert", "openvino", "torch-export", "keras-torch"),
    "torch-export": ("onnx", "openvino"),
}
DIMS = ("batch", "feature"), ("batch", "target")


def save(folder: Path) -> dict[str, Path]:
    """Save a dense network by Keras and one by PyTorch."""
    import torch

    from modelstac.registry.runtimes.backends import require_keras

    require_keras("tensorflow", purpose="the test")
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, activation="relu"), keras.layers.Dense(2)])
    model.save(folder / "net.keras")
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)).eval()
    program = torch.export.export(net, (torch.rand(2, 3),), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    torch.export.save(program, folder / "net.pt2")
    return {"keras": folder / "net.keras", "torch-export": folder / "net.pt2"}


def statement(name: str) -> Statement:
    """Say what no file says of itself."""
    box = [[5.0, 50.0], [10.0, 50.0], [10.0, 55.0], [5.0, 55.0], [5.0, 50.0]]
    return Statement(
        name=name,
        version="1.0.0",
        tasks=("regression",),
        architecture="MLP",
        license="MIT",
        geometry={"type": "Polygon", "coordinates": [box]},
        start=datetime(2020, 1, 1, tzinfo=UTC),
        end=datetime(2021, 1, 1, tzinfo=UTC),
        input_dims=DIMS[0],
        output_dims=DIMS[1],
    )


def main(href: str) -> None:
    """Do all that."""
    catalog, ran = modelstac.open(href, create=True), set()
    with tempfile.TemporaryDirectory() as folder, Workers() as workers:
        for kind, path in save(Path(folder)).items():
            item = catalog.publish(write_item(describe_file(path, statement(kind))))
            for target in TARGETS[kind]:
                export(ExportJob(item.id, target), catalog, workers=workers)
    for item in catalog.items():
        found = modelstac.load(item.id, catalog=catalog).predict(np.ones((2, 3), np.float32))
        assert found.shape == (2, 2)
        ran.add(RUNTIMES[item.assets["model"].extra_fields["mlm:artifact_type"]].module.rsplit(".", 1)[1])
    print("\n" + " ".join(sorted(ran)))


if __name__ == "__main__":
    main(sys.argv[1])
