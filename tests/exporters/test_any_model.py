"""Models of anybody's: published from a file, converted, compared, and run by their ids."""

from __future__ import annotations

import importlib.util
import json
import math
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.errors import ConversionError, StorageError, UntrustedError
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.items.validation import validate
from modelstac.catalog.items.writing import write_item
from modelstac.exporters.closed import CLOSED
from modelstac.exporters.converters.programs.onnx import which_exporter
from modelstac.exporters.diff import diff
from modelstac.exporters.jobs import ExportJob, export
from modelstac.exporters.layers import OUTPUT
from modelstac.registry.describing.describe import describe_file
from modelstac.registry.facts import read_facts
from modelstac.registry.loading import load
from modelstac.registry.probing.grids import grids

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # what PyTorch's tracer calls speaks of its own future
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
SHAPES = {"land-cover": (3, 16, 16, 4), "water": (2, 8, 20, 3), "crop": (3, 4, 3)}


@pytest.fixture(scope="module")
def models():
    path = Path(__file__).with_name("any_models.py")
    spec = importlib.util.spec_from_file_location("any_models", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def keras_catalog(models, keras_process, tmp_path_factory):
    """A catalog of the three Keras models and all that they were converted to, and what happened on the way."""
    folder = tmp_path_factory.mktemp("keras") / "catalog"
    printed = keras_process.run("tensorflow", folder, program=Path(models.__file__))
    return open_catalog(folder), json.loads(printed.splitlines()[-1])


@pytest.fixture(scope="module")
def files(models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    models.save_torch(folder)
    models.save_onnx(folder / "tool.onnx")
    return folder


def programs(models, files, folder):
    """Publish exported programs and an ONNX file by another tool."""
    found = open_catalog(folder / "catalog", create=True)
    image, series = ("batch", "bands", "height", "width"), ("batch", "time", "feature")
    for name, *said in (
        ("cnn.pt2", "CNN", image, ("batch", "class"), ("r", "g", "b")),
        ("block.pt2", "Transformer", series, series),
        ("tokens.pt2", "Transformer", series[:2], series),
        ("tool.onnx", "MLP", ("batch", "feature"), ("batch", "class")),
    ):
        found.publish(write_item(describe_file(files / name, models.statement(name.split(".")[0], *said))))
    return found


@pytest.fixture(scope="module")
def catalog(models, files, tmp_path_factory):
    return programs(models, files, tmp_path_factory.mktemp("programs"))


@pytest.mark.parametrize("name", SHAPES)
def test_a_keras_model_becomes_every_format(keras_catalog, models, name):
    catalog, found = keras_catalog
    outputs = {}
    x = np.random.default_rng(3).random(SHAPES[name], np.float32)
    for target in models.TARGETS:
        assert found[f"{name} {target}"] == f"{name}-1.0.0-{target}-from-keras"
        item = catalog.get(found[f"{name} {target}"])
        validate(item)
        description = read_item(item)
        assert description.parity.passed
        assert description.parity.max_absolute_difference <= 1e-5
        # Open and fixed sizes are those of the source, whatever the tool could have taken besides.
        sizes = description.inputs[0].input.shape
        assert sizes == ((-1, -1, -1, 3) if name == "water" else (-1, *SHAPES[name][1:]))
        if description.format not in {"keras", "saved-model"}:  # their frameworks stay out of this process
            with load(item) as model:
                outputs[target] = model.predict(x)
                # What an item claims its file does: a tracer may need more than the least that the source takes.
                least = next(grids(model.signature)).shapes
                assert model.run({key: np.zeros(shape, np.float32) for key, shape in least.items()})
    assert outputs["onnx"].std() > 1e-3  # a constant network would agree whatever it computes
    for target, values in outputs.items():
        np.testing.assert_allclose(values, outputs["onnx"], rtol=0, atol=1e-5, err_msg=target)


def test_the_item_of_a_keras_file_says_what_the_file_says(keras_catalog, models):
    item = keras_catalog[0].get("land-cover-1.0.0-keras")
    validate(item)
    found = read_item(item)
    assert (found.format, found.backend, found.pretrained, found.architecture) == ("keras", None, None, "ResNet")
    assert (found.inputs[0].name, found.inputs[0].input.shape, found.inputs[0].bands[0]) == (
        "image",
        (-1, 16, 16, 4),
        "B02",
    )
    assert found.outputs[0].result.shape == (-1, 5)
    assert found.parameters == 144 + 16 + 148 + 25
    assert item.assets["model"].extra_fields["raster:bands"][3] == {"name": "B08"}
    assert "mlm:pretrained" not in item.properties
    assert "date_saved" in found.hyperparameters["keras"]


def test_a_recurrence_is_unrolled_where_the_target_has_no_loop(keras_catalog):
    route = read_item(keras_catalog[0].get("crop-1.0.0-litert-from-keras")).route
    assert [(step.tool, step.method) for step in route] == [
        ("tf.lite.TFLiteConverter", "by the framework's own exporter, recurrences unrolled")
    ]


def test_a_program_of_keras_holds_each_weight_once_under_its_path_and_moves_nothing(keras_catalog):
    item = keras_catalog[0].get("land-cover-1.0.0-torch-export-from-keras")
    with load(item) as model:
        program = model.native
        weights = {name: tuple(tensor.shape) for name, tensor in program.state_dict.items()}
        assert not program.constants
    operators = {str(node.target).split(".")[1] for node in program.graph.nodes if node.op == "call_function"}
    assert not operators & {"to", "_assert_tensor_metadata"}
    assert weights["conv2d/kernel"] == (3, 3, 4, 4)
    assert sum(map(math.prod, weights.values())) == read_item(item).parameters


@pytest.mark.parametrize("name", ["cnn", "block", "tokens"])
@pytest.mark.parametrize(
    ("target", "tool"), [("onnx", "torch.onnx.export (torch.export)"), ("openvino", "openvino.frontend.pytorch")]
)
def test_a_program_of_pytorch_is_converted(catalog, workers, name, target, tool):
    source = catalog.get(f"{name}-1.0.0-torch-export")
    validate(source)
    item = export(ExportJob(source.id, target), catalog, workers=workers)
    validate(item)
    found = read_item(item)
    assert found.route[0].tool == tool
    assert found.inputs[0].input.shape == read_item(source).inputs[0].input.shape
    rng = np.random.default_rng(1)
    x = rng.random((3, 3, 12, 12) if name == "cnn" else (3, 11, 8), np.float32)
    if name == "tokens":
        x = rng.integers(0, 20, (3, 11))
    with load(source) as before, load(item) as after:
        assert before.predict(x).std() > 1e-3
        np.testing.assert_allclose(after.predict(x), before.predict(x), rtol=0, atol=1e-5)


def test_attention_in_openvino_is_right_for_many_steps_after_one(catalog, workers):
    """OpenVINO 2026.4 keeps what it compiled for one step, and gave wrong numbers for 37."""
    source = catalog.get("block-1.0.0-torch-export")
    item = export(ExportJob(source.id, "openvino"), catalog, workers=workers)
    with load(source) as before, load(item) as after:
        for steps in (1, 37, 6, 37):
            x = np.random.default_rng(steps).random((1, steps, 8), np.float32)
            np.testing.assert_allclose(after.predict(x), before.predict(x), rtol=0, atol=1e-5)


def test_onnx_of_another_tool_is_converted_and_its_facts_are_kept(catalog, workers):
    item = catalog.get("tool-1.0.0-onnx")
    validate(item)
    found = read_item(item)
    facts = {"opset": 13, "ir_version": 7, "nodes": 2, "producer": "other-tool"}
    assert (found.hyperparameters["onnx"], found.parameters, found.framework_version) == (facts, 21, "1.8.0")
    made = read_item(export(ExportJob(item.id, "openvino"), catalog, workers=workers))
    assert made.parity.passed
    assert made.inputs[0].input.shape == (-1, 6)


def test_which_exporter_ran_is_read_from_what_it_wrote(catalog, files, workers):
    item = export(ExportJob("cnn-1.0.0-torch-export", "onnx"), catalog, workers=workers)
    graph = onnx.load(item.assets["model"].href)
    assert which_exporter(graph) == "torch.export"
    for node in graph.graph.node:
        node.ClearField("metadata_props")  # the exporter on TorchScript leaves none
    assert which_exporter(graph) == "TorchScript"


def test_where_no_converter_is_sound_the_reason_is_said(catalog):
    with pytest.raises(ConversionError, match=re.escape(CLOSED["torch-export", "saved-model"])):
        export(ExportJob("cnn-1.0.0-torch-export", "saved-model"), catalog)
    with pytest.raises(ConversionError, match="onnx2tf"):
        export(ExportJob("tool-1.0.0-onnx", "saved-model"), catalog)


def test_an_operator_that_the_target_lacks_is_named_and_nothing_is_published(catalog, models, workers, tmp_path):
    torch = pytest.importorskip("torch")

    class Eigen(torch.nn.Module):
        def forward(self, x):
            return torch.linalg.eigvalsh(x @ x.mT)

    torch.export.save(torch.export.export(Eigen(), (torch.rand(2, 3, 3),)), tmp_path / "eigen.pt2")
    said = models.statement("eigen", "PCA", ("batch", "row", "column"), ("batch", "value"))
    source = catalog.publish(write_item(describe_file(tmp_path / "eigen.pt2", said)))
    before = sorted(catalog.ids())
    with pytest.raises(ConversionError, match=r"to ONNX: it has no counterpart of aten\._linalg_eigh") as caught:
        export(ExportJob(source.id, "onnx"), catalog, workers=workers)
    assert "\n" not in str(caught.value)
    assert sorted(catalog.ids()) == before


def test_a_disk_that_fills_up_is_an_error_and_publishes_nothing(models, files, tmp_path):
    """The system itself refuses to write files larger than 64 bytes, as it does when there is no space."""
    catalog = programs(models, files, tmp_path)
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal = pytest.importorskip("signal")
    before = sorted(catalog.ids()), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"cannot write .*too large"):
            export(ExportJob("cnn-1.0.0-torch-export", "onnx"), catalog)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before[1])
    assert sorted(catalog.ids()) == before[0]


