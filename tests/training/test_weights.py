from __future__ import annotations

import numpy as np
import pytest

from modelstac.training.spec import PRESETS, ConvLSTMSpec
from modelstac.training.weights import initial_weights, weight_shapes

SPEC = ConvLSTMSpec(filters=(6, 4), kernels=(5, 3))


@pytest.mark.parametrize("spec", [*PRESETS.values(), SPEC, ConvLSTMSpec(filters=(3,), kernels=(1,), batch_norm=False)])
def test_shapes_add_up_to_the_parameters(spec):
    assert sum(np.prod(shape) for shape in weight_shapes(spec).values()) == spec.parameters


def test_batch_norm_follows_every_layer_but_the_last():
    layers = {name.split("/")[0] for name in weight_shapes(PRESETS["reference"])}
    assert {name for name in layers if name.startswith("norm")} == {"norm_0", "norm_1", "norm_2"}


def test_the_same_seed_gives_the_same_weights_and_another_gives_others():
    one, same, other = (initial_weights(SPEC, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["convlstm_0/kernel"], other["convlstm_0/kernel"])


def test_weights_have_the_shapes_and_are_single_precision():
    weights = initial_weights(SPEC, 0)
    assert {name: value.shape for name, value in weights.items()} == weight_shapes(SPEC)
    assert {value.dtype for value in weights.values()} == {np.dtype(np.float32)}


def test_the_forget_gate_alone_starts_with_a_bias():
    bias = initial_weights(SPEC, 0)["convlstm_0/bias"].reshape(4, 6)
    np.testing.assert_array_equal(bias, [[0] * 6, [1] * 6, [0] * 6, [0] * 6])


def test_recurrent_kernels_are_orthogonal():
    kernel = initial_weights(SPEC, 0)["convlstm_1/recurrent_kernel"].reshape(-1, 16).astype(np.float64)
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(16), atol=1e-6)


def test_wide_recurrent_kernels_have_orthogonal_rows():
    spec = ConvLSTMSpec(filters=(8,), kernels=(1,))
    kernel = initial_weights(spec, 0)["convlstm_0/recurrent_kernel"].reshape(8, 32).astype(np.float64)
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(8), atol=1e-6)


def test_kernels_are_glorot_uniform():
    spec = ConvLSTMSpec(filters=(64, 64), kernels=(7, 5))
    kernel = initial_weights(spec, 0)["convlstm_1/kernel"]
    limit = np.sqrt(6 / (25 * 64 + 25 * 256))
    assert np.abs(kernel).max() <= limit
    assert kernel.std() == pytest.approx(limit / np.sqrt(3), rel=0.01)
    assert kernel.mean() == pytest.approx(0, abs=limit / 100)
