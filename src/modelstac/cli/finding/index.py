"""``modelstac index``: a search index beside a static catalog, or all items as one GeoParquet file."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from modelstac.cli.common.options import catalog_option, existing_catalog, json_option, print_json
from modelstac.cli.common.progress import progress
from modelstac.cli.common.terminal import say


@click.command()
@click.option(
    "--parquet",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write all items of any catalog to this GeoParquet file instead, for DuckDB and other tools.",
)
@catalog_option
@json_option("where it is")
def index(parquet: Path | None, catalog: str | None, as_json: bool) -> None:
    """Put the search index beside a catalog in a folder or on an object store.

    Readers without one begin with it instead of reading every document; what changed since then they read themselves.
    """
    opened = existing_catalog(catalog)
    if parquet is not None:
        from modelstac.catalog.geoparquet import write_geoparquet
        from modelstac.cli.common.files import replacing

        with progress() as report, replacing(parquet) as temporary:
            written = write_geoparquet(opened, temporary, report=report)
        if as_json:
            print_json({"parquet": str(parquet)} | dataclasses.asdict(written))
            return
        say(f"wrote {written.items} items to {parquet}")
        if written.as_text:
            say(f"as JSON text, since items do not agree what it is: {', '.join(written.as_text)}")
        return

    from modelstac.catalog.backends.tree import INDEX, TreeCatalog
    from modelstac.catalog.errors import CatalogError

    if not isinstance(opened, TreeCatalog):
        raise CatalogError(
            f"{opened.href} searches by itself: an index lies beside folders and object stores only; "
            "--parquet FILE writes all items of any catalog to one file"
        )
    opened.write_index()
    place = f"{opened.href.rstrip('/')}/{INDEX}"
    if as_json:
        print_json({"index": place})
    else:
        say(f"wrote {place}")
