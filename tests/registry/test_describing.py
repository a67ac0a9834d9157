"""From a file to a description: any number of named inputs and outputs, and what is said of each."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, parser
from tests.registry.statements import IMAGE, PLAIN, graph, statement

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.errors import DataError, InvalidItemError, SpecError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.items.sizes import ANY, BY_DATA, Size
from modelstac.catalog.items.validation import validate
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.messages import Note
from modelstac.registry.describing.describe import describe_file
from modelstac.registry.facts import read_facts

INPUTS = {"s1": ("batch", "bands", "height", "width"), "s2": ("batch", "channel", "height", "width")}
OUTPUTS = {"mask": ("batch", "class", "height", "width"), "height-map": ("batch", "height", "width")}
SAID: dict[str, Any] = {
    "input_dims": INPUTS,
    "output_dims": OUTPUTS,
    "bands": {"s1": ("VV", "VH"), "s2": ("B04", "B03", "B02")},
}


def fused(path: Path, **more: Any) -> Path:
    """Radar and optical in, a mask of booleans and a map out: sums over bands."""
    nodes = [
        ("ReduceSum", ["s1", "axes"], ["a"], {"keepdims": 1}),
        ("ReduceSum", ["s2", "axes"], ["b"], {"keepdims": 1}),
        ("Greater", ["a", "b"], ["mask"]),
        ("Add", ["a", "b"], ["c"]),
        ("Squeeze", ["c", "axes"], ["height-map"]),
    ]
    weights = [numpy_helper.from_array(np.array([1]), "axes")]
    inputs = [("s1", ["N", 2, "h", "w"]), ("s2", ["N", 3, "h", "w"])]
    outputs = [("mask", ["N", 1, "h", "w"], TensorProto.BOOL), ("height-map", ["N", "h", "w"])]
    return graph(path, nodes, inputs, outputs, weights=weights, **more)


def published(path: Path, folder: Path, **said: Any) -> tuple[Any, ModelDescription, modelstac.Model]:
    """Publish a file, and give its item as it was validated, as it is read back, and as it is loaded."""
    catalog = open_catalog(folder / "catalog", create=True)
    item = catalog.publish(write_item(describe_file(path, statement(**said))))
    validate(item)
    return item, read_item(item), modelstac.load(item.id, catalog=catalog)


def test_two_inputs_and_two_outputs_are_published_and_run(tmp_path: Path) -> None:
    item, found, model = published(fused(tmp_path / "net.onnx"), tmp_path, **SAID)
    assert [(tensor.name, tensor.input.dim_order) for tensor in found.inputs] == list(INPUTS.items())
    assert [(tensor.name, tensor.result.dim_order) for tensor in found.outputs] == list(OUTPUTS.items())
    assert [tensor.bands for tensor in found.inputs] == [("VV", "VH"), ("B04", "B03", "B02")]
    assert found.outputs[0].result.dtype == "bool"
    # MLM allows a list of bands beside the axis "bands" alone.
    assert item.properties["mlm:input"][1]["bands"] == []
    assert item.properties["mlm:input"][1]["interop:bands"] == ["B04", "B03", "B02"]
    rng = np.random.default_rng(0)
    s1, s2 = rng.random((2, 2, 5, 7), np.float32), rng.random((2, 3, 5, 7), np.float32)
    outputs = model.predict(s2=s2, s1=s1)
    assert list(outputs) == ["mask", "height-map"]
    np.testing.assert_array_equal(outputs["mask"], s1.sum(1, keepdims=True) > s2.sum(1, keepdims=True))
    np.testing.assert_allclose(outputs["height-map"], s1.sum(1) + s2.sum(1), rtol=1e-6)


def test_lengths_of_one_name_grow_together(tmp_path: Path) -> None:
    _, found, model = published(fused(tmp_path / "net.onnx"), tmp_path, **SAID)
    symbols = {(dim, size.symbol) for axes in found.sizes.values() for dim, size in axes.items() if dim != "batch"}
    assert symbols == {("height", "height"), ("width", "width")}
    with pytest.raises(modelstac.ModelStacError, match="sizes along 'height' go together; found height 4 of 's1'"):
        model.predict(s1=np.zeros((1, 2, 4, 4), np.float32), s2=np.zeros((1, 3, 5, 4), np.float32))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"input_dims": {"s1": INPUTS["s1"]}}, r"give --input-dims s2=… \(a name for each axis of float32 \[any, 3,"),
        ({"output_dims": ()}, r"--output-dims mask=… .*bool.*, --output-dims height-map=… "),
        ({"input_dims": IMAGE}, "the file has the inputs s1, s2; say which: --input-dims s1=… --input-dims s2=…"),
        (
            {"input_dims": {"s1": IMAGE, "S2": IMAGE}},
            "--input-dims S2=…: the file has no input 'S2'.*did you mean 's2'",
        ),
        ({"output_dims": {"heat": ("batch",)}}, "no output 'heat', its outputs are mask, height-map"),
        ({"bands": {"s3": ("VV",)}}, "--bands s3=…: the file has no input 's3'"),
        ({"bands": ("VV", "VH")}, "--bands VV,VH: the file has the inputs s1, s2"),
        ({"input_dims": INPUTS | {"s2": ("batch",)}}, "--input-dims names 1 axes .*'s2' is float32"),
        ({"tasks": {"mask": ("segmentation",)}}, "what the output 'height-map' is for: give --task height-map=…"),
        ({"tasks": {"msk": ("segmentation",)}}, "--task msk=…: .*did you mean 'mask'"),
    ],
)
def test_what_is_missing_or_unknown_is_named_with_its_flag(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        describe_file(fused(tmp_path / "net.onnx"), statement(**SAID | change))
    assert "\n" not in str(caught.value)


def test_bands_that_do_not_fit_their_axis_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"names 2 .*, and 's2' has 3 along its axis 'channel': name each"):
        describe_file(fused(tmp_path / "net.onnx"), statement(**SAID | {"bands": {"s1": ("a", "b"), "s2": ("a", "b")}}))


def test_each_output_may_have_tasks_of_its_own(tmp_path: Path) -> None:
    tasks = {"height-map": ("regression",), "mask": ("semantic-segmentation",)}
    found = describe_file(fused(tmp_path / "net.onnx"), statement(**SAID | {"tasks": tasks}))
    assert [output.tasks for output in found.outputs] == [("semantic-segmentation",), ("regression",)]
    assert found.tasks == ("semantic-segmentation", "regression")
    same = describe_file(fused(tmp_path / "net.onnx"), statement(**SAID | {"tasks": ("regression", "segmentation")}))
    assert {output.tasks for output in same.outputs} == {("regression", "segmentation")}


def test_one_input_and_output_need_no_names(tmp_path: Path) -> None:
    path = graph(tmp_path / "net.onnx", [("Relu", ["x"], ["y"])], [("x", ["N", 1, 8, 8])], [("y", ["N", 1, 8, 8])])
    plain = describe_file(path, statement(input_dims=IMAGE, output_dims=IMAGE, bands=("B1",), output_bands=("out",)))
    named = {
        "input_dims": {"x": IMAGE},
        "output_dims": {"y": IMAGE},
        "bands": {"x": ("B1",)},
        "output_bands": {"y": ("out",)},
    }
    assert describe_file(path, statement(**named)) == plain


def test_an_input_with_a_default_may_be_left_out(tmp_path: Path) -> None:
    default = [numpy_helper.from_array(np.full((1, 1, 1, 1), 10, np.float32), "gain")]
    inputs = [("x", ["N", 1, "h", "w"]), ("gain", [1, 1, 1, 1])]
    path = graph(
        tmp_path / "n.onnx", [("Mul", ["x", "gain"], ["y"])], inputs, [("y", ["N", 1, "h", "w"])], weights=default
    )
    assert [(tensor.name, tensor.optional) for tensor in read_facts(path).inputs] == [("x", False), ("gain", True)]
    x = np.ones((1, 1, 2, 2), np.float32)
    said = {"input_dims": {"x": PLAIN}, "output_dims": PLAIN}
    _, found, model = published(path, tmp_path / "without", **said)
    assert [tensor.name for tensor in found.inputs] == ["x"]
    assert model.predict(x).max() == 10
    assert describe_file(path, statement(**said | {"input_dims": PLAIN})).inputs == found.inputs
    _, found, model = published(
        path, tmp_path / "with", **said | {"input_dims": {"x": PLAIN, "gain": ("a", "b", "c", "d")}}
    )
    assert [tensor.name for tensor in found.inputs] == ["x", "gain"]
    assert model.signature.inputs[1].optional
    assert model.predict(x=x).max() == 10
    assert model.predict(x=x, gain=np.full((1, 1, 1, 1), 3, np.float32)).max() == 3


def test_weights_among_the_inputs_of_old_files_are_no_inputs(tmp_path: Path) -> None:
    weights = [numpy_helper.from_array(np.ones(3, np.float32), "w")]
    inputs = [("x", ["N", 3]), ("w", [3])]
    path = graph(
        tmp_path / "n.onnx",
        [("Mul", ["x", "w"], ["y"])],
        inputs,
        [("y", ["N", 3])],
        weights=weights,
        ir_version=3,
        opset=9,
    )
    assert [tensor.name for tensor in read_facts(path).inputs] == ["x"]


@pytest.mark.parametrize(("opset", "release"), [(7, "1.2.0"), (8, "1.3.0"), (9, "1.4.1")])
def test_releases_of_old_files_are_semantic_versions(tmp_path: Path, opset: int, release: str) -> None:
    graph(
        tmp_path / "n.onnx", [("Relu", ["x"], ["y"])], [("x", ["N", 3])], [("y", ["N", 3])], ir_version=3, opset=opset
    )
    assert read_facts(tmp_path / "n.onnx").framework_version == release


def tensor_of(kind: str) -> Any:
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, ["N"])
    made = {
        "a sequence": helper.make_sequence_type_proto,
        "optional": helper.make_optional_type_proto,
        "a map": lambda value: helper.make_map_type_proto(TensorProto.INT64, value),
    }
    return helper.make_value_info("odd", made[kind](tensor))


@pytest.mark.parametrize("kind", ["a sequence", "optional", "a map"])
def test_what_is_no_array_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    node = ("SequenceConstruct", ["x"], ["odd"])
    path = graph(tmp_path / "n.onnx", [node], [("x", ["N"])], [tensor_of(kind)])
    with pytest.raises(InvalidItemError, match=f"the output 'odd' is {kind}, and an array is needed") as caught:
        read_facts(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["STRING", "COMPLEX64", "BFLOAT16", "INT4", "FLOAT8E4M3FN"])
@pytest.mark.parametrize("side", ["input", "output"])
def test_types_that_numpy_has_not_are_refused_by_name(tmp_path: Path, kind: str, side: str) -> None:
    odd, plain = ("odd", ["N"], TensorProto.DataType.Value(kind)), ("plain", ["N"])
    inputs, outputs = ([odd], [plain]) if side == "input" else ([plain], [odd])
    path = graph(tmp_path / "n.onnx", [("Cast", [inputs[0][0]], [outputs[0][0]], {"to": 1})], inputs, outputs)
    with pytest.raises(
        InvalidItemError, match=f"the {side} 'odd' is of {kind.casefold()}, and an array here is of bool, int8"
    ):
        read_facts(path)


@pytest.mark.parametrize("kind", ["bool", "int8", "uint16", "int64", "float16", "float64"])
def test_other_types_are_published_and_run(tmp_path: Path, kind: str) -> None:
    number = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    path = graph(
        tmp_path / "n.onnx", [("Identity", ["x"], ["y"])], [("x", ["N", 2], number)], [("y", ["N", 2], number)]
    )
    _, found, model = published(path, tmp_path, input_dims=("batch", "a"), output_dims=("batch", "a"))
    assert (found.inputs[0].input.dtype, found.outputs[0].result.dtype) == (kind, kind)
    x = np.array([[1, 0]], kind)
    np.testing.assert_array_equal(model.predict(x), x)


def test_a_single_number_has_no_axis_to_describe(tmp_path: Path) -> None:
    path = graph(
        tmp_path / "n.onnx", [("ReduceSum", ["x"], ["total"], {"keepdims": 0})], [("x", ["N"])], [("total", [])]
    )
    with pytest.raises(InvalidItemError, match=r"the output 'total' is a single number without axes.*give it one"):
        read_facts(path)


def test_an_output_that_appears_twice_is_refused(tmp_path: Path) -> None:
    path = graph(tmp_path / "n.onnx", [("Relu", ["x"], ["y"])], [("x", ["N"])], [("y", ["N"]), ("y", ["N"])])
    with pytest.raises(InvalidItemError, match="the output 'y' is there 2 times: give each output a name of its own"):
        read_facts(path)


def test_a_file_that_gives_nothing_is_refused(tmp_path: Path) -> None:
    path = graph(tmp_path / "n.onnx", [("Relu", ["x"], ["y"])], [("x", ["N"])], [])
    with pytest.raises(InvalidItemError, match="has no output"):
        read_facts(path)


def detector(path: Path, shape: list[Any]) -> Path:
    """Boxes of a detector, from boxes and scores, and a map beside that has nothing to do with them."""
    nodes = [
        ("NonMaxSuppression", ["boxes", "scores", "most", "overlap", "least"], ["chosen"]),
        ("Gather", ["chosen", "last"], ["places"], {"axis": 1}),
        ("Gather", ["boxes", "places"], ["found"], {"axis": 1}),
        ("Squeeze", ["found", "zero"], ["kept"]),
        ("Slice", ["scores", "zero", "end", "two"], ["strided"]),
    ]
    weights = [
        numpy_helper.from_array(value, name)
        for name, value in {
            "most": np.array([100]),
            "overlap": np.array([0.5], np.float32),
            "least": np.array([0.2], np.float32),
            "last": np.array(2),
            "zero": np.array([0]),
            "two": np.array([2]),
            "end": np.array([1 << 40]),
        }.items()
    ]
    inputs = [("boxes", [1, "n", 4]), ("scores", [1, 1, "n"])]
    return graph(path, nodes, inputs, [("kept", shape), ("strided", [1, 1, "m"])], weights=weights)


@pytest.mark.parametrize("shape", [["found", 4], [None, 4], ["NonMaxSuppression_chosen_dim_0", 4]])
def test_a_detector_gives_as_many_boxes_as_it_finds(tmp_path: Path, shape: list[Any]) -> None:
    path = detector(tmp_path / "detector.onnx", shape)
    assert read_facts(path).outputs[0].sizes == (BY_DATA, Size.fixed(4))
    assert read_facts(path).outputs[1].sizes[2] == ANY, "it follows the length of the input, not its values"
    said = {
        "tasks": ("object-detection",),
        "input_dims": {"boxes": ("batch", "box", "corner"), "scores": ("batch", "class", "box")},
        "output_dims": {"kept": ("box", "corner"), "strided": ("batch", "class", "half")},
    }
    item, found, model = published(path, tmp_path, **said)
    assert item.properties["interop:sizes"]["kept"]["box"]["at_least"] == 0
    assert found.outputs[0].result.shape == (-1, 4)
    boxes = np.array([[[0, 0, 2, 2], [0, 0, 2, 2.1], [5, 5, 6, 6]]], np.float32)
    for scores, count in (([0.9, 0.8, 0.7], 2), ([0.9, 0.1, 0.1], 1), ([0.1, 0.1, 0.1], 0)):
        kept = model.predict(boxes=boxes, scores=np.array([[scores]], np.float32))["kept"]
        assert kept.shape == (count, 4)


def test_lengths_that_are_computed_of_others_are_understood(tmp_path: Path) -> None:
    """As PyTorch's exporter to ONNX names them."""
    inputs = [("a", ["batch", "2*h"]), ("b", ["batch", "h"]), ("c", ["rows-left", 4])]
    nodes = [("Concat", ["a", "b"], ["y"], {"axis": 1}), ("Identity", ["c"], ["z"])]
    path = graph(tmp_path / "n.onnx", nodes, inputs, [("y", ["batch", "3*h"]), ("z", ["rows-left", 4])])
    found = read_facts(path)
    assert found.inputs[0].sizes == (Size(symbol="batch"), Size(2, 2, symbol="h"))
    assert found.inputs[1].sizes[1] == Size(symbol="h")
    assert found.outputs[0].sizes[1] == Size(3, 3, symbol="h")
    assert found.inputs[2].sizes[0] == Size(symbol="rows-left"), "a name with a sign in it is no subtraction"


