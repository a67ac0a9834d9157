"""Small files that ask for much: each refused in one line, and what is like them and modest passes."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from benchmarks.large import memory
from onnx import TensorProto, helper, numpy_helper
from openvino import opset13
from tests.registry import hostile

from modelstac.catalog.errors import InvalidItemError, ModelStacError, UntrustedError
from modelstac.catalog.items.formats import FORMATS
from modelstac.registry.files.artifact import Artifact
from modelstac.registry.inspecting.budgets.growth import SMALL, Growth, Step
from modelstac.registry.inspecting.inspection import INSPECTORS
from modelstac.registry.inspecting.onnx_growth import grows
from modelstac.registry.runtimes.options import Options
from modelstac.registry.trust.policy import DEFAULT_POLICY

HUGE = 1 << 31  # values: 8 GB of float32
MUCH = 1 << 30  # bytes that this process may grow by
Python = Callable[..., dict[str, object]]


@contextmanager
def no_memory_to_speak_of() -> Iterator[None]:
    """See that this process takes little more than it has, whatever it took at its peak before."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here: proc(5)
    before = memory("VmHWM")
    try:
        yield
    finally:
        assert memory("VmHWM") - before < MUCH


def inspect(form: str, data: bytes) -> None:
    """Look into a file as loading does."""
    with no_memory_to_speak_of():
        INSPECTORS[FORMATS[form].artifact_type](Artifact("x", Path("model"), data, "0" * 64), DEFAULT_POLICY)


def refused(form: str, data: bytes, *words: str, kind: type[ModelStacError] = UntrustedError) -> None:
    with pytest.raises(kind) as raised:
        inspect(form, data)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 500
    for word in words:
        assert word in str(raised.value)


# ONNX


def graph(*nodes: onnx.NodeProto, **constants: object) -> bytes:
    """Add the largest value of ``c`` to the input."""
    held = tuple(numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items())
    end = (helper.make_node("ReduceMax", ["c"], ["m"], keepdims=0), helper.make_node("Add", ["frames", "m"], ["y"]))
    return hostile.graph(*nodes, *end, initializers=held)


def filled(count: int) -> bytes:
    return graph(helper.make_node("ConstantOfShape", ["s"], ["c"], name="fill"), s=np.array([count]))


def spread(count: int) -> bytes:
    shape = helper.make_node("Constant", [], ["s"], value=numpy_helper.from_array(np.array([count])))
    return graph(shape, helper.make_node("Expand", ["one", "s"], ["c"]), one=np.ones(1, np.float32))


def repeated(count: int) -> bytes:
    return graph(helper.make_node("Tile", ["one", "s"], ["c"]), one=np.ones(1, np.float32), s=np.array([count]))


def doubled(times: int) -> bytes:
    names = ["one", *(f"d{n}" for n in range(times - 1)), "c"]
    nodes = [helper.make_node("Concat", [a, a], [b], axis=0) for a, b in pairwise(names)]
    return graph(*nodes, one=np.ones(4, np.float32))


@pytest.mark.parametrize("make", [filled, spread, repeated])
def test_a_constant_of_onnx_that_is_a_few_bytes_and_eight_gigabytes(make: Callable[[int], bytes]) -> None:
    refused("onnx", make(HUGE), "bytes) would take more than", "ConstantOfShape" if make is filled else "")
    inspect("onnx", make(1000))


def test_what_nobody_can_say_is_tried_in_a_process_of_limits() -> None:
    refused("onnx", doubled(31), "because of Concat 'd2")
    assert grows(doubled(23)).found is not None
    inspect("onnx", doubled(23))  # 128 MB: tried, and opened
    assert grows(doubled(10)).found is None


def test_a_constant_inside_a_branch_is_found() -> None:
    y = helper.make_tensor_value_info("b", TensorProto.FLOAT, [None])
    made = helper.make_node("ConstantOfShape", ["s"], ["b"], name="inside")
    inner = helper.make_graph([made], "inner", [], [y])
    data = graph(
        helper.make_node("If", ["which"], ["c"], then_branch=inner, else_branch=inner),
        which=np.array(True),
        s=np.array([HUGE]),
    )
    assert grows(data).certain == HUGE
    refused("onnx", data)


def test_an_operator_on_the_models_own_input_is_no_constant() -> None:
    shape = helper.make_node("Shape", ["frames"], ["s"])
    node = helper.make_node("Expand", ["frames", "t"], ["c"])
    assert grows(graph(shape, node, t=np.array([1 << 20, 1 << 20]))).found is None


def test_files_of_zeros_and_of_empty_parts_end_at_once() -> None:
    refused("onnx", bytes(8 << 20), "no ONNX file", kind=InvalidItemError)
    parts = b"\x0a\x00" * (1 << 20) + b"\x0a\x00" * 8
    length = b"".join(bytes([byte]) for byte in (0x3A, *_varint(len(parts))))
    refused("onnx", length + parts, "parts, as no exporter writes them")
    refused("onnx", b"\x12\x06mlORTM", "own format (ORT)")


