"""An exported program as converters can take it: without what they stumble over or compute in another way."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import torch
from torch._decomp.decompositions import lstm_impl
from torch.export import ExportedProgram

from modelstac.exporters.converters.programs import dividing, elements, ordering, resampling, spectra
from modelstac.registry.runtimes.torch_export import nodes

_AVERAGE = torch.ops.aten.avg_pool2d.default
_BILINEAR = torch.ops.aten.bilinear.default
_DETACHED = torch.ops.aten.detach_.default
_ATTENTION = torch.ops.aten.scaled_dot_product_attention.default
_ANGLE = torch.ops.aten.atan2.default
_LOG_SIGMOID = torch.ops.aten.log_sigmoid.default
_SHIFT = torch.ops.aten.__rshift__.Scalar
_LOG_ADD = torch.ops.aten.logaddexp.default


def _of_grids(name: str, overload: str = "default") -> tuple[Any, ...]:
    """Give an operator on grids of one, two and three axes."""
    return tuple(getattr(getattr(torch.ops.aten, name.format(axes)), overload) for axes in (1, 2, 3))


def _by_name(name: str, made: Callable[..., Any], *overloads: str) -> dict[Any, Callable[..., Any]]:
    """Give what computes an operator by each of its overloads."""
    return {getattr(getattr(torch.ops.aten, name), overload): made for overload in overloads}


def _projected(x: torch.Tensor, state: Sequence[torch.Tensor], *how: Any) -> Any:
    """Take an LSTM apart whose hidden state is projected (``proj_size``); PyTorch's exporter has the others."""
    hidden, cell = state
    return NotImplemented if hidden.shape[-1] == cell.shape[-1] else lstm_impl(x, state, *how)


_MAXIMA = _of_grids("adaptive_max_pool{}d")
_MODE = torch.ops.aten.mode.default
_STABLE = torch.ops.aten.sort.stable
_WITHOUT_PLACES = (*_MAXIMA, _MODE)
_WITHIN = frozenset({_STABLE, *spectra.FOR_ONNX})
"""What others are made of, which show it only when they are taken apart."""
_FOR_ONNX = MappingProxyType(
    {
        **dict.fromkeys(_of_grids("adaptive_avg_pool{}d"), resampling.adaptive_average),
        **dict.fromkeys(_MAXIMA, resampling.adaptive_maximum),
        torch.ops.aten.lstm.input: _projected,
        **spectra.FOR_ONNX,
        _STABLE: ordering.in_order,
    }
)
_FOR_OTHERS = MappingProxyType(
    {
        **dict.fromkeys(_of_grids("_upsample_nearest_exact{}d", "vec"), resampling.nearest_exact),
        torch.ops.aten._upsample_bicubic2d_aa.vec: resampling.smoothed_bicubic,
        torch.ops.aten._upsample_bilinear2d_aa.vec: resampling.smoothed_bilinear,
    }
)


def ready(program: ExportedProgram) -> ExportedProgram:
    """Give a program that computes the same, with what others compute in another way written out.

    Of a row of which everything is masked, attention makes zeros; PyTorch's exporter to ONNX makes the mean of all
    values of them, or nothing that is a number, and takes no masks of three axes. Of the logarithm of a sigmoid it
    makes minus infinity from -20 on, of that of a sum of exponentials infinity from 88 on, and it gives the angle of a
    point due west the wrong sign. In means over windows that go beyond a padded edge (``ceil_mode``), OpenVINO counts
    other cells; PyTorch's exporter leaves their ``divisor_override`` out, and takes the last value for the mean of
    those that are scattered to one place. Adaptive pooling over an open grid gets the windows of the grid that was
    traced, in ONNX, and what is smoothed when it is made smaller no two smooth in one way. Medians have no operator.
    Whole parts of a division, and what it leaves, all others take from a rounded quotient.
    litert-torch knows no bilinear layer, and cannot detach a constant in its place, as every tensor made in
    ``forward`` is.
    """
    written_out = _written_out(program, {**_WRITTEN_OUT, **_FOR_OTHERS})
    if not written_out:
        return program
    with torch.no_grad(), symbols_alone(program):
        made: ExportedProgram = program.run_decompositions(written_out)
    return made


@contextmanager
def readied(program: ExportedProgram) -> Iterator[None]:
    """Let a program that is taken apart by a converter be made ready in the same pass; see :func:`ready`.

    A pass traces the whole program anew, which for an open grid is a third of a conversion.
    """
    written_out = _written_out(program, {**_WRITTEN_OUT, **_FOR_ONNX})

    def run_decompositions(table: Mapping[Any, Any]) -> ExportedProgram:
        ours = {target: _or_else(made, table.get(target)) for target, made in written_out.items()}
        found: ExportedProgram = ExportedProgram.run_decompositions(program, {**table, **ours})
        return found

    program.__dict__["run_decompositions"] = run_decompositions
    try:
        yield
    finally:
        del program.__dict__["run_decompositions"]


def _or_else(made: Callable[..., Any], otherwise: Callable[..., Any] | None) -> Callable[..., Any]:
    """Take apart as the converter would what need not be written out."""
    if otherwise is None:
        return made

    @functools.wraps(made)
    def found(*args: Any, **how: Any) -> Any:
        given = made(*args, **how)
        return otherwise(*args, **how) if given is NotImplemented else given

    return found


def _written_out(program: ExportedProgram, table: Mapping[Any, Any]) -> dict[Any, Any]:
    targets = {node.target for node in nodes(program) if node.target is not _AVERAGE or _is_odd(node)}
    targets -= {node.target for node in nodes(program) if node.target in _WITHOUT_PLACES and _gives_places(node)}
    return {target: made for target, made in table.items() if target in targets | _WITHIN}


