"""To OpenVINO's pair of files, by its own readers of ONNX graphs and SavedModels; the numbers stay fp32."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import ConversionError
from modelstac.catalog.items.description import Step
from modelstac.catalog.items.sizes import OPEN
from modelstac.catalog.items.versions import semver
from modelstac.exporters.architecture import artifact_of
from modelstac.exporters.closing import asked
from modelstac.exporters.conversion import EXPORTED, Conversion, no_options
from modelstac.exporters.converters.onnx_simpler import simpler
from modelstac.exporters.layouts import Found, measured
from modelstac.registry.inspecting.folders import pack, read_members, unpack
from modelstac.registry.inspecting.saved_model import MEMBERS
from modelstac.registry.running.model import Model
from modelstac.registry.runtimes.names import apart, identifiers, paired
from modelstac.registry.trust.policy import DEFAULT_POLICY

_READER = "openvino.Core.read_model"
_UNSUPPORTED = re.compile(
    r"No conversion rule found for operations?:? ([\w.:, ]+?)(?= |$)|Unsupported operations?:? ([\w.:]+)"
)


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
    return written(model, _read(model, artifact_of(model).data), folder, options, tool=_READER)


def convert_simpler(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Convert an ONNX graph that is made simpler first, for what OpenVINO does not read as is; see :func:`convert`."""
    no_options(options, "OpenVINO")
    graph, tools = simpler(artifact_of(model).data, model.description.id)
    return written(model, _read(model, graph), folder, options, tool=f"{tools}, {_READER}")


def convert_saved_model(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Convert a TensorFlow SavedModel; see :func:`convert`."""
    no_options(options, "OpenVINO")
    artifact, unpacked = artifact_of(model), folder / "saved_model"
    members = read_members(artifact.data, artifact.path, allowed=MEMBERS, max_bytes=DEFAULT_POLICY.max_bytes)
    unpack(members, unpacked)
    return written(model, _read(model, unpacked), folder, options, tool=_READER)


def _read(model: Model, source: Path | bytes) -> openvino.Model:
    """Read a folder or the bytes of a graph: some with loops it reads from bytes and refuses from a file."""
    try:
        # Not convert_model, which is the same and reports to its makers over the network without asking.
        return openvino.Core().read_model(source)
    except Exception as error:  # OpenVINO's frontends raise classes that it does not export
        raise refused(model, error) from error


def refused(model: Model, error: Exception) -> ConversionError:
    """Say why OpenVINO cannot convert a model: the operators that it lacks, or the end of what it says."""
    text = " ".join(str(error).split())
    if names := list(dict.fromkeys(one or other for one, other in _UNSUPPORTED.findall(text))):
        return ConversionError(f"OpenVINO cannot convert {model.description.id!r}: it lacks {', '.join(names[:3])}")
    return ConversionError(f"OpenVINO cannot convert {model.description.id!r}: {text[-300:]}")


def written(
    model: Model,
    converted: openvino.Model,
    folder: Path,
    options: Mapping[str, Any],
    *,
    tool: str,
    places: tuple[Sequence[str], Sequence[str]] | None = None,
) -> Conversion:
    """Write what OpenVINO made of a model, by the names of its item and with the sizes that it fixes.

    Parameters
    ----------
    model
        The source.
    converted
        Is changed.
    folder, options
        Of the conversion.
    tool
        What converted it.
    places
        Names in the item of its inputs and outputs in their order; by default they go by name.

    Raises
    ------
    ConversionError
        When OpenVINO cannot give it these sizes.
    """
    unpacked, path = folder / "openvino", folder / "model.openvino.zip"
    inputs, outputs = _named(model, converted, places)
    _size(model, converted, {tensor.name: tensor for tensor in inputs}, asked(model.description, options))
    with explained(f"write {path}"):
        unpacked.mkdir(exist_ok=True)
        # Left to itself it compresses the weights to fp16: 5e-5 to 9e-5 apart instead of 1e-7.
        openvino.save_model(converted, unpacked / "model.xml", compress_to_fp16=False)
        pack(unpacked, path)
    version = semver(openvino.__version__.split("-")[0])
    sides = measured(model.description, *([tensor.found() for tensor in side] for side in (inputs, outputs)))
    step = Step(
        source_format=model.description.format,
        target_format="openvino",
        tool=tool,
        version=version,
        method=EXPORTED,
    )
    return Conversion(artifact=path, framework_version=version, inputs=sides[0], outputs=sides[1], steps=(step,))


@dataclass(frozen=True)
class _Port:
    """An input or output and what the item calls it."""

    name: str
    port: Any

    def found(self) -> Found:
        shape = tuple(size.get_length() if size.is_static else -1 for size in self.port.partial_shape)
        return Found(self.name, shape, np.dtype(self.port.element_type.to_dtype()).name)


def _named(
    model: Model, converted: openvino.Model, places: tuple[Sequence[str], Sequence[str]] | None
) -> tuple[list[_Port], list[_Port]]:
    """Give inputs and outputs the names of the item, and no other.

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
        if places is None:
            called = _names(ports, declared)
            pairs = paired(declared, called, kind, where=f"what OpenVINO makes of {model.description.id!r}")
        else:
            called = list(places[kind == "output"])
            pairs = {name: name for name in declared}
        side = [_Port(name, ports[called.index(other)]) for name, other in pairs.items()]
        for tensor in side:
            tensor.port.get_tensor().set_names({tensor.name if kind == "input" else apart(tensor.name, names)})
        found.append(side)
    return found[0], found[1]


def _size(
    model: Model, converted: openvino.Model, inputs: Mapping[str, _Port], fixed: Mapping[str, Mapping[str, int]]
) -> None:
    """State the lengths that the item fixes, and those that are asked for, where the file leaves them open.

    OpenVINO's reader of exported programs leaves all open.
    """
    wanted = {}
    for tensor in model.signature.inputs:
        if (held := inputs.get(tensor.name)) is None or held.port.partial_shape.rank.is_dynamic:
            continue
        lengths = {dim: size.at_least for dim, size in tensor.axes.items() if size.is_fixed}
        lengths |= fixed.get(tensor.name, {})
        shape = [
            lengths.get(dim, OPEN) if size.is_dynamic else size.get_length()
            for dim, size in zip(tensor.dim_order, held.port.partial_shape, strict=True)
        ]
        wanted[held.port] = openvino.PartialShape(shape)
    try:
        converted.reshape(wanted)
    except Exception as error:  # as above
        raise refused(model, error) from error


def _own_tensors(converted: openvino.Model) -> None:
    """Give each output a tensor of its own: one that is an input, or two outputs, would have one name for both.

    The names that they share so far stay with what makes the tensor, and with each of these outputs.
    """
    seen = set()
    for port in converted.outputs:
        source, result = port.node.input_value(0), port.node
        place = (source.get_node().get_friendly_name(), source.get_index())
        converted.remove_result(result)
        if source.get_node().get_type_name() == "Parameter" or place in seen:
            names = set(port.names)
            result = openvino.opset1.result(openvino.opset1.concat([source], 0).output(0))
            result.output(0).get_tensor().set_names(names)
        converted.add_results([result])  # all of them: the order is that of what was added
        seen.add(place)


def _names(ports: Sequence[Any], declared: Sequence[str]) -> list[str]:
    """Choose among the names of each port one that says which tensor of the item it is, and that no other has."""
    known = {*declared, *identifiers(declared).values()}
    found: list[str] = []
    for port in ports:
        names: set[str] = port.names or {port.node.friendly_name}
        found.append(min(names, key=lambda name: (name in found, name not in known, len(name), name)))
    return found
