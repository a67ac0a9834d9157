"""Look into an OpenVINO archive before OpenVINO does: two members, plain XML, layers of its own operator sets.

Weights are named in the XML by place and length in ``model.bin``, which must hold them. OpenVINO reads layers of
extensions where such are registered, and its XML parser skips what a document type defines: neither is accepted.

Sources: OpenVINO, "Intermediate Representation format and operation sets"; its source,
``src/frontends/ir/src/ir_deserializer.cpp``.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from types import MappingProxyType
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from modelstac.catalog.errors import InvalidItemError, UntrustedError
from modelstac.registry.inspecting.budgets.growth import Growth, Step
from modelstac.registry.inspecting.folders import read_members, words

MEMBERS = (re.compile(r"model\.(xml|bin)"),)
GRAPH, WEIGHTS = "model.xml", "model.bin"
MAX_DEPTH, MAX_ELEMENTS, MAX_TEXT = 64, 1 << 22, 256 << 20
BITS = MappingProxyType(
    {"boolean": 8, "bf16": 16, "nf4": 4, "u1": 1, "u2": 2, "u3": 3, "u4": 4, "u6": 6, "i4": 4, "f4e2m1": 4, "f8e4m3": 8}
    | {"f8e5m2": 8, "f8e8m0": 8}
    | {f"{kind}{bits}": bits for kind in "iuf" for bits in (8, 16, 32, 64)}
)
_OPSET = re.compile(r"opset[1-9]\d?")
_TYPE = re.compile(r"[A-Za-z]\w*", re.ASCII)
# What makes of small constants large ones, when OpenVINO folds constants: by the input that says how large.
GROWING = MappingProxyType(
    {"Broadcast": 1, "Tile": 1, "OneHot": None, "Range": None, "Pad": None, "Interpolate": None, "RandomUniform": 0}
    | {"Eye": None, "Loop": None, "TensorIterator": None, "If": None, "Col2Im": None, "ScatterNDUpdate": None}
)
KEEPING = words(
    """Convert ConvertLike Reshape Squeeze Unsqueeze Transpose Slice StridedSlice Split VariadicSplit Identity Result
    Sqrt Exp Log Abs Floor Negative Sigmoid Tanh ReLU FakeQuantize FakeConvert Clamp ReduceProd ReduceSum ReduceMax
    ReduceMin ReduceMean Round Ceiling Sign LogicalNot Bitcast"""
)


def inspect_openvino(data: bytes, path: Path, *, max_bytes: int) -> Growth:
    """Refuse an OpenVINO archive that wants more than its own bytes and OpenVINO's own operators.

    Parameters
    ----------
    data
        The archive.
    path
        Its name in messages.
    max_bytes
        Largest size of its members together.

    Returns
    -------
    Growth
        What its constants may grow to when it is opened.

    Raises
    ------
    InvalidItemError
        If it is no archive of a model.
    UntrustedError
        If it holds other members, defines entities, has layers of no operator set of OpenVINO's, or constants that are
        not in it.
    """
    members = read_members(data, path, allowed=MEMBERS, max_bytes=max_bytes)
    if sorted(members) != [WEIGHTS, GRAPH]:
        raise InvalidItemError(f"{path} holds {', '.join(members) or 'nothing'}, not {GRAPH} and {WEIGHTS}")
    root = _parsed(members[GRAPH], path)
    if root.tag != "net":
        raise InvalidItemError(f"{path} holds no network of OpenVINO: its {GRAPH} begins with {root.tag[:40]!r}")
    growth = Growth(GROWING, KEEPING)
    total = 0
    for parent in root.iter():
        layers = parent.find("layers") if parent.tag in {"net", "body"} else None
        if layers is None:
            continue
        for layer in layers.iterfind("layer"):
            total += _check_layer(layer, members[WEIGHTS], path)
            if total > max_bytes:
                raise UntrustedError(f"{path} takes its {len(members[WEIGHTS])} bytes of weights again and again")
        for step in _steps(parent, layers, members[WEIGHTS], root is parent):
            growth.follow(step)
    return growth


def _parsed(text: bytes, path: Path) -> Element:
    """Parse XML without a document type, so that there are no entities; no deeper and no larger than a model's."""
    builder, depth, count = TreeBuilder(), 0, 0
    parser = expat.ParserCreate("utf-8")

    def refuse(*_: Any) -> None:
        raise UntrustedError(f"{path} defines a document type or entities in its {GRAPH}, as OpenVINO never does")

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, count
        depth, count = depth + 1, count + 1
        if depth > MAX_DEPTH or count > MAX_ELEMENTS:
            raise UntrustedError(f"{path} has XML of more than {MAX_ELEMENTS} elements or {MAX_DEPTH} levels")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    if len(text) > MAX_TEXT:
        raise UntrustedError(f"{path} has a {GRAPH} of {len(text)} bytes, more than the limit of {MAX_TEXT}")
    try:
        parser.Parse(text, True)
        return builder.close()
    except (expat.ExpatError, AssertionError, ValueError) as error:
        raise InvalidItemError(f"{path} holds no XML that can be read ({error}): export the model anew") from error


