"""What holds for the rows and for the columns of a model and a scene, and how long their tiles are."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import DataError
from modelstac.catalog.items.sizes import Size
from modelstac.registry.probing.halo import GLOBAL, pixels
from modelstac.registry.running.labels.growth import Growth
from modelstac.registry.running.labels.lying import fitting, growths_of_fixed
from modelstac.registry.scenes.running.axes import Axes
from modelstac.registry.scenes.running.cutting import Cutting, Needs, common

if TYPE_CHECKING:
    from modelstac.registry.running.signature import Runnable, TensorSignature
    from modelstac.registry.scenes.rasters import Source
    from modelstac.registry.scenes.running.layers import Recipe
    from modelstac.registry.scenes.running.options import Cost, Options

SIDE = 1024
"""Longest side of a tile where nobody says: longer ones gain little, as the halo is a smaller share of them already."""
LEAST_SIDE = 64
FIXED_PERIOD = 32
"""Tiles of a model of one size begin at multiples of this, or of a quarter of it: its halo was proved for these."""
SHARED = 4
"""By blending, neighbouring tiles share one part in so many of their length."""
SMALL = 1 << 17
"""Tiles of fewer pixels are run several at a time."""
BATCH = 8


def margin_of(model: Runnable, tensor: TensorSignature, side: int, source: Source) -> int | None:
    """Give the halo of an input along rows (0) or columns (1); None where it is global, or nobody measured.

    Where it grows with another axis such as time, the scene says how long that is.
    """
    axes = Axes.of(tensor)
    axis = (axes.rows, axes.columns)[side]
    if axis is None:
        return 0
    found = (model.description.halo or {}).get(tensor.name, {}).get(tensor.dim_order[axis])
    if found is None or found == GLOBAL:
        return None
    if not isinstance(found, Mapping):
        return int(found)
    sample = source.read(tensor.name, (slice(0, 1), slice(0, 1))).values
    dims = [dim for i, dim in enumerate(tensor.dim_order) if i != axes.batch]
    return pixels(found, dict(zip(dims, sample.shape, strict=True)))


class Sides:
    """What holds for rows and columns of a model and a scene."""

    def __init__(
        self,
        model: Runnable,
        inputs: Sequence[TensorSignature],
        recipes: Mapping[str, Recipe],
        source: Source,
        options: Options,
        *,
        of_pixels: bool,
    ) -> None:
        self.model, self.inputs, self.recipes, self.source = model, inputs, recipes, source
        self.of_pixels, self.per_tile = of_pixels, options.per_tile and not of_pixels
        self.lengths = [{t.name: int(source.grids[t.name].shape[side]) for t in inputs} for side in (0, 1)]
        self.coarsest = [common(list(lengths.values())) for lengths in self.lengths]
        self.pixels = [{n: k // c for n, k in one.items()} for one, c in zip(self.lengths, self.coarsest, strict=True)]
        self._sizes = [{t.name: _size(side, t) for t in inputs} for side in (0, 1)]

    def size(self, side: int, tensor: TensorSignature) -> Size:
        """Give the lengths that an input takes along a side."""
        return self._sizes[side][tensor.name]

    def fits(self, side: int, tile: int) -> bool:
        """Tell whether every input takes a tile of so many pixels of the coarsest grid."""
        return all(self.size(side, t).fits(tile * self.pixels[side][t.name]) for t in self.inputs)

    def unit(self, side: int) -> int:
        """Give where tiles may begin, in pixels of the coarsest grid."""
        found = 1
        for tensor in self.inputs:
            size, pixels = self.size(side, tensor), self.pixels[side][tensor.name]
            step = size.step or min(FIXED_PERIOD, max(1, size.at_least // 4))
            found = lcm(found, step // _gcd(step, pixels))
        for ratio, _ in self.follows(side).values() if not self.per_tile else ():
            found = lcm(found, (ratio * found).denominator * found)
        return found

    def follows(self, side: int) -> dict[str, tuple[Fraction, Fraction]]:
        """Say of each output how many pixels one of the coarsest grid is, and where its first begins."""
        return {name: self._follow(side, recipe) for name, recipe in self.recipes.items()}

    def _follow(self, side: int, recipe: Recipe) -> tuple[Fraction, Fraction]:
        axis = (recipe.axes.rows, recipe.axes.columns)[side]
        if axis is None:
            return Fraction(1), Fraction(0)
        tensor = recipe.tensor
        said = self.model.description.sizes.get(tensor.name, {}).get(tensor.dim_order[axis])
        size = tensor.sizes[axis]
        together = [t for t in self.inputs if said and said.symbol and self.size(side, t).symbol == said.symbol]
        one = (together or sorted(self.inputs, key=lambda t: -self.pixels[side][t.name]))[0]
        growth = Growth.of(said, self.size(side, one)) or Growth()
        ways = [growth] if growth.lost else []
        if size.is_fixed and self.size(side, one).is_fixed and size.at_least != self.size(side, one).at_least:
            ways = growths_of_fixed(size.at_least, self.size(side, one).at_least)
        if ways and not (self.per_tile or self.of_pixels):
            growth = self._lying(side, recipe, one, ways)
        pixels = self.pixels[side][one.name]
        return growth.ratio * pixels, growth.lost / (2 * growth.ratio) / pixels

    def _lying(self, side: int, recipe: Recipe, one: TensorSignature, ways: Sequence[Growth]) -> Growth:
        """Give the way in which an output lies over an input.

        Raises
        ------
        DataError
            If it lies elsewhere than in the middle, so that a map of it would lie elsewhere, too.
        """
        axis, own = (recipe.axes.rows, recipe.axes.columns)[side], (Axes.of(one).rows, Axes.of(one).columns)[side]
        assert axis is not None
        assert own is not None
        dims = one.dim_order[own], recipe.tensor.dim_order[axis]
        if (found := fitting(self.model, one, recipe.tensor, dims, ways)) is None:
            raise DataError(
                f"output {recipe.tensor.name!r} is {recipe.tensor} of {one}, and does not lie in the middle of it "
                f"along {dims[1]!r}, so that a map of it would lie elsewhere: run the model on arrays"
            )
        return found

    def needs(self, *, blend: bool) -> tuple[Needs | None, Needs | None]:
        """Give what holds for rows and for columns; None where a margin is needed and not known."""
        return self._needs(0, blend=blend), self._needs(1, blend=blend)

    def _needs(self, side: int, *, blend: bool) -> Needs | None:
        margins: dict[str, int] = {}
        for tensor in self.inputs:
            known = 0 if blend or self.of_pixels or self.per_tile else margin_of(self.model, tensor, side, self.source)
            if known is None:
                return None
            margins[tensor.name] = known
        return Needs(self.coarsest[side], self.pixels[side], self.unit(side), margins, self.follows(side))

    def fitting(self, side: int, wanted: int, *, above: bool) -> int | None:
        """Give the nearest length of a tile that fits, at most or at least as long."""
        tries = range(wanted, 0, -1)
        if above:
            span = max(t.at_least for t in (self.size(side, i) for i in self.inputs)) + 2 * self.unit(side)
            tries = range(wanted, wanted + span + 1)
        return next((length for length in tries if self.fits(side, length)), None)

    def grid(self, name: str, rows: Cutting, columns: Cutting) -> Any:
        """Give the grid of an output's layer."""
        from odc.geo.geobox import GeoBox

        finest = max(self.inputs, key=lambda t: self.pixels[0][t.name])
        grid = self.source.grids[finest.name]
        (first_y, height), (first_x, width) = rows.result(name), columns.result(name)
        moves: list[tuple[float, float]] = []
        for side, (cut, first) in enumerate(((rows, first_y), (columns, first_x))):
            ratio, begin = cut.needs.follows[name]
            pixels = self.pixels[side][finest.name]
            moves.append((float((begin + first / ratio - cut.needs.front) * pixels), float(pixels / ratio)))
        (down, tall), (right, wide) = moves
        if (down, right, tall, wide) == (0, 0, 1, 1) and (height, width) == tuple(grid.shape):
            return grid
        from affine import Affine

        a, b, c, d, e, f, *_ = grid.affine
        moved = Affine(a * wide, b * tall, a * right + b * down + c, d * wide, e * tall, d * right + e * down + f)
        return GeoBox((height, width), moved, grid.crs)


