"""Weights as after training, and frames to run them on."""

from __future__ import annotations

import numpy as np
import pytest

from modelstac.training.weights import initial_weights


def trained_looking_weights(spec, seed=0):
    """Weights where nothing is zero, one or symmetric, with an output that the sigmoid does not flatten."""
    rng = np.random.default_rng(seed)
    weights = initial_weights(spec, seed)
    for name, value in weights.items():
        deviation = 0.8 if name == "output/kernel" else 1 / np.sqrt(np.prod(value.shape[:-1]) + 90)
        noise = rng.normal(0, deviation, value.shape).astype(np.float32)
        weights[name] = np.abs(value + noise) + 0.1 if name.endswith("moving_variance") else value + noise
    return weights


@pytest.fixture(scope="session")
def make_weights():
    return trained_looking_weights
