"""Lengths that a program of torch.export leaves open, and those of them at which it computes what its module does."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from math import gcd
from typing import Any, TypeAlias

import torch

from modelstac.registry.publishing.objects.modules import call_of
from modelstac.registry.publishing.objects.saved import APART, SHARE

Place: TypeAlias = tuple[int, int]
"""Which input, and which of its axes."""
_Values: TypeAlias = Mapping[Any, int]
"""What the symbols of a program stand for."""
_TIMES, _LONG, _MANY, _SHORT = 4, 512, 2**20, 64
"""How far lengths are looked at: in times of the example's, at least so long, of so many numbers; and from where on."""


def lengths_of(program: Any) -> list[list[Any]]:
    """Give the lengths of each input: numbers, and symbols where they are open."""
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    shapes = [nodes[name].meta["val"].shape for name in program.graph_signature.user_inputs]
    return [[getattr(getattr(n, "node", None), "expr", n) for n in shape] for shape in shapes]


def of_one_length(program: Any, model: Any, tensors: Mapping[str, Any]) -> list[Place]:
    """Find axes that the exporter left open although no other length runs, or gives what the module gives.

    So it does where lengths hang together by their product, as of a series that is flattened before a linear layer:
    any of them may grow, it says, if the others shrink. And where code goes another way for other lengths: that is
    written in guards, which are Python, and not run from a file. Such lengths are tried, too: an axis of which one
    gives something else has one length then.
    """
    found = _Lengths(program, tensors)
    same = _comparing(program, model, found)

    while (smaller := found.smaller()) is not None and same(smaller) is True:
        found.now = smaller

    def is_open(symbol: Any) -> bool:
        now, ran = found.now[symbol], False
        for other in (now + 1, now // 2, 2 * now, 3 * now):
            if ran and other > 2 * now:
                break
            if (gives := same({**found.now, symbol: other})) is False:
                return False
            ran = ran or gives is True
        return ran and all(same(values) is not False for values in found.beyond(symbol))

    closed = [symbol for symbol in found.axes if not is_open(symbol)]
    # Images may go another way from a number of pixels on, which no axis alone has.
    grid = [symbol for symbol, ((_, axis), *_) in found.axes.items() if axis and symbol not in closed]
    if len(grid) > 1 and any(same(values) is False for values in found.beyond(*grid)):
        closed += grid
    return [place for symbol in closed for place in found.axes[symbol]]


def in_steps(program: Any, model: Any, tensors: Mapping[str, Any], places: Collection[Place]) -> dict[Place, Any]:
    """Give those axes as multiples of the number that a program asks for, as of images that it does not pad.

    A module may ask for one that its program knows nothing of, by code that a tracer does not enter.
    """
    found = _Lengths(program, tensors)
    same = _comparing(program, model, found)
    stepped: dict[Place, Any] = {}
    for symbol, of_symbol in found.axes.items():
        if not set(of_symbol) <= set(places):
            continue
        now, allowed = found.now[symbol], found.allowed(symbol)
        step, least = gcd(*allowed), min(allowed, default=now)
        if step < 2 or len(allowed) == 1:

            def runs(length: int, symbol: Any = symbol) -> bool:
                return same({**found.now, symbol: length}) is True

            step = next((n for n in range(2, now + 1) if not now % n and runs(now + n)), 1)
            least = next((n for n in (step, 2 * step, 4 * step) if n < now and runs(n)), now)
        if step > 1 and not now % step:
            dim: Any = torch.export.Dim(f"of_{symbol}", min=least // step)
            stepped |= dict.fromkeys(of_symbol, step * dim)
    return stepped


def in_proportion(tensors: Mapping[str, Any], places: Collection[Place]) -> dict[Place, Any]:
    """Give axes of several inputs as multiples of the shortest, as of a radar twice as fine as an optical image."""
    examples, found = list(tensors.values()), dict[Place, Any]()
    for axis in {axis for _, axis in places}:
        lengths = {which: examples[which].shape[axis] for which, at in places if at == axis}
        least = min(lengths.values())
        if len(set(lengths.values())) > 1 and not any(length % least for length in lengths.values()):
            dim: Any = torch.export.Dim(f"axis_{axis}")
            found |= {
                (which, axis): length // least * dim if length > least else dim for which, length in lengths.items()
            }
    return found


class _Lengths:
    """Axes that are open in a program, by their symbols, and what it says of lengths beside its ranges.

    A program that is made of code says in guards what it took for granted of its sizes. Its file does not have them.
    """

    def __init__(self, program: Any, tensors: Mapping[str, Any]) -> None:
        self._tensors = tensors
        self._lengths = [
            [int(n) if getattr(n, "is_Integer", True) else n for n in shape] for shape in lengths_of(program)
        ]
        self._guards = getattr(program.module(), "_guards_fn", None)  # which nothing public gives by itself
        self.axes: dict[Any, list[Place]] = {}
        self.now: dict[Any, int] = {}  # from which others are tried: those of the example, or shorter ones
        for which, (shape, example) in enumerate(zip(self._lengths, tensors.values(), strict=True)):
            for axis, length in enumerate(shape):
                factor, symbol = length.as_coeff_Mul() if hasattr(length, "as_coeff_Mul") else (1, length)
                if getattr(symbol, "is_Symbol", False):
                    self.axes.setdefault(symbol, []).append((which, axis))
                    self.now.setdefault(symbol, example.shape[axis] // int(factor))
        self.given_now = self.now
        # The least is 2 of any length: a program takes 1, too, if nothing is said against it.
        self._ranges = {
            of: range(int(found.lower) if found.lower > 2 else 0, int(min(found.upper, 2**60)) + 1)
            for of, found in program.range_constraints.items()
            if of.free_symbols <= self.now.keys()
        }

    def given(self, values: _Values, made: Callable[[Any, Sequence[int]], Any]) -> dict[str, Any] | None:
        """Make inputs of lengths; None of those that a program has not."""
        if any(_length(of, values) not in found for of, found in self._ranges.items()):
            return None
        shapes = ([_length(n, values) for n in shape] for shape in self._lengths)
        return {name: made(one, shape) for shape, (name, one) in zip(shapes, self._tensors.items(), strict=True)}

    def smaller(self) -> dict[Any, int] | None:
        """Give about half of what is long, if no guard fails: the same way through the code, and quicker to try."""
        for step in (1, _SHORT // 2):  # of 300 by a network that takes multiples of 4: 128 and not 150
            halved = {symbol: n // 2 // step * step if n >= 2 * _SHORT else n for symbol, n in self.now.items()}
            blank = None if halved == self.now else self.given(halved, _blank)
            if blank is not None and self._failing(blank) is None:
                return halved
        return None

    def allowed(self, symbol: Any) -> list[int]:
        """Give lengths of which no guard fails."""
        return [values[symbol] for values, failed in self._tried(symbol) if failed is None]

    def beyond(self, *symbols: Any) -> list[_Values]:
        """Give lengths of which a guard fails, above and below the example's: of each guard the nearest and farthest.

        One that fails hides those after it, such as ``height >= 9`` behind ``width <= height``.
        """
        first = symbols[0]
        nearest: dict[tuple[str, bool], _Values] = {}
        farthest: dict[tuple[str, bool], _Values] = {}
        for values, failed in self._tried(*symbols):
            if failed is not None:
                place = failed, values[first] > self.now[first]
                nearest.setdefault(place, values)
                if values[first] <= 2 * self.now[first]:
                    farthest[place] = values
        return [*nearest.values(), *(values for place, values in farthest.items() if values != nearest[place])]

    def _tried(self, *symbols: Any) -> Iterator[tuple[_Values, str | None]]:
        """Have symbols shrink and grow together, each within its range, and give the guard that fails."""
        first = self.now[symbols[0]]
        most = max(_MANY, _TIMES * sum(one.numel() for one in self._tensors.values()))
        for length in (*range(first, 1, -1), *range(first + 1, max(_LONG, _TIMES * self.given_now[symbols[0]]))):
            values = {**self.now, **{symbol: self.now[symbol] * length // first for symbol in symbols}}
            if self._guards is None or (blank := self.given(values, _blank)) is None:
                continue
            if length > first and sum(one.numel() for one in blank.values()) > most:
                return
            yield values, self._failing(blank)

    def _failing(self, blank: Mapping[str, Any]) -> str | None:
        """Give the guard that fails for inputs of such lengths."""
        try:
            if self._guards is not None:
                self._guards(*blank.values())
        except AssertionError as error:
            return str(error)
        return None


def _comparing(program: Any, model: Any, found: _Lengths) -> Callable[[_Values], bool | None]:
    """Give what compares both at lengths."""
    unguarded = "check_guards" in inspect.signature(program.module).parameters
    run = program.module(check_guards=False) if unguarded else program.module()

    def same(values: _Values) -> bool | None:
        """Tell whether both give the same; None where neither runs, or the program alone does not on a little."""
        try:
            # Twice, as either may write into what it is given.
            one, other = (found.given(values, _of_size) for _ in range(2))
        except Exception:  # noqa: BLE001 - whatever somebody's sizes raise
            return None
        if one is None or other is None:
            return None
        call, again = call_of(model, one), call_of(model, other)
        try:
            with torch.no_grad():
                given = run(*call.args, **call.kwargs)
        except Exception:  # noqa: BLE001 - whatever somebody's operator raises
            # A module that runs goes another way, as of larger images.
            larger = any(length > found.given_now[symbol] + 1 for symbol, length in values.items())
            return False if larger and _runs(model, again) else None
        return _gives(model, again, given)

    return same


def _length(length: Any, values: _Values) -> int:
    return values[length] if length in values else int(length.subs(values)) if hasattr(length, "subs") else length


def _blank(tensor: Any, size: Sequence[int]) -> Any:
    return torch.empty(size, dtype=tensor.dtype, device="meta")


def _of_size(tensor: Any, size: Sequence[int]) -> Any:
    """Repeat an example, or take a part of it, so that its values are such as it has."""
    for axis, length in enumerate(size):
        tensor = tensor.index_select(axis, torch.arange(length) % tensor.shape[axis])
    return tensor


def _runs(model: Any, call: inspect.BoundArguments) -> bool:
    try:
        with torch.no_grad():
            model(*call.args, **call.kwargs)
    except Exception:  # noqa: BLE001 - a length that its code refuses, too
        return False
    return True


def _gives(model: Any, call: inspect.BoundArguments, found: Any) -> bool:
    """Tell whether a module gives what its program gave, but for rounding."""
    try:
        with torch.no_grad():
            own = model(*call.args, **call.kwargs)
    except Exception:  # noqa: BLE001 - a length that its code refuses
        return False
    pairs = zip(*(torch.utils._pytree.tree_leaves(one) for one in (own, found)), strict=False)
    return all(a.shape == b.shape and _alike(a.double(), b.double()) for a, b in pairs if isinstance(a, torch.Tensor))


def _alike(own: Any, found: Any) -> bool:
    if own.numel() == 0:
        return True
    most = APART * max(1.0, float(own.nan_to_num(0, 0, 0).abs().max()))
    away = (own - found).abs().nan_to_num(0, torch.inf) > most
    return bool((own.isnan() == found.isnan()).all()) and float(away.double().mean()) <= SHARE
