"""In which precision files compute, told from the files alone."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from modelstac.catalog.items.formats import FORMATS
from modelstac.registry.inspecting.precision import precision_of

HALF, FLOAT = TensorProto.FLOAT16, TensorProto.FLOAT


def graph(nodes, kind, weight):
    x, y = (helper.make_tensor_value_info(name, kind, [1, 3]) for name in "xy")
    constants = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(np.float32(0.1), "s")]
    made = helper.make_graph(nodes, "g", [x], [y], constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


ONES = np.ones((3, 3))


@pytest.mark.parametrize(
    ("nodes", "kind", "weight", "expected"),
    [
        ([helper.make_node("MatMul", ["x", "w"], ["y"])], FLOAT, ONES.astype("f4"), "fp32"),
        ([helper.make_node("MatMul", ["x", "w"], ["y"])], HALF, ONES.astype("f2"), "fp16"),
        (  # weights are stored in half and multiplied in full precision
            [helper.make_node("Cast", ["w"], ["v"], to=FLOAT), helper.make_node("MatMul", ["x", "v"], ["y"])],
            FLOAT,
            ONES.astype("f2"),
            "fp32",
        ),
        (
            [
                helper.make_node("Cast", ["x"], ["h"], to=HALF),
                helper.make_node("MatMul", ["h", "w"], ["g"]),
                helper.make_node("Cast", ["g"], ["y"], to=FLOAT),
            ],
            FLOAT,
            ONES.astype("f2"),
            "fp16",
        ),
        (
            [
                helper.make_node("Cast", ["x"], ["h"], to=TensorProto.BFLOAT16),
                helper.make_node("Cast", ["h"], ["y"], to=FLOAT),
            ],
            FLOAT,
            ONES.astype("f4"),
            "bf16",
        ),
        (  # values in between are whole numbers
            [
                helper.make_node("QuantizeLinear", ["x", "s"], ["q"]),
                helper.make_node("DequantizeLinear", ["q", "s"], ["d"]),
                helper.make_node("MatMul", ["d", "w"], ["y"]),
            ],
            FLOAT,
            ONES.astype("f4"),
            "int8",
        ),
        (  # weights alone are
            [
                helper.make_node("DequantizeLinear", ["w", "s"], ["d"]),
                helper.make_node("MatMul", ["x", "d"], ["y"]),
            ],
            FLOAT,
            ONES.astype("i1"),
            "fp32",
        ),
    ],
)
def test_an_onnx_graph_says_by_what_it_multiplies(nodes, kind, weight, expected):
    assert precision_of(graph(nodes, kind, weight), FORMATS["onnx"].artifact_type) == expected


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"name": "float32"}, "fp32"),
        ({"name": "mixed_float16"}, "fp16"),
        ({"name": "float16"}, "fp16"),
        ({"name": "mixed_bfloat16"}, "bf16"),
        # As quantize() writes them: weights alone, in a model of half precision, and values in between, too.
        ({"mode": "int4/128", "source_name": "float32"}, "fp32"),
        ({"mode": "int4/128", "source_name": "mixed_float16"}, "fp16"),
        ({"mode": "int8", "source_name": "float32", "activation_quantizer": {"class_name": "AbsMaxQuantizer"}}, "int8"),
    ],
)
def test_a_keras_file_says_by_the_policy_of_its_layers(policy, expected):
    quantized = {"config": {"activation_quantizer": policy.get("activation_quantizer")}}
    dtype = {"module": "keras", "class_name": "DTypePolicy", "config": policy}
    of_layer = {"dtype": dtype, "quantization_config": quantized}
    config = {"config": {"layers": [{"class_name": "Dense", "config": of_layer}]}}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
    assert precision_of(file.getvalue(), FORMATS["keras"].artifact_type) == expected


@pytest.mark.parametrize(("half", "expected"), [(False, "fp32"), (True, "fp16")])
def test_a_program_and_weights_of_pytorch_say_by_their_types(half, expected):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save

    module, x = torch.nn.Linear(3, 2).eval(), torch.rand(1, 3)
    module, x = (module.half(), x.half()) if half else (module, x)
    file = io.BytesIO()
    torch.export.save(torch.export.export(module, (x,)), file)
    assert precision_of(file.getvalue(), FORMATS["torch-export"].artifact_type) == expected
    assert precision_of(save(module.state_dict()), FORMATS["torch"].artifact_type) == expected


@pytest.mark.parametrize("name", ["keras", "onnx", "torch", "torch-export", "saved-model", "litert"])
def test_what_cannot_be_read_is_not_this_modules_to_refuse(name):
    assert precision_of(b"no model at all", FORMATS[name].artifact_type) == "fp32"
    assert precision_of(onnx.ModelProto().SerializeToString(), FORMATS[name].artifact_type) == "fp32"


@pytest.mark.filterwarnings("ignore")  # of the converter, about its own future
@pytest.mark.parametrize(("scales", "expected"), [("none", "fp32"), ("of weights", "fp32"), ("of all", "int8")])
def test_a_litert_file_says_by_what_its_operators_take(scales, expected):
    tf = pytest.importorskip("tensorflow")
    weights = tf.constant(np.random.default_rng(0).normal(size=(3, 3, 3, 64)).astype(np.float32))
    spec = tf.TensorSpec((1, 8, 8, 3), tf.float32)
    network = tf.function(lambda x: tf.nn.conv2d(x, weights, 1, "SAME"), input_signature=[spec])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()])
    if scales != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [] if scales == "of all" else [tf.float16]
    if scales == "of all":
        converter.representative_dataset = lambda: ([np.full(spec.shape, n / 4, np.float32)] for n in range(5))
    assert precision_of(converter.convert(), FORMATS["litert"].artifact_type) == expected
