"""What a prediction costs beyond the bare session: names, checks and the way through the mapping, in microseconds."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

import modelstac
from modelstac.catalog.items.writing import write_item
from modelstac.registry.describing.describe import Statement, describe_file

TURNS, CALLS = 15, 2000
TARGET_US = 20.0
AXES = ("batch", "bands", "height", "width")
SHAPE = (1, 3, 8, 8)
PLACE: Any = {"type": "Polygon", "coordinates": [[[5, 50], [6, 50], [6, 51], [5, 51], [5, 50]]]}


def write_graph(path: Path, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
    """Write a graph that does next to nothing: what is measured is the way to it."""
    sizes = ["batch", 3, "height", "width"]
    nodes = [helper.make_node("Add", [inputs[0], inputs[-1]], [name]) for name in outputs]
    sides = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes) for name in side] for side in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "next to nothing", *sides)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


def published(folder: Path, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> modelstac.registry.Model:
    """Publish and load such a graph."""
    path = folder / f"{len(inputs)}.onnx"
    write_graph(path, inputs, outputs)
    moment = datetime(2020, 1, 1, tzinfo=UTC)
    said = Statement(
        name=f"plain-{len(inputs)}",
        version="1.0.0",
        tasks=("regression",),
        architecture="none",
        license="MIT",
        geometry=PLACE,
        start=moment,
        end=moment,
        input_dims=AXES if len(inputs) == 1 else dict.fromkeys(inputs, AXES),
        output_dims=AXES if len(outputs) == 1 else dict.fromkeys(outputs, AXES),
        bands=("r", "g", "b") if len(inputs) == 1 else dict.fromkeys(inputs, ("r", "g", "b")),
        output_bands=("r", "g", "b") if len(outputs) == 1 else dict.fromkeys(outputs, ("r", "g", "b")),
    )
    catalog = modelstac.open(folder / "catalog", create=True)
    item = catalog.publish(write_item(describe_file(path, said)))
    return modelstac.load(item.id, catalog=catalog, threads=1)


def microseconds(call: Callable[[], object]) -> float:
    """Return the mean time of a call."""
    start = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - start) / CALLS * 1e6


def beyond(model: modelstac.registry.Model, inputs: tuple[str, ...]) -> dict[str, float]:
    """Return medians of the bare session, of ours, and of what ours adds, over turns in pairs."""
    arrays = {name: np.random.default_rng(0).random(SHAPE, np.float32) for name in inputs}
    session, names = model.native, [output.name for output in model.native.get_outputs()]
    given: Any = arrays if len(inputs) > 1 else arrays[inputs[0]]
    pairs = [
        (microseconds(lambda: session.run(names, arrays)), microseconds(lambda: model.predict(given)))
        for _ in range(TURNS)
    ]
    bare, ours = (statistics.median(side) for side in zip(*pairs, strict=True))
    return {"bare session": bare, "predict": ours, "beyond": statistics.median(b - a for a, b in pairs)}


def main() -> None:
    """Measure and print."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for inputs, outputs in ((("x",), ("y",)), (("s1", "s2"), ("mask", "height"))):
            model = published(Path(folder), inputs, outputs)
            found[f"{len(inputs)} in, {len(outputs)} out"] = beyond(model, inputs)
    print(f"Predicting small arrays {list(SHAPE)}, µs (target: at most {TARGET_US:g} beyond the bare session)")
    print(json.dumps(found, indent=2), flush=True)


if __name__ == "__main__":
    main()
