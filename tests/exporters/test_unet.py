"""The second architecture goes through the routes that every architecture has, and is built anew by its weights."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from modelstac.catalog import open_catalog
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.items.validation import validate
from modelstac.catalog.items.writing import write_item
from modelstac.exporters.jobs import ExportJob, export
from modelstac.exporters.routes import NODES, ROUTES
from modelstac.registry.loading import load
from modelstac.training.architectures import unet_torch
from modelstac.training.data import Preparation
from modelstac.training.data.synthetic import generate
from modelstac.training.fitting.fit import FitSpec
from modelstac.training.jobs.job import TrainJob
from modelstac.training.jobs.train import train
from modelstac.training.unet import UNetSpec
from modelstac.training.variants.torch import save_module

SOURCE = "unet-1.0.0-torch"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unet")
    generate(folder / "rain", 20, seed=1, shape=(32, 32))
    spec = UNetSpec((3, 4), coarsen=2, reach=1, frames_in=2, frames_out=3, height=32, width=32, inflow="edge")
    preparation = Preparation(rows=None, columns=None, transform="log")
    job = TrainJob("torch", str(folder / "rain"), spec, FitSpec(epochs=1), preparation, name="unet")
    found = open_catalog(folder / "catalog", create=True)
    train(dataclasses.replace(job, first_test=12), found)
    return found


def test_every_format_can_be_reached(catalog):
    description = read_item(catalog.get(SOURCE))
    assert set(ROUTES.targets(description)) == set(NODES) - {"torch"}


def test_a_conversion_is_proved_published_and_loaded(catalog, workers):
    item = export(ExportJob(SOURCE, "onnx", "torch-export"), catalog, workers=workers)
    validate(item)
    assert [step["target_format"] for step in item.properties["interop:route"]] == ["torch-export", "onnx"]
    assert item.properties["interop:parity"]["passed"]
    x = np.random.default_rng(0).random((2, 2, 1, 32, 48), np.float32)
    ours, theirs = (load(name, catalog=catalog).predict(x) for name in (SOURCE, item.id))
    assert ours.shape == (2, 3, 1, 32, 48)
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-5)


def test_what_an_item_declares_holds_in_every_format(catalog, workers, tmp_path):
    """Weights under which the rain of all steps but the first grows beyond the range, in every format there is."""
    source = load(SOURCE, catalog=catalog).native
    spec = source.spec
    weights = unet_torch.get_weights(source)
    weights["change_1/bias"][:] = [-1.5, 1.5, 1.5]
    growing = unet_torch.build(spec)
    unet_torch.set_weights(growing, weights)
    description = read_item(catalog.get(SOURCE))
    save_module(growing, spec, tmp_path / "model.safetensors")
    changes = {
        "name": "growing",
        "artifact": tmp_path / "model.safetensors",
        "assets": {},
        "job": None,
        "checksum": None,
        "size": None,
    }
    catalog.publish(write_item(description.model_copy(update=changes)))
    x = np.random.default_rng(0).random((1, 2, 1, 32, 32), np.float32)
    for target in ("torch", "keras-tensorflow", "onnx", "torch-export"):
        item = "growing-1.0.0-torch"
        if target != "torch":
            item = export(ExportJob("growing-1.0.0-torch", target), catalog, workers=workers).id
        with load(item, catalog=catalog) as model:
            order = model.signature.inputs[0].dim_order
            found = model.predict(np.moveaxis(x, 2, -1) if order[2] != "variables" else x)
        found = found if order[2] == "variables" else np.moveaxis(found, -1, 2)
        assert (found[:, 0] == 0).all(), item
        assert (found[:, 1:] == 1).all(), item


def test_a_deep_network_is_traced_on_a_grid_that_it_takes(catalog, workers, tmp_path):
    generate(tmp_path / "rain", 20, seed=1, shape=(64, 64))
    spec = UNetSpec((2, 2, 2, 2), coarsen=4, reach=1, frames_in=2, frames_out=3, height=64, width=64, inflow="edge")
    preparation = Preparation(rows=None, columns=None, transform="log")
    job = TrainJob("torch", str(tmp_path / "rain"), spec, FitSpec(epochs=1), preparation, name="deep")
    train(dataclasses.replace(job, first_test=12), catalog)
    item = export(ExportJob("deep-1.0.0-torch", "torch-export"), catalog, workers=workers)
    assert item.properties["interop:parity"]["passed"]


def test_weights_come_back_from_keras_as_they_were(catalog, workers):
    there = export(ExportJob(SOURCE, "keras-tensorflow"), catalog, workers=workers)
    assert there.properties["interop:parity"]["passed"]
    back = export(ExportJob(there.id, "torch"), catalog, workers=workers)
    ours, theirs = (load(name, catalog=catalog).native.state_dict() for name in (SOURCE, back.id))
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        np.testing.assert_array_equal(theirs[name].numpy(), tensor.numpy(), err_msg=name)
