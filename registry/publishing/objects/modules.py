"""A module of PyTorch as it predicts: a copy on the CPU, as the one that is trained stays as it is."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import partial
from gc import get_referents
from types import FunctionType, MethodType
from typing import Any

import torch

from modelstac.catalog.errors import SpecError
from modelstac.registry.runtimes.sharing.opening import opening
from modelstac.registry.runtimes.torch_export import usual_operators

_WRAPPERS = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel, torch.optim.swa_utils.AveragedModel)
_PLAIN = (torch.Tensor, torch.nn.Parameter)
VARIOUS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_UNSET = (torch.nn.parameter.UninitializedParameter, torch.nn.parameter.UninitializedBuffer)


def inner(model: Any) -> Any:
    """Give the module itself of one that is compiled, parallel or averaged: these hide what it takes."""
    while True:
        if isinstance(model, _WRAPPERS):
            model = model.module
        elif (original := getattr(model, "_orig_mod", None)) is not None:
            model = original
        else:
            return model


def parameters(model: Any) -> list[inspect.Parameter]:
    """Give what a module takes."""
    return list(inspect.signature(model.forward).parameters.values())


def call_of(model: Any, given: Mapping[str, Any]) -> inspect.BoundArguments:
    """Give the call of a module with what its inputs are named."""
    found, signature = parameters(model), inspect.signature(model.forward)
    known = [p for p in found if p.kind not in VARIOUS]
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


def copied(model: Any) -> Any:
    """Copy a module to the CPU, without gradients and compilation; where it cannot be copied, give it itself.

    Raises
    ------
    SpecError
        If it has weights without values, or parts of weights.
    """
    tensors = dict((*model.named_parameters(), *model.named_buffers()))
    unset = [name for name, tensor in tensors.items() if isinstance(tensor, _UNSET) or tensor.device.type == "meta"]
    if unset:
        raise SpecError(
            f"the module {type(model).__name__} has weights without values ({', '.join(unset[:3])}): load them, or "
            "call it once on a batch"
        )
    if parts := [name for name, tensor in tensors.items() if hasattr(tensor, "full_tensor")]:
        raise SpecError(
            f"the module {type(model).__name__} has its weights in parts, one for each process "
            f"({', '.join(parts[:3])}): put whole ones into a module, and give that (get_model_state_dict of "
            "torch.distributed, full_state_dict=True)"
        )
    storages: dict[int, Any] = {}
    of_modules = (value for module in model.modules() for value in vars(module).values())
    try:
        with torch.inference_mode(mode=False):
            known = {id(one): _on_cpu(one, storages) for one in (*tensors.values(), *of_modules) if _is_plain(one)}
            own = copy.deepcopy(model, known)
            if set(map(id, own.modules())) & set(map(id, model.modules())) or _holds(own, known):
                return model  # a part that copies itself as itself, or a function, which no copy changes
            for module in own.modules():
                module._modules = {name: inner(child) for name, child in module._modules.items()}
            return own.cpu()
    except Exception:  # noqa: BLE001 - somebody's module may hold anything: a lock, a file
        return model


def _holds(own: Any, copies: Mapping[int, Any]) -> bool:
    """Tell whether a function in a copy, such as a hook, holds the module that was copied, or a part of it."""
    waiting = [value for module in own.modules() for value in vars(module).values()]
    seen = set()
    while waiting:
        value = waiting.pop()
        if copies.get(id(value), value) is not value:
            return True
        if id(value) not in seen:
            seen.add(id(value))
            waiting += _held(value)
    return False


def _held(value: Any) -> Iterable[Any]:
    if isinstance(value, FunctionType):
        cells = value.__closure__ or ()
        return [*(value.__defaults__ or ()), *(one for cell in cells for one in get_referents(cell))]
    if isinstance(value, MethodType):
        return value.__func__, value.__self__
    if isinstance(value, partial):
        return value.func, *value.args, *value.keywords.values()
    return value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()


def _is_plain(value: Any) -> bool:
    if type(value) not in _PLAIN or value.layout is not torch.strided:
        return False
    return not (value.is_quantized or value.is_nested or value.is_conj() or value.is_neg())


def _on_cpu(tensor: Any, storages: dict[int, Any]) -> Any:
    """Copy a tensor, with no gradient; what shares memory shares it in the copy."""
    whole = tensor.untyped_storage()
    if whole._cdata not in storages:
        storages[whole._cdata] = whole.clone() if whole.device.type == "cpu" else whole.cpu()
    data = torch.empty(0, dtype=tensor.dtype, device="cpu").set_(
        storages[whole._cdata], tensor.storage_offset(), tensor.size(), tensor.stride()
    )
    return torch.nn.Parameter(data, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else data


@contextmanager
def evaluating(model: Any, *, narrow: bool = False) -> Iterator[None]:
    """Have a module as it predicts, on the CPU, with results that a program can have; and then all as it was.

    NumPy has no bfloat16: such results are float32, and with ``narrow`` it is given such and reads them as bfloat16.
    """
    trained = [(module, module.training) for module in model.modules()]
    kept = {name: tensor.detach().clone() for name, tensor in _changing(model).items()}
    place = next((tensor.device for tensor in (*model.parameters(), *model.buffers())), torch.device("cpu"))
    plain = model.register_forward_hook(lambda module, given, found: _widened(_plain(found)))  # noqa: ARG005
    hooks = [model.register_forward_pre_hook(_narrowed, with_kwargs=True)] if narrow else []
    # PyTorch's tracer keeps what it is at in variables of its modules, as its loader does: one at a time.
    with opening(type(model).__name__), usual_operators():
        try:
            model.eval()
            if place.type != "cpu":
                model.cpu()
            yield
        finally:
            for hook in (plain, *hooks):
                hook.remove()
            if place.type != "cpu":
                model.to(place)
            model.train(trained[0][1])  # which splits weights again that are merged in evaluation
            for module, was in trained:
                module.training = was
            with torch.no_grad():
                for name, tensor in _changing(model).items():
                    tensor.copy_(kept[name])


@contextmanager
def keeping_attributes(model: Any) -> Iterator[None]:
    """Give modules their own lists and dictionaries again: PyTorch's exporter leaves others, which no hook fills."""
    kept = [(module, dict(vars(module))) for module in model.modules()]
    try:
        yield
    finally:
        for module, attributes in kept:
            vars(module).update(attributes)