def _varint(value: int) -> list[int]:
    return [value] if value < 128 else [value & 127 | 128, *_varint(value >> 7)]


def test_growth_follows_what_operators_do() -> None:
    growth = Growth({"Tile": 1}, {"Cast"})
    growth.hold("a", 1000)
    growth.hold("times", 2, (40, 50))
    for step in (
        Step("Cast", "", ("a",), ("b",)),
        Step("Concat", "", ("a", "b"), ("c",)),
        Step("Mul", "", ("c", "b"), ("d",)),
        Step("Mul", "outer", ("d", "d"), ("e",)),
        Step("Add", "", ("x", "e"), ("f",)),
    ):
        growth.follow(step)
    assert {name: count for name, (count, _) in growth._known.items() if name in "bcd"} == {
        "b": 1000,
        "c": 2000,
        "d": 2_000_000,
    }
    assert "f" not in growth._known
    assert growth.found == "Mul 'outer'"
    assert growth.certain == 0
    growth.follow(Step("Tile", "", ("a", "times"), ("g",)))
    assert growth._known["g"][0] == 2_000_000 < SMALL


# OpenVINO


def archive(xml: bytes, weights: bytes, **more: bytes) -> bytes:
    return hostile.zipped({"model.xml": xml, "model.bin": weights, **more}, zipfile.ZIP_STORED)


@pytest.fixture
def network(tmp_path: Path) -> Callable[[int], tuple[bytes, bytes]]:
    def make(count: int) -> tuple[bytes, bytes]:
        x = opset13.parameter([-1, 4], np.float32, "x")
        wide = opset13.broadcast(opset13.constant(np.float32(1)), opset13.constant(np.array([count], np.int64)))
        most = opset13.reduce_max(wide, opset13.constant(np.array([0], np.int64)))
        model = openvino.Model([opset13.add(x, most)], [x], "network")
        openvino.save_model(model, tmp_path / "model.xml", compress_to_fp16=False)
        return (tmp_path / "model.xml").read_bytes(), (tmp_path / "model.bin").read_bytes()

    return make


def test_a_constant_of_openvino_that_is_a_few_bytes_and_eight_gigabytes(
    network: Callable[[int], tuple[bytes, bytes]],
) -> None:
    refused("openvino", archive(*network(HUGE)), "would take more than", "Broadcast")
    inspect("openvino", archive(*network(1000)))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"<?xml version=", b'<!DOCTYPE net [<!ENTITY a "b">]><?xml version=', "model.xml"),
        (b"<net ", b'<!DOCTYPE net [<!ENTITY a "b">]><net ', "document type or entities"),
        (b'version="opset1"', b'version="extension"', "no operator set of OpenVINO's own"),
        (b'version="opset1"', b'version="evil.so"', "no operator set of OpenVINO's own"),
        (b'offset="0"', b'offset="4096"', "where it cannot lie"),
        (b'offset="0"', b'offset="-4"', "where it cannot lie"),
        (b'shape="1"', b'shape="1000"', "where it cannot lie"),
        (b'size="8"', b'size="1"', "where it cannot lie"),
        (b"<net ", b"<other ", "no network of OpenVINO"),
    ],
)
def test_a_network_of_openvino_that_is_not_what_openvino_writes(
    network: Callable[[int], tuple[bytes, bytes]], old: bytes, new: bytes, words: str
) -> None:
    xml, weights = network(10)
    assert old in xml
    changed = xml.replace(old, new)
    changed = changed.replace(b"</net>", b"</other>") if b"<other" in changed else changed
    kind = InvalidItemError if words in {"model.xml", "no network of OpenVINO"} else UntrustedError
    if words == "model.xml":  # what stands before the declaration is no XML at all
        words = ""
    with pytest.raises((InvalidItemError, UntrustedError)) as raised:
        inspect("openvino", archive(changed, weights))
    assert isinstance(raised.value, kind) or words == ""
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_archive_of_openvino_holds_two_files(network: Callable[[int], tuple[bytes, bytes]]) -> None:
    refused("openvino", archive(*network(10), **{"plugins.xml": b""}), "unexpected member 'plugins.xml'")
    refused("openvino", hostile.zipped({"model.xml": b"<net/>"}), "not model.xml", kind=InvalidItemError)
    deep = b"<net>" + b"<layers>" * 100 + b"</layers>" * 100 + b"</net>"
    refused("openvino", archive(deep, b""), "64 levels")


# safetensors