def test_operators_of_somebodys_own_are_named_with_their_node(files, tmp_path):
    graph = onnx.load(files / "tool.onnx")
    graph.graph.node.append(helper.make_node("Magic", ["y"], ["q"], name="head", domain="my.tool"))
    (tmp_path / "own.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(UntrustedError, match=r"my\.tool\.Magic in node 'head'"):
        read_facts(tmp_path / "own.onnx")


def test_layers_of_a_keras_model_are_compared_across_backends(keras_catalog, workers):
    catalog, _ = keras_catalog
    source = catalog.get("land-cover-1.0.0-keras")
    found = diff(source, catalog.get("land-cover-1.0.0-keras-torch-from-keras"), workers)
    kinds = [row.layer.rstrip("_0123456789") for row in found.layers]
    assert kinds[:3] == ["conv2d", "batch_normalization", "re_lu"]
    assert kinds[-1] == OUTPUT
    assert found.passed
    other = diff(source, catalog.get("land-cover-1.0.0-onnx-from-keras"), workers)
    assert other.passed
    # Keras counted the names of these layers, so that they say nothing in another file.
    assert [row.layer for row in other.layers] == [OUTPUT]
    assert other.layers_note == "layers are not compared: no layer of one has the name of a layer of the other"


@pytest.mark.parametrize("name", ["cnn", "block"])
def test_layers_of_a_program_are_found_in_its_graph_of_onnx(catalog, workers, name):
    item = export(ExportJob(f"{name}-1.0.0-torch-export", "onnx"), catalog, workers=workers)
    found = diff(catalog.get(f"{name}-1.0.0-torch-export"), item, workers)
    assert found.passed
    assert len(found.layers) > 1
    # The exporter folds the normalisation of one into the convolution before it, which it hardly changes here.
    assert found.weights
    assert all(row.relative < (1e-5 if name == "cnn" else 1e-9) for row in found.weights)


def test_graphs_of_another_tool_are_compared_node_by_node(catalog, files, models, workers, tmp_path):
    graph = onnx.load(files / "tool.onnx")
    bias = next(one for one in graph.graph.initializer if one.name == "b")
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(0.5), "b"))
    onnx.save(graph, tmp_path / "tool.onnx")
    said = models.statement("tool", "MLP", ("batch", "feature"), ("batch", "class"), version="2.0.0")
    changed = catalog.publish(write_item(describe_file(tmp_path / "tool.onnx", said)))
    found = diff(catalog.get("tool-1.0.0-onnx"), changed, workers)
    unlike = diff(catalog.get("tool-1.0.0-onnx"), catalog.get("cnn-1.0.0-torch-export"), workers)
    assert [(row.layer, row.passed) for row in found.layers] == [("z", False), (OUTPUT, True)], "softmax takes it out"
    assert found.passed
    assert found.begins is None
    assert [(row.name, row.largest) for row in found.weights] == [("w", 0.0), ("b", pytest.approx(0.5))]
    assert not unlike.layers
    assert unlike.layers_note.startswith("nothing that they compute can be compared: ")


