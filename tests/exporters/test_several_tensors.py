"""Networks of several inputs and outputs keep names, order and types through every conversion."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import openvino
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from onnx import TensorProto, helper

from modelstac.catalog import open_catalog
from modelstac.catalog.errors import ConversionError, InvalidItemError, SpecError
from modelstac.catalog.items.mlm import InputStructure, ModelInput, ModelOutput, ResultStructure
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.items.sizes import Size
from modelstac.catalog.items.validation import validate
from modelstac.catalog.items.writing import write_item
from modelstac.exporters.closing import asked
from modelstac.exporters.conversion import Conversion
from modelstac.exporters.converters import to_torch_export
from modelstac.exporters.converters.interfaces.onnx import name_as
from modelstac.exporters.tracing import shapes_near, shapes_that_run
from modelstac.registry.loading import load
from modelstac.registry.running.model import Model
from modelstac.registry.running.signature import Signature, TensorSignature
from modelstac.registry.runtimes.names import identifiers, paired
from modelstac.registry.runtimes.torch import opened

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # what PyTorch's tracer calls speaks of its own future
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
PROGRAM = Path(__file__).with_name("several_models.py")


def _module():
    spec = importlib.util.spec_from_file_location("several_models", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


several = _module()
KERAS = [(name, target) for name in several.SIGNATURES for target in several.TARGETS]


@pytest.fixture(scope="module")
def keras_models(keras_process, tmp_path_factory):
    """What became of the networks in Keras, and what those give that run on Keras or TensorFlow."""
    folder = tmp_path_factory.mktemp("keras")
    printed = keras_process.run("tensorflow", folder / "catalog", folder, program=PROGRAM)
    found = json.loads(printed.splitlines()[-1])
    on_torch = [found[f"{name} keras-torch"]["id"] for name in several.SIGNATURES]
    keras_process.run("torch", folder / "catalog", folder, *on_torch, program=PROGRAM)
    return open_catalog(folder / "catalog"), found, folder


def _outputs(item, folder):
    """Give by steps what a model makes of each grid, run here unless it ran elsewhere."""
    kept = folder / f"{item.id}.npz"
    if not kept.exists():
        return {steps: several.run(item, steps) for steps in several.STEPS}
    with np.load(kept) as arrays:
        found = {steps: {} for steps in several.STEPS}
        for key, array in arrays.items():
            steps, _, name = key.partition(" ")
            found[int(steps)][name] = array
        return found


def _same(item, folder, source, *, names, channels=None):
    """Hold that a conversion gives what its source gives, under the same names and as its item says."""
    description, before = read_item(item), _outputs(source, folder)
    declared = {entry.name: entry.result for entry in description.outputs}
    assert list(declared) == names
    for steps, outputs in _outputs(item, folder).items():
        assert list(outputs) == names
        for name, array in outputs.items():
            expected = before[steps][name]
            assert array.dtype == declared[name].dtype
            assert array.dtype.kind == expected.dtype.kind
            assert array.shape == expected.shape
            if array.dtype.kind == "f":
                np.testing.assert_allclose(array, expected, rtol=1e-4, atol=1e-5)
                assert expected.std() > 1e-3
            else:
                assert (array != expected).mean() < 0.01
                assert len(np.unique(expected)) > 1


@pytest.mark.parametrize(("name", "target"), KERAS)
def test_a_keras_network_of_several_tensors_becomes_every_format(keras_models, name, target):
    catalog, found, folder = keras_models
    assert isinstance(found[f"{name} {target}"], dict), found[f"{name} {target}"]
    item = catalog.get(found[f"{name} {target}"]["id"])
    source = catalog.get(f"{name}-1.0.0-keras-tensorflow")
    validate(item)
    _same(item, folder, source, names=[entry[0] for entry in several.SIGNATURES[name][1]])
    before, after = read_item(source), read_item(item)
    assert [entry.name for entry in after.inputs] == [entry.name for entry in before.inputs]
    assert [entry.input.shape for entry in after.inputs] == [entry.input.shape for entry in before.inputs]
    assert [entry.input.dtype for entry in after.inputs] == [entry.input.dtype for entry in before.inputs]
    assert after.sizes == before.sizes
    assert found[f"{name} {target}"]["closed"] == {}


@pytest.mark.parametrize("name", several.SIGNATURES)
@pytest.mark.parametrize("target", ["litert", "openvino"])
def test_a_saved_model_of_several_tensors_is_converted(keras_models, name, target):
    catalog, found, folder = keras_models
    item = catalog.get(found[f"{name} saved-model {target}"]["id"])
    source = catalog.get(f"{name}-1.0.0-keras-tensorflow")
    _same(item, folder, source, names=[entry[0] for entry in several.SIGNATURES[name][1]])


@pytest.fixture(scope="module")
def torch_models(workers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("torch")
    catalog = open_catalog(folder / "catalog", create=True)
    items = several.publish_torch(catalog, folder)
    made = {
        (name, target): several.convert(catalog, item, target, workers)
        for name, item in items.items()
        for target in ("onnx", "openvino")
    }
    return items, made, folder


@pytest.mark.parametrize("name", several.SIGNATURES)
@pytest.mark.parametrize("target", ["onnx", "openvino"])
def test_a_program_of_several_tensors_is_converted(torch_models, name, target):
    items, made, folder = torch_models
    item, conversion = made[name, target]
    _same(item, folder, items[name], names=[entry[0] for entry in several.SIGNATURES[name][1]])
    assert conversion.closed == {}
    assert read_item(item).sizes == read_item(items[name]).sizes


@pytest.mark.parametrize("name", several.SIGNATURES)
def test_a_module_is_traced_by_the_names_of_its_item(torch_models, tmp_path, name):
    """Its code has other names, and another order of them; the program that it becomes has those of the item."""
    items, _, folder = torch_models
    description, module = read_item(items[name]), several.torch_networks()[name]
    if name != "join":  # of several arguments with other names than the item's, only the order counts
        description = description.model_copy(update={"format": "torch"})
    model = Model(items[name], description, opened(module))
    conversion = to_torch_export.convert(model, tmp_path, {})
    assert "forward" not in vars(module)
    program = torch.export.load(conversion.artifact)
    arguments = [spec.arg.name for spec in program.graph_signature.input_specs if spec.kind.name == "USER_INPUT"]
    assert arguments == list(identifiers(entry.name for entry in description.inputs).values())
    names = [entry.name for entry in description.outputs]
    assert len(names) == 1 or program.call_spec.out_spec.context == names
    described = description.model_copy(
        update={"artifact": conversion.artifact, "variant": "traced", "format": "torch-export", "checksum": None}
    )
    _same(write_item(described.model_copy(update={"size": None})), folder, items[name], names=names)


def test_files_have_the_names_of_the_item(keras_models):
    catalog, found, _ = keras_models
    inputs, outputs = ([entry[0] for entry in side] for side in several.SIGNATURES["odd"])

    def path(target):
        return Path(catalog.get(found[f"odd {target}"]["id"]).assets["model"].href)

    graph = onnx.load(path("onnx")).graph
    assert [value.name for value in graph.input] == inputs
    assert [value.name for value in graph.output] == outputs
    with zipfile.ZipFile(path("openvino")) as archive:
        ported = openvino.Core().read_model(archive.read("model.xml"), archive.read("model.bin"))
    assert sorted(name for port in ported.inputs for name in port.names) == sorted(inputs)
    assert sorted(name for port in ported.outputs for name in port.names) == sorted(outputs)
    runner = Interpreter(str(path("litert"))).get_signature_runner("serving_default")
    assert sorted(runner.get_input_details()) == ["class_", "s1_0"]
    assert sorted(runner.get_output_details()) == ["n2m", "vegetation_segmentation"]
    program = torch.export.load(io.BytesIO(path("torch-export").read_bytes()))
    assert program.call_spec.out_spec.context == outputs


def test_an_axis_is_closed_only_where_the_job_says_so(keras_models):
    catalog, found, _ = keras_models
    assert found["series onnx"]["closed"] == {}
    refusal = found["series torch-export"]
    assert refusal.startswith("ConversionError: ")
    assert "would take time 6 of 'series' only, where its source takes time any: say --fixed" in refusal
    assert "'bidirectional'" in found["series litert"]
    assert "--fixed time=" in found["series litert"]
    assert found["series torch-export fixed"]["closed"] == {"series": {"time": 6}}
    assert found["series torch-export time 12"]["closed"] == {"series": {"time": 12}}
    assert found["series litert fixed"]["closed"] == {"series": {"time": 6}}
    assert found["series litert time 7"]["closed"] == {"series": {"time": 7}}
    with load(catalog.get(found["series onnx"]["id"])) as model:
        x = np.random.default_rng(0).random((3, 7, 3), np.float32)
        expected = model.predict(x)
    item = catalog.get(found["series litert time 7"]["id"])
    assert read_item(item).inputs[0].input.shape == (-1, 7, 3)
    assert "time" not in read_item(item).sizes.get("series", {})
    with load(item) as model:
        np.testing.assert_allclose(model.predict(x), expected, rtol=0, atol=1e-5)


class Fixing(torch.nn.Module):
    def forward(self, image):
        return image.reshape(2, 3, -1).sum(-1)  # its code knows one batch only


def test_what_the_code_of_a_module_fixes_is_refused_and_named(torch_models, tmp_path):
    items, _, _ = torch_models
    description = read_item(items["split"])
    pooled = description.outputs[1].model_copy(
        update={"result": type(description.outputs[1].result).of((-1, 3), ("batch", "channel"), "float32")}
    )
    description = description.model_copy(update={"outputs": (pooled,)})
    model = Model(items["split"], description, opened(Fixing()))
    from modelstac.exporters.closing import settle

    made = to_torch_export.convert(model, tmp_path, {})
    with pytest.raises(ConversionError, match=r"would take batch 2 of 'image' only, where its source takes batch any"):
        settle(made, description, {})
    settled = settle(made, description, {"fixed": True})
    assert settled.closed == {"image": {"batch": 2}}
    assert Conversion.from_json(json.loads(json.dumps(settled.to_json()))) == settled
    with pytest.raises(ConversionError, match="batch 2"):
        settle(made, description, {"fixed": {"height": 24}})


def test_lengths_to_fix_are_checked(torch_models):
    description = read_item(torch_models[0]["join"])
    assert asked(description, {"fixed": {"s1.height": 8, "batch": 3, "s1.channel": 2}}) == {
        "s1": {"height": 8, "batch": 3},
        "s2": {"batch": 3},
        "orbit": {"batch": 3},
        "clear": {"batch": 3},
    }
    for fixed, said in (
        ({"depth": 3}, "no axis 'depth' to fix: its inputs have batch, channel, height, width"),
        ({"s1.height": 7}, "cannot be fixed at 7, but at 6 or 8"),
        ({"channel": 3}, "channel of 's1' is 2: it cannot be fixed at 3, but at 2"),
        ({"batch": 0}, "positive number, not batch at 0"),
        (6, "maps axes to lengths, not 6"),
    ):
        with pytest.raises(SpecError, match=re.escape(said)):
            asked(description, {"fixed": fixed})


def test_shapes_to_trace_on_fit_and_no_tracer_takes_them_for_constants(torch_models):
    signature = Signature.of(read_item(torch_models[0]["join"]))
    shapes = shapes_near(signature, {})
    assert shapes == {"s2": (2, 3, 24, 20), "s1": (2, 2, 48, 40), "orbit": (2,), "clear": (2, 1, 48, 40)}
    tensor = signature.inputs[0]
    coarse = type(tensor)("x", (Size(1), Size.fixed(3), Size(32, 32), Size(5, 1, 7)), tensor.dim_order, "float32")
    assert shapes_near(Signature((coarse,), ()), {"x": {"batch": 4}}) == {"x": (4, 3, 64, 7)}


class Least:
    """Runs on images of so many pixels a side and more."""

    def __init__(self, pixels):
        axes = {"batch": Size(1), "height": Size(1), "width": Size(1), "channel": Size.fixed(3)}
        self.signature = Signature((TensorSignature("x", (*axes.values(),), (*axes,), "float32"),), ())
        self.description = SimpleNamespace(id="least-1.0.0")
        self.pixels = pixels

    def run(self, inputs):
        if min(inputs["x"].shape[1:3]) < self.pixels:
            raise RuntimeError(f"a window of {self.pixels} pixels does not fit")
        return {}


def test_a_model_that_does_not_run_on_the_usual_shape_is_traced_on_a_larger_one():
    for pixels, expected in ((20, (2, 24, 20, 3)), (33, (2, 128, 64, 3))):
        model = Least(pixels)
        assert shapes_that_run(model, model.signature, {}) == {"x": expected}
    model = Least(1000)
    with pytest.raises(ConversionError, match="runs on no shape that was tried: a window of 1000 pixels"):
        shapes_that_run(model, model.signature, {})
    assert shapes_that_run(model, model.signature, {"x": {"height": 7, "width": 9}}) == {"x": (2, 7, 9, 3)}


def test_names_that_are_no_identifiers():
    names = ["a-b", "a_b", "2m", "class", "höhe", "_x"]
    assert identifiers(names) == {
        "a-b": "a_b_2",
        "a_b": "a_b",
        "2m": "n2m",
        "class": "class_",
        "höhe": "h_he",
        "_x": "n_x",
    }
    found = ["serving_default_a_b:0", "n2m", "a_b_2", "class_", "n_x", "h_he"]
    assert paired(names, found, "input", where="it")["a-b"] == "a_b_2"
    # One as it stands, the other as an identifier.
    assert paired(["a-b", "c.d"], ["c_d", "a-b"], "output", where="it") == {"a-b": "a-b", "c.d": "c_d"}
    with pytest.raises(InvalidItemError, match="calls its inputs"):
        paired(["a-b", "c"], ["a_c", "c"], "input", where="it")


def test_a_graph_is_renamed_throughout(torch_models):
    """In the bodies of its loops, over names that are taken, and where an input is given as it is."""
    value = helper.make_tensor_value_info
    then = helper.make_graph(
        [helper.make_node("Add", ["a", "height"], ["inner"])], "then", [], [value("inner", TensorProto.FLOAT, ["n"])]
    )
    other = helper.make_graph(
        [helper.make_node("Sub", ["a", "height"], ["else"])], "else", [], [value("else", TensorProto.FLOAT, ["n"])]
    )
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["a", "a"], ["height"]),  # a name that an output is to have
            helper.make_node("If", ["b"], ["c"], then_branch=then, else_branch=other),
        ],
        "g",
        [value("b", TensorProto.BOOL, []), value("a", TensorProto.FLOAT, ["n"])],
        [value("c", TensorProto.FLOAT, ["n"]), value("a", TensorProto.FLOAT, ["n"])],
    )
    tensor = Signature.of(read_item(torch_models[0]["join"])).inputs[2]

    def named(*names):
        return tuple(type(tensor)(name, tensor.sizes, tensor.dim_order, "float32") for name in names)

    signature = Signature(named("x", "flag", "unused"), named("height", "x", "again"))
    name_as(graph, signature, {"x": "a", "flag": "b", "unused": "left out"}, ["c", "a", "c"])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == ["x", "flag", "unused"]
    assert [one.name for one in session.get_outputs()] == ["height", "x:0", "again"]
    x = np.array([2.0, 3.0], np.float32)
    found = session.run(None, {"x": x, "flag": np.array(True), "unused": x})
    np.testing.assert_array_equal(found, [x + x * x, x, x + x * x])


def test_an_input_that_may_be_left_out_has_its_default_in_openvino(workers, tmp_path):
    value, dims = helper.make_tensor_value_info, ("batch", "feature")
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "scale"], ["scaled"]), helper.make_node("Neg", ["scaled"], ["negative"])],
        "g",
        [value("x", TensorProto.FLOAT, ["n", 2]), value("scale", TensorProto.FLOAT, [1, 2])],
        [value("negative", TensorProto.FLOAT, ["n", 2]), value("scaled", TensorProto.FLOAT, ["n", 2])],
        [onnx.numpy_helper.from_array(np.array([[2.0, 3.0]], np.float32), "scale")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), tmp_path / "scaled.onnx"
    )

    def entry(kind, name, shape, **more):
        if kind == "input":
            return ModelInput(name=name, input=InputStructure.of(shape, dims, "float32"), **more)
        return ModelOutput(name=name, tasks=("regression",), result=ResultStructure.of(shape, dims, "float32"))

    described = several.describe(
        "split",
        tmp_path / "scaled.onnx",
        "onnx",
        channels_last=False,
        framework_version=onnx.__version__,
        inputs=(entry("input", "x", (-1, 2)), entry("input", "scale", (1, 2), optional=True)),
        outputs=(entry("output", "scaled", (-1, 2)), entry("output", "negative", (-1, 2))),
        sizes={},
    )
    catalog = open_catalog(tmp_path / "catalog", create=True)
    item, _ = several.convert(catalog, catalog.publish(write_item(described)), "openvino", workers)
    assert [given.name for given in read_item(item).inputs] == ["x"]
    with load(item) as model:
        found = model.run({"x": np.ones((3, 2), np.float32)})
    np.testing.assert_array_equal(found["scaled"], [[2, 3]] * 3)
    np.testing.assert_array_equal(found["negative"], [[-2, -3]] * 3)
