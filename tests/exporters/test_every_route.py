"""Every conversion of the thesis and more, end to end: converted, compared, published, loaded by id, compared again.

Four layers deep, each cell activation, and the reference network with a quarter of its filters on a small grid. The
Keras sources are made, run and converted by two workers that are started once.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from modelstac.catalog import open_catalog
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.items.writing import write_item
from modelstac.exporters.conversion import EXPORTED, REBUILT
from modelstac.exporters.jobs import ExportJob, export
from modelstac.exporters.routes import ROUTES, node_of
from modelstac.training.spec import PRESETS, ConvLSTMSpec
from modelstac.training.weights import initial_weights

pytestmark = [
    # TensorFlow's converter to LiteRT, and what PyTorch's tracer calls, speak of their own future.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

SMALL = {"frames": 2, "height": 5, "width": 6}
SPECS = {
    cell: ConvLSTMSpec(filters=(3, 2, 3, 4), kernels=(5, 3, 3, 1), cell_activation=cell, leaky_slope=0.07, **SMALL)
    for cell in ("linear", "tanh", "leaky_relu")
} | {"reference": dataclasses.replace(PRESETS["reference"], filters=(16,) * 4, **SMALL)}

SOURCES = ("keras-tensorflow", "keras-torch", "torch")
THESIS = [
    ("keras-tensorflow", "saved-model", None),
    ("saved-model-from-keras-tensorflow", "onnx", None),
    ("keras-torch", "onnx", None),
    ("keras-torch", "saved-model", None),
    ("keras-torch", "saved-model", "onnx"),
    ("keras-torch", "torch", "onnx"),
    ("torch", "onnx", None),
    ("torch", "saved-model", "onnx"),
]
BEYOND = [
    ("keras-tensorflow", "keras-torch", None),
    ("keras-torch", "keras-tensorflow", None),
    ("keras-tensorflow", "torch", None),
    ("keras-torch", "torch", None),
    ("torch", "keras-tensorflow", None),
    ("torch", "keras-torch", None),
    *((source, target, None) for target in ("torch-export", "litert", "openvino") for source in SOURCES),
]


@pytest.fixture(scope="module")
def catalogs(tmp_path_factory, sources, workers):
    """A catalog for each specification, with the three sources."""
    found = {}
    for name, spec in SPECS.items():
        folder = tmp_path_factory.mktemp(name)
        found[name] = catalog = open_catalog(folder / "catalog", create=True)
        # In a linear cell nothing saturates: with weights as wild as the others', rounding alone goes beyond 1e-5.
        weights = initial_weights(spec, 0) if name == "reference" else None
        if weights is not None:
            weights["output/kernel"] *= 1000  # untrained, the network hardly moves its output
        item = sources.publish_torch(catalog, folder, spec, weights, framework_version="2.13.0")
        for node in () if name == "reference" else ("keras-tensorflow", "keras-torch"):
            edge = next(edge for edge in ROUTES if (edge.source, edge.target) == ("torch", node))
            made = workers.convert(edge, item, folder, {})
            versions = {key: getattr(made, key) for key in ("framework_version", "backend", "backend_version")}
            catalog.publish(write_item(sources.describe(made.artifact, "keras", spec, variant=node, **versions)))
    return found


# The eight with one of the cells, in `pytest -m slow` with the other two; of the others each source and each target
# meets every cell once.
CELLS = ("linear", "tanh", "leaky_relu")
EIGHT = [(CELLS[number // 2 % 3], *route) for number, route in enumerate(THESIS)]
CASES = [
    *EIGHT,
    *(
        pytest.param(cell, *route, marks=pytest.mark.slow)
        for route in THESIS
        for cell in CELLS
        if (cell, *route) not in EIGHT
    ),
    *((CELLS[(number + number // 3) % 3], *route) for number, route in enumerate(BEYOND)),
    ("tanh", "torch-export-from-torch", "onnx", None),
    ("linear", "onnx-from-torch", "keras-tensorflow", None),
    ("reference", "torch", "onnx", None),
    ("reference", "torch", "saved-model", "onnx"),
]


@pytest.mark.parametrize(("name", "source", "target", "via"), CASES)
def test_route(name, source, target, via, *, catalogs, workers):
    catalog, spec = catalogs[name], SPECS[name]
    item = export(ExportJob(source=f"rain-1.0.0-{source}", target=target, via=via), catalog, workers=workers)
    found = read_item(item)
    assert item.id == f"rain-1.0.0-{target}{f'-via-{via}' if via else ''}-from-{source}"
    assert node_of(found) == target
    assert found.parity.passed
    assert found.parity.max_absolute_difference <= 1e-5
    before = read_item(catalog.get(found.parity.source)).route
    route = found.route[len(before) :]
    assert route[-1].target_format == target
    assert via is None or [step.target_format for step in route] == [via, target]
    assert all(step.method in {EXPORTED, REBUILT} for step in route)
    # Apart from the job's own proof: the published file against native PyTorch.
    x = np.random.default_rng(11).random((3, spec.frames, spec.height, spec.width), np.float32)
    outputs = []
    for item_id in ("rain-1.0.0-torch", item.id):
        with workers.open(catalog.get(item_id)) as model:
            axis = model.signature.inputs[0].dim_order.index("variables")
            made = model.run({model.signature.inputs[0].name: np.expand_dims(x, axis)})
            outputs.append(np.squeeze(made[model.signature.outputs[0].name], axis))
    assert outputs[0].std() > 1e-3  # a constant network would agree whatever it computes
    np.testing.assert_allclose(outputs[1], outputs[0], rtol=0, atol=1e-5)


def test_what_is_open_stays_open(catalogs):
    """Which dimensions a file takes at any size; a smaller list than this would be a worse conversion."""
    shapes = {}
    items = [item for name in CELLS for item in catalogs[name].items()]
    for found in map(read_item, items):
        layout = found.inputs[0].input
        open_ = {name for name, size in zip(layout.dim_order, layout.shape, strict=True) if size == -1}
        assert shapes.setdefault(found.format, open_) == open_
    grid = {"height", "width"}
    assert shapes == {
        "keras": {"batch"},
        "saved-model": {"batch"},
        "litert": {"batch"},
        "torch": {"batch", "time", *grid},
        "onnx": {"batch", "time", *grid},
        "openvino": {"batch", "time", *grid},
        "torch-export": {"batch", *grid},
    }
