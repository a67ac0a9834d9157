"""``modelstac search``: a table of items, or a STAC FeatureCollection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from modelstac.cli.options import catalog_option, columns, existing_catalog, json_option, print_json

if TYPE_CHECKING:
    import pystac

NEWLINE_FREE = str.maketrans("\r\n\t", "   ")


@click.command()
@click.option("--text", "-q", metavar="WORDS", help="Words in title, description or keywords.")
@click.option("--framework", metavar="NAME", help="Keras, PyTorch, ONNX, …")
@click.option("--framework-version", metavar="RANGE", help="For example '>=2.7,<3'.")
@click.option("--backend", metavar="NAME", help="Backend of a Keras model: tensorflow, torch or jax.")
@click.option("--backend-version", metavar="RANGE", help="For example '>=2.19'.")
@click.option("--format", metavar="NAME", help="File format: keras, torch, onnx, …")
@click.option("--task", metavar="NAME", help="For example regression.")
@click.option("--architecture", metavar="NAME", help="For example ConvLSTM.")
@click.option("--name", metavar="NAME", help="Name of the model.")
@click.option("--version", metavar="RANGE", help="Version of the model.")
@click.option("--id", "ids", multiple=True, metavar="ID", help="Item id; may be repeated.")
@click.option("--collection", "collections", multiple=True, metavar="NAME", help="Collection; may be repeated.")
@click.option("--bbox", metavar="W,S,E,N", help="Trained on data within this box of longitudes and latitudes.")
@click.option("--datetime", metavar="TIME[/TIME]", help="Trained on data of this time or interval ('..' is open).")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many items.")
@catalog_option
@json_option("a STAC FeatureCollection")
def search(catalog: str | None, as_json: bool, bbox: str | None, **fields: Any) -> None:
    """Find models by framework, version, place and time."""
    wanted = {name: value for name, value in fields.items() if value not in (None, ())}
    if bbox is not None:
        wanted["bbox"] = _numbers(bbox)
    found = existing_catalog(catalog).search(**wanted)
    if as_json:
        features = [item.to_dict(transform_hrefs=False) for item in found]
        print_json({"type": "FeatureCollection", "features": features, "numberReturned": len(features), "links": []})
    elif found:
        click.echo(columns(("ID", "FRAMEWORK", "BACKEND", "FORMAT", "TASKS", "TRAINED ON"), [*map(_row, found)]))
    else:
        click.echo("no item matches; modelstac search without options lists all", err=True)


def _numbers(bbox: str) -> tuple[float, ...]:
    from modelstac.catalog.errors import InvalidQueryError

    try:
        return tuple(float(part) for part in bbox.split(","))
    except ValueError as error:
        raise InvalidQueryError(f"--bbox is {bbox!r}; expected four numbers: west,south,east,north") from error


def _row(item: pystac.Item) -> tuple[str, ...]:
    get = item.properties.get
    framework = f"{get('mlm:framework', '')} {get('mlm:framework_version', '')}"
    backend = f"{get('interop:backend', '')} {get('interop:backend_version', '')}"
    trained = (str(get("start_datetime") or get("datetime") or "")[:10], str(get("end_datetime") or "")[:10])
    cells = (item.id, framework, backend, get("interop:format", ""), ", ".join(get("mlm:tasks", ())), _period(*trained))
    return tuple(str(cell).translate(NEWLINE_FREE).strip() for cell in cells)


def _period(start: str, end: str) -> str:
    return start if end in {"", start} else f"{start}/{end}"
