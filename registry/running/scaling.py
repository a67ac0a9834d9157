"""Physical values to what a model reads, and what it gives back to physical values, as the item says.

Source: MLM 1.5.2, "Value Scaling Object" and "Model Output Object" (``post_processing_function``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.mlm import BAND_AXES
from modelstac.registry.running.expressions import Values, evaluate

Step = Mapping[str, Any]
AXES = (*BAND_AXES, "variables")
"""Names of axes of bands, or of variables."""

_STEPS: MappingProxyType[str, Callable[[Values, Step], Values]] = MappingProxyType(
    {
        "min-max": lambda x, s: (x - s["minimum"]) / (s["maximum"] - s["minimum"]),
        "z-score": lambda x, s: (x - s["mean"]) / s["stddev"],
        "clip": lambda x, s: np.clip(x, s["minimum"], s["maximum"]),
        "clip-min": lambda x, s: np.maximum(x, s["minimum"]),
        "clip-max": lambda x, s: np.minimum(x, s["maximum"]),
        "offset": lambda x, s: x - s["value"],
        "scale": lambda x, s: x / s["value"],
    }
)


def scale(values: np.ndarray[Any, Any], steps: Sequence[Step] | None, dim_order: Sequence[str], *, of: str) -> Values:
    """Scale physical values as ``value_scaling`` of an input says.

    Parameters
    ----------
    values
        In the layout of the input; whole numbers become floating point ones.
    steps
        One for all values, or one for each band. Where there is one band only, several are taken one after the other.
    dim_order
        Names of the dimensions.
    of
        Whose scaling it is, for the message.

    Raises
    ------
    InvalidItemError
        If there are as many steps as neither one nor bands, or one cannot be computed here.
    """
    if not steps:
        return values
    if values.dtype.kind in "iub":
        values = values.astype(np.result_type(values.dtype, np.float32))
    axes = [i for i, name in enumerate(dim_order) if name in AXES]
    axis = next((i for i in axes if values.shape[i] == len(steps)), axes[0] if axes else None)
    bands = 1 if axis is None else values.shape[axis]
    if len(steps) == 1 or bands == 1:
        for step in steps:
            values = _scaled(values, step, of)
        return values
    assert axis is not None
    if len(steps) != bands:
        raise InvalidItemError(f"{of} scales {len(steps)} bands and has {bands}: scale the values and give an array")
    parts = (_scaled(values.take([band], axis), step, of) for band, step in enumerate(steps))
    return np.concatenate(list(parts), axis)


def _scaled(values: Values, step: Step, of: str) -> Values:
    kind = step.get("type")
    if kind is None:
        return values
    if kind == "processing":
        return processed(values, step, of=of)
    if kind not in _STEPS:
        raise InvalidItemError(f"{of} is scaled by {kind!r}, which is not known here: scale it and give an array")
    try:
        return np.asarray(_STEPS[kind](values, step), dtype=values.dtype)
    except (KeyError, TypeError) as error:
        raise InvalidItemError(f"{of}: scaling {kind!r} lacks numbers ({error}): ask its publisher") from error


def processed(values: Values, functions: object, *, of: str) -> Values:
    """Apply one processing expression or several, of the format ``numpy``.

    Raises
    ------
    InvalidItemError
        If one has another format, which would be code or is not known here.
    """
    for function in functions if isinstance(functions, list | tuple) else (functions,):
        found = function.get("format") if isinstance(function, Mapping) else type(function).__name__
        if found != "numpy" or not isinstance(function, Mapping):
            raise InvalidItemError(
                f"{of} is processed by {found!r}, and only arithmetic (numpy) is computed here: "
                "process it and give an array"
            )
        values = evaluate(function.get("expression"), values, of=of)
    return values
