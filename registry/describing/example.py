"""Arrays that stand for what a model is fed: published with what its own runtime makes of them."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from modelstac.catalog.errors import DataError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.messages import Report, ignore
from modelstac.registry.describing.measuring import opened
from modelstac.registry.describing.ranges import named
from modelstac.registry.running.examples import write_example
from modelstac.registry.trust.policy import TrustPolicy

NO_RAW: Mapping[str, Any] = MappingProxyType({})


def with_example(
    description: ModelDescription,
    said: Any,
    *,
    policy: TrustPolicy,
    report: Report = ignore,
    raw: Mapping[str, Any] = NO_RAW,
    folder: Path | None = None,
) -> ModelDescription:
    """Describe a model with an example: arrays that it is fed, and what its own runtime makes of them.

    Parameters
    ----------
    description
        Of a file on this machine.
    said
        What it is fed, of the only input or by name.
    policy
        What may be in the file.
    report
        Gets notes.
    raw
        The same before scaling, by name: published, too, so that a test replays the scaling.
    folder
        Where the files lie; by default a temporary one, until this process ends, as publishing copies them.

    Raises
    ------
    SpecError
        If the example is of no input.
    DataError
        If the model does not take it, or makes nothing but NaN of it.
    """
    if said is None:
        return description
    arrays = named(said, [one.name for one in description.inputs], "--example")
    with opened(description, policy=policy, report=report) as model:
        try:
            inputs = model.signature.check(arrays)
        except DataError as error:
            raise DataError(f"the example: {error}") from error
        outputs = {name: np.asarray(array) for name, array in model.run(inputs).items()}
    for name, array in outputs.items():
        if array.dtype.kind == "f" and array.size and not np.isfinite(array).any():
            raise DataError(f"of the example the model makes {name!r} without a number: give values that it is fed")
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="modelstac-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return description.model_copy(
        update={"assets": description.assets | write_example(folder, inputs, outputs, raw=raw)}
    )
