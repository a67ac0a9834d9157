"""``modelstac index``: put the search index beside a static catalog, for those who read it over the web."""

from __future__ import annotations

import click

from modelstac.cli.common.options import catalog_option, existing_catalog, json_option, print_json


@click.command()
@catalog_option
@json_option("where it is")
def index(catalog: str | None, as_json: bool) -> None:
    """Put the search index beside a catalog in a folder or on an object store.

    Readers without one begin with it instead of reading every document; what changed since then they read themselves.
    """
    from modelstac.catalog.backends.tree import INDEX, TreeCatalog
    from modelstac.catalog.errors import CatalogError

    opened = existing_catalog(catalog)
    if not isinstance(opened, TreeCatalog):
        raise CatalogError(f"{opened.href} searches by itself: an index lies beside folders and object stores only")
    opened.write_index()
    place = f"{opened.href.rstrip('/')}/{INDEX}"
    if as_json:
        print_json({"index": place})
    else:
        click.echo(f"wrote {place}")
