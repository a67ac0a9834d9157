"""A kind of job: what the environment that wrote an item makes of the windows, for the others to be compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from modelstac.catalog import open_catalog
from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import DownloadError, ModelStacError, StorageError
from modelstac.catalog.messages import Report
from modelstac.exporters.proof.real_windows import Cut, cases_of
from modelstac.jobs.kinds import Result, Task
from modelstac.matrix.opening import open_in, said
from modelstac.registry.choosing.claims import described
from modelstac.registry.choosing.model_assets import model_assets
from modelstac.registry.isolated.environments import Environments
from modelstac.registry.isolated.loading import requirements_of
from modelstac.registry.trust.policy import DEFAULT_POLICY


def find(task: Task, recorded: Result | None) -> Result | None:  # noqa: ARG001 - the key names file and windows
    """Give the forecasts of an earlier run; a reason why there are none may have passed."""
    return recorded if recorded is not None and Path(recorded.get("file", "")).is_file() else None


def run(task: Task, *, report: Report) -> Result:
    """Forecast in the environment that the item asks for, and keep that; a reason why it cannot be is a result, too."""
    given = task.parameters
    item = open_catalog(given["catalog"]).get(given["item"])
    try:
        policy = DEFAULT_POLICY.allowing_packages(*given["trusted"])
        requirements = requirements_of(item, described(item, model_assets(item)[0])[0], policy)
        environment = Environments().provide(requirements, purpose=f"what wrote {item.id!r}", report=report)
        description, model = open_in(item, environment, requirements, trusted=given["trusted"], report=report)
        (windows,) = task.inputs.values()
        cases = cases_of(Cut.read(Path(windows["file"])), description)
        with model:
            outputs = np.stack([model.run(case.inputs)[description.outputs[0].name] for case in cases])
    except (DownloadError, StorageError):
        raise
    except ModelStacError as error:
        return {"reason": f"nothing to compare with: {said(error)}"}
    path = task.folder / "forecasts.npy"
    with explained(f"write {path}"):
        np.save(path, outputs, allow_pickle=False)
    return {"file": str(path), "python": environment.python, "packages": list(environment.packages)}
