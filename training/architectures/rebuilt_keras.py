"""A Keras model from its specification and weights, where nothing else of ours may be installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelstac.training.architecture import architecture_of, read_spec
from modelstac.training.weights import Weights


def rebuild(fields: Mapping[str, Any], weights: Weights) -> Any:
    """Build a network of any of our architectures.

    Parameters
    ----------
    fields
        Its specification as JSON types.
    weights
        By the names that they have in every framework.

    Raises
    ------
    SpecError
        When the specification makes no sense, or the weights are not those of it.
    """
    spec = read_spec(fields)
    module = architecture_of(spec).module("keras")
    network = module.build(spec)
    module.set_weights(network, weights)
    return network
