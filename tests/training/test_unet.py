"""The second architecture: what it computes, and that a training job takes it from frames to a published forecast."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from modelstac.catalog import open_catalog
from modelstac.catalog.errors import SpecError, TrainingError
from modelstac.registry.loading import load
from modelstac.training.architecture import ARCHITECTURES, architecture_of, find_architecture, read_spec, while_training
from modelstac.training.architectures import unet_torch
from modelstac.training.data import Preparation, make_windows, read_frames
from modelstac.training.jobs.describe import require_declared_range
from modelstac.training.jobs.job import TrainJob
from modelstac.training.jobs.recipes import preset
from modelstac.training.jobs.train import train
from modelstac.training.scoring.held_out import evaluate
from modelstac.training.unet import UNetSpec, initial_weights, weight_shapes

_spec = importlib.util.spec_from_file_location("keras_process", Path(__file__).with_name("keras_process.py"))
keras_process = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(keras_process)

SPEC = UNetSpec((3, 4), coarsen=2, reach=2, frames_in=2, frames_out=5, height=24, width=32)


def moving_by(spec, right, down):
    """Give weights that say everywhere that rain moves by so many blocks, and changes by nothing."""
    weights = initial_weights(spec, 0)
    for name, (axis, blocks) in {"motion_x": ("x", right), "motion_y": ("y", down)}.items():
        weights[f"{name}/kernel"][:] = 0
        weights[f"{name}/bias"][spec.reach - blocks] = 100
        assert axis in name
    weights["change_1/kernel"][:] = 0
    return weights


@pytest.mark.parametrize("inflow", ["dry", "edge"])
def test_rain_moves_by_as_much_in_every_step_and_what_moves_in_is_dry_or_as_the_edge(inflow):
    model = unet_torch.build(dataclasses.replace(SPEC, inflow=inflow))
    unet_torch.set_weights(model, moving_by(SPEC, right=2, down=-1))
    frames = torch.rand(1, 2, 1, 24, 32)
    with torch.no_grad():
        forecast = model(frames)[0, :, 0]
    blocks = torch.nn.functional.avg_pool2d(frames[0, -1], 2)[0]
    for step in range(1, 6):
        expected = torch.zeros(12, 16)
        if inflow == "edge":
            rows, columns = (torch.arange(12) + step).clamp(max=11), (torch.arange(16) - 2 * step).clamp(min=0)
            expected = blocks[rows][:, columns]
        expected[: 12 - step, 2 * step :] = blocks[step:, : 16 - 2 * step]
        pixels = torch.nn.functional.interpolate(expected[None, None], scale_factor=2.0, mode="bilinear")[0, 0]
        torch.testing.assert_close(forecast[step - 1], pixels, rtol=0, atol=1e-6)


def growing(spec):
    """Give weights under which every step adds as much rain again as the range holds."""
    weights = moving_by(spec, right=0, down=0)
    weights["change_1/bias"][:] = 1.5
    weights["change_1/bias"][0] = -1.5
    return weights


def test_what_an_item_declares_holds_however_the_rain_grows():
    model = unet_torch.build(SPEC)
    unet_torch.set_weights(model, growing(SPEC))
    with torch.no_grad():
        forecast = model(torch.rand(1, 2, 1, 24, 32))
    assert (forecast[0, 0] == 0).all()
    assert (forecast[0, 1:] == 1).all()


def test_a_model_that_leaves_the_range_of_its_item_is_not_published(rain_folder):
    preparation = Preparation(rows=(0, 32), columns=(0, 32), transform="log")
    windows = make_windows(preparation.apply(read_frames(rain_folder)).isel(time=slice(0, 8)), 4, 3)
    for factor, values in ((3.0, r"from [\d.]+ to [1-3]\.\d+"), (-1.0, r"from -[\d.]+ to -[\d.]+")):
        found = evaluate(lambda x, by=factor: np.repeat(x[:, -1:] * by, 3, axis=1), windows, preparation)
        with pytest.raises(TrainingError, match=f"rain-1.0.0-torch gives values {values} .* would declare 0 to 1"):
            require_declared_range(found, "rain-1.0.0-torch")
    require_declared_range(evaluate(lambda x: np.repeat(x[:, -1:], 3, axis=1), windows, preparation), "rain")


def test_the_weights_come_from_the_seed_alone_and_have_the_shapes_stated():
    one, same, other = (initial_weights(SPEC, seed) for seed in (1, 1, 2))
    assert {name: value.shape for name, value in one.items()} == weight_shapes(SPEC)
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not np.array_equal(one["down_0_0/kernel"], other["down_0_0/kernel"])
    assert sum(p.numel() for p in unet_torch.build(SPEC).parameters()) == SPEC.parameters


def test_training_may_begin_from_rain_that_stays():
    frames = torch.from_numpy(np.random.default_rng(0).random((1, 2, 1, 24, 32), np.float32))
    blocks = torch.nn.functional.avg_pool2d(frames[:, -1], SPEC.coarsen)
    apart = []
    for stay in (0, 4, 10):
        spec = dataclasses.replace(SPEC, stay=stay)
        module = unet_torch.build(spec)
        unet_torch.set_weights(module, initial_weights(spec, 0))
        with torch.inference_mode():
            found = torch.nn.functional.avg_pool2d(module(frames)[0, -1], SPEC.coarsen)
        apart.append(float((found - blocks[0]).abs().mean()))
    assert apart[0] > 2 * apart[1] > 2 * apart[2]
    assert read_spec(json.loads(json.dumps(spec.to_dict()))) == spec
    assert "stay" not in SPEC.to_dict(), "jobs from before there was such are the same jobs"


def test_heavy_rain_is_damped_by_what_is_left_out_in_training():
    spec = dataclasses.replace(SPEC, damping=(0.2, 0.25))
    weights = initial_weights(spec, 0)
    frames = np.random.default_rng(0).random((1, 2, 1, 24, 32), np.float32)
    found = []
    for one in (spec, while_training(spec)):
        module = unet_torch.build(one)
        unet_torch.set_weights(module, weights)
        with torch.inference_mode():
            found.append(module(torch.from_numpy(frames)).numpy())
    damped, whole = found
    assert whole.max() > 0.4
    np.testing.assert_allclose(damped, np.where(whole > 0.2, 0.2 + 0.25 * (whole - 0.2), whole), atol=1e-6)
    assert read_spec(json.loads(json.dumps(spec.to_dict()))) == spec
    assert "damping" not in SPEC.to_dict()


def test_a_specification_is_read_back_by_the_name_of_its_network():
    for name in ("tiny", "small", "nowcast"):
        spec = preset(name)
        assert read_spec(json.loads(json.dumps(spec.to_dict()))) == spec
    assert architecture_of(SPEC) is find_architecture("U-Net") is ARCHITECTURES["U-Net"]
    with pytest.raises(SpecError, match="no architecture 'Transformer': choose one of ConvLSTM, U-Net"):
        read_spec({"network": "Transformer"})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"filters": [4]}, "at least two levels"),
        ({"filters": [4, 0]}, "positive integers"),
        ({"filters": [4, 4], "reach": 0}, "reach must be positive"),
        ({"filters": [4, 4], "height": 100, "coarsen": 3}, "height is 100: .* takes multiples of 6"),
        ({"filters": [4, 4], "inflow": "wet"}, "inflow must be one of dry, edge"),
        ({"filters": [4, 4], "leaky_slope": 1}, "leaky_slope must be a number from 0 to below 1"),
        ({"filters": [4, 4], "stay": -1}, "stay must be a number from 0 to 10"),
        ({"filters": [4, 4], "damping": [0.5]}, "damping must be a value and a share, both between 0 and 1"),
        ({"filters": [4, 4], "damping": [0.5, 1.5]}, "damping must be a value and a share"),
        ({"filters": [4, 4], "kernels": [3]}, "no field 'kernels'"),
        ({}, "needs the field 'filters'"),
    ],
)
def test_a_specification_without_sense_is_refused(fields, message):
    with pytest.raises(SpecError, match=message):
        UNetSpec.from_dict(fields)


@pytest.fixture(scope="module")
def trained(rain_folder, tmp_path_factory):
    """Train the preset on little: 32 x 32 pixels of generated rain, fewer frames, one epoch."""
    catalog = open_catalog(tmp_path_factory.mktemp("catalog"), create=True)
    job = TrainJob.from_preset("small", variant="torch", data=rain_folder, first_test=26)
    job = dataclasses.replace(
        job,
        architecture=dataclasses.replace(job.architecture, frames_out=6, height=32, width=32),
        fit=dataclasses.replace(job.fit, epochs=1),
        preparation=Preparation(rows=(0, 32), columns=(0, 32), transform="log"),
    )
    return job, catalog, train(job, catalog)


def test_the_preset_goes_from_frames_to_a_published_model_that_computes_what_its_scores_say(trained):
    job, catalog, item = trained
    assert item.id == "unet-knmi-1.0.0-torch"
    assert item.properties["mlm:architecture"] == "U-Net"
    model = load(item.id, catalog=catalog)
    assert str(model.signature.inputs[0].shape) == "(-1, 4, 1, -1, -1)"
    assert str(model.signature.outputs[0].shape) == "(-1, 6, 1, -1, -1)"
    _, held_out = job.split(job.preparation.apply(read_frames(job.data)))
    assert (len(held_out), held_out.frames_in, held_out.frames_out) == (5, 4, 6)
    found = evaluate(lambda x: model.predict(x[:, :, None])[:, :, 0], held_out, job.preparation)
    for name, value in found.summary().items():
        assert item.properties["interop:scores"][name] == pytest.approx(value, abs=1e-5), name
    assert found.model.pooled_rmse < found.persistence.pooled_rmse  # generated rain moves, and this is built to move it


def test_keras_learns_the_same_as_torch(trained, tmp_path):
    job, _, item = trained
    (tmp_path / "job.json").write_text(dataclasses.replace(job, variant="keras-tensorflow").to_json())
    program = Path(__file__).with_name("train_process.py")
    output = keras_process.run("tensorflow", tmp_path / "job.json", tmp_path / "catalog", program=program)
    scores = json.loads(output.splitlines()[-1])["scores"]
    for name, value in item.properties["interop:scores"].items():
        if "rmse" in name or "mae" in name:
            assert scores[name] == pytest.approx(value, abs=2e-4), name
    loaded = open_catalog(tmp_path / "catalog").get("unet-knmi-1.0.0-keras-tensorflow")
    assert loaded.properties["mlm:input"][0]["input"]["shape"] == [-1, 4, 32, 32, 1]
    assert loaded.properties["mlm:output"][0]["result"]["shape"] == [-1, 6, 32, 32, 1]