def _size(side: int, tensor: TensorSignature) -> Size:
    axes = Axes.of(tensor)
    axis = (axes.rows, axes.columns)[side]
    return Size() if axis is None else tensor.sizes[axis]


def _gcd(one: int, other: int) -> int:
    return common([one, other])


def tile_of_all(sides: Sides, options: Options, cost: Cost, budget: int) -> tuple[int, int] | None:
    """Give the tile that holds all of a scene, if there is one that memory allows, and no other is asked for."""
    if sides.per_tile and options.tile:
        return None
    found = []
    for side in (0, 1):
        needs = sides.needs(blend=True)[side]
        assert needs is not None
        length = sides.fitting(side, needs.whole, above=True)
        longest = options.tile or SIDE
        if length is None or length * max(sides.pixels[side].values()) > longest + max(needs.unit, 2 * needs.front):
            return None
        found.append(length)
    return (found[0], found[1]) if found[0] * found[1] * cost.bytes <= budget else None


def cut(
    needs: tuple[Needs, Needs],
    sides: Sides,
    options: Options,
    cost: Cost,
    budget: int,
    *,
    blend: bool,
    exact: tuple[int, int, int] | None,
) -> tuple[Cutting, Cutting, tuple[int, int]]:
    """Cut rows and columns, and say by how much tiles overlap where they are blended.

    Parameters
    ----------
    needs, sides
        What holds for both.
    options, cost, budget
        What the user said, what a pixel costs, and the bytes that tiles may take.
    blend
        Whether scores are blended.
    exact
        Lengths of a run that is gone on with.
    """
    if exact:
        tiles = exact[:2]
    elif (whole := tile_of_all(sides, options, cost, budget)) is not None:
        tiles = whole
    else:
        tiles = _tiles(needs, sides, options, cost, budget, blend=blend)
    overlaps = tuple(tile // SHARED if blend else 0 for tile in tiles)
    if sides.per_tile:
        needs = tuple(_one_each(one, tile) for one, tile in zip(needs, tiles, strict=True))  # type: ignore[assignment]
    rows, columns = (Cutting.of(one, t, overlap=o) for one, t, o in zip(needs, tiles, overlaps, strict=True))
    return rows, columns, overlaps  # type: ignore[return-value]


def _one_each(needs: Needs, tile: int) -> Needs:
    """Let every output be one pixel a tile, and tiles lie side by side."""
    follows = dict.fromkeys(needs.follows, (Fraction(1, tile), Fraction(0)))
    return Needs(needs.length, needs.pixels, tile, needs.margins, follows)


def _tiles(
    needs: tuple[Needs, Needs], sides: Sides, options: Options, cost: Cost, budget: int, *, blend: bool
) -> tuple[int, int]:
    """Choose the longest tiles that memory allows, and no longer than is of use.

    What is too large becomes narrower first: blocks of a file between two rows of tiles are read twice.
    """
    widest = max(m // one.pixels[n] for one in needs for n, m in one.margins.items())
    finest = max(max(one.pixels.values()) for one in needs)
    height = width = options.tile or max(SIDE, 4 * widest * finest)
    while True:
        wanted = height, width
        found = tuple(_tile(side, needs[side], sides, wanted[side], blend=blend) for side in (0, 1))
        least = height // 2 < LEAST_SIDE or options.tile is not None
        if least or found[0] * found[1] * cost.bytes <= budget:
            return found[0], found[1]
        height, width = (width, width) if height > width else (height, width * 7 // 8)


def _tile(side: int, needs: Needs, sides: Sides, wanted: int, *, blend: bool) -> int:
    """Choose the length of tiles along one side: at most as wanted, if some of it is right, and evenly spread.

    What gives one answer for each tile gives another for a shorter one: then it is as wanted.
    """
    coarse = max(wanted // max(needs.pixels.values()), 1)
    tile = sides.fitting(side, needs.whole, above=True) if needs.whole <= coarse and not sides.per_tile else None
    tile = tile or sides.fitting(side, coarse, above=False) or sides.fitting(side, coarse, above=True)
    if tile is None:
        sizes = " and ".join(f"{sides.size(side, t)} for {t.name!r}" for t in sides.inputs)
        raise DataError(f"no tile fits all inputs: their grids are {needs.pixels} to one pixel, their sizes {sizes}")
    while needs.padded(tile) > tile and not needs.stride(tile):  # one tile alone has no neighbour
        longer = sides.fitting(side, tile + 1, above=True)
        if longer is None or longer > 64 * max(needs.whole, tile):
            margin = max(needs.margins.values())
            raise DataError(
                f"tiles of {tile} leave nothing that is right with a margin of {margin} on either side: "
                "blend=True (--blend) runs them nevertheless"
            )
        tile = longer
    return tile if blend or sides.per_tile else _evened(side, needs, sides, tile)


def _evened(side: int, needs: Needs, sides: Sides, tile: int) -> int:
    """Shorten tiles as far as it takes no more of them: the last would cover much of the one before again."""
    count = len(Cutting.of(needs, tile).starts)

    def are_enough(length: int) -> bool:  # from some length on: longer tiles are never more
        return needs.stride(length) > 0 and len(Cutting.of(needs, length).starts) <= count

    shortest = bisect_left(range(1, tile), True, key=are_enough) + 1
    return sides.fitting(side, shortest, above=True) or tile


def batch_of(
    model: Runnable,
    inputs: Sequence[TensorSignature],
    options: Options,
    cuts: tuple[Cutting, Cutting],
    *,
    cost: Cost,
    budget: int,
    of_pixels: bool,
) -> int:
    """Choose how many tiles are run at a time."""
    if of_pixels:
        return 1
    most = None
    for tensor in inputs:
        axis = Axes.of(tensor).batch
        if axis is None:
            return 1
        size = tensor.sizes[axis]
        if size.is_fixed:
            return size.at_least
        most = size.at_most if most is None else min(most, size.at_most or most)
    rows, columns = cuts
    area = rows.tile * columns.tile
    suggested = model.description.batch_size_suggestion or (BATCH if area <= SMALL else 1)
    by_memory = max(1, int(budget // max(area * cost.bytes, 1)))
    wanted = options.batch or min(suggested, by_memory)
    return max(1, min(wanted, len(columns.starts), most or wanted))
