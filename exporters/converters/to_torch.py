"""To native PyTorch: the network built anew, its weights in safetensors.

The public way from ONNX to PyTorch, onnx2torch 1.5.15, fails on every recurrent convolution that was tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.items.description import Step
from modelstac.exporters.architecture import named, take_apart
from modelstac.exporters.conversion import REBUILT, Conversion, no_options
from modelstac.exporters.layouts import CHANNELS_THIRD, relaid
from modelstac.registry.running.model import Model
from modelstac.training.variants.torch import save_module, versions


def rebuild(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Write ``model.safetensors`` into a folder; the module takes any grid, and a ConvLSTM any number of frames.

    Raises
    ------
    ConversionError
        When the model is none of our architectures, or its weights are not those that its item states.
    SpecError
        On an option.
    """
    no_options(options, "PyTorch")
    spec, weights = take_apart(model)
    architecture = named(model.description)
    adapter = architecture.module("torch")
    module = adapter.build(spec)
    adapter.set_weights(module, weights)
    path = folder / "model.safetensors"
    with explained(f"write {path}"):
        save_module(module, spec, path)
    known = versions()
    step = Step(
        source_format=model.description.format,
        target_format="torch",
        tool=adapter.__name__,
        version=known["framework_version"],
        method=REBUILT,
    )
    open_ = ("batch", *(("time",) if architecture.any_frames else ()), "height", "width")
    inputs, outputs = relaid(model.description, CHANNELS_THIRD, dict.fromkeys(open_, -1))
    return Conversion(
        artifact=path,
        inputs=inputs,
        outputs=outputs,
        steps=(step,),
        entrypoint=architecture.entrypoint,
        **known,
    )
