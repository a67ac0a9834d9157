"""Tiles give what the whole scene gives, bit for bit, for every kind of network whose halo is finite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.registry.probing.networks import exported, in_onnx
from tests.registry.probing.test_table import GRAPHS, TABLE, built, in_pixels
from tests.registry.scenes.scenes_in_memory import Memory, run

from modelstac.catalog.items.sizes import Size
from modelstac.registry.scenes.running.cutting import reflected

NAMES = [name for name in GRAPHS if TABLE[name].halo != "global"]


def known(model: Any, row: Any) -> Any:
    """Give the description of a model with its sizes and halo, as probing finds them."""
    [source], [output] = model.description.inputs, model.description.outputs
    frames = [] if row.frames is None else [row.frames]
    lengths = []
    for steps in (1, 2):
        side = row.size.above(steps + (1 if row.size.at_least == 1 else 0))
        shape = [1, *frames, 1, side, side]
        lengths.append((side, model.run({source.name: np.zeros(shape, np.float32)})[output.name].shape[-1]))
    (side, first), (longer, second) = lengths
    step = (second - first) * row.size.step // (longer - side)
    least = first - (side - row.size.at_least) // row.size.step * step
    halo = dict.fromkeys(("height", "width"), row.halo)
    one, other = row.size, Size(least, step)
    sizes = {source.name: {"height": one, "width": one}, output.name: {"height": other, "width": other}}
    return model.description.model_copy(update={"sizes": sizes, "halo": {source.name: halo}})


@pytest.fixture(scope="module", params=NAMES)
def model(request: pytest.FixtureRequest) -> Any:
    import warnings

    row = TABLE[request.param]
    frames = () if row.frames is None else (row.frames,)
    shape = (2, *frames, 1, *(row.size.above(3 * n) for n in (1, 2)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = exported(built(row), *shape, step=row.size.step)
    found = in_onnx(graph, row.described)
    return in_onnx(graph, known(found, row)), row


@pytest.mark.parametrize(("height", "width"), [(40, -3), (-7, 33), (5, 9)])
def test_tiles_are_the_whole(model: Any, tmp_path: Path, height: int, width: int) -> None:
    """A negative length is so much less than several tiles of the least size in which something is right."""
    model, row = model
    tile = 2 * in_pixels(row) + 2 * row.size.step + row.size.at_least + 16
    several = min(height, width) < 0
    height, width = (3 * tile + length if length < 0 else length for length in (height, width))
    [source], [output] = model.signature.inputs, model.signature.outputs
    frames = () if row.frames is None else (row.frames,)
    scene = np.random.default_rng(5).random((*frames, 1, height, width), np.float32)
    found = run(model, Memory({source.name: scene}), tmp_path, tile=tile, batch=1, post="none")
    plan = found["plan"]
    assert (plan.tiles > 2) == several
    assert plan.overlap == 0
    needs = (plan.rows.needs, plan.columns.needs)
    sides = [
        np.arange(-n.front, n.padded(cut.tile) - n.front)
        for n, cut in zip(needs, (plan.rows, plan.columns), strict=True)
    ]
    rows, columns = (reflected(p, n) for p, n in zip(sides, (height, width), strict=True))
    whole = model.run({source.name: scene[..., rows, :][..., columns][None]})[output.name][0]
    (y, tall), (x, wide) = plan.rows.result(output.name), plan.columns.result(output.name)
    expected = whole[..., y : y + tall, x : x + wide]
    np.testing.assert_array_equal(found[output.name], expected.reshape(found[output.name].shape))
