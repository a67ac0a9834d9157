"""To OpenVINO's pair of files, by its own converter from an ONNX graph; the numbers stay fp32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import ConversionError
from modelstac.catalog.items.description import Step
from modelstac.catalog.items.versions import semver
from modelstac.exporters.architecture import artifact_of
from modelstac.exporters.conversion import EXPORTED, Conversion, no_options
from modelstac.exporters.layouts import Found, measured
from modelstac.registry.inspecting.folders import pack, read_members, unpack
from modelstac.registry.inspecting.saved_model import MEMBERS
from modelstac.registry.running.model import Model
from modelstac.registry.runtimes.names import apart, identifiers, paired
from modelstac.registry.trust.policy import DEFAULT_POLICY


def convert(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Convert an ONNX graph: write ``model.openvino.zip`` with ``model.xml`` and ``model.bin`` into a folder.

    Raises
    ------
    ConversionError
        When OpenVINO cannot read the graph.
    SpecError
        On an option.
    """
    no_options(options, "OpenVINO")
    graph = folder / "model.onnx"
    with explained(f"write {graph}"):
        graph.write_bytes(artifact_of(model).data)
    return _convert(model, graph, folder)


def convert_saved_model(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Convert a TensorFlow SavedModel; see :func:`convert`."""
    no_options(options, "OpenVINO")
    artifact, unpacked = artifact_of(model), folder / "saved_model"
    members = read_members(artifact.data, artifact.path, allowed=MEMBERS, max_bytes=DEFAULT_POLICY.max_bytes)
    unpack(members, unpacked)
    return _convert(model, unpacked, folder)


def _convert(model: Model, source: Path, folder: Path) -> Conversion:
    unpacked, path = folder / "openvino", folder / "model.openvino.zip"
    with explained(f"write {path}"):
        unpacked.mkdir()
        try:
            # Not convert_model, which is the same and reports to its makers over the network without asking.
            converted = openvino.Core().read_model(source)
        except Exception as error:  # OpenVINO's frontends raise classes that it does not export
            reason = " ".join(str(error).split())[:300]
            raise ConversionError(f"OpenVINO cannot convert {model.description.id!r}: {reason}") from error
        inputs, outputs = _named(model, converted)
        # Left to itself it compresses the weights to fp16: 5e-5 to 9e-5 apart instead of 1e-7.
        openvino.save_model(converted, unpacked / "model.xml", compress_to_fp16=False)
        pack(unpacked, path)
    version = semver(openvino.__version__.split("-")[0])
    sides = measured(model.description, inputs, outputs)
    step = Step(
        source_format=model.description.format,
        target_format="openvino",
        tool="openvino.Core.read_model",
        version=version,
        method=EXPORTED,
    )
    return Conversion(artifact=path, framework_version=version, inputs=sides[0], outputs=sides[1], steps=(step,))


def _named(model: Model, converted: openvino.Model) -> tuple[list[Found], list[Found]]:
    """Give inputs and outputs the names of the item, and no other; say what each is.

    What may be left out of an ONNX graph has a default there, which OpenVINO takes for good.
    """
    needed = [tensor.name for tensor in model.signature.inputs if not tensor.optional]
    every = [tensor.name for tensor in model.signature.inputs]
    names = every if len(converted.inputs) == len(every) else needed
    _own_tensors(converted)
    found = []
    for kind, ports, declared in (
        ("input", converted.inputs, names),
        ("output", converted.outputs, [tensor.name for tensor in model.signature.outputs]),
    ):
        called = _names(ports, declared)
        pairs = paired(declared, called, kind, where=f"what OpenVINO makes of {model.description.id!r}")
        tensors = []
        for name, other in pairs.items():
            port = ports[called.index(other)]
            port.get_tensor().set_names({name if kind == "input" else apart(name, names)})
            shape = tuple(size.get_length() if size.is_static else -1 for size in port.partial_shape)
            tensors.append(Found(name, shape, np.dtype(port.element_type.to_dtype()).name))
        found.append(tensors)
    return found[0], found[1]


def _own_tensors(converted: openvino.Model) -> None:
    """Give each output a tensor of its own: one that is an input, or two outputs, would have one name for both.

    The names that they share so far stay with what makes the tensor, and with each of these outputs.
    """
    seen = set()
    for port in converted.outputs:
        source = port.node.input_value(0)
        place = (source.get_node().get_friendly_name(), source.get_index())
        if source.get_node().get_type_name() == "Parameter" or place in seen:
            names = set(port.names)
            result = openvino.opset1.result(openvino.opset1.concat([source], 0).output(0))
            result.output(0).get_tensor().set_names(names)
            converted.remove_result(port.node)
            converted.add_results([result])
        seen.add(place)


def _names(ports: Sequence[Any], declared: Sequence[str]) -> list[str]:
    """Choose among the names of each port one that says which tensor of the item it is, and that no other has."""
    known = {*declared, *identifiers(declared).values()}
    found: list[str] = []
    for port in ports:
        names: set[str] = port.names or {port.node.friendly_name}
        found.append(min(names, key=lambda name: (name in found, name not in known, len(name), name)))
    return found
