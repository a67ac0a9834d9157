"""Reduced precision: a variant of its own, near its source within its own tolerance, also inside loops."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from modelstac.catalog import Query, open_catalog
from modelstac.catalog.errors import ConversionError, ParityError
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.items.validation import validate
from modelstac.catalog.items.writing import write_item
from modelstac.exporters.converters import convlstm_onnx
from modelstac.exporters.converters.onnx_graph import operators
from modelstac.exporters.converters.precision import reduce
from modelstac.exporters.jobs import ExportJob, export
from modelstac.exporters.proof.tolerances import TOLERANCES
from modelstac.registry.describing.describe import Statement, describe_file
from modelstac.registry.loading import load
from modelstac.training.spec import ConvLSTMSpec

CHANNELS_LAST = ("batch", "time", "height", "width", "variables")


def run(graph, x):
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def plain_graph():
    """A small classifier as another tool would write it: convolution, pooling, dense layer."""
    rng = np.random.default_rng(0)
    weights = {
        "kernel": rng.normal(0, 0.3, (8, 3, 3, 3)),
        "bias": rng.normal(0, 0.3, 8),
        "dense": rng.normal(0, 0.3, (8, 5)),
        "dense_bias": rng.normal(0, 0.3, 5),
    }
    nodes = [
        helper.make_node("Conv", ["x", "kernel", "bias"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("GlobalAveragePool", ["b"], ["c"]),
        helper.make_node("Flatten", ["c"], ["d"]),
        helper.make_node("Gemm", ["d", "dense", "dense_bias"], ["y"]),
    ]
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 5])
    graph = helper.make_graph(nodes, "classifier", [x], [y], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize("cell", ["linear", "tanh", "leaky_relu"])
def test_a_recurrent_network_is_reduced_in_its_loops_too(precision, cell, make_weights):
    spec = ConvLSTMSpec(filters=(16, 16, 8, 8), kernels=(7, 5, 3, 1), cell_activation=cell)
    graph = convlstm_onnx.build(spec, make_weights(spec), dim_order=CHANNELS_LAST)
    before = graph.SerializeToString()
    reduced = reduce(graph, precision)
    assert graph.SerializeToString() == before
    onnx.checker.check_model(reduced.graph, full_check=True)
    assert {entry.domain for entry in reduced.graph.opset_import} == {""}
    assert len(reduced.graph.SerializeToString()) < (0.6 if precision == "fp16" else 0.4) * len(before)
    if precision == "int8":  # a convolution of the input and a recurrent one in each layer, and the last
        assert operators(reduced.graph.graph)["ConvInteger"] == 2 * spec.layers + 1
        assert reduced.facts["left_in_fp32"] == {}
    x = np.random.default_rng(1).random((2, 6, 12, 10, 1), np.float32)
    expected, actual = run(graph, x), run(reduced.graph, x)
    assert actual.dtype == np.float32
    largest = np.abs(actual - expected).max()
    assert 1e-5 < largest < TOLERANCES[precision].absolute  # it is another precision, and within its own tolerance
    with pytest.raises(ConversionError, match="does not say from which ConvLSTM"):
        convlstm_onnx.read(reduced.graph)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_any_graph_is_reduced(precision):
    graph = plain_graph()
    reduced = reduce(graph, precision)
    onnx.checker.check_model(reduced.graph, full_check=True)
    x = np.random.default_rng(1).random((2, 3, 9, 8), np.float32)
    largest = np.abs(run(reduced.graph, x) - run(graph, x)).max()
    assert 1e-6 < largest < TOLERANCES[precision].absolute


def reflectance_graph():
    """A classifier that is fed raw reflectances, as its first normalisation shows."""
    rng = np.random.default_rng(0)
    weights = {
        "kernel": rng.normal(0, 0.3, (16, 12, 3, 3)),
        "bias": rng.normal(0, 0.3, 16),
        "gamma": 0.5 + rng.random(16),
        "beta": rng.normal(0, 1, 16),
        "mean": rng.normal(0, 5000, 16),
        "variance": (0.5 + rng.random(16)) * 3e9,
        "dense": rng.normal(0, 0.3, (16, 5)),
    }
    nodes = [
        helper.make_node("Conv", ["x", "kernel", "bias"], ["a"], name="convolution"),
        helper.make_node("BatchNormalization", ["a", "gamma", "beta", "mean", "variance"], ["b"], name="norm"),
        helper.make_node("Relu", ["b"], ["c"], name="relu"),
        helper.make_node("GlobalAveragePool", ["c"], ["d"], name="pool"),
        helper.make_node("Flatten", ["d"], ["e"], name="flatten"),
        helper.make_node("MatMul", ["e", "dense"], ["y"], name="dense"),
    ]
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 12, "height", "width"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 5])
    graph = helper.make_graph(nodes, "classifier", [x], [y], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_half_precision_of_raw_reflectances_leaves_what_it_cannot_hold_in_single():
    graph = reflectance_graph()
    x = np.random.default_rng(1).integers(0, 10_000, (2, 12, 9, 8)).astype(np.float32)
    expected = run(graph, x)
    assert not np.allclose(run(reduce(graph, "fp16").graph, x), expected, atol=0.05)  # 65,504 is the end
    reduced = reduce(graph, "fp16", {"x": x})
    onnx.checker.check_model(reduced.graph, full_check=True)
    np.testing.assert_allclose(run(reduced.graph, x), expected, atol=TOLERANCES["fp16"].absolute)
    assert reduced.facts["left_in_fp32"] == ["convolution", "norm"]


def test_with_an_example_no_sample_in_8_bits_depends_on_its_neighbours():
    graph = plain_graph()
    x = np.random.default_rng(1).random((3, 3, 9, 8), np.float32)
    beside = np.concatenate([x[:1], 5 * x[1:]])

    def moved(reduced):
        return np.abs(run(reduced.graph, x)[0] - run(reduced.graph, beside)[0]).max()

    dynamic, static = reduce(graph, "int8"), reduce(graph, "int8", {"x": x})
    assert dynamic.facts["scales_from"] == "each batch"
    assert moved(dynamic) > 1e-3
    assert static.facts["scales_from"] == "the example"
    assert moved(static) == 0
    assert static.step.tool == "onnxruntime.quantization.quantize_static"
    assert static.facts["left_in_fp32"] == {}
    assert 1e-6 < np.abs(run(static.graph, x) - run(graph, x)).max() < TOLERANCES["int8"].absolute


@pytest.mark.parametrize(("precision", "said"), [("fp16", "no float32 weights"), ("int8", "nothing to quantise")])
def test_a_graph_without_weights_is_refused(precision, said):
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(ConversionError, match=said):
        reduce(model, precision)


def test_each_precision_is_an_item_of_its_own(tmp_path, sources):
    catalog = open_catalog(tmp_path / "catalog.sqlite", create=True)
    spec = ConvLSTMSpec(filters=(16, 8), kernels=(5, 3), frames=4, height=10, width=13)
    sources.publish_torch(catalog, tmp_path, spec)
    items = {p: export(ExportJob("rain-1.0.0-torch", precision=p), catalog) for p in ("fp32", "fp16", "int8")}
    names = ["rain-1.0.0-onnx-from-torch", "rain-1.0.0-onnx-fp16-from-torch", "rain-1.0.0-onnx-int8-from-torch"]
    assert [item.id for item in items.values()] == names
    found = {p: read_item(item) for p, item in items.items()}
    assert found["int8"].size < found["fp16"].size < 0.7 * found["fp32"].size
    for precision, description in found.items():
        validate(items[precision])
        assert description.precision == precision
        tolerance = TOLERANCES[precision]
        assert description.parity.absolute_tolerance == tolerance.absolute
        assert description.parity.passed
        assert 0 < description.parity.max_absolute_difference <= tolerance.absolute
        assert description.parity.cosine > 0.999
        assert 0 < description.timing.latency_seconds < 10
        assert description.timing.source_latency_seconds > 0
        assert description.timing.conversion_seconds > 0
        assert catalog.search(precision=precision)[0].id == items[precision].id
        report = json.loads(Path(items[precision].assets["parity"].href).read_text())
        for case in report["cases"]:
            never = case["case"] in {"large values", "very large values", "random, with gaps (NaN)"}
            assert case["judged"] is not (never or (precision != "fp32" and case["case"].endswith(" far")))
            assert case["judged"] or case["note"]
        assert len(report["cases"][1]["by_lead_time"]) == 6
        assert Path(items[precision].assets["parity-picture"].href).read_bytes().startswith(b"\x89PNG")
    assert found["int8"].route[-1].tool == "onnxruntime.quantization.quantize_dynamic"
    assert found["int8"].hyperparameters["onnx"]["quantised"] == {"ConvInteger": 5}
    assert len(list(catalog.search(Query(precision="int8", framework="ONNX")))) == 1

    again = export(
        ExportJob(names[0], precision="fp16"), catalog
    )  # from the ONNX file itself, which is the shorter way
    assert again.id == "rain-1.0.0-onnx-fp16-from-onnx-from-torch"
    x = np.random.default_rng(2).random((3, 7, 1, 6, 21), np.float32)
    with load(names[1], catalog=catalog) as one, load(again.id, catalog=catalog) as other:
        np.testing.assert_array_equal(one.predict(x), other.predict(x))
    with pytest.raises(ConversionError, match=r"reduced to int8 already: convert 'rain-1\.0\.0-torch' instead"):
        export(ExportJob(names[2], "torch"), catalog)


def classifier(path):
    """Classes of each pixel of raw reflectances: two layers of 1x1 and a softmax."""
    rng = np.random.default_rng(0)
    weights = {"first": rng.normal(0, 1e-3, (8, 4, 1, 1)), "second": rng.normal(0, 2, (5, 8, 1, 1))}
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second"], ["c"]),
        helper.make_node("Softmax", ["c"], ["y"], axis=1),
    ]
    tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4, "h", "w"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5, "h", "w"])
    graph = helper.make_graph(nodes, "classes", [x], [y], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize("how", ["range", "example", "nothing"])
def test_eight_bits_of_raw_reflectances_are_judged_on_them(how, tmp_path):
    fed = np.random.default_rng(0).gamma(2, 900, (1, 4, 24, 20)).clip(0, 10000).astype(np.float32)
    said = Statement(
        name="land",
        version="1.0.0",
        tasks=("semantic-segmentation",),
        architecture="MLP",
        license="MIT",
        geometry={"type": "Point", "coordinates": [5, 50]},
        start=datetime(2020, 1, 1, tzinfo=UTC),
        end=datetime(2021, 1, 1, tzinfo=UTC),
        input_dims=("batch", "channel", "height", "width"),
        output_dims=("batch", "class", "height", "width"),
        ranges=(0, 10000) if how == "range" else (),
        examples=fed if how == "example" else None,
    )
    catalog = open_catalog(tmp_path / "catalog.sqlite", create=True)
    catalog.publish(write_item(describe_file(classifier(tmp_path / "land.onnx"), said)))
    job = ExportJob("land-1.0.0-onnx", precision="int8")
    if how == "nothing":
        small = read_item(export(job, catalog)).parity
        assert small.judged_on == "x of unknown range"
        assert small.max_absolute_difference < 0.05
        return
    with pytest.raises(ParityError, match="judged on x "):
        export(job, catalog)
    made = export(replace(job, tolerance=0.95), catalog)
    parity = read_item(made).parity
    validate(made)
    # The true figure, found without any of this: the file itself, on the same numbers.
    with load(job.source, catalog=catalog) as source, load(made, catalog=catalog) as reduced:
        apart = np.abs(source.predict(fed) - reduced.predict(fed)).max()
    assert apart > TOLERANCES["int8"].absolute
    assert parity.max_absolute_difference >= 0.5 * apart
    assert (parity.absolute_tolerance, parity.tolerance_by) == (0.95, "asked for in the conversion")
    if how == "example":  # the scales come from it, and no sample depends on its neighbours
        assert parity.batch_difference is None
    else:  # each batch sets its own
        assert parity.batch_difference > 0.01