def test_a_file_that_does_not_run_is_not_published(tmp_path: Path) -> None:
    """It picks the eighth of two columns."""
    eighth = [numpy_helper.from_array(np.array([7]), "eighth")]
    nodes = [("Gather", ["x", "eighth"], ["y"], {"axis": 1})]
    path = graph(tmp_path / "n.onnx", nodes, [("x", ["N", 2])], [("y", ["N", 1])], weights=eighth)
    with pytest.raises(InvalidItemError, match="does not run in its own runtime, so nobody could use it: ") as caught:
        describe_file(path, statement(input_dims=("batch", "a"), output_dims=("batch", "a")))
    assert "\n" not in str(caught.value)


def test_without_its_runtime_a_file_is_described_and_a_note_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # what importing it finds where it is not installed
    monkeypatch.delitem(sys.modules, "modelstac.registry.runtimes.onnx", raising=False)
    notes: list[Any] = []
    found = describe_file(fused(tmp_path / "net.onnx"), statement(**SAID), report=notes.append)
    assert found.sizes["s1"]["height"] == Size(symbol="height")
    assert found.halo is None
    (note,) = (message.text for message in notes if isinstance(message, Note))
    assert "was not run here" in note
    assert "modelstac probe net-1.0.0-onnx" in note


@pytest.mark.parametrize("nothing", ["?", "None", "-1"])
def test_a_name_that_says_nothing_ties_no_axes_together(tmp_path: Path, nothing: str) -> None:
    shape: list[int | str | None] = [nothing, 2, nothing, nothing]
    path = graph(tmp_path / "n.onnx", [("Relu", ["x"], ["y"])], [("x", shape)], [("y", shape)])
    found = describe_file(path, statement(input_dims=PLAIN, output_dims=PLAIN)).sizes["x"]
    assert found == dict.fromkeys(("batch", "height", "width"), Size())