def _check_layer(layer: Element, weights: bytes, path: Path) -> int:
    """Refuse a layer that is none of OpenVINO's, or a constant that does not lie in the weights; return its bytes."""
    kind, version = layer.get("type") or "", layer.get("version") or ""
    name = layer.get("name")
    if not _OPSET.fullmatch(version) or not _TYPE.fullmatch(kind):
        raise UntrustedError(
            f"{path} has the layer {name!r:.80} of {version[:40]!r}, {kind[:40]!r}, which is no operator set of "
            "OpenVINO's own: export the model with standard operators"
        )
    if kind != "Const":
        return 0
    found = layer.find("data")
    said = {} if found is None else found.attrib
    try:
        offset, size = int(said["offset"]), int(said["size"])
        wanted = _bytes(said)
    except (KeyError, ValueError) as error:
        raise InvalidItemError(f"{path} has the constant {name!r:.80} without place or type ({error})") from error
    if offset < 0 or size < 0 or offset + size > len(weights) or (wanted is not None and wanted > size):
        raise UntrustedError(
            f"{path} has the constant {name!r:.80} of {said.get('element_type')} [{said.get('shape')}] at {offset} to "
            f"{offset + size} of {len(weights)} bytes of weights, where it cannot lie: export the model anew"
        )
    return size


def _bytes(said: dict[str, str]) -> int | None:
    """Give how many bytes a constant needs at least; None for text, which has no fixed length."""
    if said["element_type"] == "string":
        return None
    return math.ceil(_count(said.get("shape", "")) * BITS[said["element_type"]] / 8)


def _count(shape: str) -> int:
    lengths = [int(length) for length in shape.split(",") if length.strip()]
    if len(lengths) > 64 or any(not 0 <= length < 1 << 48 for length in lengths):
        raise ValueError(f"shape {shape[:80]}")
    return math.prod(lengths)


def _steps(parent: Element, layers: Element, weights: bytes, outermost: bool) -> list[Step]:
    """Give the layers of one graph as what follows constants needs them, each after those that it takes from."""
    scope = "" if outermost else f"{id(parent)}:"
    sources: dict[str, dict[int, str]] = {}
    for edge in parent.iterfind("edges/edge"):
        port = int(edge.get("to-port") or 0)
        sources.setdefault(edge.get("to-layer") or "", {})[port] = f"{scope}{edge.get('from-layer')}"
    steps = {}
    for layer in layers.iterfind("layer"):
        key, kind = layer.get("id") or "", layer.get("type") or ""
        inputs = tuple(name for _, name in sorted(sources.get(key, {}).items()))
        said = layer.find("data")
        values = count = None
        if kind == "Const" and said is not None:
            count, values = _constant(said.attrib, weights)
        steps[f"{scope}{key}"] = Step(kind, layer.get("name") or "", inputs, (f"{scope}{key}",), count, values)
    return _sorted(steps)


def _constant(said: dict[str, str], weights: bytes) -> tuple[int, tuple[int, ...] | None]:
    count, offset = _count(said.get("shape", "")), int(said["offset"])
    width = {"i64": 8, "i32": 4, "u64": 8, "u32": 4}.get(said["element_type"])
    if width is None or count > 16:
        return count, None
    view = memoryview(weights)[offset : offset + count * width]
    return count, tuple(int.from_bytes(view[n : n + width], "little", signed=True) for n in range(0, len(view), width))


def _sorted(steps: dict[str, Step]) -> list[Step]:
    """Put each after what it takes from; of a circle, which OpenVINO refuses, none is left out."""
    found: dict[str, Step] = {}
    for name in steps:
        stack = [(name, False)]
        while stack:
            one, ready = stack.pop()
            if one in found or one not in steps:
                continue
            if ready:
                found[one] = steps[one]
                continue
            stack.append((one, True))
            open_before = {name for name, done in stack if done}
            stack.extend((other, False) for other in steps[one].inputs if other not in open_before)
    return list(found.values())
