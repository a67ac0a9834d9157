"""Scenes and models in memory: a scene is an array with a grid, a result is an array again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from odc.geo.geobox import GeoBox

from modelstac.registry.scenes.rasters import Block
from modelstac.registry.scenes.running.options import Options
from modelstac.registry.scenes.running.planning import make_plan
from modelstac.registry.scenes.running.running import run_plan
from modelstac.registry.scenes.running.store import Store


def corner(pixel: float) -> Affine:
    return Affine(pixel, 0, 600000, 0, -pixel, 5800000)


class Memory:
    """A scene of arrays by input: other axes, row, column, in the layout that the input names."""

    def __init__(self, arrays: dict[str, np.ndarray], layouts: dict[str, tuple[int, int]] | None = None, **more: Any):
        self.arrays, self.missing = arrays, more.get("missing", {})
        self.sides = layouts or {name: (array.ndim - 2, array.ndim - 1) for name, array in arrays.items()}
        finest = max(self._shape(name)[0] for name in arrays)
        self.grids = {}
        for name in arrays:
            shape = self._shape(name)
            self.grids[name] = GeoBox(shape, corner(10 * finest / shape[0]), "EPSG:32631")
        self.notes, self.origins = (), ()
        self.identity = more.get("identity", {"name": "memory"})
        self.broken = more.get("broken")
        self.reads = 0

    def _shape(self, name: str) -> tuple[int, int]:
        y, x = self.sides[name]
        return self.arrays[name].shape[y], self.arrays[name].shape[x]

    def read(self, name: str, window: tuple[slice, slice]) -> Block:
        self.reads += 1
        y, x = self.sides[name]
        at: list[Any] = [slice(None)] * self.arrays[name].ndim
        at[y], at[x] = window
        if self.broken is not None:
            self.broken(name, window)
        missing = self.missing.get(name)
        return Block(self.arrays[name][tuple(at)], None if missing is None else missing[tuple(at)])


def run(model: Any, scene: Any, folder: Path, **options: Any) -> dict[str, np.ndarray]:
    """Run a scene, and give the layers by name, with the plan."""
    said = Options(**options)
    plan = make_plan(model, scene, said)
    store = Store(folder / "scene.part", {"made": "here"})
    try:
        store.open(list(plan.layers.values()), {})
        rasters = run_plan(model, scene, plan, store, said)
        return {r.layer.name: r.read((slice(0, None), slice(0, None))) for r in rasters} | {"plan": plan}
    finally:
        store.remove()
