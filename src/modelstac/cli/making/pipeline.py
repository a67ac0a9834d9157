"""``modelstac pipeline``: a grid of trainings and exports, as jobs that run anywhere and are done once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelstac.cli.common.options import catalog_option, json_option, new_or_existing_catalog, print_json, read_text
from modelstac.cli.common.progress import progress
from modelstac.cli.common.terminal import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelstac.catalog.messages import Report
    from modelstac.jobs.job import Job
    from modelstac.jobs.pools import Pool
    from modelstac.pipeline.spec import Pipeline


@click.command()
@click.argument("spec", type=click.Path(path_type=Path))
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1), help="Jobs at a time on this machine.")
@click.option("--scheduler", metavar="ADDRESS", help="Run on the Dask cluster of this scheduler: tcp://host:8786.")
@click.option("--cluster", "batch", is_flag=True, help="Run on workers of a batch system, as the file's cluster says.")
@click.option("--retries", type=click.IntRange(0), help="Attempts after the first.  [default: the file's, or 2]")
@click.option("--patience", default=60.0, show_default=True, help="Seconds to wait for missing workers of --scheduler.")
@click.option("--dry-run", is_flag=True, help="Print the jobs and which are done, and run none.")
@click.option(
    "--write-jobs",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write each job as JSON for another orchestrator (python -m modelstac.job JOB.json), and run none.",
)
@catalog_option
@json_option("what became of every job")
def pipeline(
    *,
    spec: Path,
    jobs: int,
    scheduler: str | None,
    batch: bool,
    retries: int | None,
    patience: float,
    dry_run: bool,
    folder: Path | None,
    catalog: str | None,
    as_json: bool,
) -> None:
    """Run the grid of trainings and exports that the YAML file SPEC describes: of the radar networks, or of a function.

    Every job runs in a process of its own: on this machine, on a Dask cluster (--scheduler), or on a batch system
    (--cluster). What is published already is not done again. A job that fails is tried again, and does not keep the
    others from being done; a training that was killed goes on from its last checkpoint.
    """
    if scheduler is not None and batch:
        raise click.UsageError("--scheduler and --cluster exclude each other", click.get_current_context())
    from modelstac.catalog.errors import JobError
    from modelstac.jobs.run import run
    from modelstac.jobs.table import as_text
    from modelstac.pipeline.plan import plan, read

    found = read(read_text(spec, "pipeline"), spec)
    href = catalog or (None if found.spec.catalog is None else found.path(found.spec.catalog))
    opened = new_or_existing_catalog(href)
    planned = plan(found, opened.href)
    if folder is not None:
        _write(planned, folder)
        return
    if dry_run:
        _show(planned, found, as_json)
        return
    with (
        progress() as report,
        _pool(found, planned, jobs=jobs, scheduler=scheduler, batch=batch, patience=patience, report=report) as pool,
    ):
        outcomes = run(planned, pool, retries=found.spec.retries if retries is None else retries, report=report)
    if as_json:
        print_json([outcome.to_dict() for outcome in outcomes])
    else:
        say(as_text(outcomes, width=shutil.get_terminal_size().columns))
    if failed := sum(not outcome.well for outcome in outcomes):
        raise JobError(
            f"{failed} of {len(outcomes)} jobs have no result: see above; run it again to do what is missing"
        )


def _pool(
    found: Pipeline,
    planned: Sequence[Job],
    *,
    jobs: int,
    scheduler: str | None,
    batch: bool,
    patience: float,
    report: Report,
) -> Pool:
    """Choose where the jobs run."""
    from modelstac.catalog.errors import SpecError
    from modelstac.catalog.messages import Note

    if batch:
        from modelstac.jobs.cluster import start

        if found.spec.cluster is None:
            raise SpecError("--cluster needs the section cluster in the file: name system, workers, cores and memory")
        pool: Pool = start(found.spec.cluster, Path(found.path(found.spec.work)) / "workers", jobs=len(planned))
    elif scheduler is not None:
        from modelstac.jobs.dask_pool import DaskPool, quiet

        quiet()
        pool = dask = DaskPool(scheduler, patience=patience)
        try:
            dask.require_workers(planned)
        except BaseException:
            dask.close()
            raise
        if (threads := dask.threads()) > 1:
            report(Note(f"a worker has {threads} threads and takes as many jobs at a time: --nthreads 1 makes it one"))
    else:
        from modelstac.jobs.pools import LocalPool

        pool = LocalPool(jobs)
    report(Note(f"{len(planned)} jobs on {pool.where}"))
    return pool


def _write(planned: Sequence[Job], folder: Path) -> None:
    from modelstac.jobs.records import write_json

    for job in planned:
        write_json(folder / f"{job.name}.json", job.to_dict())
    order = [{"file": f"{job.name}.json", "needs": [f"{need}.json" for need in job.needs]} for job in planned]
    write_json(folder / "order.json", order)
    say(f"{folder} holds {len(planned)} jobs; order.json says which need which")


def _show(planned: Sequence[Job], found: Pipeline, as_json: bool) -> None:
    from modelstac.jobs.cluster import job_script

    done = _done(planned)
    if as_json:
        print_json([job.to_dict() | {"key": job.key, "done": job.name in done} for job in planned])
        return
    for job in planned:
        say(f"{'done ' if job.name in done else 'to do'}  {job.name}")
        for need in job.needs:
            say(f"       after {need}")
    say(f"\n{len(planned) - len(done)} of {len(planned)} jobs are to be done")
    if found.spec.cluster is not None:
        script = job_script(found.spec.cluster, Path(found.path(found.spec.work)) / "workers")
        say(f"\nEach worker of the {found.spec.cluster.system} cluster is\n\n{script}")


def _done(planned: Sequence[Job]) -> set[str]:
    """Find what is done: a job whose needs are not done is not."""
    from modelstac.jobs.perform import found

    done: set[str] = set()
    for job in planned:
        if done.issuperset(job.needs) and found(job) is not None:
            done.add(job.name)
    return done
