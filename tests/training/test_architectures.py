"""Keras and native PyTorch are the same function."""

from __future__ import annotations

import importlib.util
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from modelstac.catalog.errors import SpecError
from modelstac.training.architecture import architecture_of
from modelstac.training.architectures import convlstm_torch
from modelstac.training.spec import PRESETS, ConvLSTMSpec
from modelstac.training.unet import UNetSpec
from modelstac.training.weights import initial_weights, weight_shapes


def _neighbour(name: str):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


keras_process = _neighbour("keras_process")

CASES = {
    f"{cell}-{recurrent}-{'norm' if norm else 'plain'}": ConvLSTMSpec(
        # Different filters, kernels, height and width, so that no two dimensions can be exchanged unseen.
        filters=(4, 3, 5),
        kernels=(5, 3, 1),
        cell_activation=cell,
        recurrent_activation=recurrent,
        batch_norm=norm,
        batch_norm_momentum=0.9,
        frames=4,
        height=9,
        width=11,
    )
    for cell, recurrent, norm in itertools.product(
        ("linear", "tanh", "leaky_relu"), ("sigmoid", "hard_sigmoid"), (True, False)
    )
}
UNETS = {
    "unet": UNetSpec((4, 3, 5), coarsen=2, reach=2, frames_in=3, frames_out=4, height=24, width=16, inflow="edge"),
    "unet-2-levels-of-pixels": UNetSpec((2, 3), coarsen=1, reach=1, frames_in=2, frames_out=1, height=10, width=12),
    "unet-damped": UNetSpec((2, 3), 1, 1, frames_in=2, frames_out=2, height=8, width=8, stay=1, damping=(0.1, 0.25)),
}
ALL = CASES | UNETS


def trained_looking_weights(spec, seed):
    """Weights where nothing is zero, one or symmetric, as after training.

    Wilder ones make TensorFlow's own batch normalisation in single precision miss double precision by 2e-6 (native
    PyTorch: 3e-7), which would be measured instead of the architecture.
    """
    rng = np.random.default_rng(seed)
    weights = architecture_of(spec).initial(spec, seed)
    for name, value in weights.items():
        # A stronger output kernel: the sigmoid would hide differences of the layers before it.
        noise = rng.normal(0, 0.3 if name == "output/kernel" else 0.1, value.shape).astype(np.float32)
        weights[name] = np.abs(value + noise) + 0.1 if name.endswith("moving_variance") else value + noise
    return weights


def frames_for(spec, batch=2):
    return np.random.default_rng(7).random((batch, spec.frames_in, spec.height, spec.width, 1), np.float32)


def torch_run(model, x, *, training):
    model.train(training)
    with torch.no_grad():
        return model(torch.from_numpy(x).movedim(-1, 2)).movedim(2, -1).numpy()


