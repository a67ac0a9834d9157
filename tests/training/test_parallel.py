"""Several processes that share each batch learn what one process learns from the whole of it."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from modelstac.catalog.errors import CannotRunError, SpecError, TrainingError
from modelstac.catalog.messages import Measured, Note, ignore
from modelstac.training.data import Preparation, Windows, make_windows, read_frames
from modelstac.training.fitting import fit_torch
from modelstac.training.fitting.checkpoints import NO_CHECKPOINTS, Checkpoints
from modelstac.training.fitting.devices_torch import find_device
from modelstac.training.fitting.execution import Execution
from modelstac.training.fitting.fit import FitSpec
from modelstac.training.fitting.parallel_torch import fit_in_processes
from modelstac.training.spec import ConvLSTMSpec
from modelstac.training.variants import torch as variant_torch

_spec = importlib.util.spec_from_file_location("keras_process", Path(__file__).with_name("keras_process.py"))
keras_process = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(keras_process)

SPEC = ConvLSTMSpec(filters=(4, 3), kernels=(3, 3), frames=3, height=12, width=10)
PREPARATION = Preparation(rows=None, columns=None, coarsen=4, scale=10.0)
# Nine windows in batches of four: the last batch has one window, which two processes cannot share.
FIT = FitSpec(epochs=2, batch_size=4, loss="masked_csi", validation=0.1, seed=5)
TWO = Execution(device="cpu", devices=2)


@pytest.fixture(scope="module")
def windows(rain_folder) -> Windows:
    """Windows of generated rain, with a corner that was never measured in some: their masks differ."""
    ds = PREPARATION.apply(read_frames(rain_folder).isel(time=slice(0, 18)))
    ds["rainfall_rate"].values[:6, :5, :5] = np.nan
    return make_windows(ds, SPEC.frames, SPEC.frames)


def alone(windows, fit):
    model = variant_torch.started(SPEC, fit)
    return fit_torch.fit_model(model, windows, PREPARATION, fit), model.state_dict()


def shared(windows, fit, checkpoints=NO_CHECKPOINTS, report=ignore, spec=SPEC):
    build = functools.partial(variant_torch.started, spec, fit)
    how = {"checkpoints": checkpoints, "execution": TWO, "report": report}
    return fit_in_processes(build, windows, PREPARATION, fit, **how)


class InterruptionError(Exception):
    """Stands for a kill of the process that started the others."""


def test_two_processes_learn_what_one_does_and_go_on_after_an_interruption(windows, tmp_path):
    history, weights = alone(windows, FIT)
    steps = FIT.epochs * FIT.steps(len(windows) - 7)

    def interrupt(message):
        if isinstance(message, Measured) and message.step == 2:
            raise InterruptionError

    checkpoints = Checkpoints(tmp_path, key="run", minutes=None, steps=1)
    with pytest.raises(InterruptionError):
        shared(windows, FIT, checkpoints, interrupt)
    assert checkpoints.load().step >= 1
    messages = []
    found, state = shared(windows, FIT, checkpoints, messages.append)
    assert "going on after step" in next(m.text for m in messages if isinstance(m, Note))
    np.testing.assert_allclose(found.losses, history.losses, rtol=1e-5)
    np.testing.assert_allclose(
        [epoch.validation_loss for epoch in found.epochs],
        [epoch.validation_loss for epoch in history.epochs],
        rtol=1e-5,
    )
    start = variant_torch.started(SPEC, FIT).state_dict()
    moved = max((weights[name] - start[name]).abs().max() for name in weights)
    for name, value in weights.items():
        assert (state[name] - value).abs().max() < 1e-3 * moved, name
    assert steps == sum(epoch.steps for epoch in found.epochs)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_is_the_same_error_as_in_one_process(windows):
    fit = dataclasses.replace(FIT, loss="masked_bce", learning_rate=1e30, clip_norm=None)
    with pytest.raises(TrainingError, match=r"loss is .* in epoch 1, step \d, windows that begin at"):
        shared(windows, fit, spec=dataclasses.replace(SPEC, cell_activation="linear"))


def test_a_device_that_is_not_there_is_one_line():
    missing = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(CannotRunError, match=f"the device {missing} cannot be had") as error:
        find_device(Execution(device=missing))
    assert "\n" not in str(error.value)
    count = torch.cuda.device_count() + 2
    with pytest.raises(CannotRunError, match=f"{count} GPUs cannot be had: PyTorch .* sees"):
        find_device(Execution(device="cuda", devices=count))
    assert find_device(Execution(device="cpu", devices=64)).type == "cpu"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"device": "gpu"}, "device must be auto, cpu, cuda"),
        ({"devices": 0}, "devices must be a whole number from 1"),
        ({"device": "cuda:1", "devices": 2}, "2 devices cannot all be cuda:1"),
    ],
)
def test_nonsense_is_refused(fields, message):
    with pytest.raises(SpecError, match=message):
        Execution(**fields)


def test_a_batch_smaller_than_the_number_of_devices_is_refused():
    with pytest.raises(SpecError, match="a batch of 1 cannot be shared by 2 devices: give --batch-size 2"):
        TWO.check_shares(1)


@pytest.mark.parametrize("fields", [{"compile": True}, {"low_memory": True}])
def test_tensorflow_is_told_what_only_torch_can_do(fields):
    with pytest.raises(SpecError, match="is for the variants torch and keras-torch"):
        Execution(**fields).refuse_for_tensorflow()


def fitted_by_keras(backend, windows, folder):
    """Give what Keras learns on two devices, in a process of its own."""
    given = {"rates": windows.rates, "time": windows.time, "starts": windows.starts, "scale": PREPARATION.scale}
    np.savez(folder / "given.npz", **given, spec=json.dumps(SPEC.to_dict()), fit=json.dumps(FIT.to_dict()))
    program = Path(__file__).with_name("mirrored_process.py")
    # The processes of PyTorch speak to each other by sockets.
    keras_process.run(backend, folder / "given.npz", folder / "found.json", program=program, network=True)
    return json.loads((folder / "found.json").read_text())


def test_keras_on_tensorflow_learns_on_two_devices_what_it_does_on_one(windows, tmp_path):
    found = fitted_by_keras("tensorflow", windows, tmp_path)
    one, two = found["one"], found["two"]
    assert found["devices"] == 2
    assert "going on after step" in found["note"]
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=1e-5)
    np.testing.assert_allclose(two["validation"], one["validation"], rtol=1e-5)
    moved = max(np.abs(np.subtract(one["weights"][name], start)).max() for name, start in found["start"].items())
    for name, value in one["weights"].items():
        assert np.abs(np.subtract(two["weights"][name], value)).max() < 1e-3 * moved, name
    assert found["too late"].startswith("the CPU cannot be shared as 3 devices any more: TensorFlow runs here already")


def test_keras_on_torch_is_shared_by_processes_as_torch_is(windows, tmp_path):
    found = fitted_by_keras("torch", windows, tmp_path)
    model = variant_torch.started(SPEC, FIT)
    history = fit_torch.fit_model(model, windows, PREPARATION, FIT)
    np.testing.assert_allclose(found["losses"], history.losses, rtol=1e-5)
    with torch.inference_mode():
        inputs = torch.from_numpy(PREPARATION.inputs_to_model(windows.inputs(np.arange(2))))
        forecast = model(inputs.unsqueeze(2)).squeeze(2).numpy()
    np.testing.assert_allclose(np.float32(found["forecast"]), forecast, atol=1e-4)
