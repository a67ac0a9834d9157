"""PyTorch: modules (Lightning's are such) exported in evaluation mode, and programs as they are.

An axis of an example may have any length in the program, unless the module's own code settles it.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
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
_VARIOUS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_GENERIC = frozenset({"Sequential", "Module", "LightningModule"})
_ADVICE = "write what it computes with tensors, or give an exported program or ONNX"


def input_names(model: Any, given: Collection[str] = ()) -> Sequence[str] | None:
    """Name the arguments of ``forward`` that have no default, or are given; or the keys of the dictionary it takes."""
    if isinstance(model, torch.export.ExportedProgram):
        return None
    if isinstance(model, torch.jit.ScriptModule):
        raise UntrustedError(
            "a script of TorchScript is saved as a pickle, which runs code when it is read: give the module that it "
            "was made of"
        )
    found = _parameters(_inner(model))
    names = [p.name for p in found if p.kind not in _VARIOUS and (p.default is p.empty or p.name in given)]
    of_keywords = not names and found and found[-1].kind is inspect.Parameter.VAR_KEYWORD
    of_dictionary = len(names) == 1 < len(given) and names[0] not in given
    return list(given) if given and (of_keywords or of_dictionary) else names or ["input"]


def _parameters(model: Any) -> list[inspect.Parameter]:
    return list(inspect.signature(model.forward).parameters.values())


def _inner(model: Any) -> Any:
    """Give the module itself of one that ``torch.compile`` or ``DataParallel`` wraps: these hide what it takes."""
    while True:
        if isinstance(model, torch.nn.DataParallel | torch.nn.parallel.DistributedDataParallel):
            model = model.module
        elif (original := getattr(model, "_orig_mod", None)) is not None:
            model = original
        else:
            return model


def _call(model: Any, given: Mapping[str, Any]) -> inspect.BoundArguments:
    """Give the call of a module with what :func:`input_names` names."""
    found, signature = _parameters(model), inspect.signature(model.forward)
    known = [p for p in found if p.kind not in _VARIOUS]
    if given.keys() <= {p.name for p in known}:
        placed = [given[p.name] for p in known if p.kind is p.POSITIONAL_ONLY and p.name in given]
        return signature.bind(
            *placed, **{p.name: given[p.name] for p in known if p.name in given and p.kind is not p.POSITIONAL_ONLY}
        )
    if any(p.default is p.empty for p in known):
        return signature.bind(dict(given))
    if any(p.kind is p.VAR_POSITIONAL for p in found) or "input" in given:
        return signature.bind(*given.values())
    return signature.bind(**given)


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
    model = _inner(model)
    name = type(model).__name__
    if not example:
        raise SpecError(f"the module {name} has no shapes: give example=, one batch that it is fed")
    known = {} if name in _GENERIC else {"architecture": name}
    try:
        call = _call(model, {key: key for key in example})
    except TypeError as error:
        raise SpecError(f"the example has {', '.join(example)}, and the module {name} takes more: {error}") from error
    example = {key: example[key] for key in torch.utils._pytree.tree_leaves((call.args, call.kwargs))}
    batches = {key: _batch(array, said, key, list(example)) for key, array in example.items()}
    with _evaluating(model):
        tensors = _fitting(model, {key: torch.tensor(array) for key, array in batches.items()}, name)
        program, notes = _exported(model, tensors, name)
        if _is_of_others(program, example.values()):
            alone = {key: torch.tensor(array, dtype=tensors[key].dtype) for key, array in example.items()}
            program, notes = _exported(model, alone, name)
        _write(program, path)
    weights = None
    if said.get("entrypoint") is not None:
        weights = folder / "model.safetensors"
        _write_weights(model, weights)
    return Saved(path, known, _runner(model, list(example)), weights, notes)


def _fitting(model: Any, tensors: dict[str, Any], name: str) -> dict[str, Any]:
    """Run a module on its example as it is, else in the type of its weights, and give what it ran on."""
    types = {tensor.dtype for tensor in (*model.parameters(), *model.buffers()) if tensor.is_floating_point()}
    typed = (
        {key: one.to(next(iter(types))) if one.is_floating_point() else one for key, one in tensors.items()}
        if len(types) == 1
        else tensors
    )
    reason: Exception | None = None
    for each in (tensors, typed):
        try:
            with torch.no_grad():
                call = _call(model, each)
                model(*call.args, **call.kwargs)
        except Exception as error:  # noqa: BLE001 - whatever somebody's module raises
            reason = reason or error
        else:
            return each
    [first, *_] = [*(p.name for p in _parameters(model)), "input"]
    of = "" if len(tensors) == 1 or first in tensors else f", a dictionary of {', '.join(tensors)} as its {first!r}"
    raise SpecError(f"the module {name} fails on the example{of}: {_line(reason)}") from reason


def _batch(array: np.ndarray[Any, Any], said: Mapping[str, Any], name: str, names: Sequence[str]) -> Any:
    """Give a batch of two: a tracer takes a length of one for a constant."""
    dims = by_input(words(said["input_dims"], "input_dims"), names, "input_dims") if said.get("input_dims") else {}
    first = (dims.get(name) or ("batch",))[0]
    return np.repeat(array, 2, 0) if array.shape[0] == 1 and first not in BAND_AXES else array


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Have a module as it predicts, on the CPU, with results that a program can have; and then as it was."""
    trained = [(module, module.training) for module in model.modules()]
    kept = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
    place = next((tensor.device for tensor in (*model.parameters(), *model.buffers())), torch.device("cpu"))
    model.eval()
    if place.type != "cpu":
        model.cpu()
    plain = model.register_forward_hook(lambda module, given, found: _plain(found))  # noqa: ARG005
    try:
        yield
    finally:
        plain.remove()
        if place.type != "cpu":
            model.to(place)
        for module, was in trained:
            module.training = was
        with torch.no_grad():
            for name, buffer in model.named_buffers():  # what counts its calls, or keeps a state
                buffer.copy_(kept[name])


