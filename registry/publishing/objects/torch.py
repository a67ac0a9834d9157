"""PyTorch: modules (Lightning's are such) exported in evaluation mode, and programs as they are.

An axis of an example may have any length in the program, unless the module's own code settles it.
"""

from __future__ import annotations

import inspect
import io
import re
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modelstac.catalog.errors import SpecError, UntrustedError
from modelstac.catalog.items.mlm import BAND_AXES
from modelstac.registry.publishing.objects.exported.lengths import (
    Place,
    in_proportion,
    in_steps,
    lengths_of,
    of_one_length,
)
from modelstac.registry.publishing.objects.modules import (
    VARIOUS,
    call_of,
    copied,
    evaluating,
    inner,
    is_brief,
    keeping_attributes,
    parameters,
)
from modelstac.registry.publishing.objects.saved import Arrays, Saved, check_numbers
from modelstac.registry.publishing.saying import by_input, words
from modelstac.registry.running.arrays import as_array
from modelstac.registry.runtimes.torch_export import nodes

BANDS_FIRST = True
_GENERIC = frozenset({"Sequential", "Module", "LightningModule"})
# Of messages of torch.export: where what it advises begins, one that is a name alone, and the code that it stopped at.
_ADVICE_OF_TORCH = re.compile(r"\(Size-like symbols|consider using data-dependent|Caused by:|The error above occurred")
_OPERATOR = re.compile(r"[\w.]+\.\w+")
_CALL = re.compile(r"The following call raised this error:\s+File .*\n\s+(.+)")
# What a program computes of sizes and its file has no name for.
_UNKNOWN = re.compile(r"Failed serializing node .*target=([\w.]+)")
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
    found = parameters(inner(model))
    names = [p.name for p in found if p.kind not in VARIOUS and (p.default is p.empty or p.name in given)]
    of_keywords = not names and found and found[-1].kind is inspect.Parameter.VAR_KEYWORD
    of_dictionary = len(names) == 1 < len(given) and names[0] not in given
    return list(given) if given and (of_keywords or of_dictionary) else names or ["input"]


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
    model = copied(inner(model))
    numbers = ((key, one.float() if one.is_floating_point() else one) for key, one in model.named_parameters())
    check_numbers((key, as_array(one)) for key, one in numbers)
    name = type(model).__name__
    if not example:
        raise SpecError(f"the module {name} has no shapes: give example=, one batch that it is fed")
    known = {} if name in _GENERIC else {"architecture": name}
    try:
        call = call_of(model, {key: key for key in example})
    except TypeError as error:
        raise SpecError(f"the example has {', '.join(example)}, and the module {name} takes more: {error}") from error
    example = {key: example[key] for key in torch.utils._pytree.tree_leaves((call.args, call.kwargs))}
    # Whatever device a script has set for tensors.
    given = [
        {key: torch.tensor(array, device="cpu") for key, array in tried.items()} for tried in _batches(example, said)
    ]

    def write(program: Any) -> None:  # what an entry point builds has all its weights
        _write(program if said.get("entrypoint") is not None else _used(program), path)

    narrow = False
    if is_brief(model):
        with evaluating(model):
            narrow = _fails(model, given[0]) is not None
    with evaluating(model, narrow=narrow):
        for tensors in _fitting(model, given, name):
            _check_loss(model, tensors, name)
            program, notes = _exported(model, tensors, name)
            try:
                write(program)
            except SpecError as error:
                if notes or not (unknown := _UNKNOWN.search(str(error.__cause__))):
                    raise
                program, notes = _of_its_size(model, tensors, name, f"torch.export.save has no {unknown[1]} of sizes")
                write(program)
            if not _is_of_others(program, example.values()):
                break
    weights = None
    if said.get("entrypoint") is not None:
        weights = folder / "model.safetensors"
        _write_weights(model, weights)
    return Saved(path, known, _runner(model, list(example), narrow=narrow), weights, notes)


def _fitting(model: Any, given: Sequence[dict[str, Any]], name: str) -> Iterator[dict[str, Any]]:
    """Run a module on its example as it is, else in the type of its weights, and give what it ran on."""
    types = {tensor.dtype for tensor in (*model.parameters(), *model.buffers()) if tensor.is_floating_point()}
    ran, reason = False, None
    for tensors in given:
        tried = [tensors]
        if len(types) == 1:
            [dtype] = types
            tried.append({key: one.to(dtype) if one.is_floating_point() else one for key, one in tensors.items()})
            # Whole numbers, as a sensor stores them, for a module of fractions.
            tried.append({key: one.to(dtype) for key, one in tensors.items()})
        reasons = []
        for each in tried:
            if (error := _fails(model, each)) is None:
                ran = True
                yield each
                break
            reasons.append(error)
        reason = reasons[0] if reasons else reason
    if ran:
        return
    [first, *_] = [*(p.name for p in parameters(model)), "input"]
    of = "" if len(tensors) == 1 or first in tensors else f", a dictionary of {', '.join(tensors)} as its {first!r}"
    shapes = ", ".join(str([*one.shape]) for one in tensors.values())
    raise SpecError(f"the module {name} fails on the example{of}, of shape {shapes}: {_line(reason)}") from reason


