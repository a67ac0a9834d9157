"""Convolutions that keep the size of what they convolve, in PyTorch, each with one kernel for many calls.

On the processors where PyTorch convolves by oneDNN (x86-64, float32) a kernel is brought into oneDNN's layout once
instead of at each call, and what a convolution is added to is added to while it writes its result: the operators of
`torch.compile` for inference. Elsewhere these are PyTorch's plain ones. The numbers are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody uses
from torch import Tensor

aten = torch.ops.aten
_OPERATORS = ("_reorder_convolution_weight", "_convolution_pointwise", "_convolution_pointwise_")
"""Of oneDNN: PyTorch does not promise to keep them."""


class Convolution:
    """A convolution of stride 1.

    Parameters
    ----------
    kernel
        (out, in, size, size) with odd size, channels innermost in memory.
    bias
        Of each output channel.
    shape
        (batch, in, height, width) of what is convolved most often: what the layout of the kernel is chosen for.
    """

    def __init__(self, kernel: Tensor, bias: Tensor | None = None, *, shape: Sequence[int]) -> None:
        self.kernel = kernel
        self.bias = bias
        self._where = [kernel.shape[-1] // 2] * 2, [1, 1], [1, 1], 1  # padding, stride, dilation, groups
        self._packed: Tensor | None = None
        if _by_onednn(kernel):
            self._packed = _onednn()._reorder_convolution_weight(kernel, *self._where, list(shape))

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve (batch, in, height, width) to (batch, out, height, width)."""
        if self._packed is None:
            return F.conv2d(x, self.kernel, self.bias, padding=self._where[0])
        result: Tensor = _onednn()._convolution_pointwise(x, self._packed, self.bias, *self._where, "none", [], None)
        return result

    def add(self, x: Tensor, to: Tensor) -> None:
        """Add the convolution of ``x`` to a tensor, in place."""
        if self._packed is None:
            to.add_(self(x))
        else:
            _onednn()._convolution_pointwise_.binary(
                to, x, self._packed, self.bias, *self._where, "add", None, None, [], None
            )


def turned(kernel: Tensor) -> Tensor:
    """Give the kernel that takes the gradient of a convolution's result to the gradient of what it convolved."""
    return kernel.transpose(0, 1).flip(2, 3).contiguous(memory_format=torch.channels_last)


def kernel_gradients(grad: Tensor, x: Tensor, kernel: Tensor, *, bias: bool) -> tuple[Tensor, Tensor]:
    """Give the gradients of kernel and, if wanted, bias, from that of the result and from what was convolved."""
    size = kernel.shape[-1]
    if size == 1 and grad.is_cpu:  # a product of matrices, for which oneDNN's convolution takes five times as long
        rows, columns = (one.movedim(1, -1).flatten(0, 2) for one in (grad, x))
        return (rows.t() @ columns)[:, :, None, None], rows.sum(0) if bias else rows.new_empty(0)
    _, of_kernel, of_bias = aten.convolution_backward(
        grad, x, kernel, [len(kernel)], [1, 1], [size // 2] * 2, [1, 1], False, [0, 0], 1, (False, True, bias)
    )
    return of_kernel, of_bias


def _by_onednn(kernel: Tensor) -> bool:
    return (
        kernel.is_cpu
        and kernel.dtype == torch.float32
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and torch.backends.cpu.get_cpu_capability().startswith("AVX")
        and all(hasattr(_onednn(), name) for name in _OPERATORS)
    )


def _onednn() -> Any:
    return torch.ops.mkldnn
