"""A halo is proved: a scene is run whole and in tiles, and gives the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.registry.probing.halo import GLOBAL, SECONDS, pixels, third
from modelstac.registry.probing.layout import Layout
from modelstac.registry.probing.trial import Trial
from modelstac.registry.running.differences import differences, largest

if TYPE_CHECKING:
    from modelstac.catalog.items.sizes import Size
    from modelstac.registry.probing.halo import Halo
    from modelstac.registry.probing.joining import Sizes
    from modelstac.registry.probing.relation import Follows
    from modelstac.registry.probing.trial import Axis
    from modelstac.registry.running.signature import Runnable, TensorSignature

    Array = np.ndarray[Any, Any]

TOLERANCE = 1e-6
"""Of the largest value of an output; kernels differ by the shape that they are given."""
ROUNDINGS = 8
"""The same in steps of a type that is coarser than float32."""
CORE = 8
"""Pixels in the middle of a tile that are kept, at least."""
CORES = (5, 11)
"""Steps of it, the least that is so long: primes, so that tiles begin at odd and even multiples of the step.

A network that pads to multiples of 4 takes every length, and still does not begin anew at each pixel.
"""
MOST_SHIFTS = 6


@dataclass(frozen=True)
class Window:
    """A part of a scene.

    Parameters
    ----------
    starts, lengths
        Where it begins and how long it is, by axis of an input.
    """

    starts: Mapping[Axis, int]
    lengths: Mapping[Axis, int]

    @classmethod
    def first(cls, lengths: Mapping[Axis, int]) -> Window:
        """Give the window at the beginning of a scene."""
        return cls(dict.fromkeys(lengths, 0), lengths)

    def of(self, tensor: TensorSignature, scene: Array) -> Array:
        """Cut it out of an input."""
        where = tuple(
            slice(self.starts[tensor.name, dim], self.starts[tensor.name, dim] + self.lengths[tensor.name, dim])
            if (tensor.name, dim) in self.starts
            else slice(None)
            for dim in tensor.dim_order
        )
        return scene[where]

    def kept(self, follows: Follows, count: int, halo: int, scene: int) -> dict[int, int]:
        """Give the pixels of an output that do not see the window's edges, by their places in the scene's output."""
        axis = (follows.input, follows.source)
        start, length = self.starts[axis], self.lengths[axis]
        least = -math.inf if start == 0 else halo
        most = math.inf if start + length == scene else length - 1 - halo
        moved = start * follows.scale
        if moved.denominator != 1:
            return {}
        spans = ((pixel, *follows.footprint(pixel)) for pixel in range(count))
        return {pixel + int(moved): pixel for pixel, first, last in spans if least <= first and last <= most}


def prove_halo(model: Runnable, halo: Halo, sizes: Sizes, *, seconds: float = SECONDS) -> None:
    """Run a random scene whole and in tiles, along each axis that has a halo, and compare.

    Tiles begin at multiples of the step, and overlap by the halo on each side, rounded up to the step; of each, pixels
    are kept that are the halo away from its edges but for those of the scene. Together they are all of the scene. Where
    a model has one size only, two tiles of that size are cut from a larger scene, and compared where both hold. A halo
    that grows with time is proved at another length than those it was measured at. Along an axis whose halo is global,
    nothing is proved.

    Raises
    ------
    DataError
        If tiles and whole differ by more than 1e-6 of the largest value (8 roundings, for coarser types), or the halo
        leaves nothing of a tile of the one size. Such a halo is not to be published. It is not widened, since more than
        a number is wrong then: the network does not begin anew at each step, or wraps around.
    """
    trial = Trial(model, seconds)
    layout = Layout(sizes.signature(model.signature))
    others = third(layout)
    done: set[Axis] = set()
    for name, axes in halo.items():
        for dim in axes:
            axis = (name, dim)
            cut_along = [a for a in layout.alike(axis) if a[1] in halo.get(a[0], {})]
            if axis in done or any(halo[n][d] == GLOBAL for n, d in cut_along):
                continue
            done |= set(cut_along)
            times = {other[1]: length for other, length in others.items()}
            widths = {a: pixels(halo[a[0]][a[1]], times) for a in cut_along}
            tiles = _Tiles(trial, layout, sizes, widths, others)
            if layout.open(axis):
                tiles.prove()
            else:
                tiles.prove_of_one_size()


@dataclass(frozen=True)
class Ran:
    """What a model gives of a window."""

    window: Window
    outputs: Mapping[str, Array]


class _Tiles:
    """Tiles along axes that are cut together, and their halo in pixels."""

    def __init__(
        self, trial: Trial, layout: Layout, sizes: Sizes, halo: Mapping[Axis, int], others: Mapping[Axis, int]
    ) -> None:
        self._trial, self._layout, self._halo, self._others = trial, layout, halo, others
        self._dims = {tensor.name: tensor.dim_order for tensor in layout.signature.outputs}
        self._follows = [f for f in sizes.follows if (f.input, f.source) in halo]

    def prove(self) -> None:
        """Compare the whole with tiles that overlap by the halo."""
        sizes = {axis: self._layout.sizes[axis] for axis in self._halo}
        whole, tiles = self._cut(sizes)
        scene = self._scene(whole.lengths)
        result = self._run(whole, scene)
        covered: dict[Axis, set[int]] = {}
        for window in tiles:
            for axis, places in self._compare(result, self._run(window, scene), whole.lengths).items():
                covered.setdefault(axis, set()).update(places)
        for (output, dim), found in covered.items():
            if len(found) < result.outputs[output].shape[self._dims[output].index(dim)]:
                raise DataError(f"tiles that overlap by the halo leave out pixels along {dim} of {output!r}")

    def _cut(self, sizes: Mapping[Axis, Size]) -> tuple[Window, list[Window]]:
        """Cut a scene into three tiles, or two where no scene is long enough for three.

        Raises
        ------
        DataError
            If the halo leaves nothing of a tile that is shorter than the longest scene.
        """
        overlap = max(-(-width // sizes[axis].step) for axis, width in self._halo.items())
        core = next((n for n in CORES if n * min(size.step for size in sizes.values()) >= CORE), CORES[-1])
        long = max(-(-max(0, (2 * overlap + core) * size.step - size.at_least) // size.step) for size in sizes.values())
        most = min(size.steps(size.above(long + 2 * core)) for size in sizes.values())
        if most == long + 2 * core:
            tiles = [(0, long), (core, long + 1), (2 * core, long)]  # the one in the middle is a step longer
        else:
            room = min(s.above(most) - 2 * self._halo[axis] - 1 for axis, s in sizes.items())
            shift = min(most, *(room // (2 * size.step) for size in sizes.values()))
            if shift < 1:
                raise DataError(f"a halo of {max(self._halo.values())} pixels leaves nothing of the tiles of a scene")
            shift -= 1 - shift % 2 if shift > 1 else 0  # odd, so that it is no multiple of two steps
            tiles = [(0, most - shift), (shift, most - shift)]

        def window(start: int, steps: int) -> Window:
            return Window(
                {axis: start * size.step for axis, size in sizes.items()},
                {axis: size.above(steps) for axis, size in sizes.items()},
            )

        return window(0, most), [window(*tile) for tile in tiles]

    def prove_of_one_size(self) -> None:
        """Compare two tiles of the only size, moved against each other as far as leaves something to compare.

        By how much a tile may be moved nobody knows, where there is one size: halves and other parts of it are tried,
        the larger first, and one must do.
        """
        length = min(self._layout.sizes[axis].at_least for axis in self._halo)
        most = length - 2 * max(self._halo.values()) - 1
        shifts = [length // part for part in range(2, length + 1) if length % part == 0 and length // part <= most]
        if not shifts:
            raise DataError(
                f"a halo of {max(self._halo.values())} pixels leaves nothing of a tile of {length}: run it whole"
            )
        error: DataError | None = None
        for shift in shifts[:MOST_SHIFTS]:
            lengths = {axis: self._layout.sizes[axis].at_least for axis in self._halo}
            whole = {axis: n + shift for axis, n in lengths.items()}
            scene = self._scene(whole)
            windows = Window.first(lengths), Window(dict.fromkeys(lengths, shift), lengths)
            try:
                first, second = (self._run(window, scene) for window in windows)
                if self._compare(first, second, whole):
                    return
            except DifferError as found:
                error = found
        raise error or DataError("no part of two tiles can be compared")

    def _scene(self, lengths: Mapping[Axis, int]) -> dict[str, Array]:
        all_lengths = self._layout.lengths({**self._others, **lengths}) | dict(lengths)
        return self._trial.inputs(self._layout.shapes(all_lengths), "uniform")

    def _run(self, window: Window, scene: Mapping[str, Array]) -> Ran:
        parts = {tensor.name: window.of(tensor, scene[tensor.name]) for tensor in self._layout.signature.inputs}
        return Ran(window, self._trial.run(parts))

    def _compare(self, one: Ran, other: Ran, scene: Mapping[Axis, int]) -> dict[Axis, list[int]]:
        """Compare what two windows have in common, and give the places along each axis that were compared.

        Raises
        ------
        DifferError
            If they differ.
        """
        compared: dict[Axis, list[int]] = {}
        for output in dict.fromkeys(f.output for f in self._follows):
            left, right = one.outputs[output], other.outputs[output]
            most = largest(left)
            for along, dim in enumerate(self._dims[output]):
                if follows := [f for f in self._follows if (f.output, f.axis) == (output, dim)]:
                    ours = self._kept(one, follows, left.shape[along], scene)
                    theirs = self._kept(other, follows, right.shape[along], scene)
                    common = sorted(ours.keys() & theirs.keys())
                    left = np.take(left, [ours[place] for place in common], along)
                    right = np.take(right, [theirs[place] for place in common], along)
                    compared[output, dim] = common
            _require_equal(output, left, right, most)
        return {axis: places for axis, places in compared.items() if places}

    def _kept(self, ran: Ran, follows: Sequence[Follows], count: int, scene: Mapping[Axis, int]) -> dict[int, int]:
        """Give the pixels of a window that hold by all inputs, by their places in the scene's output."""
        kept = []
        for one in follows:
            axis = (one.input, one.source)
            kept.append(ran.window.kept(one, count, self._halo[axis], scene[axis]))
        return {place: pixel for place, pixel in kept[0].items() if all(place in other for other in kept)}


class DifferError(DataError):
    """Tiles differ from the whole."""


def _require_equal(output: str, left: Array, right: Array, most: float) -> None:
    """Raise DifferError unless two are equal; what is missing in both, as pixels that are masked, is so."""
    if left.dtype.kind not in "fc":
        if (different := np.count_nonzero(left != right)) > 0:
            raise DifferError(
                f"tiles that overlap by the halo differ from the whole in {different} values of {output!r}"
            )
        return
    tolerance = max(TOLERANCE, ROUNDINGS * float(np.finfo(left.dtype).eps)) * most
    if left.size and not np.isfinite(left).any():
        raise DifferError(f"{output!r} has no numbers by which tiles and the whole could be told apart")
    if not (difference := float(differences(left, right).max(initial=0))) <= tolerance:
        raise DifferError(
            f"tiles that overlap by the halo differ by {difference:.2g} in {output!r}, which goes up to {most:.2g}"
        )