@pytest.mark.parametrize("taken", [["n", 2, "h", "w"], [1, 2, 4, 4]])
@pytest.mark.parametrize(
    ("given", "dims"), [((1, 7, 4, 4), PLAIN), ((None, 7, None, None), PLAIN), (("n", 2, "h"), PLAIN[:3])]
)
def test_outputs_are_held_against_what_the_file_says(
    tmp_path: Path, taken: list[Any], given: tuple[Any, ...], dims: tuple[str, ...]
) -> None:
    """ONNX Runtime runs a graph that states another shape of its output than it gives, with a warning."""
    weights = [numpy_helper.from_array(np.ones((2, 2, 1, 1), np.float32), "w")]
    nodes = [("Conv", ["x", "w"], ["y"])]
    path = graph(tmp_path / "n.onnx", nodes, [("x", taken)], [("y", list(given))], weights=weights)
    with pytest.raises(InvalidItemError, match=r"the file says that the output 'y' is|does not run|cannot be opened"):
        describe_file(path, statement(input_dims=PLAIN, output_dims=dims))


def test_two_bands_of_one_name_are_refused(tmp_path: Path) -> None:
    path = graph(tmp_path / "n.onnx", [("Relu", ["x"], ["y"])], [("x", [1, 2, 4, 4])], [("y", [1, 2, 4, 4])])
    with pytest.raises(SpecError, match="names 'red' twice"):
        describe_file(path, statement(input_dims=PLAIN, output_dims=PLAIN, bands=("red", "red")))


