"""A Keras model on PyTorch as a module of weights alone, so that what is traced of it holds each weight once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from modelstac.exporters.converters.interfaces.torch_call import Call


class KerasWeights(torch.nn.Module):
    """The weights of a Keras model, each under its path in Keras.

    A layer of Keras computes with the tensors of its variables and not with those of the module that PyTorch traces. So
    a tracer sees constants, and writes each weight twice: as the module's, which nothing uses, and as a constant.

    Parameters
    ----------
    network
        A model of Keras that runs on PyTorch.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        network.eval()
        self._variables = {}
        for variable in network.weights:
            name = base = variable.path.replace(".", "_")
            number = 1
            while hasattr(self, name):  # of another variable, or of every module
                name, number = f"{base}_{number}", number + 1
            self.register_parameter(name, variable._value)
            self._variables[name] = variable

    def calling(self, call: Call) -> Call:
        """Let a call of the model compute with the tensors that stand here when it is called, as a tracer puts them."""

        def with_ours(*tensors: torch.Tensor) -> dict[str, Any]:
            with self._in_place(), _Staying():
                return call(*tensors)

        return with_ours

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        before = {name: variable._value for name, variable in self._variables.items()}
        for name, variable in self._variables.items():
            variable._value = getattr(self, name)
        try:
            yield
        finally:
            for name, variable in self._variables.items():
                variable._value = before[name]


class _Staying(TorchFunctionMode):
    """Leave out moves of a tensor to where it is: Keras asks for one before every operation.

    A tracer writes each down as two operators, half of all in a graph, and with them the device on which it traced.
    """

    def __torch_function__(
        self, func: Any, types: Sequence[Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.Tensor.to and len(args) == 2 and not kwargs and _is_as(*args):
            return args[0]
        return func(*args, **(kwargs or {}))


def _is_as(tensor: torch.Tensor, wanted: Any) -> bool:
    """Tell whether a tensor is of a type, or on a device, already."""
    if isinstance(wanted, torch.dtype):
        return tensor.dtype == wanted
    return isinstance(wanted, str | torch.device) and tensor.device == torch.device(wanted)
