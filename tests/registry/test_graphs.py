import contextlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from modelstac.catalog.errors import InvalidItemError, UntrustedError
from modelstac.registry.inspecting.onnx import CHILDREN, inspect_graph
from modelstac.registry.trust.policy import DEFAULT_POLICY

PATH = Path("model.onnx")


def inspect(model: onnx.ModelProto | bytes) -> None:
    data = model if isinstance(model, bytes) else model.SerializeToString()
    inspect_graph(data, PATH, domains=DEFAULT_POLICY.operator_domains)


def value(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [2])


def model_of(*nodes: onnx.NodeProto, initializers: tuple[onnx.TensorProto, ...] = ()) -> onnx.ModelProto:
    graph = helper.make_graph(list(nodes), "g", [value("x")], [value("y")], list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def outside(name: str = "w") -> onnx.TensorProto:
    tensor = numpy_helper.from_array(np.ones(2, np.float32), name)
    onnx.external_data_helper.set_external_data(tensor, location="../../secret.bin")
    tensor.ClearField("raw_data")
    return tensor


def test_table_holds_every_way_to_a_tensor_or_a_node() -> None:
    found: dict[str, dict[int, str]] = {}

    def walk(message: object) -> None:
        if message.name not in found:
            found[message.name] = {f.number: f.message_type.name for f in message.fields if f.message_type}
            for field in message.fields:
                if field.message_type:
                    walk(field.message_type)

    walk(onnx.ModelProto.DESCRIPTOR)

    def leads(name: str, seen: frozenset[str] = frozenset()) -> bool:
        if name in {"TensorProto", "NodeProto"}:
            return True
        return name not in seen and any(leads(child, seen | {name}) for child in found[name].values())

    wanted = {
        name: {number: child for number, child in children.items() if leads(child)}
        for name, children in found.items()
        if leads(name)
    }
    assert wanted == {name: dict(children) for name, children in CHILDREN.items()}


def test_plain_graph_passes() -> None:
    inspect(model_of(helper.make_node("Relu", ["x"], ["y"])))


def nested(inner: onnx.GraphProto) -> onnx.ModelProto:
    branch = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    return model_of(branch)


def with_function(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    model = model_of(helper.make_node("Twice", ["x"], ["y"], domain="mine"))
    opsets = [helper.make_opsetid("", 20)]
    model.functions.append(helper.make_function("mine", "Twice", ["x"], ["y"], list(nodes), opsets))
    return model


def in_subgraph() -> onnx.ModelProto:
    return nested(helper.make_graph([helper.make_node("Relu", ["x"], ["z"])], "b", [], [value("z")], [outside()]))


def in_attribute() -> onnx.ModelProto:
    return model_of(helper.make_node("Constant", [], ["y"], value=outside()))


def in_function() -> onnx.ModelProto:
    return with_function(helper.make_node("Constant", [], ["y"], value=outside()))


def in_sparse_tensor() -> onnx.ModelProto:
    model = model_of(helper.make_node("Relu", ["x"], ["y"]))
    model.graph.sparse_initializer.append(onnx.SparseTensorProto(values=outside(), dims=[2]))
    return model


def in_training_graph() -> onnx.ModelProto:
    model = model_of(helper.make_node("Relu", ["x"], ["y"]))
    model.training_info.append(onnx.TrainingInfoProto(algorithm=in_initializer().graph))
    return model


def in_initializer() -> onnx.ModelProto:
    return model_of(helper.make_node("Add", ["x", "w"], ["y"]), initializers=(outside(),))


def without_location() -> onnx.ModelProto:
    model = in_initializer()
    model.graph.initializer[0].data_location = TensorProto.DEFAULT
    return model


def without_reference() -> onnx.ModelProto:
    model = in_initializer()
    model.graph.initializer[0].ClearField("external_data")
    return model


@pytest.mark.parametrize(
    "make",
    [
        in_initializer,
        in_subgraph,
        in_attribute,
        in_function,
        in_sparse_tensor,
        in_training_graph,
        without_location,
        without_reference,
    ],
)
def test_external_data_is_refused_wherever_it_hides(make: object) -> None:
    with pytest.raises(UntrustedError, match="external data"):
        inspect(make())


def test_reference_hidden_behind_an_overlong_tag_is_refused() -> None:
    # A parser that drops the bits above the 32nd reads field 13 (external_data) here, one that keeps them does not.
    tag = (13 << 3 | 2) | 1 << 33
    encoded = bytearray()
    while tag >= 0x80:
        encoded.append(tag & 0x7F | 0x80)
        tag >>= 7
    tensor = outside()
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")
    hidden = tensor.SerializeToString() + bytes([*encoded, tag, 0])
    graph = bytes([5 << 3 | 2, len(hidden)]) + hidden
    model = model_of(helper.make_node("Relu", ["x"], ["y"])).SerializeToString()
    with pytest.raises(InvalidItemError):
        inspect(model + bytes([7 << 3 | 2, len(graph)]) + graph)


def test_operator_of_another_domain_is_refused_and_named() -> None:
    with pytest.raises(UntrustedError, match=r"evil\.Run"):
        inspect(model_of(helper.make_node("Run", ["x"], ["y"], domain="evil")))


def test_operator_of_another_domain_is_refused_in_a_subgraph() -> None:
    inner = helper.make_graph([helper.make_node("Run", ["x"], ["z"], domain="evil")], "b", [], [value("z")])
    with pytest.raises(UntrustedError, match=r"evil\.Run"):
        inspect(nested(inner))


def test_function_defined_in_the_file_passes_but_not_what_it_calls() -> None:
    inspect(with_function(helper.make_node("Add", ["x", "x"], ["y"])))
    with pytest.raises(UntrustedError, match=r"evil\.Run"):
        inspect(with_function(helper.make_node("Run", ["x"], ["y"], domain="evil")))


@pytest.mark.parametrize("data", [b"", b"not an onnx file", b"\x80" * 40, b"\x08\x08"])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidItemError, match=r"model\.onnx"):
        inspect(data)


def test_every_truncation_is_refused_or_harmless() -> None:
    data = in_initializer().SerializeToString()
    for length in range(len(data)):
        with pytest.raises((InvalidItemError, UntrustedError)):
            inspect(data[:length])


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with contextlib.suppress(InvalidItemError, UntrustedError):
        inspect(data)
