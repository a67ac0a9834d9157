"""Checkpoints: a run that was killed ends with the weights of one that was not, to the last bit."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import modelstac
from modelstac.catalog.errors import IntegrityError, SpecError, StorageError, TrainingError
from modelstac.catalog.messages import Measured, Note, ignore
from modelstac.training.architectures import convlstm_torch
from modelstac.training.data import Preparation, Windows, make_windows, read_frames
from modelstac.training.fitting import fit_torch
from modelstac.training.fitting.checkpoints import NO_CHECKPOINTS, Checkpoints
from modelstac.training.fitting.fit import FitSpec
from modelstac.training.spec import ConvLSTMSpec
from modelstac.training.weights import initial_weights

SPEC = ConvLSTMSpec(filters=(4, 3), kernels=(3, 3), frames=3, height=12, width=10)
PREPARATION = Preparation(rows=None, columns=None, coarsen=4, scale=10.0)
FITS = {
    "adam": FitSpec(epochs=2, batch_size=4, seed=5),
    "adadelta": FitSpec(epochs=2, batch_size=2, accumulate=2, optimizer="adadelta", augmentation=("flips",), seed=5),
    "validated": FitSpec(epochs=4, batch_size=4, learning_rate=0.3, validation=0.2, patience=1, seed=5),
}


class InterruptionError(Exception):
    """Stands for a kill between two steps."""


@pytest.fixture(scope="module")
def windows(rain_folder) -> Windows:
    ds = PREPARATION.apply(read_frames(rain_folder).isel(time=slice(0, 14)))
    return make_windows(ds, SPEC.frames, SPEC.frames)


def fitted(windows, fit, checkpoints=NO_CHECKPOINTS, report=ignore, spec=SPEC):
    model = convlstm_torch.build(spec)
    convlstm_torch.set_weights(model, initial_weights(spec, fit.seed))
    history = fit_torch.fit_model(model, windows, PREPARATION, fit, checkpoints=checkpoints, report=report)
    return history, convlstm_torch.get_weights(model)


def assert_equal(found, expected):
    assert found[0] == expected[0]
    for name, value in expected[1].items():
        np.testing.assert_array_equal(found[1][name], value, err_msg=name)


@pytest.mark.parametrize("case", FITS)
def test_a_run_interrupted_after_every_step_ends_as_an_undisturbed_one(windows, tmp_path, case):
    fit = FITS[case]
    messages = []
    expected = fitted(windows, fit, report=messages.append)
    total = sum("loss" in m.values for m in messages if isinstance(m, Measured))
    checkpoints = Checkpoints(tmp_path, key="run", steps=1)
    seen = []

    def interrupt(message):
        # Validation is measured after the step; the checkpoint comes after both, so stop at the step that follows.
        if isinstance(message, Measured) and "loss" in message.values:
            seen.append(message.step)
            if seen[-1] % fit.accumulate == 1 % fit.accumulate and len(seen) > fit.accumulate:
                raise InterruptionError

    interruptions = 0
    while True:
        seen.clear()
        try:
            found = fitted(windows, fit, checkpoints, report=interrupt)
        except InterruptionError:
            interruptions += 1
            continue
        break
    assert interruptions == (total - 1) // fit.accumulate
    assert_equal(found, expected)


def test_nothing_is_left_undone_or_done_twice_after_the_last_step(windows, tmp_path):
    fit = FITS["adam"]
    checkpoints = Checkpoints(tmp_path, key="run", steps=1)
    expected = fitted(windows, fit, checkpoints)
    messages = []
    assert_equal(fitted(windows, fit, checkpoints, report=messages.append), expected)
    assert not [message for message in messages if isinstance(message, Measured)]
    assert [message.text for message in messages if isinstance(message, Note)] == [
        f"going on after step 6, from {tmp_path / 'checkpoint.npz'}"
    ]
    checkpoints.clear()
    assert not tmp_path.exists()


def run_until_killed(windows, folder: Path, kills: int) -> None:
    """Start the run again and again, kill it at a random moment after a checkpoint, let the last one end."""
    given, target, place = folder / "given.npz", folder / "found.npz", folder / "checkpoints"
    fit = dataclasses.replace(FITS["validated"], epochs=120, patience=None, validation=0.2)
    fields = {"rates": windows.rates, "time": windows.time, "starts": windows.starts, "scale": PREPARATION.scale}
    np.savez(given, spec=json.dumps(SPEC.to_dict()), fit=json.dumps(fit.to_dict()), **fields)
    command = [sys.executable, str(Path(__file__).with_name("fit_process.py")), str(given), str(place), str(target)]
    environment = os.environ | {"PYTHONPATH": str(Path(modelstac.__file__).parent.parent)}
    chance = random.Random(7)
    killed = 0
    for _ in range(kills):
        before = (place / "checkpoint.npz").stat().st_ino if killed else None
        with subprocess.Popen(command, env=environment) as process:
            while process.poll() is None and (
                not (place / "checkpoint.npz").exists() or (place / "checkpoint.npz").stat().st_ino == before
            ):
                time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.02))
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                killed += 1
    assert killed == kills, "the runs ended before they were killed: give them more steps"
    subprocess.run(command, env=environment, check=True, timeout=120)
    history, weights = fitted(windows, fit)
    found = dict(np.load(target))
    assert str(found.pop("history")) == history.to_json()
    assert_equal((history, found), (history, weights))


def test_killed_runs_end_with_equal_weights(windows, tmp_path):
    run_until_killed(windows, tmp_path, kills=2)


@pytest.mark.slow
def test_runs_killed_at_twenty_points_end_with_equal_weights(windows, tmp_path):
    run_until_killed(windows, tmp_path, kills=20)


def test_a_loss_that_is_not_finite_keeps_the_last_good_checkpoint(windows, tmp_path):
    fit = dataclasses.replace(FITS["adam"], learning_rate=1e30, clip_norm=None)
    checkpoints = Checkpoints(tmp_path, key="run", steps=1)
    with pytest.raises(TrainingError, match=r"loss is .* in epoch 1, step \d"):
        fitted(windows, fit, checkpoints, spec=dataclasses.replace(SPEC, cell_activation="linear"))
    kept = checkpoints.load()
    assert kept is not None
    assert kept.step >= 1
    assert all(np.isfinite(epoch["epoch"]["loss"]) for epoch in kept.history)


def test_a_checkpoint_of_another_run_is_refused(windows, tmp_path):
    fitted(windows, FITS["adam"], Checkpoints(tmp_path, key="one", steps=1))
    with pytest.raises(SpecError, match=r"the checkpoint of another run \(one, not other\)"):
        fitted(windows, FITS["adam"], Checkpoints(tmp_path, key="other", steps=1))


@pytest.mark.parametrize(
    "damage", [lambda content: content[: len(content) // 2], lambda _: b"", lambda _: b"PK no zip"]
)
def test_a_damaged_checkpoint_is_refused_and_kept(windows, tmp_path, damage):
    checkpoints = Checkpoints(tmp_path, key="run", steps=1)
    fitted(windows, FITS["adam"], checkpoints)
    damaged = damage(checkpoints.path.read_bytes())
    checkpoints.path.write_bytes(damaged)
    with pytest.raises(IntegrityError, match=r"checkpoint\.npz is no whole checkpoint .* remove it to begin anew"):
        fitted(windows, FITS["adam"], checkpoints)
    assert checkpoints.path.read_bytes() == damaged


def test_a_checkpoint_with_a_pickle_is_not_opened(tmp_path):
    class Canary:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "canary",))

    checkpoints = Checkpoints(tmp_path / "place", key="run", steps=1)
    checkpoints.path.parent.mkdir()
    np.savez(checkpoints.path, meta=np.array([Canary()], dtype=object))
    with pytest.raises(IntegrityError, match="no whole checkpoint"):
        checkpoints.load()
    assert not (tmp_path / "canary").exists()


def test_a_place_that_cannot_be_written_is_named(windows, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StorageError, match=r"cannot (write|read) .*file"):
        fitted(windows, FITS["adam"], Checkpoints(tmp_path / "file" / "below", key="run", steps=1))


def test_a_full_disk_is_said_and_the_checkpoint_before_stays(windows, tmp_path):
    """As a limit on the size of files, which fails a write half way as a full disk does."""
    checkpoints = Checkpoints(tmp_path, key="run", steps=1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept = []

    def fill(message):
        if isinstance(message, Measured) and message.step == 3:
            kept.append(checkpoints.path.read_bytes())
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(kept[0]) // 2, before[1]))

    try:
        with pytest.raises(StorageError, match=r"cannot write the checkpoint .*checkpoint\.npz") as error:
            fitted(windows, FITS["adam"], checkpoints, report=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.npz"]
    assert checkpoints.path.read_bytes() == kept[0]
    assert checkpoints.load().step == 2
    assert_equal(fitted(windows, FITS["adam"], checkpoints), fitted(windows, FITS["adam"]))


def test_checkpoints_count_changes_of_the_weights(windows, tmp_path):
    fit = FITS["adadelta"]  # two steps a change
    checkpoints = Checkpoints(tmp_path, key="run", minutes=None, steps=2)
    found = []

    def look(message):
        if isinstance(message, Measured) and checkpoints.path.exists():
            found.append(checkpoints.load().step)

    fitted(windows, fit, checkpoints, report=look)
    assert sorted(set(found))[:2] == [4, 8]


def test_checkpoints_come_by_time(windows, tmp_path):
    checkpoints = Checkpoints(tmp_path, key="run", minutes=1e-9)
    fitted(windows, FITS["adam"], checkpoints)
    assert checkpoints.load().step == 6
    fitted(windows, FITS["adam"], Checkpoints(tmp_path / "later", key="run", minutes=60))
    assert not (tmp_path / "later").exists()


@pytest.mark.parametrize("fields", [{"minutes": 0}, {"steps": -1}])
def test_nonsense_is_refused(fields):
    with pytest.raises(SpecError, match="give a number above 0"):
        Checkpoints(Path("anywhere"), **fields)