@pytest.mark.parametrize(
    ("nodes", "constant", "takes"),
    [
        ([("Reshape", ["x", "k"], ["y"])], [-1, 2, 8, 8], {"height": 8, "width": 8}),
        ([("Resize", ["x", "", "", "k"], ["y"], {"mode": "nearest"})], [1, 2, 16, 16], {"batch": 1}),
    ],
    ids=["reshaped", "resized"],
)
def test_a_size_that_became_a_number_mixes_no_samples(
    tmp_path: Path, nodes: list[Any], constant: list[int], takes: dict[str, int]
) -> None:
    """An exporter wrote the sizes of its example into the graph, and open axes beside it."""
    weights = [numpy_helper.from_array(np.array(constant, np.int64), "k")]
    shape: list[Any] = ["n", 2, "h", "w"]
    path = graph(tmp_path / "net.onnx", nodes, [("x", shape)], [("y", shape)], weights=weights)
    _, _, model = published(path, tmp_path, input_dims=PLAIN, output_dims=PLAIN)
    axes = model.signature.inputs[0].axes
    assert {dim: size.at_least for dim, size in axes.items() if size.is_fixed and dim != "channel"} == takes
    assert model.predict(np.ones((1, 2, 8, 8), np.float32)).shape[0] == 1
    for shape_of in ((1, 2, 16, 8), (2, 2, 8, 8)):
        sizes = dict(zip(PLAIN, shape_of, strict=True))
        if any(sizes[dim] != length for dim, length in takes.items()):
            with pytest.raises(DataError, match="use that layout"):
                model.predict(np.ones(shape_of, np.float32))


