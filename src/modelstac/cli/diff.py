"""``modelstac diff``: where two models begin to differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from modelstac.cli.options import catalog_option, columns, existing_catalog, json_option, print_json
from modelstac.cli.progress import progress
from modelstac.cli.quiet import quiet_frameworks

if TYPE_CHECKING:
    from modelstac.exporters.layers import LayerDifference


@click.command()
@click.argument("first", metavar="ID1")
@click.argument("second", metavar="ID2")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    metavar="SHARE",
    help="Largest difference as a share of the largest value of a layer.  [default: 1e-4]",
)
@catalog_option
@json_option("the difference after each layer")
def diff(first: str, second: str, tolerance: float | None, catalog: str | None, as_json: bool) -> int:
    """Compare two models layer by layer on the same input, and say where a difference begins.

    ID1 and ID2 may also be MODEL@ALIAS, MODEL, or MODEL with a range of versions. The exit code is 1 when they differ.
    """
    quiet_frameworks()
    from dataclasses import asdict

    from modelstac.exporters.layers import TOLERANCE, diff
    from modelstac.exporters.workers import Workers
    from modelstac.registry.references import by_name

    opened = existing_catalog(catalog)
    one, other = (by_name(what, opened).items[0] for what in (first, second))
    with progress() as report, Workers() as workers:
        rows = diff(one, other, workers, tolerance=TOLERANCE if tolerance is None else tolerance, report=report)
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        click.echo(columns(("AFTER", "SHAPE", "LARGEST DIFFERENCE", "SHARE", "VERDICT"), [*map(_cells, rows)]))
        click.echo(_verdict(rows))
    return 0 if all(row.passed for row in rows) else 1


def _cells(row: LayerDifference) -> tuple[str, ...]:
    shape = " x ".join(map(str, row.shape))
    return row.layer, shape, f"{row.largest:.1e}", f"{row.relative:.1e}", "equal" if row.passed else "differs"


def _verdict(rows: list[LayerDifference]) -> str:
    begins = next((row for row in rows if not row.passed), None)
    if begins is None:
        return "they agree"
    frame = f", from frame {begins.first_frame} on" if begins.first_frame is not None else ""
    return f"the difference begins at {begins.layer}{frame}"
