"""``modelstac report``: a catalog as one page for people."""

from __future__ import annotations

from pathlib import Path

import click

from modelstac.cli.common.options import catalog_option, existing_catalog, json_option, print_json
from modelstac.cli.common.progress import progress
from modelstac.cli.common.terminal import say


@click.command()
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("report.html"),
    show_default=True,
    help="Where the page goes.",
)
@click.option(
    "--pages",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write a page for each model into a folder, too, and lead there.",
)
@catalog_option
@json_option("what the page shows")
def report(output: Path, pages: Path | None, catalog: str | None, as_json: bool) -> None:
    """Write the catalog as one self-contained HTML page: models, files, scores, proofs, environments, pictures."""
    from modelstac.overview import write_overview
    from modelstac.pages import write_pages

    opened = existing_catalog(catalog)
    with progress() as listener:
        found = {} if pages is None else write_pages(opened, pages, address=catalog, report=listener)
        counts = write_overview(opened, output, pages=found, report=listener)
    if as_json:
        print_json({"report": str(output), **counts})
    else:
        shown = ", ".join(f"{what} {number}" for what, number in counts.items())
        say(f"{output}: {shown}")
