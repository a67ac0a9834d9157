"""``modelstac matrix``: every model of a catalog in every environment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelstac.cli.options import catalog_option, existing_catalog, json_option, print_json, read_text
from modelstac.cli.progress import progress

if TYPE_CHECKING:
    from modelstac.report import Table


@click.command()
@click.option(
    "--environments",
    "file",
    required=True,
    type=click.Path(path_type=Path),
    help="TOML file of [[environment]], each with name and packages, such as onnxruntime==1.20.1.",
)
@click.option("--work", type=click.Path(path_type=Path), default=Path("work"), show_default=True, help="To resume.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1), help="Cells at a time.")
@click.option("--timeout", default=1800.0, show_default=True, help="Seconds for a cell, its environment included.")
@click.option("--retries", default=1, show_default=True, type=click.IntRange(0), help="Attempts after the first.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for matrix.html and matrix.md.")
@catalog_option
@json_option("what was found in every cell")
def matrix(
    *,
    file: Path,
    work: Path,
    jobs: int,
    timeout: float,
    retries: int,
    out: Path | None,
    catalog: str | None,
    as_json: bool,
) -> None:
    """Load every model of the catalog in every environment, and compare with what it was published with.

    uv makes the environments. A model that does not run in one has the reason in its cell. What was found before is not
    measured again.
    """
    from modelstac.catalog.errors import JobError
    from modelstac.jobs.pools import LocalPool
    from modelstac.jobs.run import run
    from modelstac.matrix.environments import read_environments
    from modelstac.matrix.plan import as_table, as_text, cells

    environments = read_environments(read_text(file, "file of environments"), file.name)
    opened = existing_catalog(catalog)
    planned = cells(opened, environments, str(work.absolute()), timeout=timeout)
    with progress() as report, LocalPool(jobs) as pool:
        outcomes = run(planned, pool, retries=retries, report=report)
    if out is not None:
        _write(out, as_table(outcomes, opened), opened.href)
    if as_json:
        print_json([{**outcome.job.parameters, **outcome.to_dict()} for outcome in outcomes])
    else:
        click.echo(as_text(outcomes, opened))
    if failed := sum(not outcome.well for outcome in outcomes):
        raise JobError(f"{failed} of {len(outcomes)} cells could not be measured: see above; run it again to fill them")


def _write(out: Path, table: Table, href: str) -> None:
    from modelstac.catalog.storage import explained
    from modelstac.cli.files import write_atomically
    from modelstac.report import write_html

    with explained(f"write to {out}"):
        out.mkdir(parents=True, exist_ok=True)
        summary = f"{href}: {len(table.rows)} cells."
        write_html(out / "matrix.html", title=table.title, summary=summary, tables=[table], pictures=[])
    write_atomically(out / "matrix.md", f"# {table.title}\n\n{table.caption}\n\n{table.to_markdown()}\n".encode())
