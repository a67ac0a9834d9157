"""The recurrence of a ConvLSTM in PyTorch, once with a backward pass of its own, fast and lean, and once as it reads.

`recurrence` keeps for the backward pass what the cells need and nothing else (the gates, in the memory that the
convolution wrote, and the states), computes the gradients of both kernels over many steps at a time, and can compute
the gates anew in the backward pass instead of keeping them. Tensors are time-major with the channels innermost
in memory, where convolutions on CPUs and GPUs are fastest. `recurrence_as_it_reads` computes the same in plain
operations, for tracing: `torch.export`, `torch.compile`, ONNX.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody uses
from torch import Tensor
from torch.autograd.function import once_differentiable

from modelstac.training.architectures.convolutions_torch import Convolution, kernel_gradients, turned

aten = torch.ops.aten

CPU_BLOCK = 4 * 2**20
"""Bytes of gates that are computed at once on a CPU: what its caches hold, for larger ones are slower again."""

GPU_BLOCK = 2**30
"""The same on other devices, which want all time steps at once."""


class Activation(NamedTuple):
    """A function, the same in place, and what multiplies a gradient by its derivative, given the result, in place."""

    function: Callable[[Tensor], Tensor]
    in_place: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor], Tensor]


def activation(name: str, slope: float = 0.0) -> Activation:
    """Give ``linear``, ``tanh``, ``sigmoid``, ``hard_sigmoid`` or ``leaky_relu`` of a slope."""
    leaky = partial(F.leaky_relu, negative_slope=slope)
    return {
        "linear": Activation(lambda x: x, lambda x: x, lambda grad, _: grad),
        "tanh": Activation(
            torch.tanh, torch.tanh_, lambda grad, y: aten.tanh_backward.grad_input(grad, y, grad_input=grad)
        ),
        "sigmoid": Activation(
            torch.sigmoid, torch.sigmoid_, lambda grad, y: aten.sigmoid_backward.grad_input(grad, y, grad_input=grad)
        ),
        "hard_sigmoid": Activation(
            F.hardsigmoid,
            partial(F.hardsigmoid, inplace=True),
            lambda grad, y: grad.mul_((y > 0) & (y < 1)).div_(6),
        ),
        # The result has the sign of what it is of.
        "leaky_relu": Activation(
            leaky,
            partial(leaky, inplace=True),
            lambda grad, y: aten.leaky_relu_backward.grad_input(grad, y, slope, False, grad_input=grad),
        ),
    }[name]


class Cell(NamedTuple):
    """What a cell does beside convolving.

    Parameters
    ----------
    activation, recurrent
        Function of candidate and output, function of the gates.
    recompute
        Compute the gates anew in the backward pass instead of keeping them: two thirds of the memory less, a third more
        to compute.
    """

    activation: Activation
    recurrent: Activation
    recompute: bool = False


def recurrence_as_it_reads(x: Tensor, kernel: Tensor, bias: Tensor, recurrent_kernel: Tensor, cell: Cell) -> Tensor:
    """Compute what `recurrence` computes, in operations that every tracer and autograd know."""
    padding = kernel.shape[-1] // 2
    steps = (
        F.conv2d(x.flatten(0, 1), kernel, bias, padding=padding).view(*x.shape[:2], len(kernel), *x.shape[3:]).unbind(0)
    )
    h = c = None
    outputs = []
    for step in steps:
        gates = step if h is None else step + F.conv2d(h, recurrent_kernel, padding=padding)
        i, f, candidate, o = gates.chunk(4, dim=1)
        fresh = cell.recurrent.function(i) * cell.activation.function(candidate)
        c = fresh if c is None else cell.recurrent.function(f) * c + fresh
        h = cell.recurrent.function(o) * cell.activation.function(c)
        outputs.append(h)
    return torch.stack(outputs)


def recurrence(x: Tensor, kernel: Tensor, bias: Tensor, recurrent_kernel: Tensor, cell: Cell) -> Tensor:
    """Run ConvLSTM cells over time, from a state of zeros.

    Parameters
    ----------
    x
        (time, batch, channels, height, width), channels innermost in memory.
    kernel, bias, recurrent_kernel
        Of the convolutions of input and state; gates (input, forget, candidate, output) one after the other.
    cell
        The rest.

    Returns
    -------
    Tensor
        All states h, (time, batch, filters, height, width), channels innermost in memory.
    """
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in (x, kernel, bias, recurrent_kernel))
    device = x.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        x, kernel, bias, recurrent_kernel = (t.to(dtype) for t in (x, kernel, bias, recurrent_kernel))
    with torch.autocast(device, enabled=False):
        result: Tensor = _Recurrence.apply(cell, keep, x, kernel, bias, recurrent_kernel)  # type: ignore[no-untyped-call]
    return result


def traced() -> bool:
    """Tell whether operations are recorded now, which wants plain ones, and none in place."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, cell: Cell, keep: bool, x: Tensor, *parameters: Tensor) -> Tensor:
        # The three gates side by side: one function call activates them all.
        kernel, bias, recurrent_kernel = parameters = tuple(_candidate_last(one) for one in parameters)
        filters = recurrent_kernel.shape[1]
        outputs = _channels_innermost(x, filters, x.dtype)
        cells = _channels_innermost(x if keep else x[:1], filters, _sum_dtype(x))
        kept = []
        of_input, of_state = _convolutions(x, kernel, bias, recurrent_kernel)
        for block in _blocks(x, 4 * filters):
            gates = _unflat(of_input(x[block].flatten(0, 1)), x)
            for t, gate in enumerate(gates, block.start):
                if t:
                    of_state.add(outputs[t - 1], gate)
                i, f, o, candidate = _activated(gate, cell)
                c, c_before = cells[t if keep else 0], cells[t - 1 if keep else 0]
                if t:
                    torch.mul(f, c_before, out=c).addcmul_(i, candidate)
                else:
                    torch.mul(i, candidate, out=c)
                torch.mul(o, cell.activation.function(c), out=outputs[t])
            if keep and not cell.recompute:
                kept.append(gates)
        if keep:
            ctx.cell = cell
            ctx.save_for_backward(x, *parameters, outputs, cells, *kept)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        x, kernel, bias, recurrent_kernel, outputs, cells, *kept = ctx.saved_tensors
        cell: Cell = ctx.cell
        grad_x = torch.empty_like(x) if ctx.needs_input_grad[2] else None
        sums = [torch.zeros_like(one, dtype=_sum_dtype(x)) for one in (kernel, bias, recurrent_kernel)]
        gates_shape = x.shape[1], len(kernel), *x.shape[3:]
        to_input, to_state = (Convolution(turned(one), shape=gates_shape) for one in (kernel, recurrent_kernel))
        again = None if kept else _convolutions(x, kernel, bias, recurrent_kernel)
        grad_h = grad_c = None
        for number, block in reversed(list(enumerate(_blocks(x, len(kernel))))):
            before = slice(max(block.start - 1, 0), block.stop - 1)  # the states that enter the steps of this block
            gates = kept[number] if again is None else _gates_again(x, outputs, (block, before), again)
            grad_gates = torch.empty_like(gates)
            for t in reversed(range(block.start, block.stop)):
                gate, grad_gate = gates[t - block.start], grad_gates[t - block.start]
                grad = grad_outputs[t] if grad_h is None else grad_h.add_(grad_outputs[t])
                if not kept:
                    _activated(gate, cell)
                states = cells[t], cells[t - 1] if t else None
                grad_c = _through_the_cell(gate, states, (grad, grad_c), cell, grad_gate)
                if t:
                    grad_h = to_state(grad_gate)
            flat = grad_gates.flatten(0, 1)
            if grad_x is not None:
                grad_x[block] = _unflat(to_input(flat), x)
            of_kernel, of_bias = kernel_gradients(flat, x[block].flatten(0, 1), kernel, bias=True)
            sums[0] += of_kernel
            sums[1] += of_bias
            if block.stop > 1:
                later = flat if block.start else grad_gates[1:].flatten(0, 1)
                sums[2] += kernel_gradients(later, outputs[before].flatten(0, 1), recurrent_kernel, bias=False)[0]
        return None, None, grad_x, *(_candidate_third(one, x.dtype) for one in sums)


