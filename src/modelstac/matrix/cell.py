"""A kind of job: one item in one environment, loaded there and compared with what it was published with."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pystac

from modelstac.catalog import open_catalog
from modelstac.catalog.errors import DownloadError, ModelStacError, StorageError
from modelstac.catalog.messages import Report
from modelstac.jobs.kinds import Result, Task
from modelstac.registry.examples import read_example
from modelstac.registry.isolated.environments import Environments
from modelstac.registry.isolated.model import Runner
from modelstac.registry.isolated.requirements import Requirements, packages_of, parse
from modelstac.registry.load import describe, fetched
from modelstac.registry.model_assets import model_assets
from modelstac.registry.options import Options
from modelstac.registry.trust import DEFAULT_POLICY

RUNS = 3
_ALIKE = {"tensorflow-cpu": "tensorflow", "onnxruntime-gpu": "onnxruntime"}


def find(task: Task, recorded: Result | None) -> Result | None:  # noqa: ARG001 - the key names file and environment
    """Give what was found before: item and environment are immutable."""
    return recorded


def run(task: Task, *, report: Report) -> Result:
    """Make the environment, load, predict and compare; a reason why that cannot be is a result, too."""
    item = open_catalog(task.parameters["catalog"]).get(task.parameters["item"])
    try:
        return _measure(item, task.parameters, report)
    except (DownloadError, StorageError):
        raise  # no fact about item and environment: tried again
    except ModelStacError as error:
        return {"runs": False, "reason": " ".join(str(error).split())}


def _measure(item: pystac.Item, parameters: Mapping[str, Any], report: Report) -> Result:
    asset = model_assets(item)[0]
    description, _ = describe(item, asset)
    requirements = parse(parameters["environment"], source=parameters["name"], trusted=parameters["trusted"])
    if lacking := _lacking(packages_of(description.format, description.backend), requirements):
        return {"runs": False, "reason": f"needs {lacking}, which is not in the environment"}
    inputs, expected = read_example(item, report=report)
    purpose = f"the environment {parameters['name']!r}"
    environment = Environments().provide(requirements, purpose=purpose, report=report)
    runner = Runner(
        environment,
        lambda: fetched(item, asset, DEFAULT_POLICY, rehash=False, report=report),
        item_id=item.id,
        artifact_type=asset.artifact_type,
        description=description,
        policy=DEFAULT_POLICY,
        options=Options(),
        report=report,
    )
    began = time.perf_counter()
    with runner.open(item) as model:
        loaded = time.perf_counter() - began
        times = []
        for _ in range(RUNS):
            began = time.perf_counter()
            found = model.predict(inputs)
            times.append(time.perf_counter() - began)
        memory = _peak_memory(runner.pid)
    return {
        "runs": True,
        **_compared(found, expected),
        "load_seconds": round(loaded, 3),
        "predict_seconds": round(float(np.median(times)), 4),
        "memory_bytes": memory,
        "packages": list(environment.packages),
        "python": environment.python,
    }


def _lacking(needed: tuple[str, ...], requirements: Requirements) -> str | None:
    there = {_ALIKE.get(pin.name, pin.name) for pin in requirements.pins}
    return next((name for name in needed if name not in there and name != "h5py"), None)


def _compared(found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Give the largest and the root mean square difference from what was published."""
    if found.shape != expected.shape:
        return {"runs": False, "reason": f"gives {found.shape} where {expected.shape} was published"}
    ours, theirs = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.where((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)), 0.0, np.abs(ours - theirs))
    if not np.isfinite(apart).all():
        return {"runs": False, "reason": "gives no numbers where numbers were published, or the reverse"}
    return {"difference": float(apart.max(initial=0.0)), "rms": float(np.sqrt(np.mean(apart**2)))}


def _peak_memory(pid: int | None) -> int | None:
    """Read the largest memory that a process had, where the system says it."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), None)
