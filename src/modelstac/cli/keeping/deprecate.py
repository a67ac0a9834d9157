"""``modelstac deprecate``: mark what should no longer be used; it can still be found and loaded."""

from __future__ import annotations

import click

from modelstac.cli.common.options import catalog_option, existing_catalog, json_option, print_json
from modelstac.cli.common.terminal import say


@click.command()
@click.argument("item_id", metavar="ID")
@click.option("--undo", is_flag=True, help="Take the mark back.")
@catalog_option
@json_option("the item")
def deprecate(item_id: str, undo: bool, catalog: str | None, as_json: bool) -> None:
    """Mark the item ID as deprecated."""
    opened = existing_catalog(catalog)
    item = opened.deprecate(opened.resolve(item_id), deprecated=not undo)
    if as_json:
        print_json(item.to_dict(transform_hrefs=False))
    else:
        say(f"{item.id} is {'no longer ' if undo else ''}deprecated")
