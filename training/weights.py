"""Weights of a ConvLSTM in one form that belongs to no framework.

A mapping of name to float32 array, in Keras' layout (spatial dimensions, channels in, channels out) and gate order
(input, forget, candidate, output):

=============================================  ==========================================
``convlstm_{i}/kernel``                        (k, k, channels, 4 x filters)
``convlstm_{i}/recurrent_kernel``              (k, k, filters, 4 x filters)
``convlstm_{i}/bias``                          (4 x filters,), on the input convolution only
``norm_{i}/gamma``, ``beta``,                  (filters,)
``moving_mean``, ``moving_variance``
``output/kernel``, ``output/bias``             (3, 3, 3, filters, 1), (1,)
=============================================  ==========================================
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import SpecError
from modelstac.training.spec import OUTPUT_KERNEL, ConvLSTMSpec

Weights = dict[str, NDArray[np.float32]]

CONVLSTM_PARTS = ("kernel", "recurrent_kernel", "bias")
NORM_PARTS = ("gamma", "beta", "moving_mean", "moving_variance")


def weight_shapes(spec: ConvLSTMSpec) -> dict[str, tuple[int, ...]]:
    """Give name and shape of every weight of ``spec``, in the order of the layers."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (channels, filters, kernel) in enumerate(zip(spec.channels, spec.filters, spec.kernels, strict=True)):
        shapes[f"convlstm_{layer}/kernel"] = (kernel, kernel, channels, 4 * filters)
        shapes[f"convlstm_{layer}/recurrent_kernel"] = (kernel, kernel, filters, 4 * filters)
        shapes[f"convlstm_{layer}/bias"] = (4 * filters,)
        if spec.normalised(layer):
            shapes.update({f"norm_{layer}/{part}": (filters,) for part in NORM_PARTS})
    shapes["output/kernel"] = (OUTPUT_KERNEL,) * 3 + (spec.filters[-1], 1)
    shapes["output/bias"] = (1,)
    return shapes


def check_weights(shapes: Mapping[str, tuple[int, ...]], weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Make sure that ``weights`` have the names and ``shapes`` that a model asks for.

    Raises
    ------
    SpecError
        When a weight is missing, unknown or has another shape.
    """
    for name in [*shapes, *weights]:
        if name not in weights:
            raise SpecError(f"the weights lack {name!r}, which the model has; they belong to another specification")
        if name not in shapes:
            raise SpecError(f"the weights hold {name!r}, which the model lacks; they belong to another specification")
        if tuple(weights[name].shape) != shapes[name]:
            raise SpecError(f"weight {name!r} has the shape {tuple(weights[name].shape)}, not {shapes[name]}")


def initial_weights(spec: ConvLSTMSpec, seed: int) -> Weights:
    """Draw the weights to start training from: one initialisation for every framework.

    The distributions are the defaults of Keras: glorot uniform kernels (Glorot and Bengio 2010), orthogonal recurrent
    kernels (Saxe et al. 2014), zero biases but 1 for the forget gate (Jozefowicz et al. 2015). The random numbers are
    numpy's, so that neither framework nor backend changes them.

    Parameters
    ----------
    spec
        The architecture.
    seed
        The same seed gives the same weights.
    """
    rng = np.random.default_rng(seed)
    weights: Weights = {}
    for name, shape in weight_shapes(spec).items():
        part = name.split("/")[1]
        if part == "recurrent_kernel":
            value = _orthogonal(rng, shape)
        elif part == "kernel":
            value = glorot_uniform(rng, shape)
        elif part in ("gamma", "moving_variance"):
            value = np.ones(shape)
        else:
            value = np.zeros(shape)
            if name.startswith("convlstm_"):
                filters = shape[0] // 4
                value[filters : 2 * filters] = 1
        weights[name] = value.astype(np.float32)
    return weights


def glorot_uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Draw a kernel (*space, in, out) (Glorot and Bengio 2010)."""
    field = math.prod(shape[:-2])
    limit = math.sqrt(6 / (field * (shape[-2] + shape[-1])))
    return rng.uniform(-limit, limit, shape)


def _orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    rows, columns = math.prod(shape[:-1]), shape[-1]
    normal: NDArray[np.float64] = rng.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(normal)
    q *= np.sign(np.diag(r))  # makes the distribution uniform over orthogonal matrices
    return np.reshape(q if rows >= columns else q.T, shape)
