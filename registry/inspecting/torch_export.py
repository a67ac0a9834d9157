"""Look into an exported PyTorch program before PyTorch does, and pass on only what was looked at.

``torch.export.load`` of PyTorch 2.13 unpickles weights and constants that the archive marks so, falls back to a full
unpickling of sample inputs, evaluates size expressions as Python, and calls any function of torch that a node names.
So: no pickled tensors, operators of ATen that compute, expressions of plain arithmetic, and a new archive made of what
was read, without the notes (files and lines of the publisher's machine) that nothing needs.

Source: torch/export/pt2_archive/_package.py and torch/_export/serde/serialize.py.
"""

from __future__ import annotations

import io
import json
import logging
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import InvalidItemError, UntrustedError
from modelstac.registry.inspecting.aten import computes
from modelstac.registry.inspecting.folders import read_members
from modelstac.registry.inspecting.size_expressions import is_arithmetic

logger = logging.getLogger("modelstac")

PROGRAM = "models/model.json"
WEIGHTS, CONSTANTS = "data/weights/model_weights_config.json", "data/constants/model_constants_config.json"
SAMPLES = "data/sample_inputs/model.pt"
_ROOT = r"[^/]+/"
MEMBERS = tuple(
    re.compile(f"{_ROOT}(?:{name})")
    for name in (
        re.escape(PROGRAM),
        re.escape(WEIGHTS),
        re.escape(CONSTANTS),
        re.escape(SAMPLES),
        r"data/weights/weight_\d+",
        r"data/constants/tensor_\d+",
        r"archive_format|archive_version|byteorder|\.data/(version|serialization_id)|\.format_version|\.storage_alignment",
        r"version",
        # What stac-model packages beside the model: another program, and notes. Neither is passed on.
        r"models/transforms\.json|data/(weights|constants)/transforms_(weights|constants)_config\.json",
        r"data/sample_inputs/transforms\.pt|extra/[\w.-]+",
    )
)
_BESIDE = re.compile(r"models/transforms\.json|data/\w+/transforms[_.]\w+(\.json)?|extra/.*")
_TARGET = re.compile(
    r"torch\.ops\.aten\.(?P<aten>\w+)(\.\w+)?"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|and_|or_|getitem)"
    r"|torch\.sym_(int|float|max|min|not|ite|sum)|torch\._sym_sqrt|math\.(ceil|floor|trunc)"
    # They run the graph that they hold, which is looked at as any, in another precision or without gradients.
    r"|torch\.ops\.higher_order\.wrap_with_(autocast|set_grad_enabled)"
)
_TEXT = re.compile(r"[\w.,:>+\-/ ]*", re.ASCII)  # names and the like: nothing that could end a name in generated code
_OTHER_SIGNS = re.compile(r"[^\w.,:>+\-/ ]", re.ASCII)
_ASSERTIONS = frozenset({"torch.ops.aten._assert_scalar.default", "torch.ops.aten._assert_async.msg"})
_TREE_TYPES = frozenset({None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"})


def inspect_program(data: bytes, path: Path, *, max_bytes: int) -> tuple[bytes, bytes]:
    """Refuse a ``.pt2`` that could do more than compute; give a clean copy and its sample inputs.

    Returns
    -------
    program, samples
        The archive for ``torch.export.load``, and the pickle of its sample inputs, which the caller must find to load
        with ``weights_only=True`` first (PyTorch falls back to a full unpickling otherwise).

    Raises
    ------
    InvalidItemError, UntrustedError
        As :func:`look_into` does.
    """
    inner, program = look_into(data, path, max_bytes=max_bytes)
    inner[PROGRAM] = json.dumps(program).encode()
    samples = inner[SAMPLES]
    return _archive(inner), samples


def look_into(data: bytes, path: Path, *, max_bytes: int) -> tuple[dict[str, bytes], Any]:
    """Refuse a ``.pt2`` that could do more than compute; give its members by name, and its program as JSON, cleaned.

    Raises
    ------
    InvalidItemError
        If it is no exported program.
    UntrustedError
        If it holds pickles, other members, other operators, or expressions that are no arithmetic.
    """
    members = read_members(data, path, allowed=MEMBERS, max_bytes=max_bytes)
    roots = {name.split("/", 1)[0] for name in members}
    if len(roots) != 1:
        raise UntrustedError(f"{path} has {len(roots)} top folders, where an exported program has one")
    inner = {name.split("/", 1)[1]: members.pop(name) for name in list(members)}
    if "models/transforms.json" in inner:
        logger.warning("%s holds input transforms beside the model, which are not run: prepare the input so", path.name)
    inner = {name: content for name, content in inner.items() if not _BESIDE.fullmatch(name)}
    if missing := [name for name in (PROGRAM, WEIGHTS, CONSTANTS, SAMPLES) if name not in inner]:
        raise InvalidItemError(f"{path} is no program of torch.export: it has no {missing[0]}; export the model anew")
    try:
        program = json.loads(inner[PROGRAM])
        for config in (WEIGHTS, CONSTANTS):
            _check_tensors(json.loads(inner[config]), path)
        _check_operators(program, path)
        _clean(program)
        _check_strings(program, path)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        if isinstance(error, (UntrustedError, InvalidItemError)):
            raise
        raise InvalidItemError(f"{path} is no program of torch.export ({error!r}): export the model anew") from error
    return inner, program


def _check_tensors(config: Any, path: Path) -> None:
    for name, tensor in config["config"].items():
        plain = re.fullmatch(r"(weight|tensor)_\d+", tensor["path_name"])
        if tensor["use_pickle"] is not False or not plain:
            raise UntrustedError(f"{path} holds {name!r} as a pickle, which runs code when read: export plain tensors")


def _clean(program: Any) -> None:
    """Drop what nothing needs, in place: notes on nodes, guards as source code, signs in the words of assertions."""
    program["guards_code"] = []
    for graph in _graphs(program["graph_module"]["graph"]):
        for node in graph["nodes"]:
            node["metadata"] = {}
            if node["target"] in _ASSERTIONS:  # they speak of sizes that depend on the data
                for argument in (given["arg"] for given in node["inputs"] if "as_string" in given["arg"]):
                    argument["as_string"] = _OTHER_SIGNS.sub(" ", argument["as_string"])


def _graphs(graph: Any) -> Iterator[Any]:
    """Yield a graph and those that its nodes hold."""
    stack = [graph]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            if isinstance(value.get("nodes"), list):
                yield value
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)


def _check_operators(program: Any, path: Path) -> None:
    for graph in _graphs(program["graph_module"]["graph"]):
        for node in graph["nodes"]:
            known = _TARGET.fullmatch(node["target"])
            if known is None or not (known["aten"] is None or computes(known["aten"])):
                # "L__self__,,Net;L__self___head,head,Head": the module that called it, innermost last
                stack = node["metadata"].get("nn_module_stack", "").split(";")[-1].split(",")
                place = f" in {stack[1]!r} ({stack[2]})" if len(stack) == 3 and stack[1] else ""
                why = "no operator of PyTorch's own (ATen)" if known is None else "not known to do no more than compute"
                raise UntrustedError(f"{path} calls {node['target']!r}{place}, which is {why}: export it without")


def _check_strings(program: Any, path: Path) -> None:
    stack: list[tuple[str, Any]] = [("", program)]
    while stack:
        key, value = stack.pop()
        if isinstance(value, dict):
            stack.extend(value.items())
            named = is_arithmetic if key == "range_constraints" else _TEXT.fullmatch  # "2*s39": {"min_val": 4, …}
            strings = [name for name in value if not named(name)]
        elif isinstance(value, list):
            stack.extend((key, part) for part in value)
            continue
        elif isinstance(value, str):
            strings = [] if _harmless(key, value) else [value]
        else:
            continue
        if strings:
            raise UntrustedError(f"{path} has {strings[0][:80]!r} where a name or a size belongs: export it anew")


def _harmless(key: str, value: str) -> bool:
    if key in {"in_spec", "out_spec"}:
        return not value or _plain_tree(json.loads(value))
    if key == "expr_str":
        return is_arithmetic(value)
    return _TEXT.fullmatch(value) is not None


def _plain_tree(spec: Any) -> bool:
    """Tell whether a tree specification is made of tuples, lists and dicts only."""
    stack = [spec[1]]
    while stack:
        node = stack.pop()
        if node["type"] not in _TREE_TYPES:
            return False
        stack.extend(node["children_spec"])
    return True


def _archive(members: dict[str, bytes]) -> bytes:
    """Write a new archive, so that PyTorch's reader of zip files sees what ours saw.

    The members are taken out, one after the other: together with the archive they would be the weights twice.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in list(members):
            archive.writestr(f"model/{name}", members.pop(name))
    return buffer.getvalue()
