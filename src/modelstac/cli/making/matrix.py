"""``modelstac matrix``: every model of a catalog in every environment."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from modelstac.cli.common.options import catalog_option, existing_catalog, json_option, print_json, read_text
from modelstac.cli.common.progress import progress
from modelstac.cli.common.terminal import say


@click.command()
@click.option(
    "--environments",
    "file",
    required=True,
    type=click.Path(path_type=Path),
    help="TOML file of [[environment]], each with name and packages, such as onnxruntime==1.20.1.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True),
    help="Radar frames: models of rain forecast on windows of them, and are scored; others run their examples.",
)
@click.option(
    "--write",
    "sources",
    multiple=True,
    metavar="ID",
    help="Let environments save this model anew first, each in the formats that the file says it writes.",
)
@click.option("--only", multiple=True, metavar="PATTERN", help="Read models whose ids match, such as 'u-net-*'.")
@click.option("--evidence", is_flag=True, help="Note in the items in which environments they run (interop:verified).")
@click.option("--work", type=click.Path(path_type=Path), default=Path("work"), show_default=True, help="To resume.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1), help="Cells at a time.")
@click.option("--timeout", default=1800.0, show_default=True, help="Seconds for a cell, or for an environment.")
@click.option("--retries", default=1, show_default=True, type=click.IntRange(0), help="Attempts after the first.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for the page and its pictures.")
@catalog_option
@json_option("what was found in every cell")
def matrix(
    *,
    file: Path,
    data: Path | None,
    sources: tuple[str, ...],
    only: tuple[str, ...],
    evidence: bool,
    work: Path,
    jobs: int,
    timeout: float,
    retries: int,
    out: Path | None,
    catalog: str | None,
    as_json: bool,
) -> None:
    """Load every model of the catalog in every environment, and compare with what it forecasts where it was written.

    uv makes the environments, as long as the disk has room. A model that does not run in one has the reason in its
    cell. What was found before is not measured again.
    """
    from modelstac.catalog.errors import JobError, NotFoundError
    from modelstac.jobs.pools import LocalPool
    from modelstac.jobs.run import run
    from modelstac.matrix.environments import read_environments
    from modelstac.matrix.page import write_page
    from modelstac.matrix.plan import Plan
    from modelstac.matrix.results import as_text, cells, not_had
    from modelstac.matrix.results import evidence as found_evidence

    environments = read_environments(read_text(file, "file of environments"), file.name)
    opened = existing_catalog(catalog)
    frames = None if data is None else str(data.absolute())
    plan = Plan(opened, environments, str(work.absolute()), data=frames, timeout=timeout)
    with progress() as report, LocalPool(jobs) as pool:
        written = run(plan.writing(sources), pool, retries=retries, report=report) if sources else []
        outcomes = run(plan.reading(only), pool, retries=retries, report=report)
    found, gaps = cells(outcomes, opened), not_had(outcomes, written)
    if out is not None:
        write_page(out, found, [f"{len(environments)} environments, {len(found)} cells.", *gaps])
    if as_json:
        in_cells = {outcome.job.name: outcome for outcome in outcomes}
        print_json(
            [
                {**in_cells[name].job.parameters, **in_cells[name].to_dict(), "result": dict(cell.found)}
                for cell in found
                for name in (f"{cell.item}-in-{cell.environment}",)
            ]
        )
    else:
        say(as_text(found))
    for line in gaps:
        say(line, err=True)
    if evidence:
        for item_id, verified in found_evidence(found).items():
            with contextlib.suppress(NotFoundError):  # deleted meanwhile
                opened.add_verified(item_id, verified)
    if failed := sum(not cell.measured for cell in found):
        raise JobError(f"{failed} of {len(found)} cells could not be measured: see above; run it again to fill them")
