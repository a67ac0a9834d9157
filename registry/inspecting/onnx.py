"""Look into an ONNX file before any runtime opens it: no reference to another file, no operator of somebody's own.

The protobuf wire format is walked here by hand, along the fields that lead to tensors and nodes and past everything
else, because the runtime needs the file anyway and a second full parse (and the ``onnx`` package) would double the
cost of loading. The walk is the stricter reader of the two: what it cannot read is refused.

Sources: protobuf encoding, https://protobuf.dev/programming-guides/encoding; field numbers, onnx/onnx.proto (a test
compares them with the ``onnx`` package).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from modelstac.catalog.errors import InvalidItemError, UntrustedError
from modelstac.registry.inspecting.external import MAX_FILES, NOTHING, check_place, place_of
from modelstac.registry.inspecting.wire import fields

# message -> field number -> message, wherever a path leads to a TensorProto or a NodeProto
CHILDREN = MappingProxyType(
    {
        "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
        "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
        "NodeProto": {5: "AttributeProto"},
        "AttributeProto": {
            5: "TensorProto",
            6: "GraphProto",
            10: "TensorProto",
            11: "GraphProto",
            22: "SparseTensorProto",
            23: "SparseTensorProto",
        },
        "TensorProto": {},
        "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
        "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
        "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    }
)
# field numbers of operator or function, its domain, and the name of the node
NAMES = MappingProxyType({"NodeProto": (4, 7, 3), "FunctionProto": (1, 10, None)})
MAX_DEPTH = 64  # protobuf itself stops at 100
MAX_MESSAGES = 1 << 20  # an empty one takes two bytes in the file, and a hundred times that here
ORT = b"ORTM"  # at the fifth byte: ONNX Runtime's other format, which it would take the file for


def inspect_graph(data: bytes, path: Path, *, domains: frozenset[str], beside: Mapping[str, int] = NOTHING) -> None:
    """Refuse an ONNX file that wants more than its own bytes and the runtime's own operators.

    Parameters
    ----------
    data
        The file.
    path
        Its name in messages.
    domains
        Operator domains that are allowed; functions defined in the file itself are so too.
    beside
        Bytes of the files that may hold its tensors, by name.

    Raises
    ------
    InvalidItemError
        If it is no ONNX file.
    UntrustedError
        If a tensor lies in a file that is not listed, or a node needs an operator of another domain.
    """
    if data[4:8] == ORT:
        raise UntrustedError(f"{path} is in ONNX Runtime's own format (ORT), which is not looked into: publish ONNX")
    try:
        operators, functions, _ = _walked(data, path, beside)
    except (IndexError, ValueError) as error:
        raise InvalidItemError(f"{path} is no ONNX file, or a truncated one: publish the model anew") from error
    if not operators:
        raise InvalidItemError(f"{path} is no ONNX file: it holds no operator")
    foreign = sorted(
        f"{domain}.{name}" + (f" in node {node!r}" if node else "")
        for (domain, name), node in operators.items()
        if (domain, name) not in functions and domain not in domains
    )
    if foreign:
        raise UntrustedError(
            f"{path} uses operators that ONNX does not define ({', '.join(foreign[:3])}): export it with standard "
            "operators, or load with a policy that allows their domain"
        )


def external_files(data: bytes) -> list[str]:
    """Name the files beside a graph that hold its tensors, in order; none of what :func:`inspect_graph` refuses."""
    try:
        return _walked(data, Path("model.onnx"), None)[2]
    except (IndexError, ValueError):
        return []


_Names = dict[tuple[str, str], str]


def _walked(data: bytes, path: Path, beside: Mapping[str, int] | None) -> tuple[_Names, _Names, list[str]]:
    """Return (domain, name) of every operator, with a node that calls it, and of every function that is defined.

    With them the files that hold tensors; each is held against those that are listed, where any may be.
    """
    elsewhere: dict[str, None] = {}
    found: dict[str, _Names] = {"NodeProto": {}, "FunctionProto": {}}
    stack, seen = [("ModelProto", memoryview(data), 0)], 1
    while stack:
        kind, view, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise UntrustedError(f"{path} nests graphs deeper than {MAX_DEPTH} messages, as no exporter does")
        name_field, domain_field, node_field = NAMES.get(kind, (None, None, None))
        name = domain = node = ""
        if kind == "TensorProto":
            _note_place(view, path, beside, elsewhere)
            continue
        for number, value in fields(view):
            if isinstance(value, int):
                continue
            if child := CHILDREN[kind].get(number):
                stack.append((child, value, depth + 1))
                seen += 1
                if seen > MAX_MESSAGES:
                    raise UntrustedError(f"{path} has more than {MAX_MESSAGES} parts, as no exporter writes them")
            elif number == name_field:
                name = str(value, "utf-8")
            elif number == domain_field:
                domain = str(value, "utf-8")
            elif number == node_field:
                node = str(value, "utf-8")
        if kind in found:
            found[kind].setdefault((domain, name), node)
    return found["NodeProto"], found["FunctionProto"], list(elsewhere)


def _note_place(tensor: memoryview, path: Path, beside: Mapping[str, int] | None, elsewhere: dict[str, None]) -> None:
    """Note in which file a tensor lies, if in any, and hold its place against those that are listed."""
    said = place_of(tensor)
    if said is None:
        return
    elsewhere[said.get("location", "").removeprefix("./")] = None
    if len(elsewhere) > MAX_FILES:
        raise UntrustedError(f"{path} keeps tensors in more than {MAX_FILES} files, as no exporter does")
    if beside is not None:
        check_place(said, path, beside)
