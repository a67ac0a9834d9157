"""Larger than memory: a model run on arrays of Dask, one block after the other, when its values are asked for.

Blocks may divide the batch anywhere. They may divide another dimension where the file fixes its size, as tiles of that
size; where it takes several sizes blocks share as many values as an output depends on: those that the item's halo says,
or that the caller says. Each block is computed once for all outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.catalog.items.sizes import Size
from modelstac.registry.running.cuts import cuts, unfit
from modelstac.registry.running.labels.growth import Growth
from modelstac.registry.running.signature import BATCH

if TYPE_CHECKING:
    from modelstac.registry.running.aligning import Aligned
    from modelstac.registry.running.cuts import Cut, Cuts, Halo
    from modelstac.registry.running.signature import TensorSignature

    Arrays = Mapping[str, np.ndarray[Any, Any]]
    Run = Callable[[Arrays], Arrays]


def predict_blocks(
    run: Run,
    inputs: Sequence[Aligned],
    outputs: Sequence[TensorSignature],
    *,
    sizes: Mapping[str, Mapping[str, Size]],
    halo: Halo | None,
    overlap: Mapping[str, int],
) -> dict[str, da.Array]:
    """Return the outputs, computed block by block when they are asked for.

    Parameters
    ----------
    run
        From one block of each input to one of each output; called by as many threads as Dask has.
    inputs
        Those that are given, at least one of them in blocks.
    outputs
        Layouts of the outputs.
    sizes
        By output and axis, as the item says them: by what steps an output grows with an input. What it says nothing of
        is as long as the input.
    halo
        By input and axis, as the item says it was measured; None if it says nothing.
    overlap
        By name in the data or the model, how many values neighbouring blocks share on either side; 0 says that none are
        needed.

    Raises
    ------
    DataError
        If the blocks are not such as the model can take.
    """
    divided = cuts(inputs, halo=halo, overlap=overlap, spare=_spare(inputs, outputs, sizes))
    pieces = [_piece(output, inputs, divided, sizes.get(output.name, {})) for output in outputs]
    dims = tuple(divided)
    pairs = [part for one in inputs for part in (_with_neighbours(one, divided), one.layout.dim_order)]
    names = {one.layout.name: one.layout.dim_order for one in inputs}
    bundles = da.blockwise(
        partial(_block, run, names, pieces),
        dims,
        *pairs,
        dtype=object,
        meta=np.empty((0,) * len(dims), object),
        align_arrays=False,
    )
    return {piece.layout.name: _output(bundles, dims, piece) for piece in pieces}


@dataclass(frozen=True)
class _Along:
    """A dimension of an output: as long as an input's, times ``ratio``, but for ``lost`` values at its ends."""

    of: str
    ratio: Fraction
    lost: Fraction
    cut: Cut

    def length(self, length: int) -> Fraction:
        """Tell how long it is where the input is so long."""
        return self.ratio * length - self.lost

    @property
    def trimmed(self) -> tuple[int, int]:
        """What a block's output has of its neighbours' on either side."""
        if len(self.cut.chunks) == 1:
            return 0, 0
        first = self.lost // 2
        return int(self.ratio * self.cut.before - first), int(self.ratio * self.cut.after - (self.lost - first))


@dataclass(frozen=True)
class _Piece:
    """An output of one block: its dimensions that are an input's, and those that have one length always."""

    layout: TensorSignature
    along: Mapping[str, _Along]
    fixed: Mapping[str, int]

    def check(self, array: np.ndarray[Any, Any], lengths: Mapping[tuple[str, str], int]) -> None:
        """Refuse an output that is longer or shorter than was made room for."""
        wanted = [
            self.fixed[dim] if dim in self.fixed else self.along[dim].length(lengths[self.along[dim].of, dim])
            for dim in self.layout.dim_order
        ]
        if list(array.shape) != wanted:
            shown = f"[{', '.join(map(str, wanted))}]"
            raise DataError(
                f"output {self.layout.name!r} of a block has the shape {list(array.shape)}, not {shown}: the item does "
                "not say how its size follows from the input's, so load the values, .compute()"
            )


