"""The graph of conversions, without converting, and workers that end before their time."""

from __future__ import annotations

import signal

import pytest

from modelstac.catalog import open_catalog
from modelstac.catalog.errors import ConversionError, MissingPackageError, SpecError
from modelstac.catalog.items.reading import read_item
from modelstac.exporters.closed import CLOSED
from modelstac.exporters.conversion import REBUILT
from modelstac.exporters.jobs import ExportJob, export
from modelstac.exporters.routes import NODES, ROUTES, Edge, Routes, table
from modelstac.exporters.workers import Workers


@pytest.fixture
def catalog(tmp_path, sources):
    found = open_catalog(tmp_path / "catalog", create=True)
    sources.publish_torch(found, tmp_path)
    return found


@pytest.fixture
def model(catalog):
    return read_item(catalog.get("rain-1.0.0-torch"))


def walk(path):
    return [path[0].source, *(edge.target for edge in path)]


def test_the_cheapest_path_is_taken_unless_another_is_forced(model):
    assert walk(ROUTES.plan(model, "saved-model")) == ["torch", "saved-model"]
    assert walk(ROUTES.plan(model, "openvino")) == ["torch", "onnx", "openvino"]
    assert walk(ROUTES.plan(model, "saved-model", via="onnx")) == ["torch", "onnx", "saved-model"]
    assert walk(ROUTES.plan(model, "keras")) == ["torch", "keras-tensorflow"]
    (edge,) = ROUTES.plan(model, "torch-export")
    assert edge.method == REBUILT  # cheaper than tracing what was loaded
    assert set(ROUTES.targets(model)) == set(NODES) - {"torch"}


def test_another_architecture_has_the_general_edges_only(model):
    other = model.model_copy(update={"architecture": "ResNet"})
    assert walk(ROUTES.plan(other, "torch-export")) == ["torch", "torch-export"]
    assert walk(ROUTES.plan(other, "onnx")) == ["torch", "torch-export", "onnx"]
    with pytest.raises(
        ConversionError, match="architecture ResNet: it can become torch-export, onnx, litert, openvino"
    ):
        ROUTES.plan(other, "keras")


def test_a_network_is_rebuilt_only_where_its_item_states_all_of_it(model):
    """Somebody else's ConvLSTM has the name, and not our specification."""
    assert walk(ROUTES.plan(model.model_copy(update={"hyperparameters": {}}), "onnx")) == [
        "torch",
        "torch-export",
        "onnx",
    ]


def test_a_missing_package_is_named_with_its_extra(model):
    edge = Edge("torch", "onnx", "nowhere:convert", packages=("not_installed",))
    assert "pip install 'modelstac[not_installed]'" in edge.unavailable()
    with pytest.raises(MissingPackageError, match=r"torch to onnx needs not_installed.*pip install"):
        Routes([edge]).plan(model, "onnx")
    detour = Edge("torch", "litert", "nowhere:convert"), Edge("litert", "onnx", "nowhere:convert")
    assert walk(Routes([edge, *detour]).plan(model, "onnx")) == ["torch", "litert", "onnx"]


def test_the_table_names_every_edge(model):
    rows = table()
    assert len(rows) == len(list(ROUTES)) + len(CLOSED)
    assert {"source", "target", "method", "cost", "architecture", "backend", "unavailable"} == set(rows[0])
    # Everything is installed where the tests run; what nobody can convert says why.
    assert all((row["unavailable"] is None) == (row["method"] is not None) for row in rows)
    ends = {(edge.source, edge.target) for edge in ROUTES if edge.architecture is None}
    assert not ends & CLOSED.keys()


def test_unknown_formats_are_refused(model):
    with pytest.raises(SpecError, match="unknown format 'tflite': choose one of"):
        ExportJob("rain-1.0.0-torch", "tflite")
    with pytest.raises(SpecError, match="unknown format"):
        ROUTES.plan(model, "onnx", via="pickle")


def test_a_route_is_part_of_the_job_only_when_it_is_forced():
    assert "via" not in ExportJob("a", "onnx").to_json()
    assert ExportJob("a", "onnx", via="torch").digest != ExportJob("a", "onnx").digest
    assert ExportJob.from_json(ExportJob("a", "keras", via="torch").to_json()).target == "keras-tensorflow"


def test_a_conversion_killed_half_way_is_an_error_and_publishes_nothing(catalog):
    kill = Edge("torch", "keras-torch", "tests.exporters.sources:die", backend="torch", architecture="ConvLSTM")
    routes = ROUTES.register(kill, replace=True)
    job = ExportJob("rain-1.0.0-torch", "keras-torch")
    with pytest.raises(ConversionError, match=f"Keras on torch ended with exit code -{int(signal.SIGKILL)}"):
        export(job, catalog, routes=routes)
    assert list(catalog.ids()) == ["rain-1.0.0-torch"]


def test_an_error_in_a_worker_is_the_same_error_here(catalog):
    with Workers() as workers, pytest.raises(SpecError, match="no option 'depth'"):
        export(ExportJob("rain-1.0.0-torch", "keras-torch", options={"depth": 3}), catalog, workers=workers)