def is_brief(model: Any) -> bool:
    """Tell whether all weights are bfloat16."""
    types = {tensor.dtype for tensor in model.parameters() if tensor.is_floating_point()}
    return types == {torch.bfloat16}


def _narrowed(module: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:  # noqa: ARG001 - as hooks are called
    def narrow(one: Any) -> Any:
        return one.bfloat16() if isinstance(one, torch.Tensor) and one.is_floating_point() else one

    return torch.utils._pytree.tree_map(narrow, (given, named))


def _widened(found: Any) -> Any:
    def wide(one: Any) -> Any:
        return one.float() if isinstance(one, torch.Tensor) and one.dtype == torch.bfloat16 else one

    return torch.utils._pytree.tree_map(wide, found)


def _changing(model: Any) -> dict[str, Any]:
    """Give what counts calls, or keeps a state; and weights, where modules have their own way into another mode."""
    own = any(type(module).train is not torch.nn.Module.train for module in model.modules())
    return dict((*model.named_buffers(), *(model.named_parameters() if own else ())))


def _plain(found: Any) -> Any:
    """Give structures as a dictionary of tensors, without what is None: a program has no other with names."""
    found = _fields(found)
    if isinstance(found, Mapping):
        return _flat(found)
    of_samples = isinstance(found, list) and any(isinstance(_fields(one), Mapping) for one in found)
    nested = isinstance(found, tuple | list) and any(_parts(one) is not None for one in found)
    return _flat({f"output_{number}": one for number, one in enumerate(found)}) if nested and not of_samples else found


def _flat(named: Mapping[Any, Any]) -> dict[str, Any]:
    """Join the names of what lies within one another: ``output_1_0`` is the first of the second."""
    flat: dict[str, Any] = {}
    for name, value in named.items():
        if (parts := _parts(value)) is not None:
            flat |= {f"{name}_{part}": one for part, one in _flat(parts).items()}
        elif value is not None:
            flat[str(name)] = value
    return flat


def _parts(value: Any) -> Mapping[Any, Any] | None:
    value = _fields(value)
    return dict(enumerate(value)) if isinstance(value, tuple | list) else value if isinstance(value, Mapping) else None


def _fields(found: Any) -> Any:
    """Give the fields of a named tuple or dataclass as a mapping."""
    if isinstance(found, tuple) and hasattr(found, "_asdict"):
        return found._asdict()
    if is_dataclass(found) and not isinstance(found, type | Mapping):
        return {field.name: getattr(found, field.name) for field in fields(found)}
    return found