@pytest.mark.parametrize(
    "header",
    [
        {"a": {"dtype": "F32", "shape": [2] * 2_000_000, "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [10**300] * 20, "data_offsets": [0, 8]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0] * 1_000_000}},
        {f"t{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(66_000)},
    ],
    ids=["axes", "lengths", "offsets", "tensors"],
)
def test_a_header_of_safetensors_that_is_long_and_holds_nothing(header: object) -> None:
    text = json.dumps(header).encode()
    refused("torch", struct.pack("<Q", len(text)) + text + bytes(8), "no safetensors file", kind=InvalidItemError)


# Archives


@pytest.mark.parametrize("form", ["torch-export", "saved-model", "openvino", "keras"])
def test_a_zip_of_zeros_is_not_unpacked(form: str) -> None:
    members = {
        "saved-model": ("saved_model.pb", "variables/variables.index"),
        "openvino": ("model.xml", "model.bin"),
        "keras": ("config.json", "metadata.json", "model.weights.h5"),
        "torch-export": ("model/models/model.json", "model/data/weights/weight_0"),
    }[form]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name in members[:-1]:
            file.writestr(name, b"{}")
        with file.open(members[-1], "w", force_zip64=True) as member:
            for _ in range(300):
                member.write(bytes(1 << 20))
    if form == "torch-export":
        from modelstac.registry.inspecting.torch_export import inspect_program

        with pytest.raises(UntrustedError, match="would unpack to"):
            inspect_program(buffer.getvalue(), Path("model.pt2"), max_bytes=DEFAULT_POLICY.max_bytes)
    else:
        refused(form, buffer.getvalue(), "would unpack to")


# SavedModel


def test_one_value_that_stands_for_billions_in_a_saved_model(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    form, data, _ = hostile.saved_model(tmp_path, lambda x: x + tf.reduce_max(tf.fill([7, 11], 0.5)) * 0)
    inspect(form, data)
    from tensorflow.core.protobuf import saved_model_pb2

    members = dict(_members(data))
    proto = saved_model_pb2.SavedModel.FromString(members["saved_model.pb"])
    graph_def = proto.meta_graphs[0].graph_def
    node = next(n for f in graph_def.library.function for n in f.node_def if n.op == "Const")
    node.attr["value"].tensor.tensor_shape.ClearField("dim")
    for length in (1 << 16, 1 << 16):
        node.attr["value"].tensor.tensor_shape.dim.add(size=length)
    members["saved_model.pb"] = proto.SerializeToString()
    refused(form, hostile.zipped(members, zipfile.ZIP_STORED), "unfold to more than")


def _members(data: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist() if not name.endswith("/")]


# Keras


def test_a_configuration_of_more_layers_than_networks_have() -> None:
    refused("keras", hostile.archive(*[hostile.dense()] * 8500), "8,502 layers, more than the limit")


KERAS = """
    import sys, keras
    from pathlib import Path
    from modelstac.catalog.errors import ModelStacError
    from modelstac.registry.files.artifact import Artifact
    from modelstac.registry.runtimes.keras import read_archive

    said = []
    for path in map(Path, sys.argv[1:]):
        try:
            read_archive(Artifact("x", path, path.read_bytes(), "0"))
            said.append("read")
        except ModelStacError as error:
            said.append(str(error))
    keras.layers.Dense(2).build((None, 1 << 12))  # the bound is that of one reading
    lines = Path("/proc/self/status").read_text().splitlines()  # ru_maxrss would be that of the process before exec
    answer(said=said, most=next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")))
"""


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_a_configuration_that_asks_for_more_weights_than_there_are(
    backend: str, tmp_path: Path, on_keras: Python
) -> None:
    def layer(units: int, name: str) -> dict[str, object]:
        return hostile.layer("keras.layers", "Dense", {"name": name, "units": units})

    (tmp_path / "good.keras").write_bytes(hostile.archive())
    (tmp_path / "bad.keras").write_bytes(hostile.archive(layer(60_000, "first"), layer(40_000, "second")))
    inspect("keras", (tmp_path / "bad.keras").read_bytes())  # neither alone is too large
    found = on_keras(backend, KERAS, tmp_path / "bad.keras", tmp_path / "good.keras")
    refusal, read = found["said"]  # type: ignore[misc]
    assert read == "read"
    assert "'second' with weights of shape [60000, 40000] and holds 18 weights in all" in refusal
    assert int(str(found["most"])) < 4 * MUCH


# LiteRT


def test_a_tensor_of_litert_that_is_larger_than_its_file(litert_of: Callable[[int], bytes]) -> None:
    from ai_edge_litert.interpreter import Interpreter

    from modelstac.registry.runtimes import litert

    assert litert._growth(Interpreter(model_content=litert_of(5))).found is None
    data = litert_of(20_000)
    assert "[1, 2, 20000, 20000, 1]" in str(litert._growth(Interpreter(model_content=data)).found)
    with no_memory_to_speak_of(), pytest.raises(ModelStacError) as raised:
        litert.load(Artifact("x", Path("model.tflite"), data, "0" * 64), None, DEFAULT_POLICY, Options(threads=1))
    assert "\n" not in str(raised.value)


@pytest.fixture
def litert_of() -> Callable[[int], bytes]:
    """Return a function that gives a network whose input is said to have so many rows and columns."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    [path] = (Path(__file__).parent / "earlier").rglob("rain-1.0.0-litert-from-torch/*.tflite")

    def make(length: int) -> bytes:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
        tensor = model.subgraphs[0].tensors[0]
        tensor.shape, tensor.shapeSignature = [1, 2, length, length, 1], None
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    return make
