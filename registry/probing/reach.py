"""How far a change along one axis of an input reaches in the outputs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.ahead import batches
from modelstac.catalog.errors import DataError
from modelstac.registry.probing.changes import QUICK, Change, changes, differ
from modelstac.registry.probing.trial import OutOfTimeError, Samples

if TYPE_CHECKING:
    from modelstac.registry.probing.relation import Follows
    from modelstac.registry.probing.trial import Axis, Shapes, Trial

    Array = np.ndarray[Any, Any]
    Pair = tuple[Mapping[str, Array], Mapping[str, Array]]

TOGETHER = 8
"""Changes that are tried in one run, as samples of a batch, where samples are kept apart."""
MOST_VALUES = 1 << 20
"""Of the inputs of such a run: a larger one takes as long as its samples one by one."""
KEPT = 6
"""Changes that reach farthest at one place, and so are tried at the others."""
ROUNDS = 4


class TouchesError(Exception):
    """A change reaches the edge of the grid: nobody knows how much farther it would."""


@dataclass(frozen=True)
class Line:
    """An axis of an input, and the outputs that lie along it.

    Parameters
    ----------
    axis
        Which.
    place
        Its position among the axes of the input.
    follows
        By the name of an output how it follows, and the position of its axis. What is not named has no such axis: any
        change of it is one of the whole.
    period
        After how many pixels everything repeats.
    """

    axis: Axis
    place: int
    follows: Mapping[str, tuple[Follows, int]]
    period: int


class Reach:
    """One grid on which changes are tried.

    Parameters
    ----------
    trial
        The model.
    line
        The axis along which it is probed.
    shapes
        Of all inputs.
    slow
        Whether a run takes long: then several together take as long as one by one, of which the first may tell all.
    """

    def __init__(self, trial: Trial, line: Line, shapes: Shapes, *, slow: bool = False) -> None:
        self._trial = trial
        self._line = line
        self._shapes = shapes
        self._length = shapes[line.axis[0]][line.place]
        self._backgrounds: dict[str, dict[str, Array]] = {}
        self._plain: dict[tuple[str, ...], list[dict[str, Array]]] = {}
        self._samples = Samples(trial)
        values = sum(map(math.prod, shapes.values()))
        several = self._samples.may_be_several and not slow
        self._together = max(1, min(TOGETHER, MOST_VALUES // max(1, values) - 2)) if several else 1
        self._known: dict[tuple[int, Change, bool], dict[str, int]] = {}
        tensor = next(t for t in trial.signature.inputs if t.name == line.axis[0])
        self._changes = changes(tensor.dtype)
        self.changed = False

    def at_least(self, start: int) -> int:
        """Give the pixels that a few changes from a row on reach.

        Raises
        ------
        TouchesError
            If they reach the edge of the grid.
        """
        few = self._changes[:QUICK]
        return max(self._distance(self._first(start, few, flipped=flipped), start) for flipped in (False, True))

    def farthest(self, start: int, kept: Sequence[Change] = ()) -> tuple[int, Sequence[Change]]:
        """Give the most pixels between what is changed and an output that changes, over a period from a place on.

        Everything from a row on is changed; the farthest output before that row that changes is looked for, for every
        row of a period. (For the row that sees farthest this is what changing it alone would show: an output that
        another row beyond reached from afar would be farther still from that one.) As the farthest output only moves
        away from the edge from row to row, rows between two that are known need not be tried where they cannot see
        farther than the farthest known.

        Parameters
        ----------
        start
            First row of the period.
        kept
            Changes that reached far before, elsewhere. All changes are tried at the row that sees farthest by these; at
            the first row, where none are given.

        Returns
        -------
        tuple
            The pixels, and the changes that reached so far.

        Raises
        ------
        TouchesError
            If a change reaches the edge of the grid.
        """
        best = 0
        for flipped in (False, True):
            found, kept = self._one_side(start, kept or self._best_at(start, flipped=flipped), flipped=flipped)
            best = max(best, found)
        return best, kept

    def _one_side(self, start: int, kept: Sequence[Change], *, flipped: bool) -> tuple[int, Sequence[Change]]:
        best, at = self._distance(self._first(start, kept, flipped=flipped), start), start
        for _ in range(ROUNDS):
            best, at = max((best, at), self._between(start, kept, best, flipped=flipped))
            full = self._distance(self._first(at, self._changes, flipped=flipped), at)
            if full <= best:
                break
            best, kept = full, self._best_at(at, flipped=flipped)
        return best, kept

    def _between(self, start: int, kept: Sequence[Change], best: int, *, flipped: bool) -> tuple[int, int]:
        """Look at all rows of the period that may see farther than the best known."""
        end = start + self._line.period
        first = self._first(start, kept, flipped=flipped)
        at, intervals = start, [(start, end, first)]
        while intervals:
            low, high, known = intervals.pop()
            if high - low <= 1 or self._distance(known, high - 1) <= best:
                continue
            # The last row first: where outputs see whole blocks, it sees farthest, and the rest need not be tried.
            middle = high - 1 if (low, high) == (start, end) else (low + high) // 2
            found = self._first(middle, kept, flipped=flipped)
            if (distance := self._distance(found, middle)) > best:
                best, at = distance, middle
            intervals += [(low, middle, known), (middle, high, found)]
        return best, at

    def _distance(self, first: Mapping[str, int], row: int) -> int:
        """Give the pixels between a row and the last that the farthest changed output lies over."""
        found = (row - self._line.follows[name][0].footprint(pixel)[1] for name, pixel in first.items())
        return max((0, *found))

    def _best_at(self, row: int, *, flipped: bool) -> list[Change]:
        """Name the changes that reach farthest, from a row on."""
        self._first(row, self._changes, flipped=flipped)  # together, before each is looked at
        far = [(self._distance(self._first(row, [c], flipped=flipped), row), -i) for i, c in enumerate(self._changes)]
        return [self._changes[-i] for _, i in sorted(far, reverse=True)[:KEPT]]

    def _first(self, row: int, tried: Sequence[Change], *, flipped: bool) -> dict[str, int]:
        """Give the first pixel of each output that any of some changes from a row on changes."""
        new = [change for change in tried if (row, change, flipped) not in self._known]
        for some in batches(new, self._together):
            for change, pair in zip(some, self._run(row, some, flipped=flipped), strict=True):
                self._known[row, change, flipped] = {} if pair is None else dict(self._seen(*pair, flipped=flipped))
        first: dict[str, int] = {}
        for change in tried:
            for name, pixel in self._known[row, change, flipped].items():
                first[name] = min(pixel, first.get(name, pixel))
        return first

    def _run(self, row: int, some: Sequence[Change], *, flipped: bool) -> Iterator[Pair | None]:
        """Yield for each change from a row on what it makes of the outputs, and what they are without it."""
        together = self._in_one_batch(row, some, flipped=flipped) if len(some) > 1 else None
        if together is not None:
            yield from together
            return
        for change in some:
            try:
                [plain] = self._plain_of([change.background])
                yield self._trial.run(self._changed(row, change, flipped=flipped)), plain
            except OutOfTimeError:
                raise
            except DataError:  # values that it does not take, such as labels that are too large
                yield None

    def _in_one_batch(self, row: int, some: Sequence[Change], *, flipped: bool) -> list[Pair] | None:
        """Run changes as samples of one batch; None where that need not show what each alone shows.

        Each sample is compared with its background in the same place of the batch, as kernels may round otherwise from
        place to place. The first and the last sample are left unchanged: others must not do anything to them.
        """
        end = some[0].background
        try:
            plain = self._plain_of([end, *(change.background for change in some), end])
        except OutOfTimeError:
            raise
        except DataError:  # it takes no such batch
            self._together = 1
            return None
        still = self._background(end)
        changed = [self._changed(row, change, flipped=flipped) for change in some]
        try:
            found = self._samples.run([still, *changed, still])
        except OutOfTimeError:
            raise
        except DataError:  # one of them is not taken
            return None
        if any(_differ(found[place], plain[place]) for place in (0, -1)):
            self._together = 1
            return None
        return list(zip(found[1:-1], plain[1:-1], strict=True))

    def _seen(
        self, outputs: Mapping[str, Array], plain: Mapping[str, Array], *, flipped: bool
    ) -> Iterator[tuple[str, int]]:
        """Yield the first pixel of each output that changed, from the other end if flipped."""
        for output, array in outputs.items():
            if array.shape != plain[output].shape or not (unequal := differ(array, plain[output])).any():
                continue
            self.changed = True
            if output not in self._line.follows:
                raise TouchesError
            along = self._line.follows[output][1]
            pixels = np.flatnonzero(unequal.any(tuple(i for i in range(unequal.ndim) if i != along)))
            first = unequal.shape[along] - 1 - int(pixels[-1]) if flipped else int(pixels[0])
            if first == 0:
                raise TouchesError
            yield output, first

    def _changed(self, row: int, change: Change, *, flipped: bool) -> dict[str, Array]:
        """Give the inputs of a change from a row on, or from the other end up to it."""
        name, place = self._line.axis[0], self._line.place
        rows = slice(0, self._length - row) if flipped else slice(row, None)
        inputs = self._background(change.background)
        return inputs | {name: change.apply(inputs[name], (*(slice(None),) * place, rows))}

    def _background(self, kind: str) -> dict[str, Array]:
        if kind not in self._backgrounds:
            self._backgrounds[kind] = self._trial.inputs(self._shapes, kind)
        return self._backgrounds[kind]

    def _plain_of(self, kinds: Sequence[str]) -> list[dict[str, Array]]:
        """Give the outputs of backgrounds, which are run together."""
        key = tuple(kinds)
        if key not in self._plain:
            self._plain[key] = self._samples.run([self._background(kind) for kind in kinds])
        return self._plain[key]


def _differ(first: Mapping[str, Array], second: Mapping[str, Array]) -> bool:
    return any(a.shape != second[name].shape or bool(differ(a, second[name]).any()) for name, a in first.items())
