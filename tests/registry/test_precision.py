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
    made = helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(weight, "w")])
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
    ],
)
def test_an_onnx_graph_says_by_what_it_multiplies(nodes, kind, weight, expected):
    assert precision_of(graph(nodes, kind, weight), FORMATS["onnx"].artifact_type) == expected


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("float32", "fp32"), ("mixed_float16", "fp16"), ("float16", "fp16"), ("mixed_bfloat16", "bf16")],
)
def test_a_keras_file_says_by_the_policy_of_its_layers(policy, expected):
    dtype = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": policy}}
    config = {"config": {"layers": [{"class_name": "Conv2D", "config": {"dtype": dtype}}]}}
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
