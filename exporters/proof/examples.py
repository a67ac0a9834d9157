"""The example that is published with a conversion: inputs, and what its *source* gives for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pystac

from modelstac.catalog.errors import ModelStacError, NotFoundError
from modelstac.exporters.proof.cases import USUAL, Case, make_cases
from modelstac.exporters.proof.counterparts import Counterparts
from modelstac.exporters.proof.parity import answer
from modelstac.registry.running.examples import Example, read_example
from modelstac.registry.running.signature import BATCH

if TYPE_CHECKING:
    from modelstac.registry.running.signature import Arrays, Runnable, Signature


def make_example(item: pystac.Item, source: Runnable, target: Runnable, cases: Sequence[Case]) -> Example:
    """Give an example by the names and in the layouts of the target: the source's own where the target takes it.

    Parameters
    ----------
    item
        Of the source.
    source, target
        The two models.
    cases
        On which they were compared; where the source has no example that fits, random numbers are one.
    """
    sides = Counterparts.of(source.signature, target.signature)
    try:
        inputs, outputs = read_example(item)
    except NotFoundError:
        inputs, outputs = _random(source, cases)
    # An example of an earlier build may lack outputs that the item lists.
    if outputs.keys() != {ours.name for ours, _ in sides.outputs} or not _fits(inputs, sides):
        inputs, outputs = _random(source, cases)
    return sides.to_target(inputs), sides.outputs_to_target(outputs)


def _fits(inputs: Arrays, sides: Counterparts) -> bool:
    """Tell whether the target takes an example of the source."""
    relaid = sides.to_target(inputs)
    return all(
        theirs.name in relaid
        and all(size.fits(found) for size, found in zip(theirs.sizes, relaid[theirs.name].shape, strict=True))
        for _, theirs in sides.inputs
        if not theirs.optional
    )


def _random(source: Runnable, cases: Sequence[Case]) -> Example:
    case = next(case for case in cases if case.name == USUAL)
    return dict(case.inputs), answer(source, case)


def published_example(item: pystac.Item, known: Signature, takes: Signature) -> list[Case]:
    """Give the example that is published with a source as a case, where both models take it, in batches as they do."""
    try:
        inputs, _ = read_example(item)
        case = Case("the published example", in_batches(inputs, Counterparts.of(known, takes).shared()))
        make_cases(known, takes, windows=[case])
    except ModelStacError:
        return []
    return [case]


def in_batches(inputs: Arrays, signature: Signature) -> Arrays:
    """Repeat samples, or leave some out, where a model takes one number of them and no other."""
    found = dict(inputs)
    for tensor in signature.inputs:
        size = tensor.axes.get(BATCH)
        if size is not None and size.is_fixed and tensor.name in found:
            axis = tensor.dim_order.index(BATCH)
            found[tensor.name] = np.take(found[tensor.name], range(size.at_least), axis, mode="wrap")
    return found
