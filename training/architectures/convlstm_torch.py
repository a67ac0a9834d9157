"""The ConvLSTM in native PyTorch: the same function as the Keras one, with the input convolution out of the recurrence.

Gate order is Keras' (input, forget, candidate, output), so that weights move by transposition alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody uses
from torch import Tensor, nn

from modelstac.training.architectures import tensors_torch
from modelstac.training.architectures.norm_torch import BatchNorm, LeakyReLU
from modelstac.training.architectures.recurrence_torch import (
    Cell,
    activation,
    recurrence,
    recurrence_as_it_reads,
    traced,
)
from modelstac.training.spec import OUTPUT_KERNEL, ConvLSTMSpec
from modelstac.training.weights import CONVLSTM_PARTS, NORM_PARTS, Weights, weight_shapes

CHEAP_KERNEL = 1
"""Gates of layers up to this kernel size are computed again in the backward pass instead of kept: less than a hundredth
more operations in a step of the reference network. Those of 3 x 3 kernels would be a twentieth, for 2 % less memory."""


class ConvLSTMLayer(nn.Module):
    """One layer of ConvLSTM cells, with zero initial state (Shi et al. 2015, without peepholes).

    Parameters
    ----------
    channels, filters, kernel
        Channels of the input, channels of the state, kernel size of both convolutions.
    cell
        Activations.
    """

    def __init__(self, channels: int, filters: int, kernel: int, cell: Cell) -> None:
        super().__init__()
        self.cell = cell
        self.input_conv = nn.Conv2d(channels, 4 * filters, kernel, padding=kernel // 2)
        self.recurrent_conv = nn.Conv2d(filters, 4 * filters, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (time, batch, channels, height, width) to (time, batch, filters, height, width)."""
        run = recurrence_as_it_reads if traced() else recurrence
        return run(x, self.input_conv.weight, _bias(self.input_conv), self.recurrent_conv.weight, self.cell)


class ConvLSTM(nn.Module):
    """The network of a :class:`~modelstac.training.spec.ConvLSTMSpec`.

    Frames, height and width may differ from those of the specification: no weight depends on them.
    """

    def __init__(self, spec: ConvLSTMSpec) -> None:
        super().__init__()
        self.spec = spec
        cell = Cell(activation(spec.cell_activation, spec.leaky_slope), activation(spec.recurrent_activation))
        layers = zip(spec.channels, spec.filters, spec.kernels, strict=True)
        self.layers = nn.ModuleList(
            ConvLSTMLayer(*sizes, cell._replace(recompute=sizes[-1] <= CHEAP_KERNEL)) for sizes in layers
        )
        self.norms = nn.ModuleList(
            BatchNorm(filters, spec.batch_norm_momentum, spec.leaky_slope)
            if spec.normalised(layer)
            else LeakyReLU(spec.leaky_slope)
            for layer, filters in enumerate(spec.filters)
        )
        self.output = nn.Conv3d(spec.filters[-1], 1, OUTPUT_KERNEL, padding=OUTPUT_KERNEL // 2)

    def recompute(self) -> None:
        """Compute the gates of all layers anew in the backward pass: less memory, more to compute."""
        for layer in self.layers:
            assert isinstance(layer, ConvLSTMLayer)
            layer.cell = layer.cell._replace(recompute=True)

    def forward(self, x: Tensor) -> Tensor:
        """Forecast frames.

        Parameters
        ----------
        x
            (batch, time, 1, height, width), values from 0 to 1.

        Returns
        -------
        Tensor
            Same shape, values from 0 to 1: the frames that follow.
        """
        x = x.permute(1, 0, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)  # time-major, channels innermost in memory
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = norm(layer(x))
        return torch.sigmoid(_convolve_in_time(x, self.output)).transpose(0, 1)


def _convolve_in_time(x: Tensor, convolution: nn.Conv3d) -> Tensor:
    """Convolve (time, batch, channels, height, width) to one channel: in two dimensions, then over time.

    The same sums as PyTorch's own convolution in three dimensions, which is many times slower for so few channels.
    """
    reach = OUTPUT_KERNEL // 2
    kernel = convolution.weight[0].transpose(0, 1)  # what each frame adds to those around it, as output channels
    parts = F.conv2d(x.flatten(0, 1), kernel, padding=reach).view(*x.shape[:2], -1, *x.shape[3:])
    parts = F.pad(parts, (0, 0, 0, 0, 0, 0, 0, 0, reach, reach))
    frames = sum(parts[t : len(x) + t, :, t] for t in range(OUTPUT_KERNEL))
    return (frames + _bias(convolution)).unsqueeze(2)


def build(spec: ConvLSTMSpec | Mapping[str, Any]) -> ConvLSTM:
    """Build the module of a specification: the entry point that published PyTorch items name.

    Parameters
    ----------
    spec
        The specification, or its fields as :meth:`ConvLSTMSpec.to_dict` gives them.

    Raises
    ------
    SpecError
        When the fields make no sense.
    """
    return ConvLSTM(spec if isinstance(spec, ConvLSTMSpec) else ConvLSTMSpec.from_dict(spec))


def layers(model: ConvLSTM) -> dict[str, nn.Module]:
    """Give the modules that run one after the other, by the names that Keras' layers have."""
    found: dict[str, nn.Module] = {}
    for number, (layer, norm) in enumerate(zip(model.layers, model.norms, strict=True)):
        way_out = "norm" if model.spec.normalised(number) else "leaky"
        found |= {f"convlstm_{number}": layer, f"{way_out}_{number}": norm}
    return found


def get_weights(model: ConvLSTM) -> Weights:
    """Give the weights of ``model`` in the form of :mod:`modelstac.training.weights`."""
    return tensors_torch.read(_tensors(model))


def set_weights(model: ConvLSTM, weights: Weights) -> None:
    """Set the weights of ``model``, in place.

    Raises
    ------
    SpecError
        When ``weights`` are not those of the specification of ``model``.
    """
    tensors_torch.write(_tensors(model), weight_shapes(model.spec), weights)


def _tensors(model: ConvLSTM) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for number, (layer, norm) in enumerate(zip(model.layers, model.norms, strict=True)):
        assert isinstance(layer, ConvLSTMLayer)
        parts = (layer.input_conv.weight, layer.recurrent_conv.weight, _bias(layer.input_conv))
        tensors.update({f"convlstm_{number}/{part}": t for part, t in zip(CONVLSTM_PARTS, parts, strict=True)})
        if isinstance(norm, BatchNorm):
            statistics = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
            tensors.update({f"norm_{number}/{part}": t for part, t in zip(NORM_PARTS, statistics, strict=True)})
    return tensors | {"output/kernel": model.output.weight, "output/bias": _bias(model.output)}


def _bias(convolution: nn.Conv2d | nn.Conv3d) -> Tensor:
    assert convolution.bias is not None
    return convolution.bias