def _is_odd(mean: torch.fx.Node) -> bool:
    return True in mean.args or len(mean.args) == len(_AVERAGE._schema.arguments)


def _gives_places(node: torch.fx.Node) -> bool:
    return any(user.args[1:] == (1,) and user.users for user in node.users)


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
    """Compute means over windows beyond a padded edge, or sums by a divisor, of an array that is padded already."""
    pads = [padding] * 2 if isinstance(padding, int) else [*padding, *padding][:2]
    if divisor_override is None and not (ceil_mode and any(pads) and count_include_pad):
        return NotImplemented
    kernels, strides = ([*side, *side][:2] for side in (kernel, stride or kernel))
    if divisor_override is not None:  # of windows that are full, also at the end
        after = [pad + (step - 1) * ceil_mode for pad, step in zip(pads, strides, strict=True)]
        padded = torch.nn.functional.pad(x, (pads[1], after[1], pads[0], after[0]))
        found = torch.nn.functional.avg_pool2d(padded, kernels, strides) * (math.prod(kernels) / divisor_override)
        if not ceil_mode:
            return found
    else:
        padded = torch.nn.functional.pad(x, (pads[1], pads[1], pads[0], pads[0]))
        found = torch.nn.functional.avg_pool2d(padded, kernels, strides, 0, True)
    lengths = []
    for axis, width, step, pad in zip((-2, -1), kernels, strides, pads, strict=True):
        length = (x.shape[axis] + 2 * pad - width + step - 1) // step + 1
        # The last window begins before the padding behind the array.
        lengths.append(length - 1 if (length - 1) * step >= x.shape[axis] + pad else length)
    return found[..., : lengths[0], : lengths[1]]


def _means(  # noqa: PLR0917 - PyTorch's signature
    x: torch.Tensor, dim: int, index: torch.Tensor, source: torch.Tensor, reduce: str, include_self: bool = True
) -> Any:
    """Compute the means of ``torch.scatter_reduce``, as of parcels, by sums and counts."""
    if reduce != "mean" or not x.is_floating_point():
        return NotImplemented
    ones = torch.ones_like(x)
    if not include_self:
        x, ones = x.scatter(dim, index, 0.0), ones.scatter(dim, index, 0.0)
    return x.scatter_add(dim, index, source) / ones.scatter_add(dim, index, torch.ones_like(source))


def _bilinear(left: torch.Tensor, right: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Any:
    """Compute ``torch.nn.functional.bilinear`` by a product of matrices, which all converters know."""
    count, first, second = weight.shape
    half = (left @ weight.permute(1, 0, 2).reshape(first, count * second)).reshape(*left.shape[:-1], count, second)
    found = (half * right.unsqueeze(-2)).sum(-1)
    return found if bias is None else found + bias


def _distances(left: torch.Tensor, right: torch.Tensor, p: float = 2.0, compute_mode: int | None = None) -> Any:  # noqa: ARG001
    """Compute ``torch.cdist``, from each row of one to each of the other."""
    if p not in {1.0, 2.0}:
        return NotImplemented
    apart = left.unsqueeze(-2) - right.unsqueeze(-3)
    return apart.abs().sum(-1) if p == 1.0 else apart.square().sum(-1).sqrt()


def _searched(
    ordered: torch.Tensor,
    x: torch.Tensor,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: torch.Tensor | None = None,
) -> Any:
    """Compute ``torch.searchsorted`` in one sequence as ``torch.bucketize``, which converters know."""
    if ordered.ndim != 1 or sorter is not None:
        return NotImplemented
    return torch.bucketize(x, ordered, out_int32=out_int32, right=right or side == "right")


_WRITTEN_OUT = MappingProxyType(
    {
        torch.ops.aten.kthvalue.default: ordering.kth_value,
        torch.ops.aten.median.default: lambda x: ordering.median(x.flatten(), 0)[0],
        torch.ops.aten.median.dim: ordering.median,
        torch.ops.aten.nanmedian.default: lambda x: ordering.known_median(x.flatten(), 0)[0],
        torch.ops.aten.nanmedian.dim: ordering.known_median,
        _ANGLE: elements.angle,
        _ATTENTION: _attention,
        _AVERAGE: _average,
        _BILINEAR: _bilinear,
        _DETACHED: elements.itself,
        _LOG_ADD: elements.log_add,
        _LOG_SIGMOID: elements.log_sigmoid,
        _MODE: ordering.most_frequent,
        _SHIFT: elements.shifted,
        **_by_name("floor_divide", dividing.whole, "default", "Scalar"),
        **_by_name("div", dividing.divided, "Tensor_mode", "Scalar_mode"),
        **_by_name("remainder", dividing.rest, "Tensor", "Scalar", "Scalar_Tensor"),
        **_by_name("fmod", dividing.signed_rest, "Tensor", "Scalar"),
        torch.ops.aten.cdist.default: _distances,
        torch.ops.aten.scatter_reduce.two: _means,
        torch.ops.aten.copysign.Tensor: elements.with_sign,
        torch.ops.aten.isin.Tensor_Tensor: elements.among,
        torch.ops.aten.rrelu.default: elements.leaking,
        torch.ops.aten.sgn.default: elements.sign,
        torch.ops.aten.sign.default: elements.sign,
        torch.ops.aten.hypot.default: elements.hypotenuse,
        torch.ops.aten.searchsorted.Tensor: _searched,
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
