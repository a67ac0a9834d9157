"""Equal runs are equal to the byte, and an item says what they were computed with."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from modelstac.catalog import open_catalog
from modelstac.catalog.errors import SpecError
from modelstac.training.data import Preparation
from modelstac.training.fitting.devices_torch import settings
from modelstac.training.fitting.execution import Execution
from modelstac.training.fitting.fit import FitSpec
from modelstac.training.jobs.job import TrainJob
from modelstac.training.jobs.train import train
from modelstac.training.unet import UNetSpec
from modelstac.training.variants.same_bytes import same_bytes

SPEC = UNetSpec((2, 3), coarsen=2, reach=1, frames_in=2, frames_out=2, height=32, width=32, inflow="edge")


@pytest.fixture
def job(rain_folder):
    preparation = Preparation(rows=(0, 32), columns=(0, 32), transform="log")
    return TrainJob("torch", str(rain_folder), SPEC, FitSpec(epochs=1), preparation, name="rain", first_test=30)


def test_an_item_says_what_its_model_was_computed_with(job, tmp_path):
    threads = torch.get_num_threads()
    item = train(job, open_catalog(tmp_path / "catalog", create=True), execution=Execution("cpu", threads=1))
    computed = item.properties["mlm:hyperparameters"]["computed"]
    assert {name: computed[name] for name in ("device", "threads", "tf32", "deterministic")} == {
        "device": "cpu",
        "threads": 1,
        "tf32": False,
        "deterministic": False,
    }
    assert computed["libraries"]["torch"] == torch.__version__
    assert computed["libraries"]["numpy"] == np.__version__
    assert torch.get_num_threads() == threads, "the process goes on as before"


def test_the_same_threads_give_the_same_bytes(job, tmp_path):
    files = []
    for name in ("first", "second"):
        item = train(job, open_catalog(tmp_path / name, create=True), execution=Execution("cpu", deterministic=True))
        files.append(Path(item.get_self_href()).parent / Path(item.assets["model"].href).name)
    one, other = (path.read_bytes() for path in files)
    assert one == other


def test_settings_are_those_that_were_asked_for_and_then_as_before():
    before = torch.get_num_threads(), torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    with settings(Execution(threads=3, deterministic=True)):
        assert (torch.get_num_threads(), torch.backends.cudnn.allow_tf32) == (3, False)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_float32_matmul_precision() == "highest"
    with settings(Execution(threads=1, tf32=True)):
        assert (torch.get_num_threads(), torch.backends.cudnn.allow_tf32) == (1, True)
        assert not torch.are_deterministic_algorithms_enabled()
    assert before == (torch.get_num_threads(), torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision())


@pytest.mark.parametrize("threads", [0, 2.0, True, 10**6])
def test_threads_without_sense_are_refused(threads):
    with pytest.raises(SpecError, match="threads must be a whole number from 1 to 1024"):
        Execution(threads=threads)


def test_the_archive_of_keras_names_no_time(tmp_path):
    files = []
    for year in (2024, 2025):
        path = tmp_path / f"{year}.keras"
        with zipfile.ZipFile(path, "w") as archive:
            said = {"keras_version": "3.15.1", "date_saved": f"{year}-07-01@12:00:00"}
            for name, content in (("metadata.json", json.dumps(said)), ("config.json", "{}"), ("w.h5", "weights")):
                archive.writestr(zipfile.ZipInfo(name, (year, 7, 1, 12, 0, 0)), content)
        same_bytes(path)
        files.append(path)
    assert files[0].read_bytes() == files[1].read_bytes()
    with zipfile.ZipFile(files[0]) as archive:
        assert archive.read("w.h5") == b"weights"
        assert json.loads(archive.read("metadata.json"))["keras_version"] == "3.15.1"


def test_equal_runs_of_keras_give_equal_files(job, tmp_path):
    from importlib import util

    spec = util.spec_from_file_location("keras_process", Path(__file__).with_name("keras_process.py"))
    keras_process = util.module_from_spec(spec)
    spec.loader.exec_module(keras_process)
    (tmp_path / "job.json").write_text(dataclasses.replace(job, variant="keras-torch").to_json())
    program, files = Path(__file__).with_name("train_process.py"), []
    for seed in ("1", "2"):  # of Python's hashes
        output = tmp_path / seed
        keras_process.run("torch", tmp_path / "job.json", output, program=program, PYTHONHASHSEED=seed)
        files += sorted(output.rglob("*.keras"))
    assert files[0].read_bytes() == files[1].read_bytes()
