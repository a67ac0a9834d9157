"""Physical values to what a model reads, and what it gives back to physical values, as the item says.

Source: MLM 1.5.2, "Value Scaling Object" and "Model Output Object" (``post_processing_function``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.mlm import BAND_AXES
from modelstac.registry.running.signature import BATCH, TIME
from modelstac.registry.running.values.expressions import evaluate, shortened

if TYPE_CHECKING:  # NumPy is imported where it computes: what only reads an item does not wait for it
    import numpy as np

    from modelstac.registry.running.values.expressions import Values

Step = Mapping[str, Any]
COMPUTED = "numpy"
"""Format of the expressions that are computed."""
AXES = (*BAND_AXES, "variables")
"""Names of axes of bands, or of variables."""
_OTHERS = frozenset(
    {
        *(BATCH, TIME, "date", "step", "depth", "level", "altitude", "z", "class", "classes"),
        *("height", "y", "lat", "latitude", "row", "rows", "northing", "h"),
        *("width", "x", "lon", "longitude", "col", "cols", "column", "columns", "easting", "w"),
    }
)
"""Names of axes of something else."""
NUMBERS: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        "min-max": ("minimum", "maximum"),
        "z-score": ("mean", "stddev"),
        "clip": ("minimum", "maximum"),
        "clip-min": ("minimum",),
        "clip-max": ("maximum",),
        "offset": ("value",),
        "scale": ("value",),
    }
)
"""What a step has by its kind, and must be a number; a ``processing`` has an expression."""
_LARGE_MEAN, _LARGE_SCALE = 50.0, 255.0
"""What a model of counts has at least; one of shares has none of these."""
_SHARE = 1.5
"""Largest value that a share, such as a reflectance, may have."""

_STEPS: MappingProxyType[str, Callable[[Values, Step], Values]] = MappingProxyType(
    {
        "min-max": lambda x, s: (x - s["minimum"]) / (s["maximum"] - s["minimum"]),
        "z-score": lambda x, s: (x - s["mean"]) / s["stddev"],
        "clip": lambda x, s: x.clip(s["minimum"], s["maximum"]),
        "clip-min": lambda x, s: x.clip(min=s["minimum"]),
        "clip-max": lambda x, s: x.clip(max=s["maximum"]),
        "offset": lambda x, s: x - s["value"],
        "scale": lambda x, s: x / s["value"],
    }
)


def scale(values: np.ndarray[Any, Any], steps: Sequence[Step] | None, dim_order: Sequence[str], *, of: str) -> Values:
    """Scale physical values as ``value_scaling`` of an input says.

    Parameters
    ----------
    values
        In the layout of the input; whole numbers and half precision become floating point ones of 32 bits or more.
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
    import numpy as np

    values = values.astype(np.result_type(values.dtype, np.float32), copy=False)
    axes = [i for i, name in enumerate(dim_order) if name in AXES]
    axis = next((i for i in axes if values.shape[i] == len(steps)), axes[0] if axes else None)
    bands = 1 if axis is None else values.shape[axis]
    if len(steps) == 1 or bands == 1:
        for step in steps:
            values = _scaled(values, step, of)
        return values
    assert axis is not None
    if len(steps) != bands:
        raise InvalidItemError(
            f"{of} scales {len(steps)} bands and has {bands}: scale the values, and say so with scaled=True"
        )
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
    import numpy as np

    try:
        return np.asarray(_STEPS[kind](values, step), dtype=values.dtype)
    except (KeyError, TypeError) as error:
        raise InvalidItemError(f"{of}: scaling {kind!r} lacks numbers ({error}): ask its publisher") from error


def obstacle(steps: object, bands: int | None = None) -> str | None:
    """Say why a ``value_scaling`` cannot be computed, in half a line; None where it can.

    Parameters
    ----------
    steps
        As it stands in an item. An entry that is null, or of the type null, leaves its band alone.
    bands
        How many bands the input has; None where nobody knows.
    """
    if steps is None:
        return None
    entries = [steps] if isinstance(steps, Mapping) else steps
    if not isinstance(entries, list | tuple):
        return f"value_scaling is no list of objects but {type(steps).__name__}"
    if len(entries) > 1 and bands is not None and bands > 1 and len(entries) != bands:
        return f"value_scaling has {len(entries)} entries for {bands} bands, and one for all or one for each is meant"
    return next((reason for step in entries if (reason := _step_obstacle(step)) is not None), None)