def _plain(found: Any) -> Any:
    """Give the fields of a named tuple, dataclass or mapping as a dictionary, without what is None."""
    if isinstance(found, tuple) and hasattr(found, "_asdict"):
        found = found._asdict()
    elif is_dataclass(found) and not isinstance(found, type | Mapping):
        found = {field.name: getattr(found, field.name) for field in fields(found)}
    if isinstance(found, Mapping):
        return {str(name): value for name, value in found.items() if value is not None}
    return found


def _exported(model: Any, tensors: Mapping[str, Any], name: str) -> tuple[Any, tuple[str, ...]]:
    dim: Any = torch.export.Dim
    axes = {key: [dim.AUTO] * tensor.ndim for key, tensor in tensors.items()}
    reason = ""
    for shapes in (axes, None):
        try:
            program = _export(model, tensors, shapes)
            if shapes and (alone := _of_one_length(program, model, tensors)):
                for which, axis in alone:
                    list(axes.values())[which][axis] = dim.STATIC
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


def _export(model: Any, tensors: Mapping[str, Any], axes: Mapping[str, list[Any]] | None) -> Any:
    call = _call(model, tensors)
    shapes = None if axes is None else dict(_call(model, axes).arguments)
    with torch.no_grad():
        return torch.export.export(model, call.args, call.kwargs, dynamic_shapes=shapes)


def _lengths(program: Any) -> list[list[Any]]:
    """Give the lengths of each input: numbers, and symbols where they are open."""
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    shapes = [nodes[name].meta["val"].shape for name in program.graph_signature.user_inputs]
    return [[getattr(getattr(n, "node", None), "expr", n) for n in shape] for shape in shapes]


def _is_of_others(program: Any, example: Iterable[np.ndarray[Any, Any]]) -> bool:
    """Tell whether the number of samples is settled, and not to that of the example."""
    firsts = [(lengths[0], len(array)) for lengths, array in zip(_lengths(program), example, strict=True) if lengths]
    return any(getattr(n, "is_Integer", isinstance(n, int)) and n != count for n, count in firsts)


def _of_one_length(program: Any, model: Any, tensors: Mapping[str, Any]) -> list[tuple[int, int]]:
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
    examples = list(tensors.values())
    now = {symbol: examples[which].shape[axis] for symbol, ((which, axis), *_) in axes.items()}
    run = program.module()

    def runs(symbol: Any) -> bool:
        """Try some other lengths of a symbol, and of what is derived of it; the rest is as in the example."""
        for other in (2 * now[symbol], now[symbol] + 1, 3 * now[symbol], now[symbol] // 2):
            values = now | {symbol: other}
            try:
                sizes = [[int(n.subs(values)) if hasattr(n, "subs") else n for n in shape] for shape in lengths]
                blank = {k: t.new_zeros(size) for size, (k, t) in zip(sizes, tensors.items(), strict=True)}
                call = _call(model, blank)
                with torch.no_grad():
                    run(*call.args, **call.kwargs)
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
    try:
        torch.export.save(program, path)
    except Exception as error:
        raise SpecError(
            f"the program cannot be saved ({_line(error)}): return a tensor, a tuple or a dictionary"
        ) from error


def _write_weights(model: Any, path: Path) -> None:
    from safetensors.torch import save_file

    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    save_file(state, path, metadata={"format": "pt"})


def _runner(model: Any, names: Sequence[str]) -> Any:
    def run(arrays: Arrays) -> Sequence[Any]:
        call = _call(model, {name: torch.tensor(array) for name, array in zip(names, arrays.values(), strict=True)})
        with _evaluating(model), torch.no_grad():
            found = model(*call.args, **call.kwargs)
        leaves, _ = torch.utils._pytree.tree_flatten(found)
        return [leaf.detach().numpy() for leaf in leaves if isinstance(leaf, torch.Tensor)]

    return run


def _line(error: Exception | None) -> str:
    return " ".join(str(error).split())[:200]
