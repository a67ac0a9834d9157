"""``modelstac check``: what is wrong in an item that describes a model, and the item put right."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelstac.cli.common.options import catalog_option, json_option, print_json
from modelstac.cli.common.terminal import say

if TYPE_CHECKING:
    from modelstac.registry.checking.check import Checked


@click.command()
@click.argument("items", metavar="ITEM...", nargs=-1, required=True)
@click.option("--fix", metavar="FILE", type=click.Path(path_type=Path), help="Write the repaired item here.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "github"]),
    default="text",
    show_default=True,
    help="github: annotations of a workflow, at the line.",
)
@catalog_option
@json_option("faults and the repaired item")
def check(items: tuple[str, ...], fix: Path | None, form: str, catalog: str | None, as_json: bool) -> None:
    """Check ITEM (a path, a URL or an id) against STAC, MLM and what running it needs; exit code 1 on faults.

    Each fault has its place, its cause, its rule, and what the repaired item has instead.
    """
    from modelstac.catalog.items.documents import encoded
    from modelstac.cli.common.files import write_atomically
    from modelstac.registry.checking.check import check as checked

    if fix is not None and len(items) > 1:
        raise click.UsageError("--fix writes one item: give one")
    found = [checked(item, catalog) for item in items]
    if fix is not None:
        write_atomically(fix, encoded(json.dumps(found[0].repaired, indent=2, ensure_ascii=False) + "\n"))
    if as_json:
        print_json([one.to_dict() for one in found] if len(found) > 1 else found[0].to_dict())
    else:
        for one in found:
            _show(one, form)
    if any(one.faults for one in found):
        sys.exit(1)


def _show(checked: Checked, form: str) -> None:
    if form == "github":
        for fault in checked.faults:
            text = str(fault).replace("%", "%25").replace("\n", "%0A")
            say(f"::error file={checked.place},line={line_of(checked, fault.place)},title={fault.rule}::{text}")
        return
    for fault in checked.faults:
        say(f"{checked.place}: {fault}")
    repaired = sum(fault.repair is not None for fault in checked.faults)
    if checked.faults:
        say(f"{checked.place}: {len(checked.faults)} faults, of which {repaired} can be repaired (--fix FILE)")
    else:
        say(f"{checked.place}: no fault")


def line_of(checked: Checked, place: str) -> int:
    """Find the line of a field by the names on the way to it; 1 where it is not there."""
    path = Path(checked.place)
    text = path.read_text("utf-8") if path.is_file() else checked.text
    at = 0
    for part in place.replace("]", "").replace("[", ".").split("."):
        if part.isdecimal():
            continue
        further = text.find(f'"{part}"', at)
        at = at if further < 0 else further
    return text.count("\n", 0, at) + 1
