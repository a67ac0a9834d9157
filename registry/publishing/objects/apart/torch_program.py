"""Opens a file of PyTorch that runs code of its publisher's, for one who trusts him: scripts, modules, checkpoints.

A script becomes an ONNX graph, a module an exported program, a checkpoint its weights in safetensors.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

OPSET = 18
HEAVY = ("modelstac", "modelstac.catalog", "modelstac.registry", "modelstac.registry.publishing")


def work(request: Any, given: Any, root: str) -> Any:
    """Read the file, and write what can be published of it."""
    torch: Any = importlib.import_module("torch")
    warnings.simplefilter("ignore")
    if request["kind"] == "script":
        return _script(torch.jit.load(request["path"], "cpu").eval(), request, given, torch)
    read = torch.load(request["path"], "cpu", weights_only=False)
    if isinstance(read, torch.nn.Module):
        return _module(read, request, given, root)
    if request["kind"] == "weights":
        return {"state": _write_state(read, request["weights"], root)}, [], []
    raise TypeError(f"it holds a {type(read).__name__}, and no module: name what builds it (entrypoint)")


def _run(module: Any, arrays: Any, torch: Any) -> Any:
    with torch.no_grad():
        found = module(*(torch.tensor(array) for array in arrays))
    leaves, _ = torch.utils._pytree.tree_flatten(found)
    return [leaf.detach().numpy() for leaf in leaves if isinstance(leaf, torch.Tensor)]


def _script(script: Any, request: Any, given: Any, torch: Any) -> Any:
    found = _run(script, given, torch)
    opened = _open_axes(script, given, found, torch)
    names = request["inputs"]
    outputs = ["output"] if len(found) == 1 else [f"output_{number}" for number in range(len(found))]
    axes = {}
    for name, marks in zip([*names, *outputs], opened):  # noqa: B905
        axes[name] = {axis: f"{name}_{axis}" if axis else "batch" for axis in marks}
    torch.onnx.export(
        script,
        tuple(torch.tensor(array) for array in given),
        request["onnx"],
        dynamo=False,
        opset_version=OPSET,
        input_names=names,
        output_names=outputs,
        dynamic_axes=axes,
    )
    _settle(request["onnx"], [*given, *found], opened)
    return {"outputs": outputs, "written": "onnx"}, given, found


def _settle(path: str, arrays: Any, opened: Any) -> None:
    """Write the lengths of axes that do not move: of outputs the exporter knows none."""
    onnx: Any = importlib.import_module("onnx")
    model = onnx.load(path)
    for value, array, marks in zip([*model.graph.input, *model.graph.output], arrays, opened):  # noqa: B905
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        for axis, length in enumerate(array.shape):
            dim = shape.dim.add()
            if axis not in marks:
                dim.dim_value = length
            else:
                dim.dim_param = "batch" if axis == 0 else f"axis_{axis}"
    onnx.save(model, path)


def _open_axes(script: Any, given: Any, found: Any, torch: Any) -> Any:
    """Find by running which axes may have another length: those of inputs, and those of outputs that follow."""
    marks: list[set[int]] = [set() for _ in given]
    moved: list[set[int]] = [set() for _ in found]
    ranks = {array.ndim for array in given}
    tried = [(0, 1)] + [(axis, 2) for axis in range(2, max(ranks))]  # the batch by one, what may be space by twice
    for axis, factor in tried:
        other = [np.concatenate([a] * 2, axis) if axis < a.ndim else a for a in given]
        if axis == 0 and factor == 1:
            other = [np.concatenate([a, a[:1]], 0) for a in given]
        try:
            again = _run(script, other, torch)
        except Exception:  # noqa: BLE001, S112 - whatever a script raises of a length that it does not take
            continue
        for mark, array in zip(marks, given):  # noqa: B905
            if axis < array.ndim:
                mark.add(axis)
        for mark, first, second in zip(moved, found, again):  # noqa: B905
            mark.update(a for a in range(first.ndim) if first.shape[a] != second.shape[a])
    return [sorted(mark) for mark in (*marks, *moved)]


def _module(module: Any, request: Any, given: Any, root: str) -> Any:
    """Save it as modules are saved that are given in Python."""
    asking: Any = importlib.import_module("asking")

    asking.stand_in(root, HEAVY)
    ours: Any = importlib.import_module("modelstac.registry.publishing.objects.torch")
    names = request["inputs"]
    own = ours.input_names(module)
    if len(own) == len(names) == 1:  # which no example need name
        names = own
    arrays = dict(zip(names, given))  # noqa: B905
    saved = ours.save(module, Path(request["program"]).parent, arrays, {})
    found = list(saved.run(arrays))
    said = {"architecture": type(module).__name__, "written": "program", "notes": list(saved.notes)}
    return said, given, found


def _write_state(read: Any, path: str, root: str) -> Any:
    asking: Any = importlib.import_module("asking")

    asking.stand_in(root, HEAVY)
    from modelstac.registry.publishing.objects.states import find_state, write_state

    return write_state(find_state(read), path)


if __name__ == "__main__":
    asking: Any = importlib.import_module("asking")

    asking.serve(work)
