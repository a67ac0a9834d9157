"""``modelstac search``: a table of items, or a STAC FeatureCollection."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import click

from modelstac.cli.common.options import catalog_option, columns, existing_catalog, json_option, print_json
from modelstac.cli.common.terminal import say

NEWLINE_FREE = str.maketrans("\r\n\t", "   ")


@click.command()
@click.option("--text", "-q", metavar="WORDS", help="Words in title, description or keywords; a comma means or.")
@click.option("--framework", metavar="NAME", help="Keras, PyTorch, ONNX, …")
@click.option("--framework-version", metavar="RANGE", help="For example '>=2.7,<3'.")
@click.option("--backend", metavar="NAME", help="Backend of a Keras model: tensorflow, torch or jax.")
@click.option("--backend-version", metavar="RANGE", help="For example '>=2.19'.")
@click.option("--format", metavar="NAME", help="File format: keras, torch, onnx, …")
@click.option("--precision", metavar="NAME", help="Of a converted model: fp32, fp16 or int8.")
@click.option("--task", metavar="NAME", help="For example regression.")
@click.option("--architecture", metavar="NAME", help="For example ConvLSTM.")
@click.option("--name", metavar="NAME", help="Name of the model.")
@click.option("--version", metavar="RANGE", help="Version of the model.")
@click.option("--id", "ids", multiple=True, metavar="ID", help="Item id; may be repeated.")
@click.option("--collection", "collections", multiple=True, metavar="NAME", help="Collection; may be repeated.")
@click.option("--bbox", metavar="W,S,E,N", help="Trained on data within this box of longitudes and latitudes.")
@click.option("--datetime", metavar="TIME[/TIME]", help="Trained on data of this time or interval ('..' is open).")
@click.option("--intersects", metavar="GEOJSON", help="Trained on data in a place that meets this geometry.")
@click.option("--class", "classes", multiple=True, metavar="NAME", help="Has this class; may be repeated.")
@click.option("--band", "bands", multiple=True, metavar="NAME", help="Takes this band; may be repeated.")
@click.option("--license", metavar="SPDX", help="Under this licence, for example CC-BY-4.0.")
@click.option("--region", metavar="NAME", help="Trained on data of this place.")
@click.option("--month", "months", multiple=True, metavar="MONTH", help="Trained on data of this month: Jul or 7.")
@click.option("--filter", metavar="CQL2", help='For example "mIoU > 0.6"; text or JSON.')
@click.option("--parameters", metavar="RANGE", help="Number of parameters, for example '<2e6'.")
@click.option("--parity", type=float, metavar="MAX", help="Converted, and at most so far from its source.")
@click.option("--runs-with", multiple=True, metavar="PACKAGE", help="Verified with this: 'torch>=2.7' or 'torch 2.7'.")
@click.option("--runs-within", type=float, metavar="MAX", help="Verified there, and at most so far from its writer's.")
@click.option("--alias", metavar="NAME", help="What this alias points to, for example champion.")
@click.option("--deprecated/--no-deprecated", default=None, help="Only what is, or is not, deprecated.")
@click.option("--sort", "sortby", multiple=True, metavar="NAME", help="Sort by this, '-' before it for descending.")
@click.option("--field", "fields", multiple=True, metavar="NAME", help="With --json: only this, or '-' before it: not.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many items.")
@click.option("--token", metavar="TEXT", help="Go on after the page that gave this token (needs the same search).")
@catalog_option
@json_option("a STAC FeatureCollection")
def search(catalog: str | None, as_json: bool, bbox: str | None, **fields: Any) -> None:
    """Find models by framework, version, place and time."""
    from modelstac.catalog import Query

    wanted = {name: value for name, value in fields.items() if value not in (None, ())}
    if bbox is not None:
        wanted["bbox"] = _numbers(bbox)
    text = wanted.get("filter", "").strip()
    if text.startswith("{"):
        wanted["filter"] = _json_filter(text)
    page = existing_catalog(catalog).page(Query(**wanted), count=True)
    if as_json:
        print_json(
            {
                "type": "FeatureCollection",
                "features": page.documents,
                "numberMatched": page.matched,
                "numberReturned": len(page.documents),
                "links": [],
            }
            | ({"next": page.next} if page.next else {})
        )
    elif page.documents:
        counts = Counter(document["id"] for document in page.documents)
        rows = [_row(document, twice=counts[document["id"]] > 1) for document in page.documents]
        heads: tuple[str, ...] = ("ID", "FRAMEWORK", "BACKEND", "FORMAT", "TASKS", "TRAINED ON")
        if "parity" in wanted:
            heads, rows = (*heads, "FROM SOURCE"), [(*r, _apart(d)) for r, d in zip(rows, page.documents, strict=True)]
        say(columns(heads, rows))
        if page.next:
            say(f"{len(page.documents)} of {page.matched}; go on with --token {page.next}", err=True)
    else:
        say("no item matches; modelstac search without options lists all", err=True)
    for note in page.notes:
        say(f"note: {note}", err=True)


def _json_filter(text: str) -> Any:
    from modelstac.catalog.errors import InvalidQueryError

    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidQueryError(f"--filter begins as JSON and is none: {error}") from error


def _numbers(bbox: str) -> tuple[float, ...]:
    from modelstac.catalog.errors import InvalidQueryError

    try:
        return tuple(float(part) for part in bbox.split(","))
    except ValueError as error:
        raise InvalidQueryError(f"--bbox is {bbox!r}; expected four numbers: west,south,east,north") from error


def _row(document: dict[str, Any], *, twice: bool) -> tuple[str, ...]:
    get = document.get("properties", {}).get
    tasks = get("mlm:tasks")
    framework = f"{get('mlm:framework', '')} {get('mlm:framework_version', '')}"
    backend = f"{get('interop:backend', '')} {get('interop:backend_version', '')}"
    trained = (str(get("start_datetime") or get("datetime") or "")[:10], str(get("end_datetime") or "")[:10])
    cells = (
        f"{document['collection']}/{document['id']}" if twice else document["id"],
        framework,
        backend,
        get("interop:format", ""),
        ", ".join(map(str, tasks)) if isinstance(tasks, list) else "",
        _period(*trained),
    )
    return tuple(str(cell).translate(NEWLINE_FREE).strip() for cell in cells)


def _apart(document: dict[str, Any]) -> str:
    """Say how far a conversion is from its source, and what was allowed."""
    from modelstac.catalog.items.evidence import told_parity

    return told_parity(document["properties"]["interop:parity"]).translate(NEWLINE_FREE)


def _period(start: str, end: str) -> str:
    return start if end in {"", start} else f"{start}/{end}"