def test_samples_that_were_not_given_are_refused_of_other_peoples_items(tmp_path: Path) -> None:
    weights = [numpy_helper.from_array(np.array([-1, 2, 8, 8], np.int64), "k")]
    shape: list[Any] = ["n", 2, "h", "w"]
    path = graph(
        tmp_path / "net.onnx", [("Reshape", ["x", "k"], ["y"])], [("x", shape)], [("y", shape)], weights=weights
    )
    item, _, _ = published(path, tmp_path, input_dims=PLAIN, output_dims=PLAIN)
    del item.properties["interop:sizes"]
    item.properties["mlm:input"][0]["input"]["shape"] = [-1, 2, -1, -1]
    model = modelstac.load(item)
    assert model.predict(np.ones((1, 2, 8, 8), np.float32)).shape == (1, 2, 8, 8)
    with pytest.raises(DataError, match=r"gives 2 samples in 'y' for a batch of 1: sizes in it are numbers"):
        model.predict(np.ones((1, 2, 16, 8), np.float32))


def test_parameters_of_trees_and_linear_models_are_counted(tmp_path: Path) -> None:
    ensemble, linear = pytest.importorskip("sklearn.ensemble"), pytest.importorskip("sklearn.linear_model")
    skl2onnx = pytest.importorskip("skl2onnx")
    rows = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)
    kinds = (rows[:, 0] > 0).astype(int) + (rows[:, 1] > 1)
    forest = ensemble.RandomForestRegressor(4, random_state=0).fit(rows, rows[:, 0])
    logistic = linear.LogisticRegression().fit(rows, kinds)
    found = []
    for model, options in ((forest, {}), (logistic, {"zipmap": False})):
        path = tmp_path / "model.onnx"
        path.write_bytes(skl2onnx.to_onnx(model, rows[:1], options={id(model): options}).SerializeToString())
        found.append(read_facts(path).parameters)
    # A threshold where a tree splits and a value at its leaf; a factor for each column and a constant, for each class.
    assert found == [sum(tree.tree_.node_count for tree in forest.estimators_), 3 * (5 + 1)]