def _step_obstacle(step: object) -> str | None:
    if step is None or (isinstance(step, Mapping) and step.get("type", "") is None):
        return None
    if not isinstance(step, Mapping):
        return f"value_scaling has {step!r:.40}, which is no object"
    kind = step.get("type")
    if kind == "processing":
        return _processing_obstacle(step)
    return number_obstacle(kind, step) if kind in NUMBERS else f"value_scaling {kind!r} is not known here"


def obstacle_of(tensor: Mapping[str, Any]) -> str | None:
    """Say the same of an entry of ``mlm:input``, also where one step for each band is meant and no axis is theirs."""
    layout = tensor.get("input")
    layout = layout if isinstance(layout, Mapping) else {}
    steps, bands = steps_of(tensor), count_bands(tensor, layout)
    order, shape = layout.get("dim_order"), layout.get("shape")
    if (reason := obstacle(steps, bands)) is not None or not isinstance(order, list) or not isinstance(shape, list):
        return reason
    several = isinstance(steps, list) and len(steps) > 1 and bands is not None and bands > 1
    if not several or any(str(axis).casefold() in AXES for axis in order):
        return None
    if axis_of_bands(order, shape, len(steps)) is not None:
        return None
    axes = ", ".join(map(str, order))
    return f"value_scaling has {len(steps)} entries, one for each band, and no axis is theirs: {axes}"


def number_obstacle(kind: Any, step: Mapping[str, Any]) -> str | None:
    """Say which number lacks, is none or senseless, or would be divided by and is zero; None where all are right."""
    for key in NUMBERS[kind]:
        number = step.get(key)
        if number is None:
            return f"value_scaling {kind!r} lacks {key}"
        if isinstance(number, bool) or not isinstance(number, int | float) or not -math.inf < number < math.inf:
            return f"{key} of value_scaling {kind!r} is {number!r:.40}, no number"
    if kind == "clip" and step["minimum"] > step["maximum"]:
        return f"value_scaling 'clip' has the minimum {step['minimum']:g} above its maximum {step['maximum']:g}"
    if kind == "z-score" and step["stddev"] < 0:
        return f"stddev of value_scaling 'z-score' is {step['stddev']:g}, and none is below zero"
    divisor = {"z-score": "stddev", "scale": "value"}.get(kind)
    zero = step["minimum"] == step["maximum"] if kind == "min-max" else divisor is not None and not step[divisor]
    return f"value_scaling {kind!r} would divide by zero" if zero else None


def _processing_obstacle(functions: object) -> str | None:
    for function in functions if isinstance(functions, list | tuple) else (functions,):
        found = function.get("format") if isinstance(function, Mapping) else type(function).__name__
        if found != "numpy":
            return f"a processing in {found!r}, and only arithmetic (numpy) is computed here"
    import numpy as np

    try:
        processed(np.ones(1, np.float32), functions, of="value_scaling")
    except InvalidItemError as error:
        return str(error)
    return None


