"""Layers of a PyTorch module: forward hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from modelstac.catalog.errors import ConversionError
from modelstac.exporters.architecture import named, read_spec
from modelstac.exporters.layers import Array, Layer

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.running.model import Model
    from modelstac.registry.running.signature import Arrays

_CHANNELS_LAST = {4: (0, 2, 3, 1), 5: (1, 0, 3, 4, 2)}
"""Of our own modules, whose five dimensions begin with time, to the order that Keras has."""


def known(model: Model) -> Iterator[Layer]:
    """List the layers of our own architecture, or all modules below the model itself."""
    module, names = model.native, shared_names(model.description)
    inside = dict(module.named_modules())
    if names:
        yield from (Layer(name, type(inside[path]).__name__) for path, name in names.items() if path in inside)
    else:
        yield from (Layer(path, type(one).__name__) for path, one in inside.items() if path and _runs(one))


def run(model: Model, inputs: Arrays, wanted: Sequence[str]) -> dict[str, Array]:
    """Give what they make of inputs; a module that is called several times, what it gives first."""
    module, names = model.native, shared_names(model.description)
    paths = {name: path for path, name in names.items()} or {name: name for name in wanted}
    found: dict[str, Array] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_: Any, __: Any, made: Any) -> None:
            if name not in found and isinstance(made, torch.Tensor) and made.is_floating_point():
                # A copy: the next module may overwrite what it is given.
                array = np.array(made.detach().cpu().float().numpy())
                found[name] = array.transpose(_CHANNELS_LAST[array.ndim]) if names else array

        return hook

    hooks = [module.get_submodule(paths[name]).register_forward_hook(keep(name)) for name in wanted]
    try:
        model.run(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def shared_names(description: ModelDescription) -> Mapping[str, str]:
    """Give the names that layers of our own architectures share with other frameworks, by the path of the module."""
    try:
        architecture, spec = named(description), read_spec(description)
    except ConversionError:  # somebody else's
        return {}
    adapter = architecture.module("torch")
    with torch.device("meta"):
        module = adapter.build(spec)
    paths = {id(one): path for path, one in module.named_modules()}
    return {paths[id(layer)]: name for name, layer in adapter.layers(module).items()}


def _runs(module: torch.nn.Module) -> bool:
    """Tell whether a module has a forward pass of its own: a list of modules has none."""
    return not isinstance(module, torch.nn.ModuleList | torch.nn.ModuleDict)
