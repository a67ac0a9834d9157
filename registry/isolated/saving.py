"""Save a loaded model anew, by what the environment has that this runs in: it imports a framework and nothing of ours.

So the same weights are written by many versions of a framework, to learn which others read them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

Saver = Callable[[Any, Path, Sequence[int], Sequence[int]], str]


def save(native: Any, form: str, path: Path, shape: Sequence[int], open_axes: Sequence[int]) -> dict[str, str]:
    """Save a framework's own object.

    Parameters
    ----------
    native
        A Keras model or a PyTorch module.
    form
        One of :data:`SAVERS`.
    path
        The file.
    shape, open_axes
        Of an input, for what traces the model, and the axes of it that may have other sizes.

    Returns
    -------
    dict
        ``tool``, and the versions of what is imported: ``keras``, ``tensorflow``, ``torch``.
    """
    tool = SAVERS[form](native, path, shape, open_axes)
    import sys

    names = ("keras", "tensorflow", "torch")
    return {"tool": tool, **{name: str(sys.modules[name].__version__) for name in names if name in sys.modules}}


def _keras(native: Any, path: Path, shape: Sequence[int], open_axes: Sequence[int]) -> str:  # noqa: ARG001
    native.save(path)
    return "keras.Model.save"


def _saved_model(native: Any, path: Path, shape: Sequence[int], open_axes: Sequence[int]) -> str:  # noqa: ARG001
    from modelstac.registry.inspecting.folders import pack

    unpacked = path.with_name("saved_model")
    native.export(unpacked, format="tf_saved_model", verbose=False)
    pack(unpacked, path)
    return "keras.Model.export"


def _torch(native: Any, path: Path, shape: Sequence[int], open_axes: Sequence[int]) -> str:  # noqa: ARG001
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in native.state_dict().items()}, path)
    return "safetensors.torch.save_file"


def _torch_export(native: Any, path: Path, shape: Sequence[int], open_axes: Sequence[int]) -> str:
    torch = importlib.import_module("torch")
    dynamic = dict.fromkeys(open_axes, torch.export.Dim.AUTO)
    with torch.no_grad():
        program = torch.export.export(native, (torch.zeros(tuple(shape)),), dynamic_shapes=(dynamic,))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # names files of the machine that exported it
    torch.export.save(program, path)
    return "torch.export.save"


def _onnx(native: Any, path: Path, shape: Sequence[int], open_axes: Sequence[int]) -> str:
    torch = importlib.import_module("torch")
    dynamic = dict.fromkeys(open_axes, torch.export.Dim.AUTO)
    inputs = (torch.zeros(tuple(shape)),)
    torch.onnx.export(native, inputs, path, dynamo=True, external_data=False, dynamic_shapes=(dynamic,), verbose=False)
    return "torch.onnx.export"


SAVERS = MappingProxyType[str, Saver](
    {
        "keras": _keras,
        "saved-model": _saved_model,
        "torch": _torch,
        "torch-export": _torch_export,
        "onnx": _onnx,
    }
)
"""By format: what a Keras model, or a PyTorch module, is saved by."""