def unmet(tensor: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Say what an entry of ``mlm:input`` wants done to its values and is not done here.

    Returns
    -------
    blocking, noted
        Half lines: without the first, physical values do not become what the model reads; the second concern sizes and
        bands, which data may have already.
    """
    blocking: list[str] = []
    noted: list[str] = []
    steps, before = steps_of(tensor), tensor.get("pre_processing_function")
    if (reason := obstacle_of(tensor)) is not None:
        blocking.append(f"a scaling that cannot be computed: {reason}")
    if before and (steps or _processing_obstacle(before) is not None):
        # Often the same in words of code; where there is nothing else, values stay as they are.
        (noted if steps else blocking).append(f"a preprocessing that is not run here: {shortened(before)}")
    if (kind := tensor.get("resize_type")) is not None:
        noted.append(f"its images resized by {kind!r}, which is not done here: give them in its size")
    noted += [
        f"{band.get('name')!r} computed from other bands ({shortened(band)}), which is not done here: "
        "give it by its name"
        for key in ("bands", "variables")
        for band in _listed(tensor.get(key))
        if isinstance(band, Mapping) and band.get("expression") is not None
    ]
    return blocking, noted


def _listed(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def steps_of(tensor: Mapping[str, Any]) -> Any:
    """Return the scaling of an entry of ``mlm:input``, before MLM 1.4 a ``norm_type`` with statistics of the bands.

    Its ``clip`` divides each band by a number of ``norm_clip`` and clips to 0 to 1 (MLM 1.0, "Model Input Object").
    """
    steps, norm = tensor.get("value_scaling"), tensor.get("norm_type")
    if steps is not None or norm is None:
        return steps
    if norm == "clip":
        clips = _listed(tensor.get("norm_clip"))
        known = all(isinstance(one, int | float) and one > 0 for one in clips)
        return [_clipped(one) for one in clips] if clips and known else [{"type": norm}]
    statistics = [entry for entry in _listed(tensor.get("statistics")) if isinstance(entry, Mapping)]
    keys = NUMBERS.get(norm, ()) if isinstance(norm, str) else ()
    found = [{"type": norm} | {key: entry.get(key) for key in keys} for entry in statistics]
    if tensor.get("norm_by_channel") is False and any(one != found[0] for one in found):
        return [{"type": f"{norm} not by channel, with statistics of each"}]
    return found or [{"type": norm}]


def _clipped(divisor: float) -> dict[str, Any]:
    return {"type": "processing", "format": COMPUTED, "expression": f"clip(x / {float(divisor)}, 0, 1)"}


def count_bands(tensor: Mapping[str, Any], layout: Mapping[str, Any]) -> int | None:
    """Tell how many bands an entry of ``mlm:input`` has: as it lists, or as long as their axis is."""
    for key in ("bands", "interop:bands", "variables"):
        if isinstance(found := tensor.get(key), list) and found:
            return len(found)
    order, shape = layout.get("dim_order"), layout.get("shape")
    if not isinstance(order, list | tuple) or not isinstance(shape, list | tuple) or len(order) != len(shape):
        return None
    lengths = [length for axis, length in zip(order, shape, strict=True) if axis in AXES]
    if not lengths:
        return 1
    return lengths[0] if len(lengths) == 1 and isinstance(lengths[0], int) and lengths[0] > 0 else None


def axis_of_bands(order: Sequence[Any], shape: Sequence[Any], count: int) -> int | None:
    """Find the axis of so many bands where none is called so: the only one of their length that is of nothing else."""
    if count < 2 or len(order) != len(shape) or any(str(axis).casefold() in AXES for axis in order):
        return None
    sizes = enumerate(zip(order, shape, strict=True))
    fits = [n for n, (axis, length) in sizes if str(axis).casefold() not in _OTHERS and length in (count, -1)]
    return fits[0] if len(fits) == 1 else None


def looks_scaled(values: Values, steps: Sequence[Step] | None) -> str | None:
    """Say why physical values look like such that were scaled before; None where they do not.

    Fractions that are all below 1.5 are no counts of a sensor, and a scaling whose mean is 1354 or that divides by
    10000 is one of counts.
    """
    large = max((size for step in steps or () if step and (size := _size_of(step)) is not None), default=0.0)
    if not large or not values.size or values.dtype.kind != "f":
        return None
    import numpy as np

    low, high = float(values.min()), float(values.max())
    largest = max(abs(low), abs(high))
    if not 0 < largest <= _SHARE or bool((values == np.rint(values)).all()):
        return None
    return f"the values lie between {low:.3g} and {high:.3g}, and the item scales numbers of about {large:g}"


def _size_of(step: Step) -> float | None:
    kind = step.get("type")
    if kind == "z-score":
        size, least = abs(step["mean"]), _LARGE_MEAN
    elif kind == "min-max":
        size, least = max(abs(step["minimum"]), abs(step["maximum"])), _LARGE_SCALE
    elif kind == "scale":
        size, least = abs(step["value"]), _LARGE_SCALE
    else:
        return None
    return float(size) if size >= least else None


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
