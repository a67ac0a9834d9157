"""Every model of a catalog in every format: what each conversion took and what came out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pystac
from numpy.typing import NDArray

from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import ModelStacError, StorageError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.evidence import told_allowance
from modelstac.catalog.items.identity import OUR_FIELD
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.messages import Advanced, Finished, Note, Report, Started, ignore
from modelstac.exporters.jobs import ExportJob, export
from modelstac.exporters.proof.cases import random_values, usual_shapes
from modelstac.exporters.proof.evidence import PARITY_ASSET
from modelstac.exporters.routes import NODES, ROUTES, Routes, node_of
from modelstac.exporters.sizes import sized
from modelstac.exporters.workers import Workers, measured_latency
from modelstac.registry.files.fetch import fetch
from modelstac.registry.running.signature import Signature
from modelstac.registry.trust.policy import DEFAULT_POLICY


@dataclass(frozen=True)
class Row:
    """One conversion, or a source itself (no route).

    Parameters
    ----------
    source
        Item id of the source.
    target
        Node of the result.
    item_id
        Of the result; None when there is none.
    route
        Nodes from source to target.
    seconds
        What the conversion took, without the comparison; of the run that made the item.
    size
        Bytes of the artifact.
    difference
        Largest absolute difference from the source.
    latency
        Seconds of one prediction, batch 1, on the grid that the model was made for; median of several.
    error
        Why there is no result.
    allowed
        What the difference may be, in words.
    """

    source: str
    target: str
    item_id: str | None = None
    route: tuple[str, ...] = ()
    seconds: float | None = None
    size: int | None = None
    difference: float | None = None
    latency: float | None = None
    allowed: str | None = None
    error: str | None = None


def matrix(catalog: Catalog, *, routes: Routes = ROUTES, report: Report = ignore) -> list[Row]:
    """Convert every model that is no conversion itself to every format; a conversion that fails is a row that says why.

    Converters that download packages are left out: who asks for everything asks for none of them.

    Raises
    ------
    StorageError
        When the disk is full or the catalog cannot be written: going on would fail alike.
    """
    items = []
    for item in catalog.items():
        if OUR_FIELD not in item.properties:
            report(Note(f"{item.id} is left out: it was described elsewhere; modelstac adopt makes an item of it"))
        elif not item.properties.get("interop:route"):
            items.append(item)
    pairs = [(item, target) for item in items for target in NODES if target != node_of(read_item(item))]
    task, rows, seen = "conversions", [], set()
    routes = Routes(edge for edge in routes if not edge.downloads)
    report(Started(task, len(pairs)))
    with Workers() as workers:
        for item, target in pairs:
            if item.id not in seen:
                seen.add(item.id)
                rows.append(_measured(item, item, workers))
            try:
                made = export(ExportJob(item.id, target), catalog, routes=routes, workers=workers)
                rows.append(_measured(item, made, workers))
            except StorageError:
                raise
            except ModelStacError as error:
                rows.append(Row(item.id, target, error=str(error)))
            report(Advanced(task, note=f"{item.id} to {target}"))
    report(Finished(task))
    return rows


def _measured(source: pystac.Item, item: pystac.Item, workers: Workers) -> Row:
    found = read_item(item)
    # Every conversion of a source predicts on the same grid, whatever its file would take besides.
    origin = read_item(source)
    with workers.open(item) as model:
        latency = measured_latency(model, _inputs(sized(model), _usual_sizes(origin)))
    names = [step.target_format for step in found.route]
    return Row(
        source=source.id,
        target=node_of(found),
        item_id=item.id,
        route=(node_of(origin), *names) if names else (),
        seconds=_seconds(item),
        size=found.size,
        difference=None if found.parity is None else found.parity.max_absolute_difference,
        allowed=None if found.parity is None else told_allowance(found.parity.to_json()),
        latency=latency,
    )


def _inputs(signature: Signature, usual: Mapping[str, int]) -> dict[str, NDArray[Any]]:
    """Give random inputs of the sizes that a model was made for; else of some that fit."""
    rng, found = np.random.default_rng(0), usual_shapes(signature)
    for tensor in signature.inputs:
        wanted = (usual.get(dim, length) for dim, length in zip(tensor.dim_order, found[tensor.name], strict=True))
        shape = tuple(wanted)
        if all(size.fits(length) for size, length in zip(tensor.sizes, shape, strict=True)):
            found[tensor.name] = shape
    return {tensor.name: random_values(tensor, found[tensor.name], rng) for tensor in signature.inputs}


def _usual_sizes(description: ModelDescription) -> Mapping[str, int]:
    """Give the sizes that a model was made for: of its input, or where that is open of its architecture."""
    architecture = description.hyperparameters.get("architecture")
    known = architecture if isinstance(architecture, dict) else {}
    sizes = {"time": known.get("frames"), "height": known.get("height"), "width": known.get("width")}
    return {"batch": 1} | {name: size for name, size in sizes.items() if isinstance(size, int)}


def _seconds(item: pystac.Item) -> float | None:
    if PARITY_ASSET not in item.assets:
        return None
    report: dict[str, Any] = json.loads(fetch(item, PARITY_ASSET, max_bytes=DEFAULT_POLICY.max_bytes).data)
    seconds = report.get("seconds")
    return seconds if isinstance(seconds, float) else None


def as_texts(rows: list[Row]) -> Iterator[tuple[str, ...]]:
    """Give the rows of a table for people; :data:`HEADS` is its head."""
    for row in rows:
        if row.error is not None:
            yield (f"{row.source} to {row.target}", row.error, "–", "–", "–", "–", "no")
            continue
        seconds = "–" if row.seconds is None else f"{row.seconds:.2f}"
        apart = "–" if row.difference is None else f"{row.difference:.1e}"
        size, latency = f"{(row.size or 0) / 1000:,.1f}", f"{1000 * (row.latency or 0):.1f}"
        route = " → ".join(row.route) or "source"
        verdict = "–" if not row.route else "yes" if row.allowed is None else f"yes, {row.allowed}"
        yield (row.item_id or row.source, route, seconds, size, apart, latency, verdict)


HEADS = ("item", "route", "time s", "size kB", "largest difference", "latency ms", "equal")
