"""A kind of job: radar frames, prepared once into a store that all trainings of a grid read."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.messages import Report
from modelstac.jobs.kinds import Result, Task


def find(task: Task, recorded: Result | None) -> Result | None:
    """Give the store of an earlier run, as long as it is there and the files are those that it was made of."""
    if recorded is None or recorded.get("files") != fingerprint(task.parameters["data"]):
        return None
    return recorded if Path(recorded["store"]).exists() else None


def run(task: Task, *, report: Report) -> Result:
    """Read, prepare and write; go on where an interrupted run stopped."""
    from modelstac.training.data import Preparation, read_frames
    from modelstac.training.data import store as stores
    from modelstac.training.jobs.job import data_digest

    data, preparation = task.parameters["data"], Preparation.from_dict(task.parameters["preparation"])
    files = fingerprint(data)
    if stores.is_store(data):
        store = Path(data)
    else:
        store = task.folder / f"{files[:16]}.zarr"
        for other in task.folder.glob("*.zarr"):  # of frames that have changed since
            if other != store:
                shutil.rmtree(other)
        frames = read_frames(data, report=report)
        stores.prepare(frames, store, preparation, frames=task.parameters["window"], report=report)
    ds = preparation.apply(stores.open_store(store))
    return {"store": str(store), "files": files, "data": data_digest(ds), "frames": ds.sizes["time"]}


def fingerprint(data: str | Sequence[str]) -> str:
    """Compute what changes when radar files do, without reading them: their names, sizes and times."""
    digest = hashlib.sha256()
    for part in [data] if isinstance(data, str) else data:
        path = Path(part)
        with explained(f"read {path}"):
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                status = file.stat()
                if not file.is_dir():
                    digest.update(f"{file.relative_to(path)} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
