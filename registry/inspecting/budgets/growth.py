"""What becomes of constants before a model ever runs: what depends on nothing else is computed when it is opened.

A graph of a few hundred bytes can so ask for any amount of memory: one number, spread over a shape that is a constant
too. What it comes to is followed here as a bound from above, without the values. Where that is not small, the file is
tried in a process of its own (:mod:`modelstac.registry.inspecting.budgets.trial`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

SMALL = 1 << 24
"""Values of one constant that need no trial: 64 MB of float32."""
CAP = 1 << 62


@dataclass(frozen=True)
class Step:
    """An operator of a graph.

    Parameters
    ----------
    kind, name
        Its operator and its name.
    inputs, outputs
        Names of values; an empty one is an input that is left out.
    count
        How many values it holds, where it is a constant.
    values
        These, where they are a few whole numbers.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    count: int | None = None
    values: tuple[int, ...] | None = None


class Growth:
    """Follows the constants of a graph, in its order.

    Parameters
    ----------
    growing
        Operators whose result may be larger than all that they take, by the number of the input that holds its shape
        or repeats; None where there is no such input.
    keeping
        Operators whose result is no larger than their first input.
    shapes
        Operators that give a shape, which is a constant where the shape is one.
    joining
        Operators whose result is as large as all inputs together.

    Attributes
    ----------
    found
        The first that may grow beyond :data:`SMALL`.
    certain
        Values of the largest whose size the file says outright: so large it becomes, now or when the model runs.
    """

    def __init__(
        self,
        growing: Mapping[str, int | None],
        keeping: Collection[str],
        *,
        shapes: Collection[str] = ("Shape", "ShapeOf", "Size"),
        joining: Collection[str] = ("Concat",),
    ) -> None:
        self._growing, self._keeping, self._shapes, self._joining = growing, keeping, shapes, joining
        self._known: dict[str, tuple[int, tuple[int, ...] | None]] = {}
        self.found: str | None = None
        self.certain = 0

    def hold(self, name: str, count: int, values: tuple[int, ...] | None = None) -> None:
        """Note a constant."""
        self._known[name] = (count, values)

    def follow(self, step: Step) -> None:
        """Note what an operator makes of constants; nothing where it takes anything else."""
        if step.count is not None:
            for name in step.outputs:
                self.hold(name, step.count, step.values)
            return
        inputs = [name for name in step.inputs if name]
        if step.kind in self._shapes:
            count = 16
        elif inputs or step.kind in self._growing:
            if step.kind == "Parameter" or any(name not in self._known for name in inputs):
                return
            count = self._bound(step)
        else:
            return
        if count > SMALL and self.found is None:
            self.found = f"{step.kind} {step.name!r:.80}"
        for name in step.outputs:
            self.hold(name, min(count, CAP))

    def _bound(self, step: Step) -> int:
        counts = [self._known[name][0] if name else 1 for name in step.inputs]
        if step.kind in self._growing:
            number = self._growing[step.kind]
            said = step.inputs[number] if number is not None and number < len(step.inputs) else ""
            values = self._known[said][1] if said else None
            if values is None:
                return CAP
            rest = math.prod(count for place, count in enumerate(counts) if place != number)
            bound = min(math.prod(max(value, 1) for value in values) * rest, CAP)
            if rest == 1:  # of more values some shapes are repeats, and others are what they are spread over
                self.certain = max(self.certain, bound)
            return bound
        if step.kind in self._keeping:
            return counts[0]
        if step.kind in self._joining:
            return sum(counts)
        found = 1
        for count in counts:
            found = min(found * max(count, 1), CAP)
        return found
