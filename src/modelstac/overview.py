"""A whole catalog as one page: models and their files, scores, proofs, the environments they run in, pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import pystac

from modelstac import __version__
from modelstac.catalog.backends.storage import explained
from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import ModelStacError
from modelstac.catalog.items.evidence import is_unproved, told_allowance
from modelstac.catalog.items.versions import parse_version
from modelstac.catalog.messages import Advanced, Finished, Note, Report, Started, ignore
from modelstac.catalog.pages.scores import BASELINES, MAIN, in_order, title
from modelstac.catalog.pages.values import NOTHING, mapping, mappings, number, text, texts, whole
from modelstac.registry.files.fetch import fetch
from modelstac.report import Picture, Section, Table, write_html

LARGEST_PICTURE = 4 << 20
SCORES = ("rmse_mm_h", "mae_mm_h", "bias_mm_h", "ssim", "csi_0.5_mm_h", "csi_1_mm_h", "csi_2_mm_h")
"""Scores of forecasts, in this order; of others the main metric first, and :data:`MOST_SCORES` of them."""
MOST_SCORES = 8
_PICTURES = {"thumbnail": 0, "overview": 1}


def write_overview(
    catalog: Catalog, path: Path, *, pages: Mapping[str, Path] = MappingProxyType({}), report: Report = ignore
) -> dict[str, int]:
    """Write the page and return how many models, items and pictures it shows.

    Parameters
    ----------
    catalog
        What is shown; nothing but its pictures is read beside the items.
    path
        Where the page goes.
    pages
        Pages of models by their name, to which this one leads.
    report
        Gets progress, and a note for each picture that cannot be had.

    Raises
    ------
    StorageError
        If the page cannot be written.
    """
    by_model: dict[str, list[pystac.Item]] = {}
    for item in catalog.readable(report):
        by_model.setdefault(item.collection_id or item.id, []).append(item)
    titles = {found["id"]: text(found.get("title")) for found in catalog.collection_documents()}
    report(Started("report", len(by_model)))
    sections = []
    for name, items in sorted(by_model.items()):
        called = titles.get(name)
        section = _section(name, called if called != name else None, sorted(items, key=_order), report)
        sections.append(replace(section, href=_relative(pages[name], path)) if name in pages else section)
        report(Advanced("report", note=name))
    report(Finished("report"))
    if len(by_model) > 1:
        sections.insert(0, Section("All models", tables=[_index(by_model)]))
    counts = {
        "models": len(by_model),
        "items": sum(map(len, by_model.values())),
        "pictures": sum(len(section.pictures) for section in sections),
    }
    with explained(f"write {path}"):
        write_html(
            path,
            title=f"Models in {catalog.href}",
            summary=f"{_count(counts['models'], 'model')} in {_count(counts['items'], 'item')}. A row is an item: its"
            " id is the name of the model and what the row begins with.",
            sections=sections,
            footer=f"modelstac {__version__}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        )
    return counts


def _relative(page: Path, start: Path) -> str:
    return quote(os.path.relpath(page.absolute(), start.absolute().parent).replace(os.sep, "/"))


def _index(by_model: Mapping[str, Sequence[pystac.Item]]) -> Table:
    """Return a line for each model, by which to choose the part of the page to read."""
    rows = []
    for name, unsorted in sorted(by_model.items()):
        items = sorted(unsorted, key=_order)
        versions = list(dict.fromkeys(str(item.properties.get("version")) for item in items))
        formats = sorted({str(item.properties.get("interop:format") or NOTHING) for item in items})
        places = {_environment(one) for item in items for one in _verified(item)}
        aliases = [alias for item in items for alias in texts(item.properties.get("interop:aliases"))]
        rows.append(
            (name, str(len(items)), versions[-1], ", ".join(formats), str(len(places)), ", ".join(aliases) or NOTHING)
        )
    heads = ("model", "items", "newest version", "formats", "verified environments", "aliases")
    return Table("All models", "Each has a part of this page.", heads, rows)


def _order(item: pystac.Item) -> tuple[Any, ...]:
    try:
        version = parse_version(str(item.properties.get("version")))
    except ModelStacError:
        version = parse_version("0")
    return (version, "interop:parity" in item.properties, item.id)


def _section(name: str, title: str | None, items: Sequence[pystac.Item], report: Report) -> Section:
    tables = (_files(items), _scores(items), _proofs(items), _environments(items), _effects(items))
    return Section(
        title=name,
        text=title or "",
        tables=[table for table in tables if table is not None],
        pictures=list(_pictures(items, report)),
    )


def _files(items: Sequence[pystac.Item]) -> Table:
    rows = []
    for item in items:
        get = item.properties.get
        marks = ["deprecated"] * bool(get("deprecated")) + ["not proved"] * is_unproved(item.properties)
        status = ", ".join([*marks, *texts(get("interop:aliases"))]) or NOTHING
        size = sum(number(asset.extra_fields.get("file:size")) or 0 for asset in item.assets.values())
        parameters = whole(get("mlm:total_parameters"))
        rows.append(
            (
                _short(item),
                _texts(get("mlm:framework"), get("mlm:framework_version")),
                _texts(get("interop:backend"), get("interop:backend_version")),
                _texts(get("interop:precision")),
                NOTHING if parameters is None else f"{parameters:,}",
                f"{size / 1000:,.0f}",
                _texts(str(get("start_datetime") or get("datetime") or "")[:10]),
                _texts(get("license")),
                status,
            )
        )
    heads = ("item", "framework", "backend", "precision", "parameters", "kB", "data from", "licence", "aliases, status")
    return Table("Files", "kB is all files of an item together.", heads, rows)


def _scores(items: Sequence[pystac.Item]) -> Table | None:
    scored = {_short(item): scores for item in items if (scores := mapping(item.properties.get("interop:scores")))}
    own = {name for scores in scored.values() for name in scores if name.split("_")[0] not in BASELINES}
    main = next((name for item in reversed(items) if (name := text(item.properties.get(MAIN))) in own), None)
    names = [name for name in SCORES if name in own]
    names = names if names and main is None else in_order(main, own)
    names = names[:MOST_SCORES]
    if not names:
        return None
    rows = [(item_id, *(_number(scores.get(name)) for name in names)) for item_id, scores in scored.items()]
    for baseline in BASELINES:
        # One line for all where they were scored on the same windows, one for each item where not.
        lines = {tuple(_number(scores.get(f"{baseline}_{name}")) for name in names) for scores in scored.values()}
        rows += [(baseline, *line) for line in sorted(lines) if set(line) != {NOTHING}]
    caption = "On held-out data; of forecasts the means over lead times. Of errors less is better, of others more."
    return Table("Scores", caption, ("item", *map(title, names)), rows)


def _proofs(items: Sequence[pystac.Item]) -> Table | None:
    rows = []
    for item in items:
        parity, timing = (mapping(item.properties.get(f"interop:{name}")) for name in ("parity", "timing"))
        apart = [number(parity.get(name)) for name in ("max_absolute_difference", "root_mean_square_difference")]
        if not parity:
            continue
        rows.append(
            (
                _short(item),
                text(parity.get("source")).removeprefix(f"{item.collection_id}-") or NOTHING,
                " → ".join(_formats(mappings(item.properties.get("interop:route")))) or NOTHING,
                *(NOTHING if value is None else f"{value:.1e}" for value in apart),
                told_allowance(parity).removeprefix("allowed "),
                _judged(parity),
                _verdict(parity),
                _milliseconds(timing.get("latency_seconds")),
                _milliseconds(timing.get("source_latency_seconds")),
            )
        )
    heads = ("item", "source", "route", "largest difference", "RMS", "allowed", "cases", "verdict", "ms", "source ms")
    caption = (
        "Conversion and source on the same inputs, in the cases that are judged (parity.json has the others, and why "
        "they are not), and one prediction of each where the conversion was made."
    )
    return Table("Proofs", caption, heads, rows) if rows else None


def _judged(parity: dict[str, Any]) -> str:
    """Give how many cases were judged of how many."""
    judged, cases = whole(parity.get("judged_cases")), whole(parity.get("cases"))
    return _texts(cases) if judged in {None, cases} else f"{judged} of {_texts(cases)}"


def _verdict(parity: dict[str, Any]) -> str:
    if parity.get("passed") is not True:
        return "differs"
    return "equal" if parity.get("tolerance_by") is None else f"equal, {parity['tolerance_by']}"


def _environments(items: Sequence[pystac.Item]) -> Table | None:
    """Return how far from its writer each item was in each environment in which it was verified."""
    cells: dict[str, dict[str, str]] = {}
    for item in items:
        for environment in _verified(item):
            cells.setdefault(_short(item), {})[_environment(environment)] = _agreed(environment)
    heads = sorted({name for found in cells.values() for name in found})
    rows = [(item_id, *(found.get(name, NOTHING) for name in heads)) for item_id, found in cells.items()]
    caption = (
        "Where each item was loaded and agreed: the largest difference from what its writer gave, in values of the"
        " model, or yes where it is not recorded; a dash where it was not tried, or did not run."
    )
    return Table("Environments", caption, ("item", *heads), rows) if rows else None


def _effects(items: Sequence[pystac.Item]) -> Table | None:
    """Return what the environments change in the forecasts of each item, at most, where forecasts were compared."""
    rows = []
    for item in items:
        environments = _verified(item)
        if not any("rmse_change" in one or "csi_change" in one for one in environments):
            continue
        apart = (_largest(environments, name) for name in _CHANGES)
        rows.append((_short(item), str(len(environments)), *apart))
    heads = (
        "item",
        "environments",
        "real windows",
        "largest difference",
        "RMS",
        "RMSE mm/h changes by",
        "CSI changes by",
    )
    caption = "The largest over the environments above, without sign: the forecast there against that of the writer."
    return Table("What an environment changes", caption, heads, rows) if rows else None


_CHANGES = ("windows", "max_absolute_difference", "root_mean_square_difference", "rmse_change", "csi_change")


def _largest(environments: Sequence[Mapping[str, Any]], name: str) -> str:
    found = [abs(one[name]) for one in environments if isinstance(one.get(name), float | int)]
    return _small(max(found)) if found else NOTHING


def _small(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.1e}" if value else "0"


_RUNTIMES = ("keras", "tensorflow", "tensorflow-cpu", "torch", "onnxruntime", "openvino", "ai-edge-litert", "jax")
"""Packages that name an environment; what they need in turn does not."""


def _environment(environment: Mapping[str, Any]) -> str:
    packages = mapping(environment.get("packages"))
    kept = {name for name in packages if name in _RUNTIMES} or {name for name in packages if name != "numpy"}
    named = [f"{name.removesuffix('-cpu')} {packages[name]}" for name in sorted(kept)]
    return ", ".join([*named, f"Python {environment['python']}"] if environment.get("python") else named) or "unnamed"


def _agreed(environment: Mapping[str, Any]) -> str:
    difference = environment.get("max_absolute_difference")
    return _small(difference) if isinstance(difference, float | int) else "yes"


def _pictures(items: Sequence[pystac.Item], report: Report) -> Iterator[Picture]:
    for item in items:
        found = [
            (min(_PICTURES.get(role, 9) for role in asset.roles or ("",)), key, asset)
            for key, asset in item.assets.items()
            if asset.media_type == "image/png"
        ]
        for _, key, asset in sorted(found, key=lambda one: one[:2]):
            try:
                png = fetch(item, key, max_bytes=LARGEST_PICTURE).data
            except ModelStacError as error:
                report(Note(f"a picture of {item.id} is left out: {error}"))
                continue
            what = asset.title or key
            yield Picture(
                png,
                f"{_short(item)}: {what}",
                f"{what} of {item.id}, as a picture; its numbers are in the tables above.",
            )


def _formats(route: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for place, step in enumerate(route):
        if not place:
            yield _texts(step.get("source_format"))
        yield _texts(step.get("target_format"))


def _short(item: pystac.Item) -> str:
    """Return an item's id without the name of its model, which stands above."""
    return item.id.removeprefix(f"{item.collection_id}-")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _verified(item: pystac.Item) -> list[dict[str, Any]]:
    return mappings(item.properties.get("interop:verified"))


def _texts(*parts: Any) -> str:
    return " ".join(filter(None, map(text, parts))) or NOTHING


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float | int) else NOTHING


def _milliseconds(seconds: Any) -> str:
    return f"{1000 * seconds:.1f}" if isinstance(seconds, float | int) else NOTHING
