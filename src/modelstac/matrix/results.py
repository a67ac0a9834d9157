"""From what the jobs found to tables, to the evidence of items, and to what is left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pystac

from modelstac.catalog.base import Catalog
from modelstac.jobs.run import Outcome
from modelstac.matrix.opening import plain
from modelstac.matrix.plan import CELL, MAKING, WRITE
from modelstac.registry.choosing.model_assets import model_assets
from modelstac.registry.isolated.requirements import RUNTIMES
from modelstac.report import Table

NOTHING = "–"
HEADS = (
    "item", "written with", "environment", "compared with", "difference", "RMS", "RMSE change", "CSI change", "load s",
    "predict ms", "MB", "why not",
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One model in one environment.

    Parameters
    ----------
    item
        Its id.
    model
        The item; None when it was deleted meanwhile.
    environment
        Name.
    found
        Result of the job; ``{"runs": False, "reason": …}`` where there is none.
    measured
        Whether there is one.
    """

    item: str
    model: pystac.Item | None
    environment: str
    found: Mapping[str, Any]
    measured: bool

    @property
    def runs(self) -> bool:
        """Whether the model ran there."""
        return bool(self.found["runs"])


def cells(outcomes: Sequence[Outcome], catalog: Catalog) -> list[Cell]:
    """Collect the cells; one whose environment, or what it is compared with, failed has that as its reason."""
    by_name = {outcome.job.name: outcome for outcome in outcomes}
    found: list[Cell] = []
    for outcome in (one for one in outcomes if one.job.kind == CELL):
        lost = [need for need in outcome.job.needs if not by_name[need].well]
        reason = f"{lost[0]} {by_name[lost[0]].reason}" if lost else outcome.reason
        item_id, name = outcome.job.parameters["item"], outcome.job.parameters["name"]
        model = found[-1].model if found and found[-1].item == item_id else catalog.find(item_id)
        result = outcome.result or {"runs": False, "reason": reason}
        found.append(Cell(item_id, model, name, result, measured=outcome.well))
    return found


def not_had(outcomes: Iterable[Outcome], written: Iterable[Outcome]) -> list[str]:
    """Say, a sentence each, which environments could not be made and what they did not write, and why."""
    lines = {}
    for outcome in (*outcomes, *written):
        given, reason = outcome.job.parameters, (outcome.result or {}).get("reason") or outcome.reason
        if outcome.job.kind == MAKING and reason:
            lines[outcome.job.name] = f"{given['name']} is left out: {reason}."
        if outcome.job.kind == WRITE and reason:
            lines[outcome.job.name] = (
                f"{given['name']} did not write {given['format']} from {given['source']}: {reason}."
            )
    return list(lines.values())


def evidence(found: Iterable[Cell]) -> dict[str, list[dict[str, Any]]]:
    """Give the environments in which each item ran and agreed, as ``interop:verified`` has them."""
    verified: dict[str, list[dict[str, Any]]] = {}
    for cell in found:
        if cell.runs and cell.found["agrees"]:
            verified.setdefault(cell.item, []).append(_environment(cell.found))
    return verified


def _environment(found: Mapping[str, Any]) -> dict[str, Any]:
    pairs = (package.partition("==")[::2] for package in found["packages"])
    fields = {
        "compared_with": found["compared_with"],
        "windows": found["windows"],
        "max_absolute_difference": found["difference"],
        "root_mean_square_difference": found["rms"],
        "rmse_change": found.get("rmse_change"),
        "csi_change": found.get("csi_change"),
    }
    packages = {plain(name): version for name, version in pairs if name in RUNTIMES}
    return {"python": found["python"], "packages": packages} | {k: v for k, v in fields.items() if v is not None}


def tables(found: Sequence[Cell]) -> list[Table]:
    """Lay out all of it: by environment, by route, by format, and cell by cell."""
    return [_by_environment(found), _by_route(found), _sizes(found), every_cell(found)]


def every_cell(found: Sequence[Cell]) -> Table:
    """Lay out what was found, a line for each cell; a cell without numbers says why."""
    return Table(
        "Items and environments",
        "Difference: largest and root mean square distance, in values of the model, from the forecast of the"
        " environment that wrote the item on the same real windows, or from the example that was published with it."
        " RMSE (mm/h) and CSI (largest over the thresholds): what that changes against observations. Prediction:"
        " median of three, batch 1, the way to the process included; other cells may have run beside it. MB: largest"
        " memory of the process.",
        HEADS,
        list(_folded(found)),
    )


def _folded(found: Sequence[Cell]) -> Iterator[tuple[str, ...]]:
    """Give rows, with the environments in which a model does not run for the same reason on one."""
    for _, group in _groups(found, lambda cell: (cell.item, cell.found.get("reason") or cell.environment)):
        item, made, _, *numbers = _row(group[0])
        yield (item, made, ", ".join(cell.environment for cell in group), *numbers)


def _row(cell: Cell) -> tuple[str, ...]:
    numbers = (NOTHING,) * 8
    one = cell.found
    if cell.runs:
        memory = one["memory_bytes"]
        against = f"{one['windows']} windows" if one["windows"] else one["compared_with"]
        numbers = (
            against,
            f"{one['difference']:.1e}",
            f"{one['rms']:.1e}",
            _change(one.get("rmse_change")),
            _change(one.get("csi_change")),
            f"{one['load_seconds']:.2f}",
            f"{1000 * one['predict_seconds']:.1f}",
            NOTHING if memory is None else f"{memory / 1e6:.0f}",
        )
    said = one.get("reason") or one.get("note") or ("" if one.get("agrees", True) else "beyond the tolerance")
    return (cell.item, written_with(cell.model), cell.environment, *numbers, said)


