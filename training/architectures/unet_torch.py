"""The U-Net nowcaster in native PyTorch: the same function as the Keras one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody uses
from torch import Tensor, nn

from modelstac.training.architectures import tensors_torch
from modelstac.training.unet import UNetSpec, convolutions, weight_shapes
from modelstac.training.weights import Weights


class UNet(nn.Module):
    """The network of a :class:`~modelstac.training.unet.UNetSpec`.

    Height and width may differ from those of the specification: no weight depends on them. Where they are multiples of
    its stride, it is the function that Keras computes.
    """

    def __init__(self, spec: UNetSpec) -> None:
        super().__init__()
        self.spec = spec
        self.convolutions = nn.ModuleDict(
            {
                name: nn.Conv2d(channels, filters, kernel, padding=kernel // 2)
                for name, kernel, channels, filters in convolutions(spec)
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        """Forecast frames.

        Parameters
        ----------
        x
            (batch, frames_in, 1, height, width), values from 0 to 1, the latest frame last.

        Returns
        -------
        Tensor
            (batch, frames_out, 1, height, width): the frames that follow, values from 0 to 1.
        """
        spec, levels = self.spec, len(self.spec.filters)
        grid = x.shape[3:]
        x = F.avg_pool2d(x.squeeze(2), spec.coarsen)
        last = x[:, -1:]
        skipped = []
        for level in range(levels):
            x = self._pair(F.max_pool2d(x, 2) if level else x, f"down_{level}")
            skipped.append(x)
        motion_from = x
        for level in reversed(range(levels - 1)):
            x = torch.cat([F.interpolate(x, skipped[level].shape[2:], mode="nearest"), skipped[level]], dim=1)
            x = self._pair(x, f"up_{level}")
            if level == 1:
                motion_from = x
        moved = self._moved(last, *(self._motion(motion_from, axis, last.shape[2:]) for axis in "xy"))
        change = self._leaky(self.convolutions["change_0"](torch.cat([moved, x], dim=1)))
        y = moved + self.convolutions["change_1"](change)
        return self._damped(_enlarged(y, grid).clamp(0, 1)).unsqueeze(2)

    def _damped(self, y: Tensor) -> Tensor:
        if self.spec.damping is None:
            return y
        knee, share = self.spec.damping
        return knee - F.leaky_relu(knee - y, share)

    def _pair(self, x: Tensor, name: str) -> Tensor:
        for number in (0, 1):
            x = self._leaky(self.convolutions[f"{name}_{number}"](x))
        return x

    def _leaky(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.spec.leaky_slope)

    def _motion(self, x: Tensor, axis: str, size: torch.Size) -> Tensor:
        """Give for every block the shares of those in its row (x) or column (y) that its rain comes from."""
        return _enlarged(self.convolutions[f"motion_{axis}"](x).softmax(dim=1), size)

    def _moved(self, last: Tensor, along_x: Tensor, along_y: Tensor) -> Tensor:
        """Move one frame by the same motion once for each time step."""
        steps = []
        for _ in range(self.spec.frames_out):
            for shares, dim in ((along_x, 3), (along_y, 2)):
                wide, size = self._widened(last, dim), last.shape[dim]
                taps = [wide.narrow(dim, k, size) for k in range(self.spec.taps)]
                last = (torch.cat(taps, dim=1) * shares).sum(1, keepdim=True)
            steps.append(last)
        return torch.cat(steps, dim=1)

    def _widened(self, x: Tensor, dim: int) -> Tensor:
        """Add what may move in, at both ends of a dimension."""
        reach = self.spec.reach
        if self.spec.inflow == "dry":
            return F.pad(x, (reach, reach, 0, 0) if dim == 3 else (0, 0, reach, reach))
        first, last = x.narrow(dim, 0, 1), x.narrow(dim, x.shape[dim] - 1, 1)
        return torch.cat([first] * reach + [x] + [last] * reach, dim=dim)


def _enlarged(x: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def build(spec: UNetSpec | Mapping[str, Any]) -> UNet:
    """Build the module of a specification: the entry point that published PyTorch items name.

    Parameters
    ----------
    spec
        The specification, or its fields as :meth:`UNetSpec.to_dict` gives them.

    Raises
    ------
    SpecError
        When the fields make no sense.
    """
    return UNet(spec if isinstance(spec, UNetSpec) else UNetSpec.from_dict(spec))


def layers(model: UNet) -> dict[str, nn.Module]:
    """Give the modules that run one after the other, by the names that Keras' layers have."""
    return dict(model.convolutions.items())


def get_weights(model: UNet) -> Weights:
    """Give the weights of ``model`` in the form of :mod:`modelstac.training.unet`."""
    return tensors_torch.read(_tensors(model))


def set_weights(model: UNet, weights: Weights) -> None:
    """Set the weights of ``model``, in place.

    Raises
    ------
    SpecError
        When ``weights`` are not those of the specification of ``model``.
    """
    tensors_torch.write(_tensors(model), weight_shapes(model.spec), weights)


def _tensors(model: UNet) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for name, layer in model.convolutions.items():
        assert isinstance(layer, nn.Conv2d)
        assert layer.bias is not None
        tensors |= {f"{name}/kernel": layer.weight, f"{name}/bias": layer.bias}
    return tensors
