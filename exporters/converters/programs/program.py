"""An exported program as converters can take it: without what they stumble over or compute in another way."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import torch
from torch.export import ExportedProgram

from modelstac.registry.runtimes.torch_export import nodes

_AVERAGE = torch.ops.aten.avg_pool2d.default
_BILINEAR = torch.ops.aten.bilinear.default
_DETACHED = torch.ops.aten.detach_.default
_ATTENTION = torch.ops.aten.scaled_dot_product_attention.default
_ANGLE = torch.ops.aten.atan2.default
_LOG_SIGMOID = torch.ops.aten.log_sigmoid.default
_SHIFT = torch.ops.aten.__rshift__.Scalar
_LOG_ADD = torch.ops.aten.logaddexp.default


def ready(program: ExportedProgram) -> ExportedProgram:
    """Give a program that computes the same, with what others compute in another way written out.

    Of a row of which everything is masked, attention makes zeros; PyTorch's exporter to ONNX makes the mean of all
    values of them, or nothing that is a number, and takes no masks of three axes. Of the logarithm of a sigmoid it
    makes minus infinity from -20 on, of that of a sum of exponentials infinity from 88 on, and it gives the angle of a
    point due west the wrong sign. In means over windows that go beyond a padded edge (``ceil_mode``), OpenVINO counts
    other cells. litert-torch knows no bilinear layer, and cannot detach a constant in its place, as every tensor made
    in ``forward`` is.
    """
    written_out = _written_out(program)
    if not written_out:
        return program
    with symbols_alone(program):
        made: ExportedProgram = program.run_decompositions(written_out)
    return made


@contextmanager
def readied(program: ExportedProgram) -> Iterator[None]:
    """Let a program that is taken apart by a converter be made ready in the same pass; see :func:`ready`.

    A pass traces the whole program anew, which for an open grid is a third of a conversion.
    """
    written_out = _written_out(program)

    def run_decompositions(table: Mapping[Any, Any]) -> ExportedProgram:
        made: ExportedProgram = ExportedProgram.run_decompositions(program, {**table, **written_out})
        return made

    program.__dict__["run_decompositions"] = run_decompositions
    try:
        yield
    finally:
        del program.__dict__["run_decompositions"]


def _written_out(program: ExportedProgram) -> dict[Any, Any]:
    targets = {node.target for node in nodes(program) if node.target is not _AVERAGE or True in node.args}
    return {target: made for target, made in _WRITTEN_OUT.items() if target in targets}


def _attention(  # noqa: PLR0917 - PyTorch's signature
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,  # noqa: ARG001 - a program for prediction drops nothing
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """Compute what ``torch.nn.functional.scaled_dot_product_attention`` says that it computes."""
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    # Half of the scale on either side, as PyTorch does it: large numbers stay in the range of their type.
    half = math.sqrt(1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    scores = (query * half) @ (key * half).transpose(-2, -1)
    if is_causal:
        attn_mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
    if attn_mask is None:
        return torch.softmax(scores, -1) @ value
    boolean = attn_mask.dtype == torch.bool
    scores = torch.where(attn_mask, scores, -torch.inf) if boolean else scores + attn_mask
    masked = (scores == -torch.inf).all(-1, keepdim=True)
    return torch.where(masked, 0.0, torch.softmax(scores, -1)) @ value


def _average(  # noqa: PLR0917 - PyTorch's signature
    x: torch.Tensor,
    kernel: list[int],
    stride: list[int] | None = None,
    padding: list[int] | int = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """Compute means over windows beyond a padded edge as those of an array that has its padding already."""
    pads = [padding] * 2 if isinstance(padding, int) else [*padding, *padding][:2]
    if not (ceil_mode and any(pads) and count_include_pad and divisor_override is None):
        return NotImplemented
    kernels, strides = ([*side, *side][:2] for side in (kernel, stride or kernel))
    padded = torch.nn.functional.pad(x, (pads[1], pads[1], pads[0], pads[0]))
    found = torch.nn.functional.avg_pool2d(padded, kernels, strides, 0, True)
    lengths = []
    for axis, width, step, pad in zip((-2, -1), kernels, strides, pads, strict=True):
        length = (x.shape[axis] + 2 * pad - width + step - 1) // step + 1
        # The last window begins before the padding behind the array.
        lengths.append(length - 1 if (length - 1) * step >= x.shape[axis] + pad else length)
    return found[..., : lengths[0], : lengths[1]]


def _bilinear(left: torch.Tensor, right: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Any:
    """Compute ``torch.nn.functional.bilinear`` by a product of matrices, which all converters know."""
    count, first, second = weight.shape
    half = (left @ weight.permute(1, 0, 2).reshape(first, count * second)).reshape(*left.shape[:-1], count, second)
    found = (half * right.unsqueeze(-2)).sum(-1)
    return found if bias is None else found + bias


def _itself(x: torch.Tensor) -> torch.Tensor:
    return x


def _log_sigmoid(x: torch.Tensor) -> torch.Tensor:
    return x.clamp(max=0) - torch.log1p(torch.exp(-x.abs()))


def _log_add(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Compute ``torch.logaddexp``; two that are equal, also infinite ones, are not subtracted."""
    apart = torch.where(left == right, 0.0, (left - right).abs())
    return torch.maximum(left, right) + torch.log1p(torch.exp(-apart))


def _angle(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Compute ``torch.atan2``, but for the sign of zeros."""
    found = torch.atan(y / x)
    found = torch.where(x < 0, torch.where(y < 0, found - math.pi, found + math.pi), found)
    upright = torch.where(y > 0, math.pi / 2, torch.where(y < 0, -math.pi / 2, y))
    return torch.where(x == 0, upright, found)


def _shifted(x: torch.Tensor, places: int) -> Any:
    """Shift 8 and 16 bits, as of a quality band, to the right by a division, which is exact in 32."""
    if x.dtype.itemsize > 2 or not 0 <= places < 8 * x.dtype.itemsize:
        return NotImplemented
    return torch.div(x.to(torch.int32), 1 << places, rounding_mode="floor").to(x.dtype)


_WRITTEN_OUT = MappingProxyType(
    {
        _ANGLE: _angle,
        _ATTENTION: _attention,
        _AVERAGE: _average,
        _BILINEAR: _bilinear,
        _DETACHED: _itself,
        _LOG_ADD: _log_add,
        _LOG_SIGMOID: _log_sigmoid,
        _SHIFT: _shifted,
    }
)


@contextmanager
def symbols_alone(program: ExportedProgram) -> Iterator[None]:
    """Hide the ranges that a program which was read from a file states for multiples of a length.

    PyTorch stumbles over them when it takes the program apart; they follow from the ranges of the lengths themselves.
    """
    shapes = [getattr(node.meta.get("val"), "shape", ()) for node in program.graph.nodes]
    ranges: dict[int, dict[Any, Any]] = {
        id(size.node.shape_env): size.node.shape_env.var_to_range
        for shape in shapes
        for size in shape
        if isinstance(size, torch.SymInt)
    }
    hidden = [(known, {key: known[key] for key in known if not key.is_Symbol}) for known in ranges.values()]
    for known, others in hidden:
        for key in others:
            del known[key]
    try:
        yield
    finally:
        for known, others in hidden:
            known.update(others)
