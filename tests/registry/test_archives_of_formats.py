"""Archives of several files, exported programs and SavedModels: what is refused before a framework sees it."""

from __future__ import annotations

import io
import json
import re
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import modelstac
from modelstac.catalog.errors import InvalidItemError, UntrustedError
from modelstac.registry.inspecting.folders import pack, read_members, unpack
from modelstac.registry.inspecting.torch_export import CONSTANTS, PROGRAM, WEIGHTS, inspect_program

ALLOWED = (re.compile(r"model\.xml"), re.compile(r"variables/\w+"))


def read(data, limit=1000):
    return read_members(data, Path("model.zip"), allowed=ALLOWED, max_bytes=limit)


def archive(*members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for member in members:
            file.writestr(member, b"x" * 100)
    return buffer.getvalue()


def test_a_folder_packs_to_the_same_bytes_and_comes_back(tmp_path):
    packed = []
    for name in ("a", "b"):
        folder = tmp_path / name
        (folder / "variables").mkdir(parents=True)
        for path in sorted(["model.xml", "variables/data"], reverse=name == "b"):
            (folder / path).write_bytes(path.encode())
        pack(folder, tmp_path / f"{name}.zip")
        packed.append((tmp_path / f"{name}.zip").read_bytes())
    assert packed[0] == packed[1]
    members = read(packed[0])
    unpack(members, tmp_path / "out")
    assert (tmp_path / "out" / "variables" / "data").read_bytes() == b"variables/data"


def link():
    member = zipfile.ZipInfo("model.xml")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


@pytest.mark.parametrize("member", ["../model.xml", "/model.xml", "variables/../model.xml", "evil.so", link()])
def test_an_unexpected_member_is_refused(member):
    with pytest.raises(UntrustedError, match="unexpected member"):
        read(archive("variables/data", member))


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")  # zipfile's own; the duplicate is the point
def test_doubles_bombs_and_other_files_are_refused():
    with pytest.raises(UntrustedError, match="twice"):
        read(archive("model.xml", "model.xml"))
    with pytest.raises(UntrustedError, match="would unpack to 200 bytes"):
        read(archive("model.xml", "variables/data"), limit=150)
    for data in (b"", b"no zip", archive("model.xml")[:-20]):
        with pytest.raises(InvalidItemError, match="zip archive"):
            read(data)


@pytest.fixture(scope="module")
def program():
    """Members of a real exported program."""
    module = torch.nn.Linear(3, 2)
    exported = torch.export.export(module, (torch.zeros(4, 3),), dynamic_shapes=({0: torch.export.Dim("batch")},))
    buffer = io.BytesIO()
    torch.export.save(exported, buffer)
    with zipfile.ZipFile(buffer) as file:
        return {name.split("/", 1)[1]: file.read(name) for name in file.namelist()}


def changed(program, name, change):
    value = json.loads(program[name])
    change(value)
    return write({**program, name: json.dumps(value).encode()})


def write(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            file.writestr(f"p/{name}", content)
    return buffer.getvalue()


def inspect(data):
    return inspect_program(data, Path("model.pt2"), max_bytes=1 << 20)


def test_a_plain_program_passes_without_the_notes_of_its_maker(program):
    clean, _ = inspect(write(program))
    assert Path(__file__).name not in clean.decode("latin-1")
    loaded = torch.export.load(io.BytesIO(clean)).module()
    assert loaded(torch.zeros(7, 3)).shape == (7, 2)


def first_expression(value):
    """Set the first size expression that is found; it is evaluated as Python by PyTorch."""
    stack = [value]
    while stack:
        found = stack.pop()
        if isinstance(found, dict):
            if "expr_str" in found:
                found["expr_str"] = "__import__('os').system('true')"
                return
            stack.extend(found.values())
        elif isinstance(found, list):
            stack.extend(found)
    raise AssertionError("no expression")


def node_target(value):
    value["graph_module"]["graph"]["nodes"][0]["target"] = "torch.hub.load"


def argument_name(value):
    value["graph_module"]["module_call_graph"][0]["signature"]["forward_arg_names"] = ["x=print(1)"]


def tree_type(value):
    spec = '[1, {"type": "os.system", "context": "null", "children_spec": []}]'
    value["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = spec


@pytest.mark.parametrize("change", [first_expression, node_target, argument_name, tree_type])
def test_a_program_that_could_do_more_is_refused(program, change):
    with pytest.raises(UntrustedError, match=r"no operator of PyTorch|where a name or a size belongs"):
        inspect(changed(program, PROGRAM, change))


def test_pickles_in_a_program_are_refused(program):
    def pickled(value):
        next(iter(value["config"].values()))["use_pickle"] = True

    def opaque(value):
        value["config"]["evil"] = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": False}

    for name, change in ((WEIGHTS, pickled), (CONSTANTS, opaque)):
        with pytest.raises(UntrustedError, match="pickle"):
            inspect(changed(program, name, change))
    with pytest.raises(UntrustedError, match="unexpected member"):
        inspect(write({**program, "data/weights/model.pt": b"pickle"}))
    with pytest.raises(InvalidItemError, match="no program of torch"):
        inspect(write({name: content for name, content in program.items() if name != PROGRAM}))


def test_a_saved_model_that_reads_files_is_refused(tmp_path):
    tf = pytest.importorskip("tensorflow")
    from modelstac.registry.inspecting.saved_model import inspect_saved_model

    class Doubles(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None,))])
        def __call__(self, x):
            return 2 * x

    class Reads(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None,))])
        def __call__(self, x):
            return x + tf.strings.to_number(tf.io.read_file("secret"))

    for kind in (Doubles, Reads):
        module = kind()
        tf.saved_model.save(module, str(tmp_path / kind.__name__), signatures=module.__call__)
    path = Path("model.savedmodel.zip")
    inspect_saved_model((tmp_path / "Doubles" / "saved_model.pb").read_bytes(), path)
    with pytest.raises(UntrustedError, match="ReadFile"):
        inspect_saved_model((tmp_path / "Reads" / "saved_model.pb").read_bytes(), path)
    with pytest.raises(InvalidItemError, match="SavedModel"):
        inspect_saved_model(b"\x0a\xff", path)


