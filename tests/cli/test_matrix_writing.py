"""Environments that save models anew: gigabytes and minutes, so ``pytest -m slow tests/cli/test_matrix_writing.py``."""

import json

import numpy as np
import pytest

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.errors import ModelStacError
from modelstac.training.data.synthetic import generate
from modelstac.training.fitting.fit import FitSpec
from modelstac.training.jobs.job import TrainJob
from modelstac.training.jobs.train import train

ENVIRONMENTS = """\
[[environment]]
name = "TF-2.19"
packages = ["keras==3.10.0", "tensorflow==2.19.1", "h5py==3.14.0", "numpy==2.1.3"]
trusted = ["keras==3.10.0"]
writes = ["keras-tensorflow", "saved-model"]

[[environment]]
name = "TF-2.21"
packages = ["keras==3.15.1", "tensorflow==2.21.0", "h5py==3.14.0", "numpy==2.1.3"]
writes = ["keras-tensorflow"]
"""
WRITTEN = {"keras-tensorflow-by-tf-2-19", "saved-model-by-tf-2-19", "keras-tensorflow-by-tf-2-21"}


@pytest.mark.slow
@pytest.mark.usefixtures("_package_index")
def test_every_environment_reads_what_every_other_one_wrote(modelstac_command, tmp_path):
    generate(tmp_path / "frames", 40, seed=1)
    catalog = open_catalog(tmp_path / "catalog", create=True)
    job = TrainJob.from_preset("tiny", variant="torch", data=str(tmp_path / "frames"), fit=FitSpec(epochs=1))
    source = train(job, catalog)
    (tmp_path / "environments.toml").write_text(ENVIRONMENTS)
    done = modelstac_command(
        "matrix", "-c", tmp_path / "catalog", "--environments", tmp_path / "environments.toml", "--json", "--evidence",
        "--work", tmp_path / "work", "--data", tmp_path / "frames", "--write", source.id, "--jobs", "2",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {(one["item"].split("1.0.0-")[1], one["name"].rpartition("-in-")[2]): one["result"]
             for one in json.loads(done.stdout)}  # fmt: skip
    assert {item for item, _ in found} == WRITTEN | {"torch"}
    for item in WRITTEN:
        for environment in ("TF-2.19", "TF-2.21"):
            cell = found[item, environment]
            assert cell["agrees"], (item, environment, cell)
            assert cell["compared_with"] == "writer"
    old = catalog.get(f"{source.id.removesuffix('torch')}keras-tensorflow-by-tf-2-19")
    assert old.properties["mlm:framework_version"] == "3.10.0"
    assert old.properties["interop:backend_version"] == "2.19.1"
    assert old.properties["interop:route"][-1]["method"] == "saved in TF-2.19"
    verified = catalog.search(runs_with=("tensorflow 2.21", "keras 3.15"), runs_within=1e-5)
    assert {item.id.split("1.0.0-")[1] for item in verified} > WRITTEN
    # Its own environment has known holes: whoever loads it there must say so.
    with pytest.raises(ModelStacError, match="known holes"):
        modelstac.load(old, isolated=True)
    with modelstac.load(verified[0], catalog=catalog) as model:
        shape = [1 if size == -1 else size for size in model.signature.inputs[0].shape]
        assert np.isfinite(model.predict(np.zeros(shape, np.float32))).all()
