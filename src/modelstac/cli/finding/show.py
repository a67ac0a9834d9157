"""``modelstac show``: one item as a page of text, or as JSON."""

from __future__ import annotations

import click

from modelstac.cli.common.options import catalog_option, json_option, named_item, print_json
from modelstac.cli.common.terminal import say


@click.command()
@click.argument("what", metavar="ID")
@catalog_option
@json_option("the item")
def show(what: str, catalog: str | None, as_json: bool) -> None:
    """Show one model: what it is, takes and gives, and where it comes from.

    ID may also be MODEL@ALIAS, MODEL, MODEL with a range of versions, or URL or path of anybody's item.
    """
    item = named_item(what, catalog)
    if as_json:
        print_json(item.to_dict(transform_hrefs=False))
        return
    from modelstac.registry.choosing.model_assets import sides
    from modelstac.registry.running.card import card

    sides(item, needed=False)  # a page of an item that says them in another form would be a page without them
    say(card(item))
