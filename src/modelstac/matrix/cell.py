"""A kind of job: one item in one environment, loaded there and compared with what its writer forecasts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pystac

from modelstac.catalog import open_catalog
from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import DownloadError, ModelStacError, StorageError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.messages import Report
from modelstac.exporters.proof.cases import Case
from modelstac.exporters.proof.parity import compare
from modelstac.exporters.proof.real_windows import Cut, cases_of
from modelstac.exporters.proof.report import ParityReport
from modelstac.exporters.proof.tolerances import TOLERANCES
from modelstac.jobs.kinds import Result, Task
from modelstac.matrix.opening import lacking, open_in, said
from modelstac.registry.isolated.environments import Environments
from modelstac.registry.isolated.requirements import Requirements, parse
from modelstac.registry.running.examples import read_example
from modelstac.registry.running.model import Model
from modelstac.registry.running.signature import Arrays

RUNS = 3
Array = np.ndarray[Any, Any]


def find(task: Task, recorded: Result | None) -> Result | None:
    """Give what was found before, item and environment being immutable, or why there is nothing to be measured."""
    made = task.inputs[task.parameters["made"]]
    if "reason" in made:
        return {"runs": False, "reason": made["reason"], "left_out": True}
    if recorded is not None and "left_out" not in recorded:
        return recorded
    if missing := lacking(task.parameters["format"], made["packages"]):
        return {"runs": False, "reason": f"needs {missing}, which is not in the environment"}
    return None


def run(task: Task, *, report: Report) -> Result:
    """Load, predict and compare; a reason why that cannot be is a result, too."""
    item = open_catalog(task.parameters["catalog"]).get(task.parameters["item"])
    try:
        return _measure(item, task, report)
    except (DownloadError, StorageError):
        raise  # no fact about item and environment: tried again
    except ModelStacError as error:
        return {"runs": False, "reason": said(error)}


def _measure(item: pystac.Item, task: Task, report: Report) -> Result:
    requirements = _requirements(task)
    environment = Environments().provide(requirements, purpose=task.parameters["name"], report=report)
    began = time.perf_counter()
    description, model = open_in(item, environment, requirements, trusted=task.parameters["trusted"], report=report)
    with model:
        loaded = time.perf_counter() - began
        known = _known(item, description, task, report)
        found = compare(
            _Recorded(model, known),
            model,
            cases=known.cases,
            tolerance=TOLERANCES[description.precision or "fp32"],
        )
        times = []
        for _ in range(RUNS):  # after the first predictions, in which graphs are traced
            began = time.perf_counter()
            model.run(known.cases[0].inputs)
            times.append(time.perf_counter() - began)
        memory = _peak_memory(model.pid)
    if not np.isfinite(found.total.max_absolute):
        return {"runs": False, "reason": "gives no numbers where there are to be some, or the reverse"}
    return {
        "runs": True,
        "agrees": found.passed,
        "compared_with": known.what,
        "windows": len(known.cases) if known.what == "writer" else None,
        "note": known.note,
        **_numbers(found),
        "load_seconds": round(loaded, 3),
        "predict_seconds": round(float(np.median(times)), 4),
        "memory_bytes": memory,
        "packages": list(environment.packages),
        "python": environment.python,
    }


@dataclass(frozen=True)
class _Known:
    """Inputs, what is to come out of each, whose that is, and why it is not the writer's forecast."""

    cases: Sequence[Case]
    outputs: Sequence[Mapping[str, Array]]
    what: str
    note: str = ""


def _known(item: pystac.Item, description: ModelDescription, task: Task, report: Report) -> _Known:
    note = ""
    if (name := task.parameters.get("forecast")) is not None:
        forecast = task.inputs[name]
        if "file" in forecast:
            windows = Cut.read(Path(task.inputs[task.parameters["windows"]]["file"]))
            with explained(f"read {forecast['file']}"):
                stacked = np.load(forecast["file"], allow_pickle=False)
            name = description.outputs[0].name
            return _Known(cases_of(windows, description), [{name: output} for output in stacked], "writer")
        note = forecast["reason"]
    inputs, expected = read_example(item, report=report)
    return _Known([Case("example", inputs)], [expected], "example", note)


class _Recorded:
    """What gave the outputs of a model once, and gives them again as often as it is asked of the same inputs."""

    def __init__(self, model: Model, known: _Known) -> None:
        self.item, self.description, self.signature = model.item, model.description, model.signature
        self._known = known
        self._last: Mapping[str, Array] = known.outputs[0]

    def run(self, inputs: Arrays, /) -> dict[str, Array]:
        for case, outputs in zip(self._known.cases, self._known.outputs, strict=True):
            if case.inputs is inputs:
                self._last = outputs
        # Of inputs moved by rounding nothing is recorded: the same as before, so that nothing is excused by it.
        return dict(self._last)


def _numbers(found: ParityReport) -> dict[str, Any]:
    numbers: dict[str, Any] = {"difference": found.total.max_absolute, "rms": found.total.rmse}
    if found.task is not None:
        said = found.summary("")
        numbers |= {"rmse_change": said.rmse_change, "csi_change": said.csi_change, "scores": found.task["converted"]}
    return numbers


def _requirements(task: Task) -> Requirements:
    given = task.parameters
    return parse(given["environment"], source=given["name"], trusted=given["trusted"])


def _peak_memory(pid: int | None) -> int | None:
    """Read the largest memory that a process had, where the system says it."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), None)
