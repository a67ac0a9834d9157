"""An OpenVINO archive: the version of the runtime that wrote ``model.xml``, its parameters and results."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from types import MappingProxyType
from xml.etree import ElementTree

import numpy as np

from modelstac.registry.facts.records.record import Record, Slot

GRAPH_MEMBER, WEIGHTS_MEMBER = "model.xml", "model.bin"
TYPES = MappingProxyType(
    {"f32": "float32", "f16": "float16", "f64": "float64", "boolean": "bool", "bf16": "bfloat16"}
    | {f"{sign}{bits}": f"{kind}{bits}" for sign, kind in (("i", "int"), ("u", "uint")) for bits in (8, 16, 32, 64)}
)
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def read(data: bytes) -> Record:
    """Read the record of an archive of ``model.xml`` and ``model.bin``."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        text = archive.read(GRAPH_MEMBER)
    if b"<!" in text:  # the definition of entities, which could unfold without end; OpenVINO writes none
        raise ValueError("model.xml defines entities")
    root = ElementTree.fromstring(text)  # noqa: S314 - without entities there is nothing to unfold
    layers = {layer.get("id"): layer for layer in root.iterfind("layers/layer")}
    sources = {edge.get("to-layer"): edge for edge in root.iterfind("edges/edge")}
    inputs = tuple(_slot(layer, None) for layer in layers.values() if layer.get("type") == "Parameter")
    outputs = []
    for key, layer in layers.items():
        if layer.get("type") == "Result":
            edge = sources[key]
            outputs.append(_slot(layers[edge.get("from-layer")], edge.get("from-port")))
    version = next(_versions(root), None)
    return Record("openvino", version, inputs, tuple(outputs))


def at_limit(data: bytes) -> int:
    """Count the numbers of float16 constants that are its largest, 65,504, or the negative of that.

    OpenVINO's ``save_model`` compresses to float16 unless told not to, and writes as these what lies beyond, infinities
    too.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        root = ElementTree.fromstring(archive.read(GRAPH_MEMBER))  # noqa: S314 - its record was read
        weights = archive.read(WEIGHTS_MEMBER)
    largest = np.finfo(np.float16).max
    found = 0
    for constant in root.iterfind(".//layer[@type='Const']/data[@element_type='f16']"):
        start, size = (int(constant.get(name) or 0) for name in ("offset", "size"))
        found += int(np.count_nonzero(np.abs(np.frombuffer(weights, "<f2", size // 2, start)) == largest))
    return found


def _versions(root: ElementTree.Element) -> Iterator[str]:
    for found in root.iterfind("rt_info/*"):
        if "Runtime" in (found.get("name") or found.tag) and (match := _VERSION.match(found.get("value") or "")):
            yield match[0]


def _slot(layer: ElementTree.Element, port_id: str | None) -> Slot:
    """Read the port of a layer as its runtime names it: by the shortest name, or by the layer's."""
    [port] = [port for port in layer.iterfind("output/port") if port_id in {None, port.get("id")}]
    names = sorted((port.get("names") or "").replace("\\,", "\0").split(","), key=lambda name: (len(name), name))
    name = next((name.replace("\0", ",") for name in names if name), layer.get("name") or "")
    lengths = [int(dim.text or -1) for dim in port.iterfind("dim")]
    declared = layer.find("data")
    if declared is not None and declared.get("shape") == "...":
        return Slot(name, None, TYPES.get((port.get("precision") or "").lower()))
    shape = tuple(length if length >= 0 else None for length in lengths)
    return Slot(name, shape, TYPES.get((port.get("precision") or "").replace("FP", "f").lower()))