def saved(tf, folder, *names):
    """Pack a SavedModel that doubles what it is given, under each of these names."""

    class Doubles(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 2))])
        def __call__(self, x):
            return {"twice": 2 * x}

    module = Doubles()
    tf.saved_model.save(module, str(folder), signatures=dict.fromkeys(names, module.__call__))
    pack(folder, folder.with_suffix(".savedmodel.zip"))
    return folder.with_suffix(".savedmodel.zip")


def test_a_saved_model_without_what_is_served_is_refused_with_what_it_has(tmp_path):
    tf = pytest.importorskip("tensorflow")
    from modelstac.registry.facts import read_facts

    path = saved(tf, tmp_path / "model", "doubled", "twice")
    with pytest.raises(InvalidItemError, match=r"lacks the signature 'serving_default' \(it has doubled, twice\)"):
        read_facts(path)


def test_the_only_signature_of_a_saved_model_is_run_however_it_is_called(tmp_path):
    tf = pytest.importorskip("tensorflow")
    path = saved(tf, tmp_path / "model", "doubled")
    about = {"license": "MIT", "bbox": (5, 50, 6, 51), "datetime": "2020", "task": "regression", "architecture": "none"}
    dims = {"input_dims": ("batch", "channel"), "output_dims": ("batch", "channel")}
    item = modelstac.publish(path, catalog=tmp_path / "models", name="doubles", **about, **dims)
    x = np.array([[1, 2]], np.float32)
    np.testing.assert_array_equal(modelstac.load(item.id, catalog=tmp_path / "models").predict(x), 2 * x)


def test_field_numbers_of_saved_models_are_tensorflows_own():
    pytest.importorskip("tensorflow")
    from tensorflow.core.framework import attr_value_pb2, function_pb2, graph_pb2, node_def_pb2, op_def_pb2
    from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2, saved_object_graph_pb2

    from modelstac.registry.inspecting import saved_model as ours

    def numbers(message, *names):
        return tuple(message.DESCRIPTOR.fields_by_name[name].number for name in names)

    node, value = node_def_pb2.NodeDef, attr_value_pb2.AttrValue
    meta = numbers(meta_graph_pb2.MetaGraphDef, "graph_def", "asset_file_def", "object_graph_def")
    assert numbers(saved_model_pb2.SavedModel, "meta_graphs") == (ours.META_GRAPHS,)
    assert meta == (ours.GRAPH, ours.ASSETS, ours.OBJECT_GRAPH)
    assert numbers(graph_pb2.GraphDef, "node", "library") == (ours.NODES, ours.LIBRARY)
    assert numbers(function_pb2.FunctionDefLibrary, "function", "gradient") == (ours.FUNCTIONS, ours.GRADIENTS)
    assert numbers(function_pb2.FunctionDef, "signature", "node_def") == (ours.SIGNATURE, ours.FUNCTION_NODES)
    assert numbers(node, "name", "op", "attr") == (ours.NAME, ours.OPERATOR, ours.ATTRIBUTES)
    assert {ours.NAME} == {*numbers(op_def_pb2.OpDef, "name"), *numbers(attr_value_pb2.NameAttrList, "name")}
    assert numbers(value, "list", "func") == (ours.LIST, ours.FUNCTION)
    assert numbers(value.ListValue, "func") == (ours.LIST_FUNCTIONS,)
    assert node.AttrEntry.DESCRIPTOR.fields_by_name["value"].number == ours.VALUE
    assert numbers(saved_object_graph_pb2.SavedObjectGraph, "nodes") == (ours.OBJECTS,)
    kinds = saved_object_graph_pb2.SavedObject.DESCRIPTOR.oneofs_by_name["kind"].fields
    assert dict(ours.KINDS) == {field.number: field.name for field in kinds}


def test_saved_models_are_looked_into_without_tensorflow(tmp_path):
    """In a process of its own, where TensorFlow would show among the modules."""
    tf = pytest.importorskip("tensorflow")
    import subprocess
    import sys

    class Reads(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None,))])
        def __call__(self, x):
            return x + tf.strings.to_number(tf.io.read_file("secret"), name="parse")

    tf.saved_model.save(Reads(), str(tmp_path / "model"))
    script = (
        "import sys; from pathlib import Path\n"
        "from modelstac.registry.inspecting.saved_model import inspect_saved_model\n"
        "from modelstac.catalog.errors import UntrustedError\n"
        "try: inspect_saved_model(Path(sys.argv[1]).read_bytes(), Path('model.zip'))\n"
        "except UntrustedError as error: print(error)\n"
        "print('tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "model" / "saved_model.pb")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert printed[0].startswith("model.zip uses ")
    assert " in node " in printed[0]
    assert printed[1] == "False"
