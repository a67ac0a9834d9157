"""A model sent to other processes is loaded there, verified, once."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import distributed
import numpy as np
import onnx
import pystac
import pytest
import xarray as xr
from onnx import TensorProto, helper, numpy_helper

import modelstac
from modelstac.catalog.errors import IntegrityError, ModelStacError
from modelstac.registry import Model, TrustPolicy
from modelstac.registry.isolated import reopening
from modelstac.registry.runtimes.opened import Opened


@pytest.fixture
def model(tmp_path: Path, make_item: Callable[..., pystac.Item]) -> Model:
    """Multiplies by two, whatever the batch."""
    layout = ["batch", 4, 1, 6, 5]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, layout) for name in ("frames", "forecast"))
    weight = [numpy_helper.from_array(np.float32(2), "w")]
    graph = helper.make_graph([helper.make_node("Mul", ["frames", "w"], ["forecast"])], "g", [x], [y], weight)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(made, tmp_path / "model.onnx")
    return modelstac.load(make_item(tmp_path / "model.onnx", "onnx"), threads=1)


@pytest.fixture(autouse=True)
def _nothing_is_open() -> None:
    reopening._open.clear()


def opened() -> tuple[int, int]:
    return os.getpid(), len(reopening._open)


def test_workers_load_the_model_themselves(model: Model, tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((6, 4, 6, 5), np.float32)
    batch = xr.DataArray(values, dims=("batch", "time", "y", "x")).chunk(batch=1)
    expected = model.predict(batch.compute())
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", local_directory=str(tmp_path)
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        found = model.predict(batch).compute()
        there = client.run(opened).values()
    xr.testing.assert_allclose(found, expected)
    assert opened() == (os.getpid(), 0)
    assert os.getpid() not in {process for process, _ in there}
    assert max(number for _, number in there) == 1  # many blocks, one load


def test_what_arrives_is_the_same_file_under_the_same_policy(
    tmp_path: Path, model: Model, make_item: Callable[..., pystac.Item]
) -> None:
    sent = pickle.dumps(model)
    assert len(sent) < 20_000  # no weights
    again = pickle.loads(pickle.dumps(pickle.loads(sent)))
    assert opened() == (os.getpid(), 0)  # a scheduler unpacks it too, and need not have the framework
    ones = np.ones((1, 4, 1, 6, 5), np.float32)
    np.testing.assert_array_equal(again.predict(ones), 2 * ones)
    assert type(again.native) is type(model.native)
    reopening._open.clear()
    (tmp_path / "model.onnx").write_bytes(b"something else")
    with pytest.raises(IntegrityError):
        pickle.loads(sent).predict(ones)
    model.close()
    with pytest.raises(ModelStacError, match="closed"):
        pickle.dumps(model)


def test_the_policy_goes_with_it(model: Model) -> None:
    strict = modelstac.load(model.item, policy=TrustPolicy(max_bytes=1 << 20), threads=2)
    _, (recipe,) = strict.reopen()
    assert (recipe.policy.max_bytes, recipe.options.threads) == (1 << 20, 2)
    with pytest.raises(ModelStacError, match=r"not made by modelstac\.load"):
        pickle.dumps(Model(model.item, model.description, Opened(None, dict, ("x",), ("x",))))
