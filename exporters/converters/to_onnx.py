"""To ONNX: the hand-written graph of a ConvLSTM, whichever framework holds it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from modelstac.catalog.errors import ConversionError, SpecError
from modelstac.catalog.items.description import Step
from modelstac.catalog.items.versions import semver
from modelstac.exporters.architecture import take_apart_convlstm
from modelstac.exporters.conversion import REBUILT, Conversion, no_options
from modelstac.exporters.converters import convlstm_onnx
from modelstac.exporters.converters.interfaces.onnx import name_as
from modelstac.exporters.converters.onnx_file import write_graph
from modelstac.exporters.converters.onnx_graph import operators
from modelstac.exporters.layouts import relaid
from modelstac.registry.running.model import Model


def rebuild(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Write ``model.onnx`` into a folder.

    Parameters
    ----------
    model
        A ConvLSTM in any format that gives its weights.
    folder
        Where to write.
    options
        ``unroll``: a number of frames, to which the graph is then fixed without a loop.

    Raises
    ------
    ConversionError
        When the model is no ConvLSTM, or its weights are not those of the architecture that its item states.
    SpecError
        On an option.
    """
    unroll = _frames(options)
    description = model.description
    spec, weights = take_apart_convlstm(model)
    dim_order = description.inputs[0].input.dim_order
    try:
        graph = convlstm_onnx.build(spec, weights, dim_order=dim_order, unroll=unroll)
    except SpecError as error:
        raise ConversionError(f"item {description.id!r} does not hold the model that it describes: {error}") from error
    name_as(graph.graph, model.signature, {model.signature.inputs[0].name: convlstm_onnx.INPUT}, [convlstm_onnx.OUTPUT])
    convlstm_onnx.check(graph)
    path = write_graph(graph, folder)
    step = Step(
        source_format=description.format,
        target_format="onnx",
        tool=convlstm_onnx.__name__,
        version=graph.producer_version,
        method=REBUILT,
    )
    facts = {
        "opset": convlstm_onnx.OPSET,
        "ir_version": graph.ir_version,
        "nodes": len(graph.graph.node),
        "nodes_with_bodies": operators(graph.graph).total(),
    }
    inputs, outputs = relaid(
        description,
        None,
        dict.fromkeys(("batch", "time", "height", "width"), -1) | ({} if unroll is None else {"time": unroll}),
    )
    return Conversion(
        artifact=path,
        framework_version=semver(onnx.__version__),
        inputs=inputs,
        outputs=outputs,
        steps=(step,),
        hyperparameters={"onnx": facts},
    )


def _frames(options: Mapping[str, Any]) -> int | None:
    no_options({name: value for name, value in options.items() if name != "unroll"}, "ONNX")
    frames = options.get("unroll")
    if frames is not None and (isinstance(frames, bool) or not isinstance(frames, int) or frames < 1):
        raise SpecError(f"unroll a graph for a positive number of frames, not {frames!r}")
    return frames