WEIGHTS_EVERYWHERE = """
<ir_version: 8, opset_import: ["" : 17, "of.mine" : 1]>
net (float[n, 3] x) => (float[n, 3] y) {
    m = of.mine.Mixed (x)
    c = Constant <value = bool {1}> ()
    b = If (c) <
        then_branch = first () => (float[n, 3] r) <float[3] w = {1, 2, 3}> { r = Mul (m, w) },
        else_branch = second () => (float[n, 3] r) <float[3] w = {4, 5, 6}> { r = Add (m, w) }
    >
    f = Constant <value_floats = [1.0, 2.0, 3.0]> ()
    a = Add (b, f)
    d = MatMul (a, s)
    twice = Constant <value_floats = [1.0, 2.0]> ()
    half = Constant <value = float[2] {1, 0.5}> ()
    e = Resize (d, , twice)
    y = Resize (e, , half)
}
<domain: "of.mine", opset_import: ["" : 17]>
Mixed (a) => (b) {
    w = Constant <value = float[3, 3] {1, 2, 3, 4, 5, 6, 7, 8, 9}> ()
    b = MatMul (a, w)
}
"""


def test_parameters_are_counted_wherever_a_graph_keeps_them(tmp_path: Path) -> None:
    made, path = parser.parse_model(WEIGHTS_EVERYWHERE), tmp_path / "net.onnx"
    places = helper.make_tensor("places", TensorProto.INT64, [2], [0, 4])
    stored = helper.make_tensor("s", TensorProto.FLOAT, [2], [1.0, 2.0])
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(stored, places, [3, 3]))
    path.write_bytes(made.SerializeToString())
    # In a function, in the two branches, in a list of numbers, and of a sparse matrix what is stored; none that resize.
    assert read_facts(path).parameters == 3 * 3 + 3 + 3 + 3 + 2
    made.ClearField("ir_version")
    path.write_bytes(made.SerializeToString())
    with pytest.raises(InvalidItemError, match=r"\(it states no version of its representation, ir_version\): export"):
        read_facts(path)
