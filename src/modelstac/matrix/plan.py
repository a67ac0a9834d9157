"""From a catalog and environments to the jobs that fill the matrix, and from what they found to its table."""

from __future__ import annotations

from collections.abc import Sequence

import pystac

from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import ModelStacError
from modelstac.jobs.job import Job
from modelstac.jobs.run import Outcome
from modelstac.matrix.environments import NamedEnvironment
from modelstac.registry.model_assets import model_assets
from modelstac.report import Table

KIND = "modelstac.matrix.cell"
HEADS = ("item", "written with", "environment", "difference", "RMS", "load s", "predict ms", "MB", "why not")


def cells(catalog: Catalog, environments: Sequence[NamedEnvironment], work: str, *, timeout: float) -> list[Job]:
    """Make a job for every model of a catalog in every environment."""
    jobs = []
    for item in sorted(catalog.items(), key=lambda item: item.id):
        try:
            asset = model_assets(item)[0]
        except (ModelStacError, IndexError):  # a dataset
            continue
        checksum = item.assets[asset.key].extra_fields.get("file:checksum")
        for environment in environments:
            parameters = {
                "catalog": catalog.href,
                "item": item.id,
                "file": checksum,
                "name": environment.name,
                "environment": str(environment.requirements),
                "trusted": list(environment.trusted),
            }
            jobs.append(Job(f"{item.id}-in-{environment.name}", KIND, parameters, work, timeout=timeout))
    return jobs


def as_table(outcomes: Sequence[Outcome], catalog: Catalog) -> Table:
    """Lay out what was found, a line for each cell; a cell that was not filled says why."""
    rows = []
    for outcome in outcomes:
        item_id, found = outcome.job.parameters["item"], outcome.result or {"runs": False, "reason": outcome.reason}
        item = catalog.find(item_id)
        numbers = ("–",) * 5
        if found["runs"]:
            memory = found["memory_bytes"]
            numbers = (
                f"{found['difference']:.1e}",
                f"{found['rms']:.1e}",
                f"{found['load_seconds']:.2f}",
                f"{1000 * found['predict_seconds']:.1f}",
                "–" if memory is None else f"{memory / 1e6:.0f}",
            )
        made = "deleted meanwhile" if item is None else _written_with(item)
        rows.append((item_id, made, outcome.job.parameters["name"], *numbers, found.get("reason", "")))
    return Table(
        "Items and environments",
        "Difference: largest and root mean square distance, in values of the model, between the output in the"
        " environment and the one that was published with the item, for the input that was. Prediction: median of"
        " three, the way to the process included. MB: largest memory of the process.",
        HEADS,
        rows,
    )


def as_text(outcomes: Sequence[Outcome], catalog: Catalog) -> str:
    """Lay out what was found for a terminal: the items, and below each a line for each environment."""
    lines: list[str] = []
    width = max((len(outcome.job.parameters["name"]) for outcome in outcomes), default=0)
    last = None
    for outcome, row in zip(outcomes, as_table(outcomes, catalog).rows, strict=True):
        item, made, name, apart, _, load, predict, memory, reason = row
        if item != last:
            lines.append(f"{item} ({made})")
        last = item
        well = outcome.result is not None and outcome.result["runs"]
        found = f"{apart} apart, {predict} ms, loaded in {load} s, {memory} MB" if well else reason
        lines.append(f"  {name.ljust(width)}  {found}")
    return "\n".join(lines)


def _written_with(item: pystac.Item) -> str:
    properties = item.properties
    framework = f"{properties.get('mlm:framework')} {properties.get('mlm:framework_version')}"
    backend = properties.get("interop:backend")
    return f"{framework} on {backend} {properties.get('interop:backend_version')}" if backend else framework
