"""``modelstac probe``: find by running a model which sizes it takes and how far it looks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelstac.cli.common.options import (
    catalog_option,
    columns,
    existing_catalog,
    json_option,
    print_json,
    trust_option,
)
from modelstac.cli.common.progress import progress
from modelstac.cli.common.quiet import lean_frameworks
from modelstac.cli.common.terminal import say

if TYPE_CHECKING:
    import pystac

    from modelstac.registry import Model
    from modelstac.registry.probing.measure import Measured


@click.command()
@click.argument("what", metavar="ID")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the item there, with what was found as interop:sizes and interop:halo.",
)
@click.option(
    "--isolated/--here",
    default=None,
    help="Run in an environment of its own, made by uv, or only in this one; by default as MODELSTAC_ISOLATED says.",
)
@click.option("--record", is_flag=True, help="Note it in an item that was published --unproved: it is proved then.")
@trust_option
@catalog_option
@json_option("what was found")
def probe(
    *,
    what: str,
    output: Path | None,
    isolated: bool | None,
    record: bool,
    trust: tuple[str, ...],
    catalog: str | None,
    as_json: bool,
) -> None:
    """Run the model ID, anybody's, to find the sizes that its open axes take and how many pixels around it it looks.

    ID may also be MODEL@ALIAS, MODEL, MODEL with a range of versions, or URL or path of an item. Sizes that the item
    states already bound what is tried, and are proved.
    """
    lean_frameworks()
    if record:
        if output is not None or isolated:
            raise click.UsageError("--record runs it here and notes it in its catalog: leave out --output, --isolated")
        _record(what, catalog, trust, as_json=as_json)
        return
    from modelstac.catalog.messages import Finished, Note, Started
    from modelstac.registry import load
    from modelstac.registry.probing.measure import measure

    with (
        progress() as report,
        load(what, catalog=catalog, isolated=isolated, trust=trust, report=report) as model,
    ):
        report(Started("probe"))
        found = measure(model)
        report(Finished("probe"))
        for note in found.notes:
            report(Note(note))
        if output is not None:
            _write(model.item, found, output)
        if as_json:
            print_json(_fields(found))
        else:
            say(columns(("input", "axis", "size", "halo"), list(_rows(model, found))))


def _record(what: str, catalog: str | None, trust: tuple[str, ...], *, as_json: bool) -> None:
    """Prove an item that was published unproved, in its catalog."""
    from modelstac.catalog.items.evidence import sizes_and_halo
    from modelstac.registry import resolve
    from modelstac.registry.checking.proving import prove
    from modelstac.registry.trust.policy import DEFAULT_POLICY

    item = resolve(what, catalog=catalog).item
    with progress() as report:
        item = prove(item, existing_catalog(catalog), policy=DEFAULT_POLICY.trusting(*trust), report=report)
    if as_json:
        print_json(sizes_and_halo(item.properties))
    else:
        say(f"proved {item.id}")


def _fields(found: Measured) -> dict[str, Any]:
    from modelstac.catalog.items.sizes import sizes_to_json

    return {"sizes": sizes_to_json(found.all_sizes), "halo": found.halo, "notes": list(found.notes)}


def _rows(model: Model, found: Measured) -> Iterator[tuple[str, str, str, str]]:
    for tensor in model.signature.inputs:
        sizes = tensor.axes | found.sizes.get(tensor.name, {})
        for place, (axis, size) in enumerate(sizes.items()):
            with_what = f", by {size.symbol}" if size.symbol else ""
            halo = (found.halo or {}).get(tensor.name, {}).get(axis)
            yield tensor.name if place == 0 else "", axis, f"{size}{with_what}", _halo(halo)


def _halo(halo: Any) -> str:
    if not isinstance(halo, dict):
        return "" if halo is None else str(halo)
    return " ".join([str(halo["pixels"]), *(f"+ {count} x {axis}" for axis, count in halo["per"].items())])


def _write(item: pystac.Item, found: Measured, output: Path) -> None:
    """Write the item; addresses that are relative to where it lies become absolute elsewhere."""
    from modelstac.catalog.items.documents import encoded
    from modelstac.cli.common.files import write_atomically

    own = item.get_self_href()
    moved = own is None or "://" in own or Path(own).resolve().parent != output.resolve().parent
    document = item.to_dict(include_self_link=False, transform_hrefs=False)
    if moved:
        for key, asset in item.assets.items():
            document["assets"][key]["href"] = asset.get_absolute_href() or asset.href
        for link, written in zip(_links(item), document["links"], strict=True):
            written["href"] = link.get_absolute_href() or link.get_href(transform_href=False)
    fields = _fields(found)
    document["properties"] |= {f"interop:{name}": fields[name] for name in ("sizes", "halo") if fields[name]}
    write_atomically(output, encoded(json.dumps(document, indent=2, ensure_ascii=False) + "\n"))


def _links(item: pystac.Item) -> list[pystac.Link]:
    return [link for link in item.links if link.rel != "self"]
