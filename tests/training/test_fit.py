"""Fitting: the same data, order and steps in every framework, twice the same result, a masked loss."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from modelstac.catalog.errors import DataError, SpecError, TrainingError
from modelstac.catalog.messages import Advanced, Finished, Measured, Started
from modelstac.training.architectures import convlstm_torch
from modelstac.training.data import Preparation, Windows, make_windows, read_frames
from modelstac.training.fitting import fit_torch
from modelstac.training.fitting.batches import batches
from modelstac.training.fitting.fit import FitSpec
from modelstac.training.fitting.loop import validation_split
from modelstac.training.spec import ConvLSTMSpec
from modelstac.training.weights import initial_weights

_spec = importlib.util.spec_from_file_location("keras_process", Path(__file__).with_name("keras_process.py"))
keras_process = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(keras_process)

SPEC = ConvLSTMSpec(filters=(4, 3), kernels=(3, 3), frames=3, height=12, width=10)
PREPARATION = Preparation(rows=None, columns=None, coarsen=4, scale=10.0)
FIT = FitSpec(epochs=3, batch_size=4, learning_rate=0.01, seed=5)
TWENTY = dataclasses.replace(FIT, epochs=5, batch_size=3)
FITS = {
    "adam": FIT,
    # Eleven windows in batches of three, five times over: twenty steps of each optimiser.
    "mse": dataclasses.replace(TWENTY, loss="masked_mse", schedule="constant", learning_rate=0.001, clip_norm=None),
    "adadelta": dataclasses.replace(TWENTY, optimizer="adadelta", learning_rate=1.0, clip_norm=0.1),
    "csi": dataclasses.replace(FIT, loss="masked_csi"),
    "accumulated": dataclasses.replace(FIT, batch_size=2, accumulate=2),
    "validated": dataclasses.replace(FIT, validation=0.2, augmentation=("flips",)),
}


@pytest.fixture(scope="module")
def windows(rain_folder) -> Windows:
    """Windows of generated rain, with a corner that was never measured and a frame with a hole."""
    ds = PREPARATION.apply(read_frames(rain_folder).isel(time=slice(0, 16)))
    rates = ds["rainfall_rate"].values
    rates[:, :3, :3] = np.nan
    rates[7, 5, 5] = np.nan
    return make_windows(ds, SPEC.frames, SPEC.frames)


def torch_fit(windows, fit, **options):
    model = convlstm_torch.build(SPEC)
    convlstm_torch.set_weights(model, initial_weights(SPEC, fit.seed))
    history = fit_torch.fit_model(model, windows, PREPARATION, fit, **options)
    return history, convlstm_torch.get_weights(model)


@pytest.fixture(scope="module", params=keras_process.BACKENDS)
def keras_runs(request, windows, tmp_path_factory):
    folder = tmp_path_factory.mktemp(f"fit-{request.param}")
    fits = {case: fit.to_dict() for case, fit in FITS.items()}
    np.savez(
        folder / "given.npz",
        spec=json.dumps(SPEC.to_dict()),
        fits=json.dumps(fits),
        rates=windows.rates,
        time=windows.time,
        starts=windows.starts,
        scale=PREPARATION.scale,
    )
    program = Path(__file__).with_name("keras_fit_process.py")
    keras_process.run(request.param, folder / "given.npz", folder / "found.json", program=program)
    found = json.loads((folder / "found.json").read_text())
    assert found["backend"] == request.param
    return found


@pytest.mark.parametrize("case", FITS)
def test_keras_takes_the_same_steps_as_torch(keras_runs, windows, case):
    history, weights = torch_fit(windows, FITS[case])
    keras = keras_runs[case][0]
    np.testing.assert_allclose(keras["losses"], history.losses, rtol=1e-4)
    validated = [epoch.validation_loss for epoch in history.epochs]
    np.testing.assert_allclose(np.float64(keras["validation"]), np.float64(validated), rtol=1e-4)
    start = initial_weights(SPEC, FITS[case].seed)
    moved = max(np.abs(weights[name] - start[name]).max() for name in weights)
    for name, value in weights.items():
        difference = np.abs(value - np.array(keras["weights"][name], np.float32)).max()
        assert difference < 0.02 * moved, name  # rounding grows through the steps; another optimiser would be far off


@pytest.mark.parametrize("case", ["mse", "adadelta"])
def test_variants_agree_after_twenty_steps(keras_runs, windows, case):
    """Keras on either backend within 1e-5 of native PyTorch, and so all three far within 1e-4 of each other."""
    fit, keras = FITS[case], keras_runs[case][0]
    model = convlstm_torch.build(SPEC)
    start = initial_weights(SPEC, fit.seed)
    convlstm_torch.set_weights(model, start)
    history = fit_torch.fit_model(model, windows, PREPARATION, fit)
    assert sum(epoch.steps for epoch in history.epochs) == 20
    weights = convlstm_torch.get_weights(model)
    moved = max(np.abs(weights[name] - start[name]).max() for name in weights if "moving" not in name)
    assert moved > 1e-3  # a hundred tolerances
    for name, value in weights.items():
        np.testing.assert_allclose(np.float32(keras["weights"][name]), value, rtol=0, atol=1e-5, err_msg=name)
    inputs = torch.from_numpy(PREPARATION.inputs_to_model(windows.inputs(np.arange(2))))
    with torch.no_grad():
        forecast = model(inputs[:, :, None])[:, :, 0].numpy()
    np.testing.assert_allclose(np.float32(keras["forecast"]), forecast, rtol=0, atol=1e-5)


def test_keras_gives_the_same_twice(keras_runs):
    first, second = keras_runs["adam"]
    assert first == second


def test_keras_goes_on_from_a_checkpoint_as_if_nothing_had_been(keras_runs):
    resumed, undisturbed = keras_runs["resumed"], keras_runs["validated"][0]
    assert resumed["interruptions"] == 3
    assert resumed["losses"] == undisturbed["losses"]
    assert resumed["weights"] == undisturbed["weights"]


@pytest.mark.parametrize("case", FITS)
def test_torch_gives_the_same_twice_and_learns(windows, case):
    first, weights = torch_fit(windows, FITS[case])
    second, again = torch_fit(windows, FITS[case])
    assert first == second
    for name, value in weights.items():
        np.testing.assert_array_equal(value, again[name], err_msg=name)
    assert first.losses[-1] < first.losses[0]


def test_another_seed_gives_another_model(windows):
    first, _ = torch_fit(windows, FIT)
    second, _ = torch_fit(windows, dataclasses.replace(FIT, seed=6))
    assert first.losses != second.losses


def test_masked_pixels_change_nothing(windows):
    # Only targets are changed: what is masked there for lack of measurement must not enter the loss.
    last = dataclasses.replace(windows, starts=windows.starts[-1:])
    rates = last.rates.copy()
    rates[int(last.starts[0]) + SPEC.frames :, 8:, 8:] = np.nan
    hole = dataclasses.replace(last, rates=rates)
    filled = rates.copy()
    filled[int(last.starts[0]) + SPEC.frames :, 8:, 8:] = 5.0

    class Masked(Windows):
        def mask(self, index):
            return hole.mask(index)

    fit = dataclasses.replace(FIT, epochs=2, batch_size=1)
    without, _ = torch_fit(hole, fit)
    fields = {field.name: getattr(last, field.name) for field in dataclasses.fields(Windows)}
    with_other_values, _ = torch_fit(Masked(**{**fields, "rates": filled}), fit)
    unmasked, _ = torch_fit(dataclasses.replace(last, rates=filled), fit)
    assert without == with_other_values
    assert without != unmasked


def test_the_loss_is_the_mean_over_the_pixels_that_count(windows):
    fit = dataclasses.replace(FIT, epochs=1, batch_size=len(windows), learning_rate=1e-9)
    model = convlstm_torch.build(SPEC)
    convlstm_torch.set_weights(model, initial_weights(SPEC, fit.seed))
    batch = next(batches(windows, PREPARATION, fit))
    with torch.no_grad():
        forecast = model.train()(torch.from_numpy(batch.inputs)[:, :, None])[:, :, 0].double().numpy()
    counted = batch.mask.astype(bool)
    assert 0 < counted.mean() < 1
    p, y = forecast[counted], batch.targets[counted].astype(np.float64)
    expected = -(y * np.log(p) + (1 - y) * np.log1p(-p)).mean()
    assert torch_fit(windows, fit)[0].losses[0] == pytest.approx(expected, rel=1e-5)


def test_every_window_is_seen_once_an_epoch_in_another_order(windows):
    epochs = {1: [], 2: [], 3: []}
    for batch in batches(windows, PREPARATION, FIT):
        epochs[batch.epoch].extend(batch.windows.tolist())
    assert all(sorted(order) == list(range(len(windows))) for order in epochs.values())
    assert epochs[1] != epochs[2] != sorted(epochs[2])


def test_cosine_schedule_falls_from_the_rate_to_nearly_nothing(windows):
    rates = [batch.learning_rate for batch in batches(windows, PREPARATION, FIT)]
    assert rates[0] == FIT.learning_rate
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < 0.1 * rates[0]


def test_a_loss_that_is_not_finite_stops_with_epoch_step_and_windows(windows):
    model = convlstm_torch.build(SPEC)
    weights = initial_weights(SPEC, 0)
    weights["output/bias"][:] = np.nan
    convlstm_torch.set_weights(model, weights)
    with pytest.raises(
        TrainingError, match=r"loss is nan in epoch 1, step 1, windows that begin at 2010-08-26T"
    ) as error:
        fit_torch.fit_model(model, windows, PREPARATION, FIT)
    assert "\n" not in str(error.value)


def test_a_window_without_a_pixel_that_counts_is_named(windows):
    rates = np.nan_to_num(windows.rates)
    rates[2, :6], rates[3, 6:] = np.nan, np.nan  # each frame has measurements, no pixel has them in both
    hopeless = dataclasses.replace(windows, rates=rates, starts=windows.starts[:4])
    with pytest.raises(
        DataError, match=r"the window that begins at 2010-08-26T\d\d:\d\d has no pixel that was measured"
    ):
        torch_fit(hopeless, FIT)


@pytest.mark.parametrize("rate", [0.0, 1.5])
def test_windows_of_one_rate_everywhere_are_learned(windows, rate):
    constant = dataclasses.replace(windows, rates=np.full_like(windows.rates, rate))
    history, weights = torch_fit(constant, dataclasses.replace(FIT, loss="masked_csi", learning_rate=0.05))
    assert history.losses[-1] < history.losses[0]
    assert all(np.isfinite(value).all() for value in weights.values())


def test_progress_is_reported(windows):
    messages = []
    torch_fit(windows, FIT, report=messages.append)
    steps = FIT.epochs * FIT.steps(len(windows))
    assert messages[0] == Started("train", steps)
    assert messages[-1] == Finished("train")
    assert sum(m.steps for m in messages if isinstance(m, Advanced)) == steps
    measured = [m for m in messages if isinstance(m, Measured)]
    assert [m.step for m in measured] == list(range(1, steps + 1))
    assert all(set(m.values) == {"loss", "learning_rate"} for m in measured)
    assert "epoch 3/3, loss 0." in [m.note for m in messages if isinstance(m, Advanced)][-1]


def test_history_as_csv_and_json(windows):
    history, _ = torch_fit(windows, FIT)
    rows = list(csv.DictReader(io.StringIO(history.to_csv())))
    assert [float(row["loss"]) for row in rows] == list(history.losses)
    assert [(epoch["epoch"], epoch["loss"]) for epoch in json.loads(history.to_json())] == [
        (number, loss) for number, loss in enumerate(history.losses, start=1)
    ]


def test_fit_spec_to_json_and_back():
    assert FitSpec.from_dict(json.loads(json.dumps(FIT.to_dict()))) == FIT


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 0}, "epochs must be a whole number from 1"),
        ({"batch_size": 1.5}, "batch_size must be a whole number"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"learning_rate": 0}, "learning_rate must be a number above 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number above 0"),
        ({"clip_norm": "1"}, "clip_norm must be a number above 0"),
        ({"optimizer": "sgd"}, "optimizer must be one of adam, adadelta, not 'sgd'"),
        ({"loss": "bce"}, "loss must be one of masked_bce, masked_mse"),
        ({"schedule": "step"}, "schedule must be one of constant, cosine"),
        ({"accumulate": 0}, "accumulate must be a whole number from 1"),
        ({"precision": "int8"}, "precision must be one of float32, bfloat16"),
        ({"augmentation": ["shear"]}, "augmentation must be a list of flips, rotations"),
        ({"validation": 1.0}, "validation must be a share from 0 to below 1"),
        ({"patience": 2}, "patience needs windows to watch"),
        ({"epoch": 1}, "no field 'epoch'; known: epochs"),
    ],
)
def test_nonsense_is_refused(fields, message):
    with pytest.raises(SpecError, match=message):
        FitSpec.from_dict(fields)


def test_accumulated_steps_are_one_large_step(windows):
    # Without batch normalisation, and with as many pixels in each step, the mean of gradients is the gradient.
    spec = dataclasses.replace(SPEC, batch_norm=False)
    whole = np.nan_to_num(windows.rates)
    windows = dataclasses.replace(windows, rates=whole, starts=windows.starts[:8])
    found = []
    for accumulate in (1, 4):
        fit = dataclasses.replace(FIT, epochs=2, batch_size=8 // accumulate, accumulate=accumulate, schedule="constant")
        model = convlstm_torch.build(spec)
        convlstm_torch.set_weights(model, initial_weights(spec, fit.seed))
        fit_torch.fit_model(model, windows, PREPARATION, fit)
        found.append(convlstm_torch.get_weights(model))
    for name, value in found[0].items():
        np.testing.assert_allclose(found[1][name], value, atol=1e-5, err_msg=name)


def test_half_the_bits_learn_nearly_the_same(windows):
    full, _ = torch_fit(windows, FIT)
    half, weights = torch_fit(windows, dataclasses.replace(FIT, precision="bfloat16"))
    assert half.losses != full.losses
    np.testing.assert_allclose(half.losses, full.losses, rtol=0.02)
    assert all(value.dtype == np.float32 for value in weights.values())


def test_the_loss_of_masked_csi_is_the_cross_entropy_and_what_the_index_lacks(windows):
    fit = dataclasses.replace(FIT, epochs=1, batch_size=len(windows), learning_rate=1e-9)
    batch = next(batches(windows, PREPARATION, fit))
    perfect = torch.nn.Module()
    perfect.weight = torch.nn.Parameter(torch.zeros(1))
    perfect.forward = lambda _: torch.from_numpy(batch.targets)[:, :, None] + 0 * perfect.weight
    loss = {
        kind: fit_torch.TorchLearner(perfect, dataclasses.replace(fit, loss=kind), PREPARATION).loss(batch)
        for kind in ("masked_bce", "masked_csi", "masked_mse", "masked_mse_csi", "masked_mse_half_csi")
    }
    counted = batch.mask.astype(bool)
    soft = []
    for lead in range(SPEC.frames):
        for rate in PREPARATION.to_model(np.float32([0.5, 1, 2])):
            target = batch.targets[:, lead][counted[:, lead]].astype(np.float64)
            ours, seen = 1 / (1 + np.exp(-(target - rate) / 0.05)), target >= rate
            soft.append((ours * seen).sum() / (ours + seen - ours * seen).sum())
    lacking = 1 - np.mean(soft)
    assert loss["masked_csi"] - loss["masked_bce"] == pytest.approx(lacking, abs=1e-4)
    assert loss["masked_mse_csi"] - loss["masked_mse"] == pytest.approx(0.1 * lacking, abs=1e-5)
    assert loss["masked_mse_half_csi"] - loss["masked_mse"] == pytest.approx(0.5 * lacking, abs=5e-5)


def test_training_shares_no_frame_with_validation(windows):
    training, validation = validation_split(windows, 0.2)
    assert len(validation) == 3
    assert set(validation.starts) <= set(windows.starts)
    assert training.times(len(training) - 1)[-1] < validation.times(0)[0]
    with pytest.raises(DataError, match=r"validation share of 0\.9 of 11 windows leaves none to learn from"):
        validation_split(windows, 0.9)


def test_fitting_stops_when_validation_gets_no_better_and_keeps_the_best(windows):
    fit = dataclasses.replace(FIT, epochs=30, learning_rate=0.3, schedule="constant", validation=0.2, patience=2)
    history, weights = torch_fit(windows, fit)
    losses = [epoch.validation_loss for epoch in history.epochs]
    best = int(np.argmin(losses))
    assert len(losses) == best + 3 < fit.epochs
    _, until_then = torch_fit(windows, dataclasses.replace(fit, epochs=best + 1, patience=None))
    for name, value in weights.items():
        np.testing.assert_array_equal(value, until_then[name], err_msg=name)