@pytest.fixture(scope="module", params=keras_process.BACKENDS)
def keras_found(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    given = {}
    for number, (case, spec) in enumerate({**ALL, "reference": PRESETS["reference"]}.items()):
        given[f"{case}|spec"] = json.dumps(spec.to_dict())
        if case in ALL:  # the reference network would compute for a minute
            given[f"{case}|x"] = frames_for(spec)
        for name, value in trained_looking_weights(spec, number).items():
            given[f"{case}|weights|{name}"] = value
    np.savez(folder / "given.npz", **given)
    keras_process.run(request.param, folder / "given.npz", folder / "found.npz")
    with np.load(folder / "found.npz") as found:
        assert found["backend"] == request.param
        return given, dict(found)


def given_weights(given, case, part="weights"):
    prefix = f"{case}|{part}|"
    return {name.removeprefix(prefix): value for name, value in given.items() if name.startswith(prefix)}


@pytest.mark.parametrize("case", ALL)
def test_inference_equals_keras(keras_found, case):
    given, found = keras_found
    adapter = architecture_of(ALL[case]).module("torch")
    model = adapter.build(ALL[case])
    adapter.set_weights(model, given_weights(given, case))
    ours = torch_run(model, given[f"{case}|x"], training=False)
    assert ours.std() > 1e-3  # a thousand tolerances: a constant network would agree whatever it computes
    np.testing.assert_allclose(ours, found[f"{case}|inference"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", ALL)
def test_training_mode_equals_keras_moving_statistics_included(keras_found, case):
    given, found = keras_found
    adapter = architecture_of(ALL[case]).module("torch")
    model = adapter.build(ALL[case])
    adapter.set_weights(model, given_weights(given, case))
    for _ in range(keras_process.TRAINING_STEPS):
        ours = torch_run(model, given[f"{case}|x"], training=True)
    np.testing.assert_allclose(ours, found[f"{case}|training"], rtol=0, atol=1e-6)
    before, after = given_weights(given, case), given_weights(found, case, "after")
    for name, value in adapter.get_weights(model).items():
        np.testing.assert_allclose(value, after[name], rtol=0, atol=1e-6, err_msg=name)
        assert ("moving" in name) == (not np.array_equal(value, before[name])), name


@pytest.mark.parametrize("case", [*ALL, "reference"])
def test_weights_come_back_from_keras_unchanged(keras_found, case):
    given, found = keras_found
    before, back = given_weights(given, case), given_weights(found, case, "back")
    assert sorted(back) == sorted(before)
    for name, value in before.items():
        np.testing.assert_array_equal(back[name], value, err_msg=name)


@pytest.mark.parametrize("case", ALL)
def test_plain_keras_loads_the_saved_file_in_safe_mode(keras_found, case):
    _, found = keras_found
    np.testing.assert_array_equal(found[f"{case}|loaded"], found[f"{case}|inference"])


@pytest.mark.parametrize("case", [*ALL, "reference"])
def test_parameters_are_counted_as_keras_counts_them(keras_found, case):
    _, found = keras_found
    spec = ALL.get(case, PRESETS["reference"])
    # The U-Net in Keras has convolutions that pick and are not trained.
    assert found[f"{case}|{'trained' if case in UNETS else 'parameters'}"] == spec.parameters


def test_reference_has_the_published_number_of_parameters_in_torch():
    model = convlstm_torch.build(PRESETS["reference"].to_dict())
    tensors = [*model.parameters(), *model.buffers()]
    assert sum(tensor.numel() for tensor in tensors) == 1_965_761
    assert sum(p.numel() for p in model.parameters()) == 1_965_761 - 2 * 3 * 64


def test_weights_come_back_from_torch_unchanged():
    spec = CASES["tanh-sigmoid-norm"]
    model = convlstm_torch.build(spec)
    weights = trained_looking_weights(spec, 0)
    convlstm_torch.set_weights(model, weights)
    back = convlstm_torch.get_weights(model)
    assert list(back) == list(weights) == list(weight_shapes(spec))
    for name, value in weights.items():
        np.testing.assert_array_equal(back[name], value, err_msg=name)


def test_cell_activations_are_different_functions():
    outputs = {}
    for cell in ("linear", "tanh", "leaky_relu"):
        spec = CASES[f"{cell}-sigmoid-norm"]
        model = convlstm_torch.build(spec)
        convlstm_torch.set_weights(model, trained_looking_weights(spec, 0))
        outputs[cell] = torch_run(model, frames_for(spec), training=False)
    for a, b in itertools.combinations(outputs.values(), 2):
        assert np.abs(a - b).max() > 1e-3


def test_torch_takes_another_grid_and_another_number_of_frames():
    model = convlstm_torch.build(CASES["tanh-sigmoid-norm"])
    assert model(torch.zeros(1, 6, 1, 5, 7)).shape == (1, 6, 1, 5, 7)


def test_each_frame_of_the_recurrence_sees_the_frames_before_it_only():
    spec = CASES["tanh-sigmoid-norm"]
    layer = convlstm_torch.build(spec).layers[0]
    x = torch.from_numpy(frames_for(spec)).movedim(-1, 2).transpose(0, 1)  # layers are time-major
    changed = x.clone()
    changed[2] += 1
    with torch.no_grad():
        difference = (layer(x) - layer(changed)).abs().amax(dim=(1, 2, 3, 4))
    assert (difference > 0).tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("output/bias"), "lack 'output/bias'"),
        (lambda w: w.update({"norm_9/gamma": w["output/bias"]}), "hold 'norm_9/gamma'"),
        (lambda w: w.update({"output/bias": np.zeros(3, np.float32)}), r"shape \(3,\), not \(1,\)"),
    ],
)
def test_weights_of_another_specification_are_refused(change, message):
    spec = CASES["tanh-sigmoid-norm"]
    weights = initial_weights(spec, 0)
    change(weights)
    with pytest.raises(SpecError, match=message):
        convlstm_torch.set_weights(convlstm_torch.build(spec), weights)