def _check_loss(model: Any, tensors: Mapping[str, Any], name: str) -> None:
    """Refuse a batch whose labels make a module give its loss, too."""
    given = [p.name for p in parameters(model) if p.default is None and p.name in tensors]
    if not given:
        return
    with torch.no_grad():
        call = call_of(model, tensors)
        found = model(*call.args, **call.kwargs)
    if isinstance(found, Mapping) and isinstance(loss := found.get("loss"), torch.Tensor) and not loss.ndim:
        raise SpecError(
            f"the module {name} gives a loss, too, on the example's {', '.join(given)}: leave out what it is trained "
            "with, such as labels, and give what it predicts from"
        )


def _fails(model: Any, tensors: Mapping[str, Any]) -> Exception | None:
    """Run a module, and give what it raises."""
    try:
        with torch.no_grad():
            call = call_of(model, tensors)
            model(*call.args, **call.kwargs)
    except Exception as error:  # noqa: BLE001 - whatever somebody's module raises
        return error
    return None


def _batches(example: Arrays, said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give batches of two, as a tracer takes a length of one for a constant; and the example, last.

    A vector of one number, such as the pixel's size, may be no batch of one, and a module may take one sample alone.
    """
    names = list(example)
    dims = by_input(words(said["input_dims"], "input_dims"), names, "input_dims") if said.get("input_dims") else {}
    single = {
        name
        for name, array in example.items()
        if array.shape[0] == 1 and (dims.get(name) or ("batch",))[0] not in BAND_AXES
    }
    tried = [single, {name for name in single if example[name].ndim > 1}, set()]
    return [
        {name: np.repeat(array, 2, 0) if name in doubled else array for name, array in example.items()}
        for number, doubled in enumerate(tried)
        if doubled not in tried[:number]
    ]


def _exported(model: Any, tensors: Mapping[str, Any], name: str) -> tuple[Any, tuple[str, ...]]:
    """Export with as many lengths open as one of the two tracers leaves: ``len(x)`` is a number to the quicker one."""
    found, reason = [], ""
    for strict in (False, True):
        try:
            found.append(_opened(model, tensors, strict=strict))
        except Exception as error:  # noqa: BLE001 - the exporter has no root class of its own errors
            reason = reason or _why_not_exported(error)
        if found and not _settled(found[-1]):
            break
    if found:
        return min(found, key=_settled), ()
    return _of_its_size(model, tensors, name, reason)


def _of_its_size(model: Any, tensors: Mapping[str, Any], name: str, reason: str) -> tuple[Any, tuple[str, ...]]:
    """Export on the example's lengths, of any number of samples if that is possible, and say why."""
    why = f"as it cannot be exported otherwise: {reason}"
    dim: Any = torch.export.Dim
    axes = {
        key: [dim.AUTO if axis == 0 < n - 1 else dim.STATIC for axis, n in enumerate(one.shape)]
        for key, one in tensors.items()
    }
    with suppress(Exception):  # the exporter has no root class of its own errors
        program = _export(model, tensors, axes)
        if not of_one_length(program, model, tensors):
            return program, (f"{name} takes samples of the example's shape alone, {why}",)
    try:
        program = _export(model, tensors, None)
    except Exception as error:
        raise SpecError(f"the module {name} cannot be exported ({_why_not_exported(error)}): {_ADVICE}") from error
    return program, (f"{name} takes the shape of the example alone, {why}",)


def _opened(model: Any, tensors: Mapping[str, Any], *, strict: bool) -> Any:
    """Export with all lengths open but those that are settled for themselves."""
    dim: Any = torch.export.Dim
    # A length of one is a constant to the exporter, which warns of one that is left to it.
    axes = {key: [dim.STATIC if n == 1 else dim.AUTO for n in tensor.shape] for key, tensor in tensors.items()}
    program = _export(model, tensors, axes, strict=strict)
    alone = of_one_length(program, model, tensors)
    if pairs := _of_equal_length(alone, list(tensors.values())):
        with _held_equal(model, pairs):
            together = _export(model, tensors, axes, strict=strict)
        if len(left := of_one_length(together, model, tensors)) < len(alone):
            program, alone = together, left
        else:
            pairs = []
    if not alone:
        return program
    with _held_equal(model, pairs):
        for derived in (in_steps(program, model, tensors, alone), in_proportion(tensors, alone)):
            if derived and not strict:  # which logs what it refuses
                _settle(axes, {place: derived.get(place, dim.STATIC) for place in alone})
                with suppress(Exception):  # the exporter has no root class of its own errors
                    program = _export(model, tensors, axes, strict=strict)
                    if not of_one_length(program, model, tensors):
                        return program
        _settle(axes, dict.fromkeys(alone, dim.STATIC))
        return _export(model, tensors, axes, strict=strict)


def _settle(axes: Mapping[str, list[Any]], places: Mapping[Place, Any]) -> None:
    of_inputs = list(axes.values())
    for (which, axis), dim in places.items():
        of_inputs[which][axis] = dim


def _of_equal_length(places: Sequence[Place], examples: Sequence[Any]) -> list[tuple[Place, Place]]:
    """Pair axes of several inputs that may have to be as long as one another, such as heights of two images."""
    found: dict[Place, Place] = {}
    pairs = []
    for which, axis in places:
        first = found.setdefault((axis, examples[which].shape[axis]), (which, axis))
        if first[0] != which:
            pairs.append((first, (which, axis)))
    return pairs


@contextmanager
def _held_equal(model: Any, pairs: Sequence[tuple[Place, Place]]) -> Iterator[None]:
    """Have a module say that lengths are equal, which an exporter may not see from what is computed with them."""
    check: Any = torch._check

    def hold(module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:  # noqa: ARG001 - as hooks are called
        leaves = torch.utils._pytree.tree_leaves((given, named))
        for (one, first), (other, second) in pairs:
            check(leaves[one].shape[first] == leaves[other].shape[second])

    hook = model.register_forward_pre_hook(hold, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def _export(
    model: Any, tensors: Mapping[str, Any], axes: Mapping[str, list[Any]] | None, *, strict: bool = False
) -> Any:
    call = call_of(model, tensors)
    shapes = None if axes is None else dict(call_of(model, axes).arguments)
    with (
        torch.no_grad(),
        keeping_attributes(model),
        redirect_stderr(io.StringIO()),  # it prints graphs where it fails
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", "The tensor attributes? ", UserWarning)  # which its copy alone remembers
        return torch.export.export(model, call.args, call.kwargs, dynamic_shapes=shapes, strict=strict)


def _settled(program: Any) -> int:
    """Count lengths of inputs that are settled where they might be open: more than the bands', or the samples'."""
    settled = [
        [isinstance(n, int) or bool(getattr(n, "is_Integer", False)) for n in shape] for shape in lengths_of(program)
    ]
    return sum(sum(lengths) for lengths in settled if lengths[:1] == [True] or sum(lengths) > 1)


def _is_of_others(program: Any, example: Iterable[np.ndarray[Any, Any]]) -> bool:
    """Tell whether the number of samples is settled, and not to that of the example."""
    firsts = [(lengths[0], len(array)) for lengths, array in zip(lengths_of(program), example, strict=True) if lengths]
    return any(getattr(n, "is_Integer", isinstance(n, int)) and n != count for n, count in firsts)


def _used(program: Any) -> Any:
    """Take out of a program the weights that nothing reads: those of a loss, a teacher, a head that trains alone."""
    unread = {node.name: node for node in program.graph.nodes if node.op == "placeholder" and not node.users}
    kept = []
    for spec in program.graph_signature.input_specs:
        if spec.kind.name in {"PARAMETER", "BUFFER"} and spec.arg.name in unread:
            program.graph.erase_node(unread[spec.arg.name])
            program.state_dict.pop(spec.target, None)
            program.constants.pop(spec.target, None)
        else:
            kept.append(spec)
    program.graph_signature.input_specs[:] = kept
    program.graph_module.recompile()
    return program


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


def _runner(model: Any, names: Sequence[str], *, narrow: bool) -> Any:
    def run(arrays: Arrays) -> Sequence[Any]:
        with evaluating(model, narrow=narrow), torch.no_grad():
            call = call_of(
                model, {name: torch.tensor(array) for name, array in zip(names, arrays.values(), strict=True)}
            )
            found = model(*call.args, **call.kwargs)
        leaves, _ = torch.utils._pytree.tree_flatten(found)
        return [leaf.detach().numpy() for leaf in leaves if isinstance(leaf, torch.Tensor)]

    return run


def _why_not_exported(error: Exception) -> str:
    """Give what the exporter says in its first sentences, and the line of code that it stopped at."""
    text = str(error)
    said = " ".join(_ADVICE_OF_TORCH.split(text, maxsplit=1)[0].split())[:200]
    if _OPERATOR.fullmatch(said):
        said = f"PyTorch cannot trace {said}"
    found = _CALL.search(text)
    return said if found is None else f"{said.rstrip('. ')}, at {found[1][:100]!r}"


def _line(error: Exception | None) -> str:
    return " ".join(str(error).split())[:200]
