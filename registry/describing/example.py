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
from modelstac.catalog.items.mlm import GAPS_FIELD, ModelInput
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
    gaps: bool | None = False,
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
    gaps
        Whether NaN in it stands for what the model is fed where something is missing, which its item then says. None
        where nobody says it, and an example tells; by default NaN is refused.

    Raises
    ------
    SpecError
        If the example is of no input.
    DataError
        If the model does not take it, or makes nothing but NaN of it.
    """
    if said is None and not gaps:
        return description
    arrays = {} if said is None else named(said, [one.name for one in description.inputs], "--example")
    description, fed = _fed_gaps(description, arrays, gaps=gaps)
    with opened(description, policy=policy, report=report) as model:
        try:
            inputs = model.signature.check(arrays)
        except DataError as error:
            raise DataError(f"the example: {error}") from error
        outputs = {name: np.asarray(array) for name, array in model.run(inputs).items()}
    for name, array in outputs.items():
        if fed and array.dtype.kind == "f" and (bad := np.count_nonzero(~np.isfinite(array))):
            raise DataError(
                f"of the example, which has gaps (NaN), the model makes {name!r} without a number in {bad} of "
                f"{array.size} values: it takes no gaps; fill them as in training"
            )
        if array.dtype.kind == "f" and array.size and not np.isfinite(array).any():
            raise DataError(f"of the example the model makes {name!r} without a number: give values that it is fed")
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="modelstac-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return description.model_copy(
        update={"assets": description.assets | write_example(folder, inputs, outputs, raw=raw)}
    )


def _fed_gaps(
    description: ModelDescription, arrays: Mapping[str, Any], *, gaps: bool | None
) -> tuple[ModelDescription, list[str]]:
    """Say of the inputs that have gaps in an example that they are fed them, and name them."""
    floats = {name: array for name, array in ((n, np.asarray(a)) for n, a in arrays.items()) if array.dtype.kind == "f"}
    found = [name for name, array in floats.items() if np.isnan(array).any()]
    if found and gaps is False:
        raise DataError(
            f"the example has gaps (NaN) in {', '.join(found)}: fill them as in training, or say --gaps if the model "
            "is fed them"
        )
    if gaps and not found:
        raise DataError("the model is fed gaps (--gaps), and the example has none to show it: give one with NaN")
    made = (
        ModelInput(**one.model_dump(exclude_none=True) | ({GAPS_FIELD: True} if one.name in found else {}))
        for one in description.inputs
    )
    return description.model_copy(update={"inputs": tuple(made)}) if found else description, found