def _piece(layout: TensorSignature, inputs: Sequence[Aligned], divided: Cuts, stated: Mapping[str, Size]) -> _Piece:
    along, fixed = {}, {}
    for dim, size in layout.axes.items():
        having = [one for one in inputs if dim in one.names]
        if size.is_fixed:
            fixed[dim] = size.at_least
        elif not having or size.at_least == 0:
            raise DataError(
                f"output {layout.name!r} is {layout}: {dim} is not known before, so load the values, .compute()"
            )
        if having:
            one = next((one for one in having if one.layout.axes[dim].symbol == size.symbol), having[0])
            cut = divided[dim][one.layout.name]
            if dim in fixed and dim != BATCH and len(cut.chunks) > 1 and not cut.size.is_fixed:
                advice = (
                    f"output {layout.name!r} has {size} there always: load it whole, .chunk({{{one.names[dim]!r}: -1}})"
                )
                raise unfit(one, dim, cut.chunks, advice)
            along[dim] = _Along(one.layout.name, *_relation(stated.get(dim), cut.size), cut)
            if min(along[dim].trimmed) < 0:
                raise unfit(one, dim, cut.chunks, f"they share less than output {layout.name!r} loses at its ends")
    for dim, found in divided.items():
        if dim not in layout.dim_order and len(next(iter(found.values())).chunks) > 1:
            one = next(one for one in inputs if dim in one.names)
            advice = f"output {layout.name!r} has no {dim}: load it whole, .chunk({{{one.names[dim]!r}: -1}})"
            raise unfit(one, dim, found[one.layout.name].chunks, advice)
    return _Piece(layout, along, fixed)


def _relation(output: Size | None, given: Size) -> tuple[Fraction, Fraction]:
    """Tell how an output's length follows from an input's, which it is as long as where nobody says."""
    found = Growth.of(output, given) or Growth()
    return found.ratio, found.lost


def _spare(
    inputs: Sequence[Aligned], outputs: Sequence[TensorSignature], sizes: Mapping[str, Mapping[str, Size]]
) -> dict[str, int]:
    """Say by how many pixels an output reaches over the end of its block, where it loses an odd number at its ends.

    An output lies centred over its input; a halo counts from the pixels that it lies over, and half a pixel is one.
    """
    spare: dict[str, int] = {}
    for output in outputs:
        for dim in output.dim_order:
            for size in (one.layout.axes[dim] for one in inputs if dim in one.names):
                ratio, lost = _relation(sizes.get(output.name, {}).get(dim), size)
                spare[dim] = max(spare.get(dim, 0), ceil((lost / 2 - lost // 2) / ratio) if ratio else 0)
    return spare


def _with_neighbours(one: Aligned, divided: Cuts) -> da.Array:
    found = {axis: divided[dim][one.layout.name] for axis, dim in enumerate(one.layout.dim_order)}
    chunks = tuple(cut.chunks for cut in found.values())
    data = one.array.data
    data = da.from_array(data, chunks) if one.array.chunks is None else data.rechunk(chunks)
    depth = {axis: (cut.before, cut.after) for axis, cut in found.items() if cut.before or cut.after}
    return da.overlap.overlap(data, depth, boundary="none", allow_rechunk=False) if depth else data


def _block(
    run: Run, names: Mapping[str, Sequence[str]], pieces: Sequence[_Piece], *arrays: np.ndarray[Any, Any]
) -> Arrays:
    """Run the model on one block of each input; what it gives stays together until each output is taken."""
    outputs = run(dict(zip(names, arrays, strict=True)))
    lengths = {
        (name, dim): length
        for (name, dims), array in zip(names.items(), arrays, strict=True)
        for dim, length in zip(dims, array.shape, strict=True)
    }
    for piece in pieces:
        piece.check(outputs[piece.layout.name], lengths)
    return outputs


def _take(name: str, bundle: Any) -> np.ndarray[Any, Any]:
    while isinstance(bundle, list):  # of one: along dimensions that the output has not
        [bundle] = bundle
    array: np.ndarray[Any, Any] = bundle[name]
    return array


def _output(bundles: da.Array, dims: Sequence[str], piece: _Piece) -> da.Array:
    layout = piece.layout
    lengths = {
        dim: tuple(piece.fixed[dim] if dim in piece.fixed else int(along.length(n)) for n in along.cut.lengths)
        for dim, along in piece.along.items()
    }
    result = da.blockwise(
        partial(_take, layout.name),
        layout.dim_order,
        bundles,
        dims,
        dtype=layout.dtype,
        meta=np.empty((0,) * len(layout.dim_order), layout.dtype),
        new_axes={dim: length for dim, length in piece.fixed.items() if dim not in piece.along},
        adjust_chunks=lengths,
        concatenate=False,
        align_arrays=False,
    )
    trimmed = {axis: piece.along[dim].trimmed for axis, dim in enumerate(layout.dim_order) if dim in piece.along}
    trimmed = {
        axis: margin for axis, margin in trimmed.items() if any(margin) and layout.dim_order[axis] not in piece.fixed
    }
    return da.overlap.trim_overlap(result, trimmed, boundary="none") if trimmed else result