def _through_the_cell(
    gate: Tensor,
    states: tuple[Tensor, Tensor | None],
    grads: tuple[Tensor, Tensor | None],
    cell: Cell,
    grad_gate: Tensor,
) -> Tensor | None:
    """Write the gradients of the gates of a step, before activation, into ``grad_gate``.

    ``gate`` are the activated gates, ``states`` c after and before the step, ``grads`` those of h and c after it; the
    result is that of c before it.
    """
    i, f, o, candidate = gate.chunk(4, dim=1)
    (c, c_before), (grad_h, grad_c) = states, grads
    result = cell.activation.function(c)
    own = cell.activation.backward((grad_h * o).to(c.dtype), result)
    grad_c = own if grad_c is None else grad_c.add_(own)
    of_i, of_f, of_o, of_candidate = grad_gate.chunk(4, dim=1)
    torch.mul(grad_c, candidate, out=of_i)
    torch.mul(grad_h, result, out=of_o)
    torch.mul(grad_c, i, out=of_candidate)
    if c_before is None:
        of_f.zero_()
    else:
        torch.mul(grad_c, c_before, out=of_f)
    gates = slice(0, 3 * i.shape[1])
    cell.recurrent.backward(grad_gate[:, gates], gate[:, gates])
    cell.activation.backward(of_candidate, candidate)
    return None if c_before is None else grad_c.mul_(f)


