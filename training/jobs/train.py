"""Running a training job: from radar frames to a published item."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import platformdirs
import pystac

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import ItemExistsError
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.messages import Finished, Note, Report, Started, ignore
from modelstac.registry.describing.measuring import measured
from modelstac.registry.isolated.pins import with_requirements
from modelstac.registry.trust.policy import DEFAULT_POLICY
from modelstac.training.fitting.checkpoints import Checkpoints
from modelstac.training.fitting.execution import AUTOMATIC, Execution
from modelstac.training.jobs.describe import Data, describe, require_declared_range
from modelstac.training.jobs.job import TrainJob
from modelstac.training.jobs.prepared import prepare
from modelstac.training.scoring.held_out import evaluate, pooled
from modelstac.training.variants.variant import find_variant


def train(
    job: TrainJob,
    catalog: Catalog,
    *,
    checkpoints: Checkpoints | None = None,
    execution: Execution = AUTOMATIC,
    lock: bool = False,
    report: Report = ignore,
) -> pystac.Item:
    """Run a training job: read, prepare, split, fit, score, save, measure and publish.

    A job that ran before gives its item. One that was killed goes on from its last checkpoint when it is run again.

    Parameters
    ----------
    job
        What to train on what.
    catalog
        Where to publish.
    checkpoints
        Where and how often to leave them; by default every five minutes, and without a folder in the user's cache.
    execution
        Where and how to compute.
    lock
        Ask uv for all packages that run it, and publish them with the hashes of their files.
    report
        Gets progress and notes.

    Returns
    -------
    pystac.Item
        As published.

    Raises
    ------
    DataError, NotFoundError
        When the frames cannot be used.
    BackendError, MissingPackageError, CannotRunError
        When this process cannot train the variant, or the device is not there.
    ItemExistsError
        When the id is taken by the result of another job.
    TrainingError
        When the loss is not finite, or the model leaves the range that its item would declare; the last checkpoint
        stays.
    SpecError
        When the checkpoint that is there belongs to another job.
    """
    prepared = prepare(job, report)
    digest = job.digest(prepared.digest)
    if (existing := catalog.find(job.item_id)) is not None:
        return _existing(existing, digest, report)
    train_windows, tests = prepared.split(job)
    variant = find_variant(job.variant)
    if variant.backend == "tensorflow":
        execution.refuse_for_tensorflow()
    execution.check_shares(job.fit.batch_size)
    framework = variant.framework()
    spec = prepared.spec(job)
    task = f"train {job.item_id}"
    report(Started(task))
    place = _checkpoints(checkpoints, digest)
    how: dict[str, Any] = {"checkpoints": place, "execution": execution, "report": report}
    trained = framework.train(spec, train_windows, job.preparation, job.fit, **how)
    by_event = {
        name: evaluate(trained.forecast, windows, job.preparation, report=report) for name, windows in tests.items()
    }
    scores = pooled(by_event)
    require_declared_range(scores, job.item_id)
    data = Data(
        prepared.frames, train_windows, prepared.polygon, prepared.bbox, prepared.digest, record=prepared.record()
    )
    with tempfile.TemporaryDirectory(prefix="modelstac-") as folder, explained("write the trained model"):
        description = describe(
            job,
            digest=digest,
            spec=spec,
            data=data,
            trained=trained,
            scores=scores,
            versions=framework.versions(),
            folder=Path(folder),
        )
        description = measured(description, policy=DEFAULT_POLICY, report=report)
        description = with_requirements(description, Path(folder), lock=lock, report=report)
        item = _publish(catalog, write_item(description), digest, report)
    place.clear()
    report(Finished(task))
    return item


def _checkpoints(wished: Checkpoints | None, digest: str) -> Checkpoints:
    """Give the run's own checkpoints: in the folder wished for, or in one of its own in the user's cache."""
    wished = wished or Checkpoints(None)
    folder = wished.folder or platformdirs.user_cache_path("modelstac") / "checkpoints" / digest
    return dataclasses.replace(wished, folder=folder, key=digest)


def _publish(catalog: Catalog, item: pystac.Item, digest: str, report: Report) -> pystac.Item:
    try:
        return catalog.publish(item, report=report)
    except ItemExistsError:
        # Another process may have run the same job meanwhile: its item is as good, though no file is equal to the byte.
        existing = catalog.find(item.id)
        if existing is None:
            raise
        return _existing(existing, digest, report)


def _existing(item: pystac.Item, digest: str, report: Report) -> pystac.Item:
    found = item.properties.get("interop:job")
    if found != digest:
        raise ItemExistsError(
            f"item {item.id!r} is there already and was made by another job ({str(found)[:12]}, not {digest[:12]}):"
            " published items are immutable, so train it as a new version"
        )
    report(Note(f"{item.id} was published by this job before: nothing to do"))
    return item
