"""``modelstac pages``: a page a model, as files."""

from __future__ import annotations

from pathlib import Path

import click

from modelstac.cli.common.options import existing_catalog, json_option, print_json
from modelstac.cli.common.progress import progress
from modelstac.cli.common.terminal import say


@click.command()
@click.argument("catalog", envvar="MODELSTAC_CATALOG", required=False)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where the pages go.  [default: into the catalog, which then leads to them]",
)
@click.option(
    "--address", metavar="URL", help="Where people find the catalog, for the lines to try.  [default: CATALOG as given]"
)
@json_option("the pages")
def pages(catalog: str | None, output: Path | None, address: str | None, as_json: bool) -> None:
    """Write a page for each model of CATALOG, and a list of them, as HTML that needs no server and no script.

    A catalog in a folder gets them beside its documents; run it again after publishing. Those of any other go to a
    folder of their own, with their pictures inside.
    """
    from modelstac.pages import write_pages

    with progress() as report:
        opened = existing_catalog(catalog)
        found = write_pages(opened, output, address=address or catalog, report=report)
    index = Path(opened.href if output is None else output) / "index.html"
    if as_json:
        print_json({"index": str(index), "pages": {name: str(path) for name, path in found.items()}})
    else:
        say(f"{index}: {len(found)} model{'' if len(found) == 1 else 's'}")
