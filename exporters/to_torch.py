"""To native PyTorch: a ConvLSTM built anew, its weights in safetensors.

The public way from ONNX to PyTorch, onnx2torch 1.5.15, fails on every recurrent convolution that was tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelstac.catalog.items import Step
from modelstac.catalog.storage import explained
from modelstac.exporters.architecture import take_apart
from modelstac.exporters.converters import REBUILT, Conversion, no_options
from modelstac.exporters.layouts import CHANNELS_THIRD, relaid
from modelstac.registry.model import Model
from modelstac.training.architectures import convlstm_torch
from modelstac.training.variant_torch import save_module, versions


def rebuild(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Write ``model.safetensors`` into a folder; the module takes any number of frames on any grid.

    Raises
    ------
    ConversionError
        When the model is no ConvLSTM, or its weights are not those of the architecture that its item states.
    SpecError
        On an option.
    """
    no_options(options, "PyTorch")
    spec, weights = take_apart(model)
    module = convlstm_torch.build(spec)
    convlstm_torch.set_weights(module, weights)
    path = folder / "model.safetensors"
    with explained(f"write {path}"):
        save_module(module, spec, path)
    known = versions()
    step = Step(
        source_format=model.description.format,
        target_format="torch",
        tool=convlstm_torch.__name__,
        version=known["framework_version"],
        method=REBUILT,
    )
    sizes = dict.fromkeys(("batch", "time", "height", "width"), -1)
    inputs, outputs = relaid(model.description, CHANNELS_THIRD, sizes)
    return Conversion(
        artifact=path,
        inputs=inputs,
        outputs=outputs,
        steps=(step,),
        entrypoint=f"{convlstm_torch.__name__}:build",
        **known,
    )
