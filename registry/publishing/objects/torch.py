"""PyTorch: modules (Lightning's are such) exported in evaluation mode, and programs as they are.

An axis of an example may have any length in the program, unless the module's own code settles it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modelstac.catalog.errors import SpecError, UntrustedError
from modelstac.catalog.items.mlm import BAND_AXES
from modelstac.registry.publishing.objects.saved import Arrays, Saved
from modelstac.registry.publishing.saying import by_input, words
from modelstac.registry.runtimes.torch_export import nodes

BANDS_FIRST = True
_GENERIC = frozenset({"Sequential", "Module", "LightningModule"})
_ADVICE = "write what it computes with tensors, or give an exported program or ONNX"


def input_names(model: Any) -> Sequence[str] | None:
    """Name the arguments of ``forward`` that have no default."""
    if isinstance(model, torch.export.ExportedProgram):
        return None
    if isinstance(model, torch.jit.ScriptModule):
        raise UntrustedError(
            "a script of TorchScript is saved as a pickle, which runs code when it is read: give the module that it "
            "was made of"
        )
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
    found = inspect.signature(model.forward).parameters.values()
    names = [p.name for p in found if p.kind in kinds and p.default is inspect.Parameter.empty]
    return names or ["input"]


def save(model: Any, folder: Path, example: Arrays, said: Mapping[str, Any]) -> Saved:
    """Export a module on an example, or save a program.

    Raises
    ------
    SpecError
        If there is no example, the module cannot be exported, or fails on the example.
    """
    path = folder / "model.pt2"
    if isinstance(model, torch.export.ExportedProgram):
        _write(model, path)
        return Saved(path)
    name = type(model).__name__
    if not example:
        raise SpecError(f"the module {name} has no shapes: give example=, one batch that it is fed")
    known = {} if name in _GENERIC else {"architecture": name}
    arrays = {key: _batch(array, said, key, list(example)) for key, array in example.items()}
    with _evaluating(model):
        tensors = tuple(torch.tensor(array) for array in arrays.values())
        try:
            with torch.no_grad():
                model(*tensors)
        except Exception as error:  # whatever somebody's module raises
            raise SpecError(f"the module {name} fails on the example: {_line(error)}") from error
        program, notes = _exported(model, tensors, name)
        if _is_of_others(program, example.values()):
            program, notes = _exported(model, tuple(torch.tensor(array) for array in example.values()), name)
        _write(program, path)
    weights = None
    if said.get("entrypoint") is not None:
        weights = folder / "model.safetensors"
        _write_weights(model, weights)
    return Saved(path, known, _runner(model), weights, notes)


def _batch(array: np.ndarray[Any, Any], said: Mapping[str, Any], name: str, names: Sequence[str]) -> Any:
    """Give a batch of two: a tracer takes a length of one for a constant."""
    dims = by_input(words(said["input_dims"], "input_dims"), names, "input_dims") if said.get("input_dims") else {}
    first = (dims.get(name) or ("batch",))[0]
    return np.repeat(array, 2, 0) if array.shape[0] == 1 and first not in BAND_AXES else array


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Have a module as it predicts, on the CPU, and then as it was."""
    trained = [(module, module.training) for module in model.modules()]
    place = next((tensor.device for tensor in (*model.parameters(), *model.buffers())), torch.device("cpu"))
    model.eval()
    if place.type != "cpu":
        model.cpu()
    try:
        yield
    finally:
        if place.type != "cpu":
            model.to(place)
        for module, was in trained:
            module.training = was


def _exported(model: Any, tensors: tuple[Any, ...], name: str) -> tuple[Any, tuple[str, ...]]:
    dim: Any = torch.export.Dim
    axes = [[dim.AUTO] * tensor.ndim for tensor in tensors]
    reason = ""
    for shapes in (axes, None):
        try:
            program = _export(model, tensors, shapes)
            if shapes and (alone := _of_one_length(program, tensors)):
                for which, axis in alone:
                    axes[which][axis] = dim.STATIC
                program = _export(model, tensors, axes)
        except Exception as error:  # noqa: BLE001 - the exporter has no root class of its own errors
            reason = _line(error)
            continue
        if shapes is None:
            return program, (
                f"{name} takes the shape of the example alone, as it cannot be exported otherwise: {reason}",
            )
        return program, ()
    raise SpecError(f"the module {name} cannot be exported ({reason}): {_ADVICE}")


