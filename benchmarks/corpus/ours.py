"""A program: publish a model as its maker would, and convert it by ``modelstac export``'s own steps.

``python -m benchmarks.corpus.ours`` answers ``{"source": folder, "target": …, "out": catalog}``. The catalog is kept
between requests, so that a model is described once; without a target it is published and not converted. What its
framework computed eagerly is published with it as its example.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac

from benchmarks.corpus.entries import BATCHES
from benchmarks.corpus.serving import said, serve
from modelstac.catalog import open_catalog
from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import ModelStacError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.items.writing import write_item
from modelstac.exporters.jobs import ExportJob, export
from modelstac.exporters.workers import Workers
from modelstac.registry.describing.describe import Statement, describe_file
from modelstac.registry.running.examples import write_example

BOX = {"type": "Polygon", "coordinates": [[[5, 50], [10, 50], [10, 55], [5, 55], [5, 50]]]}
WORKERS = Workers()


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Publish and convert; what is refused is an answer, as it is to a user."""
    source, out = Path(request["source"]), Path(request["out"])
    began = time.perf_counter()
    catalog = open_catalog(out, create=True)
    spec = json.loads((source / "spec.json").read_text())
    try:
        item = published(catalog, source, spec)
    except ModelStacError as error:
        return {"status": "refused", "stage": "publish", "reason": said(error)}
    described = time.perf_counter() - began
    if request["target"] is None:
        return {"status": "published", "item": item.id}
    found = converted(catalog, item, request["target"], {})
    for fixed in closing(spec["inputs"]):  # as the error says
        if found["status"] == "refused" and "--fixed" in found["reason"]:
            found = converted(catalog, item, request["target"], {"fixed": fixed}) | {"fixed": True}
    return found | {"describing": round(described, 2)}


def closing(tensors: list[dict[str, Any]]) -> tuple[Any, ...]:
    """Say to which lengths a user would close axes: those of the model's own images, the batch with them or not."""
    lengths: dict[str, int] = {}
    for tensor in tensors:
        for dim, sizes in zip(tensor["dims"][1:], zip(*tensor["sizes"], strict=True), strict=True):
            if len({*sizes}) > 1:
                lengths[dim] = sizes[0]
    return ({"batch": BATCHES[0], **lengths}, lengths or True, True)


def published(catalog: Catalog, source: Path, spec: dict[str, Any]) -> pystac.Item:
    """Publish a model, or give it."""
    name = "-".join("".join(c if c.isalnum() else " " for c in spec["name"].lower()).split())
    name = name if name[0].isalpha() else f"net-{name}"
    if (found := catalog.find(f"{name}-1.0.0-{spec['format']}")) is not None:
        return found
    statement = Statement(
        name=name,
        version="1.0.0",
        tasks=("regression",),
        architecture=spec["name"],
        license="MIT",
        geometry=BOX,
        start=datetime(2020, 1, 1, tzinfo=UTC),
        end=datetime(2021, 1, 1, tzinfo=UTC),
        input_dims=dims(spec["inputs"], [tuple(tensor["dims"]) for tensor in spec["inputs"]]),
        output_dims=dims(spec["outputs"], [output_dims(tensor["shape"], spec) for tensor in spec["outputs"]]),
        ranges=ranges(spec["inputs"]),
    )
    described = describe_file(source / spec["file"], statement)
    with tempfile.TemporaryDirectory() as folder:
        assets = write_example(Path(folder), *example(source, spec, described))
        return catalog.publish(write_item(described.model_copy(update={"assets": assets})))


def example(source: Path, spec: dict[str, Any], described: ModelDescription) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give the model's own values, and what its framework made of them, by the names of the item."""
    with np.load(source / "cases.npz") as arrays:
        inputs = {tensor["name"]: arrays[f"own-0|in|{n}"] for n, tensor in enumerate(spec["inputs"])}
        outputs = {tensor["name"]: arrays[f"own-0|out|{n}"] for n, tensor in enumerate(spec["outputs"])}
    named = []
    for found, tensors in ((inputs, described.inputs), (outputs, described.outputs)):
        names = [tensor.name for tensor in tensors]
        named.append(
            {n: found[n] for n in names} if {*names} == {*found} else dict(zip(names, found.values(), strict=True))
        )
    return named[0], named[1]


def ranges(tensors: list[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """Say what values each input is fed: whole numbers end one below ``high``."""
    whole = [np.dtype(tensor["dtype"]).kind in "iu" for tensor in tensors]
    return {t["name"]: (t["low"], t["high"] - one) for t, one in zip(tensors, whole, strict=True)}


def dims(tensors: list[dict[str, Any]], names: list[tuple[str, ...]]) -> Any:
    """Say what axes are: of one tensor, or by the name of each."""
    return names[0] if len(tensors) == 1 else {t["name"]: n for t, n in zip(tensors, names, strict=True)}


def output_dims(shape: list[int], spec: dict[str, Any]) -> tuple[str, ...]:
    """Name the axes of an output as its publisher would: as those of an input of as many axes, but for the classes."""
    for tensor in spec["inputs"]:
        if len(tensor["dims"]) == len(shape):
            return tuple({"channel": "class", "feature": "class"}.get(dim, dim) for dim in tensor["dims"])
    kept = [dim for dim in spec["inputs"][0]["dims"] if dim not in {"channel", "feature"}]
    if len(kept) == len(shape):
        return tuple(kept)
    usual = {
        1: ("batch",),
        2: ("batch", "class"),
        3: ("batch", "time", "class"),
        4: ("batch", "height", "width", "class"),
    }
    found = usual.get(len(shape), ("batch", *(f"axis_{n}" for n in range(1, len(shape)))))
    assert max(Counter(found).values(), default=1) == 1
    return found


def converted(catalog: Catalog, item: pystac.Item, target: str, options: dict[str, Any]) -> dict[str, Any]:
    """Convert, and give the file and what its item says of it."""
    began = time.perf_counter()
    try:
        made = export(ExportJob(item.id, target, options=options), catalog, workers=WORKERS)
    except ModelStacError as error:
        return {"status": "refused", "stage": "export", "reason": said(error)}
    found = read_item(made)
    return {
        "status": "published",
        "file": made.assets["model"].get_absolute_href(),
        "parity": None if found.parity is None else found.parity.max_absolute_difference,
        "route": [step.tool for step in found.route],
        "seconds": round(time.perf_counter() - began, 2),
    }


if __name__ == "__main__":
    serve(answer)
