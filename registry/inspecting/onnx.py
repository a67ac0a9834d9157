"""Look into an ONNX file before any runtime opens it: no reference to another file, no operator of somebody's own.

The protobuf wire format is walked here by hand, along the fields that lead to tensors and nodes and past everything
else, because the runtime needs the file anyway and a second full parse (and the ``onnx`` package) would double the
cost of loading. The walk is the stricter reader of the two: what it cannot read is refused.

Sources: protobuf encoding, https://protobuf.dev/programming-guides/encoding; field numbers, onnx/onnx.proto (a test
compares them with the ``onnx`` package).
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from modelstac.catalog.errors import InvalidItemError, UntrustedError
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
TENSOR_EXTERNAL, TENSOR_LOCATION = 13, 14
MAX_DEPTH = 64  # protobuf itself stops at 100


def inspect_graph(data: bytes, path: Path, *, domains: frozenset[str]) -> None:
    """Refuse an ONNX file that wants more than its own bytes and the runtime's own operators.

    Parameters
    ----------
    data
        The file.
    path
        Its name in messages.
    domains
        Operator domains that are allowed; functions defined in the file itself are so too.

    Raises
    ------
    InvalidItemError
        If it is no ONNX file.
    UntrustedError
        If a tensor lies in another file, or a node needs an operator of another domain.
    """
    try:
        operators, functions = _operators_and_functions(data, path)
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


_Names = dict[tuple[str, str], str]


def _operators_and_functions(data: bytes, path: Path) -> tuple[_Names, _Names]:
    """Return (domain, name) of every operator, with a node that calls it, and of every function that is defined."""
    found: dict[str, _Names] = {"NodeProto": {}, "FunctionProto": {}}
    stack = [("ModelProto", memoryview(data), 0)]
    while stack:
        kind, view, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise UntrustedError(f"{path} nests graphs deeper than {MAX_DEPTH} messages, as no exporter does")
        name_field, domain_field, node_field = NAMES.get(kind, (None, None, None))
        name = domain = node = ""
        for number, value in fields(view):
            if kind == "TensorProto" and (number == TENSOR_EXTERNAL or (number == TENSOR_LOCATION and value != 0)):
                raise UntrustedError(
                    f"{path} keeps tensors in another file (ONNX external data), which is not verified: "
                    "publish the model as one file"
                )
            if isinstance(value, int):
                continue
            if child := CHILDREN[kind].get(number):
                stack.append((child, value, depth + 1))
            elif number == name_field:
                name = str(value, "utf-8")
            elif number == domain_field:
                domain = str(value, "utf-8")
            elif number == node_field:
                node = str(value, "utf-8")
        if kind in found:
            found[kind].setdefault((domain, name), node)
    return found["NodeProto"], found["FunctionProto"]
