"""Classical machine learning in ONNX, written out in plain operators: the same numbers, and readable by OpenVINO."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
from onnx import TensorProto, helper

from modelstac.catalog.errors import ConversionError
from modelstac.exporters.converters.classical.written_out import written_out
from modelstac.exporters.converters.onnx_simpler import simpler
from modelstac.exporters.converters.to_openvino import refused
from modelstac.registry.runtimes.openvino import SETTINGS

X = np.asarray([[0.2, 3.0], [0.7, 3.0], [0.5, 5.0], [np.nan, 1.0], [0.9, np.nan], [-2.0, 9.0]], np.float32)


def graph_of(operator, outputs, **attributes):
    """A graph of one operator, as XGBoost and CatBoost write it: it names no opset of ONNX itself."""
    node = helper.make_node(operator, ["x"], list(outputs), domain="ai.onnx.ml", name="model", **attributes)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])
    shapes = {"label": ["batch"]}
    made = [
        helper.make_tensor_value_info(name, kind, shapes.get(name, ["batch", "n"])) for name, kind in outputs.items()
    ]
    graph = helper.make_graph([node], "g", [x], made)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("ai.onnx.ml", 1)], ir_version=4)


def trees(kind, *, tracks=(0, 0, 0, 0, 0, 0, 0, 0), mode="BRANCH_LEQ", **more):
    """Two trees of two features, the second a stump: 5 nodes and 3."""
    leaves = {"treeids": [0, 0, 0, 1, 1], "nodeids": [2, 3, 4, 1, 2], **more.pop("leaves")}
    return {
        "nodes_treeids": [0, 0, 0, 0, 0, 1, 1, 1],
        "nodes_nodeids": [0, 1, 2, 3, 4, 0, 1, 2],
        "nodes_featureids": [0, 1, 0, 0, 0, 1, 0, 0],
        "nodes_values": [0.5, 4.0, 0, 0, 0, 3.0, 0, 0],
        "nodes_modes": [mode, mode, "LEAF", "LEAF", "LEAF", mode, "LEAF", "LEAF"],
        "nodes_truenodeids": [1, 3, 0, 0, 0, 1, 0, 0],
        "nodes_falsenodeids": [2, 4, 0, 0, 0, 2, 0, 0],
        "nodes_missing_value_tracks_true": list(tracks),
        **{f"{kind}_{name}": value for name, value in leaves.items()},
        **more,
    }


def run(graph, x=X):
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


def in_openvino(graph, x=X):
    data, _ = simpler(graph.SerializeToString(), "model")
    compiled = openvino.Core().compile_model(openvino.Core().read_model(data), "CPU", SETTINGS)
    found = compiled([x])
    return [found[number] for number in range(len(compiled.outputs))]


def same(graph, x=X):
    plain = written_out(graph)
    onnx.checker.check_model(plain)
    assert {node.domain for node in plain.graph.node} == {""}
    expected = run(graph, x)
    for found in (run(plain, x), in_openvino(graph, x)):
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-6)
    return expected


LEAVES = {"ids": [0, 0, 0, 0, 0], "weights": [0.1, -0.7, 0.4, 0.25, -0.5]}


@pytest.mark.parametrize("mode", ["BRANCH_LEQ", "BRANCH_LT"])
@pytest.mark.parametrize("tracks", [(0,) * 8, (1,) * 8, (1, 0, 0, 0, 0, 0, 0, 0)])
def test_trees_and_the_way_of_what_is_missing(mode, tracks):
    more = trees("target", tracks=tracks, mode=mode, leaves=LEAVES, n_targets=1, base_values=[0.3])
    [values] = same(graph_of("TreeEnsembleRegressor", {"y": TensorProto.FLOAT}, **more))
    if mode == "BRANCH_LEQ" and not any(tracks):
        # By hand: 0.2 goes true, 3 goes true: -0.7; the stump, 3 <= 3: 0.25; and what all begin from.
        np.testing.assert_allclose(values[0], -0.7 + 0.25 + 0.3, rtol=1e-6)


@pytest.mark.parametrize("post", ["NONE", "LOGISTIC"])
@pytest.mark.parametrize("weights", [[0.1, 0.7, 0.4, 0.25, 0.05], [0.1, -0.7, 0.4, 0.25, -0.5]])
def test_two_classes_of_which_one_has_weights(post, weights):
    leaves = {"ids": [0] * 5, "weights": weights}
    more = trees("class", leaves=leaves, classlabels_int64s=[7, 3], post_transform=post)
    labels, _ = same(graph_of("TreeEnsembleClassifier", {"label": TensorProto.INT64, "p": TensorProto.FLOAT}, **more))
    assert set(labels) == {3, 7}


@pytest.mark.parametrize("post", ["NONE", "SOFTMAX", "LOGISTIC"])
def test_three_classes(post):
    leaves = {"ids": [0, 1, 2, 1, 0], "weights": [0.1, 0.7, 0.4, 0.25, 0.5]}
    more = trees("class", leaves=leaves, classlabels_int64s=[0, 1, 2], post_transform=post)
    same(graph_of("TreeEnsembleClassifier", {"label": TensorProto.INT64, "p": TensorProto.FLOAT}, **more))


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("LinearRegressor", {"coefficients": [0.5, -2.0, 1.0, 0.1], "intercepts": [0.1, 0.2], "targets": 2}),
        ("Scaler", {"offset": [0.5, 3.0], "scale": [2.0, 0.1]}),
        ("Imputer", {"imputed_value_floats": [9.0, 8.0], "replaced_value_float": float("nan")}),
        ("Normalizer", {"norm": "L1"}),
        ("Normalizer", {"norm": "L2"}),
        ("Binarizer", {"threshold": 0.6}),
        (
            "SVMRegressor",
            {
                "coefficients": [0.5, -0.25],
                "support_vectors": [0.1, 2.0, 0.9, 4.0],
                "n_supports": 2,
                "kernel_type": "RBF",
                "kernel_params": [0.3, 0.0, 3.0],
                "rho": [0.7],
            },
        ),
    ],
)
def test_what_is_no_tree(operator, attributes):
    x = X if operator == "Imputer" else X[:3]
    same(graph_of(operator, {"y": TensorProto.FLOAT}, **attributes), x)


def test_linear_classes():
    more = {"coefficients": [0.5, -2.0, 1.0, 0.1], "intercepts": [0.1, 0.2], "classlabels_ints": [4, 5]}
    graph = graph_of(
        "LinearClassifier", {"label": TensorProto.INT64, "p": TensorProto.FLOAT}, post_transform="LOGISTIC", **more
    )
    expected, found = run(graph, X[:3]), run(written_out(graph), X[:3])
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-6)


@pytest.mark.parametrize(
    ("operator", "attributes", "said"),
    [
        ("Normalizer", {"norm": "MAX"}, "the norm MAX"),
        ("SVMClassifier", {"classlabels_ints": [0, 1]}, "SVMClassifier of ai.onnx.ml is not written out"),
    ],
)
def test_what_is_not_written_out_is_named(operator, attributes, said):
    with pytest.raises(ConversionError, match=said):
        written_out(graph_of(operator, {"y": TensorProto.FLOAT}, **attributes))


@pytest.mark.parametrize(
    "said", ["No conversion rule found for operations: SVMClassifier To", "Unsupported operation: SVMClassifier, so"]
)
def test_operators_that_openvino_lacks_are_named(said):
    told = refused(SimpleNamespace(description=SimpleNamespace(id="vectors")), RuntimeError(f"Check failed: {said}"))
    assert str(told) == "OpenVINO cannot convert 'vectors': it lacks SVMClassifier"