def _publish_graph(folder, name, text, initializers, **said):
    graph = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> g {text}')
    graph.graph.initializer.extend(onnx.numpy_helper.from_array(value, key) for key, value in initializers.items())
    onnx.save(graph, folder / f"{name}.onnx")
    place = {"license": "MIT", "bbox": (5, 50, 10, 55), "datetime": "2020", "task": "regression", "architecture": "Net"}
    catalog = open_catalog(folder / "catalog", create=True)
    return catalog, modelstac.publish(folder / f"{name}.onnx", catalog=catalog, name=name, **place, **said).id


def test_an_axis_that_a_graph_calls_open_and_takes_at_one_length_is_not_closed_by_a_conversion(workers, tmp_path):
    """A table of sizes that says 2 samples, as of a graph that was traced with two."""
    text = "(float[N,F] x) => (float[N,K] y) { y = Reshape (x, two) }"
    two, dims = {"two": np.array([2, -1], np.int64)}, ("batch", "feature")
    catalog, source = _publish_graph(
        tmp_path, "two", text, two, example=np.ones((2, 3), np.float32), input_dims=dims, output_dims=dims
    )
    item = export(ExportJob(source, "openvino"), catalog, workers=workers)
    description = read_item(item)
    assert description.closed == {}
    assert description.inputs[0].input.shape == (2, -1)
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    with load(item) as model:
        np.testing.assert_array_equal(model.predict(x), x)


def test_outputs_of_as_many_values_as_are_found_are_compared_with_gaps_in_the_input(workers, tmp_path):
    x = np.random.default_rng(0).normal(size=(12, 14)).astype(np.float32).clip(0)
    catalog, source = _publish_graph(
        tmp_path,
        "found",
        "(float[H,W] x) => (int64[A,K] y) { y = NonZero (x) }",
        {},
        example=x,
        input_dims=("height", "width"),
        output_dims=("axis", "found"),
    )
    with load(export(ExportJob(source, "openvino"), catalog, workers=workers)) as model:
        np.testing.assert_array_equal(model.predict(x), np.stack(np.nonzero(x)))
