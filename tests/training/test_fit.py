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

from modelstac.catalog.errors import SpecError, TrainingError
from modelstac.catalog.messages import Advanced, Finished, Started
from modelstac.training import fit_torch
from modelstac.training.architectures import convlstm_torch
from modelstac.training.data import Preparation, Windows, make_windows, read_frames
from modelstac.training.fit import FitSpec, batches
from modelstac.training.spec import ConvLSTMSpec
from modelstac.training.weights import initial_weights

_spec = importlib.util.spec_from_file_location("keras_process", Path(__file__).with_name("keras_process.py"))
keras_process = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(keras_process)

SPEC = ConvLSTMSpec(filters=(4, 3), kernels=(3, 3), frames=3, height=12, width=10)
PREPARATION = Preparation(rows=None, columns=None, coarsen=4, scale=10.0)
FIT = FitSpec(epochs=3, batch_size=4, learning_rate=0.01, seed=5)
FITS = {
    "adam": FIT,
    "mse": dataclasses.replace(FIT, loss="masked_mse", schedule="constant", clip_norm=None),
    "adadelta": dataclasses.replace(FIT, optimizer="adadelta", learning_rate=1.0, clip_norm=0.1),
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
    start = initial_weights(SPEC, FITS[case].seed)
    moved = max(np.abs(weights[name] - start[name]).max() for name in weights)
    for name, value in weights.items():
        difference = np.abs(value - np.array(keras["weights"][name], np.float32)).max()
        assert difference < 0.02 * moved, name  # rounding grows through the steps; another optimiser would be far off


@pytest.mark.parametrize("case", FITS)
def test_keras_gives_the_same_twice(keras_runs, case):
    first, second = keras_runs[case]
    assert first == second


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


def test_progress_is_reported(windows):
    messages = []
    torch_fit(windows, FIT, report=messages.append)
    steps = FIT.epochs * FIT.steps(len(windows))
    assert messages[0] == Started("train", steps)
    assert messages[-1] == Finished("train")
    assert sum(m.steps for m in messages if isinstance(m, Advanced)) == steps
    assert "epoch 3/3, loss 0." in messages[-2].note


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
        ({"epoch": 1}, "no field 'epoch'; known: epochs"),
    ],
)
def test_nonsense_is_refused(fields, message):
    with pytest.raises(SpecError, match=message):
        FitSpec.from_dict(fields)
