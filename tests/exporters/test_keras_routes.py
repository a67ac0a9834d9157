"""Conversions from Keras that the cheapest public tool refuses or gets wrong, held against Keras itself."""

from __future__ import annotations

import importlib.util
import json
import signal
from pathlib import Path

import numpy as np
import pytest

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.errors import ConversionError
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.items.writing import write_item
from modelstac.exporters.jobs import ExportJob, export
from modelstac.exporters.routes import ROUTES, Edge, walked
from modelstac.registry.describing.describe import describe_file


def _neighbour(name):
    path = Path(__file__).with_name(name)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MODELS = _neighbour("keras_routes_models.py")


@pytest.fixture(scope="module")
def made(keras_process, tmp_path_factory):
    """The folder with eager results, the catalog in it, and what became of each conversion."""
    folder = tmp_path_factory.mktemp("routes")
    printed = keras_process.run("tensorflow", folder / "catalog", program=Path(MODELS.__file__))
    return folder, open_catalog(folder / "catalog"), json.loads(printed.splitlines()[-1])


@pytest.mark.parametrize(("name", "target"), [(name, target) for name, to in MODELS.CASES.items() for target in to])
def test_a_conversion_gives_what_keras_gives_eagerly(made, workers, name, target):
    folder, catalog, found = made
    item_id = found[f"{name} {target}"]
    assert item_id == f"{name}-1.0.0-{target}-from-keras"
    with workers.open(catalog.get(item_id)) as model:
        for path in sorted(folder.glob(f"{name}-?.npz")):
            kept = dict(np.load(path))
            given = {key[3:]: array for key, array in kept.items() if key.startswith("in|")}
            wanted = {key[4:]: array for key, array in kept.items() if key.startswith("out|")}
            got = model.run(given)
            if len(wanted) == 1:
                got = dict(zip(wanted, got.values(), strict=True))
            assert got.keys() == wanted.keys()
            for key, array in wanted.items():
                share = 5e-3 if name == "half" else 1e-5
                np.testing.assert_allclose(got[key], array, rtol=share, atol=share * max(1, np.abs(array).max()))


def test_a_route_that_failed_stands_in_the_record_of_the_one_that_was_taken(made):
    _, catalog, found = made
    item = catalog.get(found["gelu onnx"])
    route = read_item(item).route
    assert [step.target_format for step in route] == ["torch-export", "onnx"]
    assert route[0].warnings[0] == "keras-tensorflow → saved-model → onnx was tried before and failed"
    [tried] = json.loads(Path(item.assets["parity"].href).read_text())["tried"]
    assert tried["route"] == ["keras-tensorflow", "saved-model", "onnx"]
    assert "Erfc" in tried["reason"]


def test_a_program_says_from_which_length_on_pytorch_runs_it_where_tensorflow_runs_on_less(made):
    _, catalog, found = made
    source, item = (read_item(catalog.get(one)) for one in ("coarse-1.0.0-keras", found["coarse torch-export"]))
    least = [[one.sizes["x"][axis].at_least for axis in ("height", "width")] for one in (source, item)]
    assert least == [[17, 17], [33, 33]]


def test_a_program_that_does_not_run_on_every_length_of_its_source_is_refused_by_name(made):
    said = made[2]["skipping torch-export"]
    assert said.startswith("ConversionError: ")
    assert "skipping-1.0.0-torch-export-from-keras does not run wherever its source does: it takes " in said


@pytest.fixture
def program(tmp_path):
    torch = pytest.importorskip("torch")
    catalog = open_catalog(tmp_path / "catalog", create=True)
    exported = torch.export.export(torch.nn.Linear(3, 2), (torch.rand(2, 3),))
    torch.export.save(exported, tmp_path / "line.pt2")
    said = _neighbour("any_models.py").statement("line", "Linear", ("batch", "feature"), ("batch", "class"))
    return catalog, catalog.publish(write_item(describe_file(tmp_path / "line.pt2", said))).id


def test_a_converter_that_ends_its_process_costs_the_route_and_not_the_command(program):
    catalog, source = program
    dying = Edge("torch-export", "openvino", "tests.exporters.sources:die", cost=0.5)
    heard = []
    item = export(
        ExportJob(source, "openvino"), catalog, routes=ROUTES.register(dying, replace=True), report=heard.append
    )
    assert [step.target_format for step in read_item(item).route] == ["onnx", "openvino"]
    [note] = [m.text for m in heard if "trying" in getattr(m, "text", "")]
    assert note.startswith(
        "torch-export → openvino fails: the process that runs Keras on torch ended with exit code -9 "
    )
    assert signal.SIGKILL.name in note
    assert note.endswith("; trying torch-export → onnx → openvino")


def test_where_every_route_fails_each_is_named_with_its_reason(program):
    catalog, source = program
    routes = ROUTES
    for start, end, how in (("torch-export", "openvino", "die"), ("onnx", "openvino", "die_too")):
        routes = routes.register(Edge(start, end, f"tests.exporters.sources:{how}"), replace=True)
    with pytest.raises(ConversionError) as caught:
        export(ExportJob(source, "openvino"), catalog, routes=routes)
    said = str(caught.value)
    assert said.startswith(f"no route from {source} to openvino gives an equal model: ")
    assert said.endswith(": nothing was published")
    assert "torch-export → openvino: the process that runs Keras on torch ended" in said
    assert "torch-export → onnx → openvino: the process that runs public tools ended" in said
    assert "\n" not in said
    assert list(catalog.ids()) == [source]


def test_routes_that_go_round_are_not_tried(program):
    catalog, source = program
    keras = read_item(catalog.get(source)).model_copy(update={"format": "keras", "backend": "tensorflow"})
    ways = [walked(path) for path in ROUTES.ways(keras, "onnx")]
    assert ways == ["keras-tensorflow → saved-model → onnx", "keras-tensorflow → torch-export → onnx"]
    through = [walked(path) for path in ROUTES.ways(keras, "onnx", via="saved-model")]
    assert through == ways[:1]
    assert walked(next(ROUTES.ways(keras, "litert"))) == "keras-tensorflow → litert"


def test_steps_of_an_open_time_axis_are_all_computed(made):
    """Keras' own trace of TimeDistributed gives as many steps as the batch has samples."""
    _, _, found = made
    assert found["steps"] == [[2, 5, 4, 4, 3], [3, 2, 4, 4, 3]]
    assert found["steps apart"] < 1e-6


def test_tensors_that_a_saved_model_holds_are_no_inputs_of_its_graph(tmp_path):
    """Numbers of normalisation, and whatever else is no variable, are captured; tf2onnx asks for them again."""
    tf = pytest.importorskip("tensorflow")
    pytest.importorskip("tf2onnx")
    factors = tf.constant([2.0, 3.0])

    class Scaled(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 2), name="x")])
        def __call__(self, x):
            return {"y": x * factors}

    module = Scaled()
    tf.saved_model.save(module, str(tmp_path / "scaled"), signatures=module.__call__)
    about = {"license": "MIT", "bbox": (5, 50, 6, 51), "datetime": "2020", "task": "regression", "architecture": "none"}
    dims = {"input_dims": ("batch", "channel"), "output_dims": ("batch", "channel")}
    source = modelstac.publish(tmp_path / "scaled", catalog=tmp_path / "models", name="scaled", **about, **dims)
    item = export(ExportJob(source.id, "onnx"), open_catalog(tmp_path / "models"))
    x = np.array([[1, 1], [5, 7]], np.float32)
    found = modelstac.load(item.id, catalog=tmp_path / "models").predict(x)
    np.testing.assert_array_equal(found, [[2, 3], [10, 21]])
