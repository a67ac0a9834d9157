"""Weights in and out of the tensors of a PyTorch module, whatever its architecture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from modelstac.training.architectures.layouts import channels_first, channels_last
from modelstac.training.weights import Weights, check_weights


def read(tensors: Mapping[str, Tensor]) -> Weights:
    """Give the values of tensors, by the names that they have in every framework, with kernels as Keras has them."""
    return {
        name: np.ascontiguousarray(channels_last(tensor.detach().cpu().numpy())) for name, tensor in tensors.items()
    }


def write(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], weights: Weights) -> None:
    """Set the values of tensors, in place.

    Raises
    ------
    SpecError
        When the weights do not have these names and shapes.
    """
    check_weights(shapes, weights)
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(torch.from_numpy(np.ascontiguousarray(channels_first(weights[name]))))