def _convolutions(x: Tensor, kernel: Tensor, bias: Tensor, recurrent_kernel: Tensor) -> tuple[Convolution, Convolution]:
    """Give those of input and state."""
    batch, _, height, width = x.shape[1:]
    state = batch, recurrent_kernel.shape[1], height, width
    return Convolution(kernel, bias, shape=x.shape[1:]), Convolution(recurrent_kernel, shape=state)


def _gates_again(
    x: Tensor, outputs: Tensor, blocks: tuple[slice, slice], convolutions: tuple[Convolution, Convolution]
) -> Tensor:
    """Compute the gates of a block before activation; all states are known, so that no step waits for another."""
    (block, before), (of_input, of_state) = blocks, convolutions
    gates = _unflat(of_input(x[block].flatten(0, 1)), x)
    if block.stop > 1:
        later = gates if block.start else gates[1:]
        of_state.add(outputs[before].flatten(0, 1), later.flatten(0, 1))
    return gates


def _blocks(x: Tensor, channels: int) -> Iterator[slice]:
    """Cut time into blocks of steps whose gates are computed at once."""
    step = x[0, :, 0].numel() * channels * x.element_size()
    length = max((CPU_BLOCK if x.device.type == "cpu" else GPU_BLOCK) // step, 1)
    for start in range(0, len(x), length):
        yield slice(start, min(start + length, len(x)))


def _activated(gate: Tensor, cell: Cell) -> tuple[Tensor, ...]:
    """Activate gates and candidate of a step in place, and give views of input, forget, output gate and candidate."""
    filters = gate.shape[1] // 4
    cell.recurrent.in_place(gate[:, : 3 * filters])
    cell.activation.in_place(gate[:, 3 * filters :])
    return gate.chunk(4, dim=1)


def _candidate_last(parameter: Tensor) -> Tensor:
    """Reorder the gates from Keras' order (input, forget, candidate, output), and put channels innermost in memory."""
    layout = torch.channels_last if parameter.ndim == 4 else torch.contiguous_format
    return _last_quarters_swapped(parameter, torch.empty_like(parameter, memory_format=layout))


def _candidate_third(parameter: Tensor, dtype: torch.dtype) -> Tensor:
    """Undo `_candidate_last`."""
    return _last_quarters_swapped(
        parameter, torch.empty_like(parameter, dtype=dtype, memory_format=torch.contiguous_format)
    )


def _last_quarters_swapped(x: Tensor, out: Tensor) -> Tensor:
    half, last = len(x) // 2, 3 * len(x) // 4
    out[:half], out[half:last], out[last:] = x[:half], x[last:], x[half:last]
    return out


def _channels_innermost(x: Tensor, channels: int, dtype: torch.dtype) -> Tensor:
    time, batch, _, height, width = x.shape
    return x.new_empty((time, batch, height, width, channels), dtype=dtype).movedim(-1, 2)


def _unflat(x: Tensor, like: Tensor) -> Tensor:
    """Part time and batch again."""
    return x.view(-1, like.shape[1], *x.shape[1:])


def _sum_dtype(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)
