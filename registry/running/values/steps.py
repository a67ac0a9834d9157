"""Steps before and after a model that its item describes: which contradict it, and which nobody computes here.

Source: MLM 1.5.2, "Value Scaling Object", "Model Input Object" (``resize_type``, ``pre_processing_function``), "Model
Output Object" (``post_processing_function``), "Model Bands or Variables Object".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.mlm import ModelInput, ModelOutput, Structure, band_axis
from modelstac.registry.running.values.expressions import evaluate, shortened
from modelstac.registry.running.values.scaling import COMPUTED, NUMBERS, number_obstacle


def contradictions(description: ModelDescription) -> Iterator[str]:
    """Yield what of the steps can never be computed, each with both sides: nothing like it is published."""
    for tensor in description.inputs:
        axis, length = _bands(tensor, tensor.input)
        steps = tensor.value_scaling or ()
        if len(steps) > 1 and length not in {1, -1, len(steps)}:
            yield (
                f"input {tensor.name!r} lists {len(steps)} steps of value_scaling, and its axis {axis!r} has "
                f"{length}: give one for all, or one for each"
            )
        for step in steps:
            said = step.model_dump()
            if step.type in NUMBERS and (reason := number_obstacle(step.type, said)) is not None:
                yield f"a step of input {tensor.name!r} cannot be computed: {reason}"
            yield from _uncomputable(said, f"a step of value_scaling of input {tensor.name!r}")
        yield from _uncomputable(tensor.pre_processing_function, f"the preprocessing of input {tensor.name!r}")
    for output in description.outputs:
        yield from _uncomputable(output.post_processing_function, f"the postprocessing of output {output.name!r}")


def _bands(tensor: ModelInput | ModelOutput, layout: Structure) -> tuple[str | None, int]:
    """Return name and length of the axis of the bands or variables; where there is none, all values are one band."""
    axis = band_axis(layout.dim_order) or ("variables" if "variables" in layout.dim_order else None)
    if axis is None:
        return None, 1
    length = layout.shape[layout.dim_order.index(axis)]
    names = tensor.variables if axis == "variables" else tensor.bands
    return axis, len(names) if length == -1 and names else length


def _uncomputable(function: object, what: str) -> Iterator[str]:
    """Yield why an expression that says it is arithmetic is none; other formats are left to whoever knows them."""
    for found in _functions(function):
        if found.get("format") != COMPUTED:
            continue
        try:
            import numpy as np

            evaluate(found.get("expression"), np.zeros(1, np.float32), of=what)
        except InvalidItemError as error:
            yield str(error)


def left_undone(description: ModelDescription) -> Iterator[str]:
    """Yield what the item wants done to outputs and nobody does here, each in half a line.

    Of inputs :func:`modelstac.registry.running.values.scaling.unmet` tells.
    """
    for output in description.outputs:
        for found in _not_computed(output.post_processing_function):
            yield f"output {output.name!r} wants a postprocessing that is not run here: {shortened(found)}"


def _functions(value: object) -> list[Mapping[str, Any]]:
    values = value if isinstance(value, list | tuple) else [] if value is None else [value]
    plain = [found.model_dump() if isinstance(found, BaseModel) else found for found in values]
    return [found if isinstance(found, Mapping) else {"expression": found} for found in plain]


def computed(function: object) -> tuple[list[Mapping[str, Any]], bool]:
    """Return the steps of a postprocessing that are computed, up to the first that is not, and whether these are all.

    What comes after a step that nobody runs here would be computed of other numbers than it is meant for.
    """
    steps = _functions(function)
    left = next((place for place, found in enumerate(steps) if found.get("format") != COMPUTED), len(steps))
    return steps[:left], left == len(steps)


def _not_computed(value: object) -> list[Mapping[str, Any]]:
    return _functions(value)[len(computed(value)[0]) :]
