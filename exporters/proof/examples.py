"""The example that is published with a conversion: an input, and what its *source* gives for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pystac

from modelstac.catalog.errors import NotFoundError
from modelstac.exporters.proof.cases import Case, permutation
from modelstac.exporters.proof.parity import Runnable
from modelstac.registry.running.examples import read_example

Array = np.ndarray[Any, Any]
Example = tuple[Array, Array]


def make_example(item: pystac.Item, source: Runnable, target: Runnable, cases: Sequence[Case]) -> Example:
    """Give an example in the layout of the target: the source's own where the target takes it, else random numbers.

    Parameters
    ----------
    item
        Of the source.
    source, target
        The two models.
    cases
        On which they were compared, in the layout of the source.
    """
    inwards = permutation(source.signature.inputs[0], target.signature.inputs[0])
    outwards = permutation(source.signature.outputs[0], target.signature.outputs[0])
    try:
        inputs, outputs = read_example(item)
    except NotFoundError:
        inputs, outputs = _random(source, cases)
    if not _fits(inputs.transpose(inwards), target):
        inputs, outputs = _random(source, cases)
    return inputs.transpose(inwards), outputs.transpose(outwards)


def _fits(inputs: Array, target: Runnable) -> bool:
    return all(n in (-1, found) for n, found in zip(target.signature.inputs[0].shape, inputs.shape, strict=True))


def _random(source: Runnable, cases: Sequence[Case]) -> Example:
    inputs = next(case.inputs for case in cases if case.name == "random")
    return inputs, source.predict(inputs)
