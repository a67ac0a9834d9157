"""``modelstac report``: a catalog as one page for people."""

from __future__ import annotations

from pathlib import Path

import click

from modelstac.cli.common.options import catalog_option, existing_catalog, json_option, print_json
from modelstac.cli.common.progress import progress


@click.command()
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("report.html"),
    show_default=True,
    help="Where the page goes.",
)
@catalog_option
@json_option("what the page shows")
def report(output: Path, catalog: str | None, as_json: bool) -> None:
    """Write the catalog as one self-contained HTML page: models, files, scores, proofs, environments, pictures."""
    from modelstac.overview import write_overview

    with progress() as listener:
        counts = write_overview(existing_catalog(catalog), output, report=listener)
    if as_json:
        print_json({"report": str(output), **counts})
    else:
        shown = ", ".join(f"{what} {number}" for what, number in counts.items())
        click.echo(f"{output}: {shown}")
