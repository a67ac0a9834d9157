"""What an exported PyTorch program says about itself: read from its JSON, without PyTorch."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.sizes import BY_DATA
from modelstac.catalog.items.versions import semver
from modelstac.registry.facts import Facts, Tensor
from modelstac.registry.facts.lengths import Bound, Length, Lengths
from modelstac.registry.inspecting.size_expressions import parse
from modelstac.registry.inspecting.torch_export import WEIGHTS, look_into
from modelstac.registry.runtimes.opened import numbered
from modelstac.registry.trust.policy import TrustPolicy

# torch/_export/serde/schema.py, ScalarType
TYPES = MappingProxyType(
    {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64"}
    | {9: "complex32", 10: "complex64", 11: "complex128", 12: "bool", 13: "bfloat16"}
    | {28: "uint16", 29: "float8_e4m3fn", 30: "float8_e5m2", 34: "uint32", 35: "uint64"}
)
_DICTS = frozenset({"builtins.dict", "collections.OrderedDict"})
ENDLESS = 2**62
"""An upper bound from which on there is none: older versions write the largest number there is."""
Tree = dict[str, Any]
"""How arguments or results of a call are put together: ``type``, ``context`` (keys), ``children_spec``."""


def read(data: bytes, path: Path, policy: TrustPolicy) -> Facts:
    """Read the facts of a ``.pt2``; see :func:`modelstac.registry.facts.read_facts`."""
    members, program = look_into(data, path, max_bytes=policy.max_bytes)
    weights = json.loads(members[WEIGHTS])
    inputs, outputs = interface(program, path)
    try:
        sizes: dict[str, int] = {}  # of each file: weights that layers share lie in one
        for name, entry in weights["config"].items():
            place = entry.get("path_name", name)
            sizes[place] = max(sizes.get(place, 0), _size(entry["tensor_meta"]))
        parameters = sum(sizes.values())
        version = semver(str(program["torch_version"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise _no_program(path, error) from error
    graph = program["graph_module"]["graph"]
    details = {"nodes": len(graph["nodes"]), "schema_version": "{major}.{minor}".format(**program["schema_version"])}
    return Facts("torch-export", version, inputs, outputs, parameters, details)


def interface(program: Tree, path: Path) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Describe what a program takes and gives, of its JSON.

    Raises
    ------
    InvalidItemError
        If it is no program, or takes or gives more than tensors.
    """
    try:
        graph, signature = program["graph_module"]["graph"], program["graph_module"]["signature"]
        call = program["graph_module"]["module_call_graph"][0]["signature"]
        values = graph["tensor_values"]
        placeholders = list(_names(signature["input_specs"], "user_input", path))
        results = list(_names(signature["output_specs"], "user_output", path))
        taken, given = ([_axes(values[name]) for name in names] for names in (placeholders, results))
        lengths = Lengths.of(taken, given, list(_bounds(program["range_constraints"])))
        inputs = tuple(
            Tensor(name, lengths.sizes(axes), _type(values[value]))
            for name, value, axes in zip(_input_names(call["in_spec"], placeholders), placeholders, taken, strict=True)
        )
        outputs = tuple(  # a symbol that no input has stands for what only the values tell
            Tensor(name, lengths.sizes(axes, BY_DATA), _type(values[value]))
            for name, value, axes in zip(_output_names(call["out_spec"], results, path), results, given, strict=True)
        )
    except (KeyError, IndexError, TypeError, AttributeError, StopIteration) as error:
        raise _no_program(path, error) from error
    return inputs, outputs


def _no_program(path: Path, error: Exception) -> InvalidItemError:
    return InvalidItemError(f"{path} is no program of torch.export ({error!r}): export the model anew")


def _names(specs: list[dict[str, Any]], kind: str, path: Path) -> Iterator[str]:
    verb = "takes" if kind == "user_input" else "gives"
    for number, spec in enumerate(spec for spec in specs if kind in spec):
        argument = spec[kind]["arg"]
        if "as_tensor" not in argument:
            found = next(iter(argument)).removeprefix("as_")
            raise InvalidItemError(
                f"{path} {verb} more than tensors: number {number + 1} is of the kind {found!r}; export it with "
                "tensors alone"
            )
        yield argument["as_tensor"]["name"]


def _input_names(spec: str, placeholders: list[str]) -> list[str]:
    """Name inputs by the keys of a dictionary that the program is called with, else by its arguments."""
    found = [key for key, _ in _leaves(json.loads(spec)[1])] if spec else []
    if len(found) != len(placeholders):
        return placeholders
    names = [placeholder if key is None else key for key, placeholder in zip(found, placeholders, strict=True)]
    return names if len(set(names)) == len(names) else placeholders


def _output_names(spec: str, results: list[str], path: Path) -> list[str]:
    """Name outputs by the keys of a dictionary that the program returns; several others are numbered.

    Raises
    ------
    InvalidItemError
        If it returns lists in dictionaries or the like, of which only an order would be left.
    """
    tree = json.loads(spec)[1] if spec else {"type": None, "children_spec": []}
    children = tree["children_spec"]
    if any(child["type"] is not None for child in children):
        raise InvalidItemError(
            f"{path} returns lists or dictionaries within one another: export it with one tuple or one dictionary of "
            "tensors"
        )
    if tree["type"] in _DICTS:
        return [str(key) for key in json.loads(tree["context"])]
    return results if tree["type"] is None else list(numbered(len(results)))


def _leaves(tree: Tree, key: str | None = None) -> Iterator[tuple[str | None, Tree]]:
    """Yield the leaves of a tree in their order, each with the key of the dictionary that it lies in, if it does."""
    children = tree["children_spec"]
    if tree["type"] is None:
        yield key, tree
        return
    keys = map(str, json.loads(tree["context"])) if tree["type"] in _DICTS else [None] * len(children)
    for name, child in zip(keys, children, strict=True):
        yield from _leaves(child, name)


def _axes(meta: dict[str, Any]) -> list[Length]:
    return [size["as_int"] if "as_int" in size else parse(size["as_expr"]["expr_str"]) for size in meta["sizes"]]


def _bounds(constraints: dict[str, dict[str, int | None]]) -> Iterator[Bound]:
    """Read ``range_constraints``, whose keys are symbols and what is computed of them, such as ``2*s39``."""
    for text, found in constraints.items():
        most = found["max_val"]
        yield parse(text), found["min_val"], None if most is None or most >= ENDLESS else most


def _type(meta: dict[str, Any]) -> str:
    return TYPES.get(meta["dtype"], f"PyTorch's type {meta['dtype']}")


def _size(meta: dict[str, Any]) -> int:
    """Count the numbers of a tensor; whole ones are counters and indices, not weights."""
    whole = not TYPES.get(meta["dtype"], "float").startswith(("float", "bfloat", "complex"))
    return 0 if whole else math.prod(size["as_int"] for size in meta["sizes"])
