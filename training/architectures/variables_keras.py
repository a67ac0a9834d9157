"""Weights in and out of the variables of a Keras model, whatever its architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from modelstac.training.weights import Weights, check_weights


def read(variables: Mapping[str, Any]) -> Weights:
    """Give the values of variables, by the names that they have in every framework."""
    return {name: np.array(keras.ops.convert_to_numpy(v), np.float32) for name, v in variables.items()}


def write(variables: Mapping[str, Any], weights: Weights) -> None:
    """Set the values of variables, in place.

    Raises
    ------
    SpecError
        When the weights have other names or shapes than the variables.
    """
    check_weights({name: tuple(variable.shape) for name, variable in variables.items()}, weights)
    for name, variable in variables.items():
        variable.assign(weights[name])