def _export(model: Any, tensors: tuple[Any, ...], axes: list[list[Any]] | None) -> Any:
    with torch.no_grad():
        return torch.export.export(model, tensors, dynamic_shapes=tuple(axes) if axes else None)


def _lengths(program: Any) -> list[list[Any]]:
    """Give the lengths of each input: numbers, and symbols where they are open."""
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    shapes = [nodes[name].meta["val"].shape for name in program.graph_signature.user_inputs]
    return [[getattr(getattr(n, "node", None), "expr", n) for n in shape] for shape in shapes]


def _is_of_others(program: Any, example: Iterable[np.ndarray[Any, Any]]) -> bool:
    """Tell whether the number of samples is settled, and not to that of the example."""
    firsts = [(lengths[0], len(array)) for lengths, array in zip(_lengths(program), example, strict=True) if lengths]
    return any(getattr(n, "is_Integer", isinstance(n, int)) and n != count for n, count in firsts)


def _of_one_length(program: Any, tensors: tuple[Any, ...]) -> list[tuple[int, int]]:
    """Find axes that the exporter left open although no other length runs, as input and axis.

    So it does where lengths hang together by their product, as of a series that is flattened before a linear layer:
    any of them may grow, it says, if the others shrink. An axis for itself has one length then.
    """
    lengths = _lengths(program)
    axes: dict[Any, list[tuple[int, int]]] = {}
    for which, shape in enumerate(lengths):
        for axis, length in enumerate(shape):
            if getattr(length, "is_Symbol", False):
                axes.setdefault(length, []).append((which, axis))
    now = {symbol: tensors[which].shape[axis] for symbol, ((which, axis), *_) in axes.items()}
    run = program.module()

    def runs(symbol: Any) -> bool:
        """Try some other lengths of a symbol, and of what is derived of it; the rest is as in the example."""
        for other in (2 * now[symbol], now[symbol] + 1, 3 * now[symbol], now[symbol] // 2):
            values = now | {symbol: other}
            try:
                sizes = [[int(n.subs(values)) if hasattr(n, "subs") else n for n in shape] for shape in lengths]
                with torch.no_grad():
                    run(*(torch.zeros(size, dtype=t.dtype) for size, t in zip(sizes, tensors, strict=True)))
            except Exception:  # noqa: BLE001, S112 - a guard of the program, or whatever somebody's operator raises
                continue
            return True
        return False

    return [place for symbol, places in axes.items() if not runs(symbol) for place in places]


def _write(program: Any, path: Path) -> None:
    # What it was exported on, maybe somebody's data, is no part of what is published: nothing but its shape stays.
    if program.example_inputs is not None:
        blank = torch.utils._pytree.tree_map(
            lambda one: torch.zeros_like(one) if isinstance(one, torch.Tensor) else one, program.example_inputs
        )
        program.example_inputs = blank
    for node in nodes(program):
        node.meta.pop("stack_trace", None)  # names files of the machine that exported it
    torch.export.save(program, path)


def _write_weights(model: Any, path: Path) -> None:
    from safetensors.torch import save_file

    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    save_file(state, path, metadata={"format": "pt"})


def _runner(model: Any) -> Any:
    def run(arrays: Arrays) -> Sequence[Any]:
        with _evaluating(model), torch.no_grad():
            found = model(*(torch.tensor(array) for array in arrays.values()))
        leaves, _ = torch.utils._pytree.tree_flatten(found)
        return [leaf.detach().numpy() for leaf in leaves if isinstance(leaf, torch.Tensor)]

    return run


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