def _change(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1e}"


def _by_environment(found: Sequence[Cell]) -> Table:
    rows = []
    for name, group in _groups(found, lambda cell: cell.environment):
        ran = [cell for cell in group if cell.runs]
        why = NOTHING if ran else str(group[0].found.get("reason", ""))
        rows.append((name, _holds(_environment(ran[0].found)) if ran else NOTHING, *_summary(group, ran), why))
    heads = ("environment", "holds", "models", "run", "agree", "largest difference", "largest RMSE change", "why not")
    caption = "Of all models of the catalog: how many run in an environment, and how far the farthest is."
    return Table("Environments", caption, heads, rows)


def _holds(environment: Mapping[str, Any]) -> str:
    named = [f"{name} {version}" for name, version in environment["packages"].items() if name not in {"numpy", "h5py"}]
    return ", ".join([f"Python {environment['python']}", *named])


def _by_route(found: Sequence[Cell]) -> Table:
    rows = []
    for (route, made), group in _groups(found, lambda cell: (route_of(cell.model), written_with(cell.model))):
        ran = [cell for cell in group if cell.runs]
        fastest = min(ran, key=lambda cell: cell.found["predict_seconds"], default=None)
        quick = f"{1000 * fastest.found['predict_seconds']:.1f} ({fastest.environment})" if fastest else NOTHING
        rows.append((route, made, *_summary(group, ran), quick))
    heads = (
        "route",
        "written with",
        "cells",
        "run",
        "agree",
        "largest difference",
        "largest RMSE change",
        "fastest",
    )
    caption = "By how a model came to be and what wrote it: over all environments. Fastest: ms of one prediction."
    return Table("Routes and versions", caption, heads, rows)


def _summary(group: Sequence[Cell], ran: Sequence[Cell]) -> tuple[str, ...]:
    changes = [abs(cell.found["rmse_change"]) for cell in ran if cell.found.get("rmse_change") is not None]
    return (
        str(len(group)),
        str(len(ran)),
        str(sum(cell.found["agrees"] for cell in ran)),
        f"{max(cell.found['difference'] for cell in ran):.1e}" if ran else NOTHING,
        f"{max(changes):.1e}" if changes else NOTHING,
    )


def _sizes(found: Sequence[Cell]) -> Table:
    rows = [
        (item, written_with(cells[0].model), str(format_of(cells[0].model)), _kilobytes(size_of(cells[0].model)))
        for item, cells in _groups(found, lambda cell: cell.item)
    ]
    return Table("Sizes", "Of the model files.", ("item", "written with", "format", "kB"), rows)


def _kilobytes(size: int | None) -> str:
    return NOTHING if size is None else f"{size / 1000:,.1f}"


def _groups(found: Iterable[Cell], key: Any) -> Iterator[tuple[Any, list[Cell]]]:
    groups: dict[Any, list[Cell]] = {}
    for cell in found:
        groups.setdefault(key(cell), []).append(cell)
    yield from groups.items()


def format_of(item: pystac.Item | None) -> str:
    """Name the format of an item."""
    return NOTHING if item is None else str(item.properties.get("interop:format", NOTHING))


def size_of(item: pystac.Item | None) -> int | None:
    """Give the bytes of an item's file."""
    return None if item is None else item.assets[model_assets(item)[0].key].extra_fields.get("file:size")


def route_of(item: pystac.Item | None) -> str:
    """Name the formats that led to an item."""
    steps = [] if item is None else item.properties.get("interop:route") or []
    if not steps:
        return format_of(item)
    return " → ".join((steps[0]["source_format"], *(step["target_format"] for step in steps)))


def written_with(item: pystac.Item | None) -> str:
    """Say what wrote an item's file: framework, backend and, of a conversion, the tool, in their versions."""
    if item is None:
        return "deleted meanwhile"
    said = item.properties
    framework, backend = f"{said.get('mlm:framework')} {said.get('mlm:framework_version')}", said.get("interop:backend")
    text = f"{framework} on {backend} {said.get('interop:backend_version')}" if backend else framework
    last = (said.get("interop:route") or [None])[-1]
    return text if last is None or last["version"] in text else f"{text}, by {last['tool']} {last['version']}"


def as_text(found: Sequence[Cell]) -> str:
    """Lay out what was found for a terminal: the items, and below each a line for each environment."""
    lines: list[str] = []
    width = max((len(cell.environment) for cell in found), default=0)
    last = None
    for cell in found:
        item, made, name, against, apart, _, rmse, _, load, predict, memory, reason = _row(cell)
        if item != last:
            lines.append(f"{item} ({made})")
        last = item
        score = "" if rmse == NOTHING else f", RMSE {rmse} mm/h more"
        well = f"{apart} apart ({against}){score}, {predict} ms, loaded in {load} s, {memory} MB"
        lines.append(f"  {name.ljust(width)}  {f'{well}; {reason}' if reason else well}" if cell.runs
                     else f"  {name.ljust(width)}  {reason}")  # fmt: skip
    return "\n".join(lines)
