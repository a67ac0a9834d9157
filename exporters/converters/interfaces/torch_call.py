"""A PyTorch module as its item calls it, for the time in which it is traced."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from modelstac.registry.runtimes.names import identifiers, paired
from modelstac.registry.runtimes.opened import numbered
from modelstac.registry.runtimes.torch import opened

if TYPE_CHECKING:
    from modelstac.registry.running.model import Model
    from modelstac.registry.running.signature import Signature

Call = Callable[..., dict[str, Any]]
"""Takes tensors in the order of the item, and gives tensors by the names of its outputs."""


def call_of(module: torch.nn.Module, model: Model) -> Call:
    """Call a module as its runtime does, whatever its arguments and results are called."""
    inputs = [tensor.name for tensor in model.signature.inputs]
    outputs = [tensor.name for tensor in model.signature.outputs]
    where = f"the code of {model.description.id!r}"
    into = paired(inputs, opened(module).inputs, "input", named=False, where=where)

    def call(*tensors: torch.Tensor) -> dict[str, Any]:
        forward = type(module).forward
        if len(tensors) == 1:
            made = forward(module, *tensors)
        else:
            made = forward(module, **dict(zip(into.values(), tensors, strict=True)))
        if isinstance(made, torch.Tensor):
            made = (made,)
        found = made if isinstance(made, Mapping) else dict(zip(numbered(len(made)), made, strict=True))
        names = paired(outputs, tuple(map(str, found)), "output", named=False, where=where)
        found = {str(name): tensor for name, tensor in found.items()}
        return {name: found[other] for name, other in names.items()}

    return call


@contextmanager
def called(module: torch.nn.Module, call: Call, signature: Signature) -> Iterator[None]:
    """Let a module be called as the item says: its inputs are its arguments, its outputs by name where it has several.

    The module itself is traced and none around it, since the program keeps the paths of its weights.
    """

    def forward(*tensors: torch.Tensor) -> Any:
        made = call(*tensors)
        return made if len(made) > 1 else next(iter(made.values()))

    arguments = identifiers(tensor.name for tensor in signature.inputs).values()
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    forward.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in arguments])  # type: ignore[attr-defined]
    module.__dict__["forward"] = forward
    try:
        yield
    finally:
        del module.__dict__["forward"]
