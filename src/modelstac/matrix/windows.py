"""A kind of job: radar frames, prepared and cut once into the windows on which all environments forecast."""

from __future__ import annotations

from pathlib import Path

from modelstac.catalog.messages import Report
from modelstac.exporters.proof.real_windows import cut
from modelstac.jobs.kinds import Result, Task


def find(task: Task, recorded: Result | None) -> Result | None:  # noqa: ARG001 - the key names the frames
    """Give the windows of an earlier run."""
    return recorded if recorded is not None and Path(recorded["file"]).exists() else None


def run(task: Task, *, report: Report) -> Result:
    """Read, prepare, cut and keep."""
    given, path = task.parameters, task.folder / "windows.npz"
    found = cut(given["data"], given["preparation"], given["frames_in"], given["frames_out"], report=report)
    found.save(path)
    first, last = found.span
    return {"file": str(path), "windows": len(found.inputs), "first": first, "last": last, "sha256": found.digest}
