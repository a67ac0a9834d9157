"""What a publisher says of the values that a model is fed: their range, and arrays that stand for them."""

from __future__ import annotations

import atexit
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from modelstac.catalog.errors import DataError, SpecError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.mlm import band_axis
from modelstac.catalog.messages import Report, ignore
from modelstac.registry.describing.measuring import opened
from modelstac.registry.describing.stating import Dims
from modelstac.registry.facts import Tensor
from modelstac.registry.running.examples import write_example
from modelstac.registry.trust.policy import TrustPolicy

Pairs = Sequence[float] | Sequence[Sequence[float]]
"""Lowest and highest value, or such a pair for each band."""
SaidRanges = Pairs | Mapping[str, Pairs]
"""Of the only input, or by name."""
NO_RAW: Mapping[str, Any] = MappingProxyType({})


def stated_ranges(said: SaidRanges, inputs: Sequence[Tensor], dims: Dims) -> dict[str, list[Any]]:
    """Give the range of each input of which one was stated, as ``interop:range`` has it.

    Parameters
    ----------
    said
        What was stated.
    inputs
        Those of the file.
    dims
        Names of their axes.

    Raises
    ------
    SpecError
        If it is of no input, or no range.
    """
    found = {}
    for name, pairs in _by_name(said, [tensor.name for tensor in inputs], "--range").items():
        try:
            array = np.asarray(pairs, np.float64)
        except (TypeError, ValueError) as error:
            raise SpecError(f"--range of {name!r} is LOWEST,HIGHEST, not {pairs!r}") from error
        if array.shape != (2,) and (array.ndim != 2 or array.shape[1] != 2):
            raise SpecError(f"--range of {name!r} is LOWEST,HIGHEST, or such a pair for each band, not {pairs!r}")
        if not all(math.isfinite(low) and low < high < math.inf for low, high in array.reshape(-1, 2)):
            raise SpecError(f"--range of {name!r} goes from a lower to a higher number, not {pairs!r}")
        tensor = next(tensor for tensor in inputs if tensor.name == name)
        bands = tensor.sizes[dims[name].index(axis)] if (axis := band_axis(dims[name])) else None
        if array.ndim == 2 and (bands is None or not bands.fits(len(array))):
            raise SpecError(f"--range of {name!r} has {len(array)} pairs, and its bands are {bands}: give one for each")
        found[name] = array.tolist()
    return found


def with_example(
    description: ModelDescription,
    said: Any,
    *,
    policy: TrustPolicy,
    report: Report = ignore,
    raw: Mapping[str, Any] = NO_RAW,
) -> ModelDescription:
    """Describe a model with an example: arrays that it is fed, and what its own runtime makes of them.

    The files lie in a temporary folder until this process ends, as publishing copies them.

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

    Raises
    ------
    SpecError
        If the example is of no input.
    DataError
        If the model does not take it, or makes nothing but NaN of it.
    """
    if said is None:
        return description
    arrays = _by_name(said, [one.name for one in description.inputs], "--example")
    with opened(description, policy=policy, report=report) as model:
        try:
            inputs = model.signature.check(arrays)
        except DataError as error:
            raise DataError(f"the example: {error}") from error
        outputs = {name: np.asarray(array) for name, array in model.run(inputs).items()}
    for name, array in outputs.items():
        if array.dtype.kind == "f" and array.size and not np.isfinite(array).any():
            raise DataError(f"of the example the model makes {name!r} without a number: give values that it is fed")
    folder = Path(tempfile.mkdtemp(prefix="modelstac-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return description.model_copy(
        update={"assets": description.assets | write_example(folder, inputs, outputs, raw=raw)}
    )


def _by_name(said: Any, names: Sequence[str], flag: str) -> Mapping[str, Any]:
    if not isinstance(said, Mapping):
        if said is None or (isinstance(said, tuple | list) and not said):
            return {}
        if len(names) > 1:
            raise SpecError(f"{flag}: the file has the inputs {', '.join(names)}; say which: {flag} {names[0]}=…")
        return {names[0]: said}
    if unknown := [name for name in said if name not in names]:
        raise SpecError(f"{flag} {unknown[0]}=…: the file has no such input, its inputs are {', '.join(names)}")
    return said
