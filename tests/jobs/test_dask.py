"""Jobs on a Dask cluster of real processes."""

import sys
import threading

import pytest
from tests.dask_cluster import cluster, wait_for

from modelstac.catalog.errors import CannotRunError, MissingPackageError, UnavailableError
from modelstac.jobs.dask_pool import DaskPool
from modelstac.jobs.run import run


def test_workers_that_die_are_not_missed_until_none_is_left(make, runs, tmp_path):
    gpu = make("gpu", resources={"GPU": 1}, environment={"MODELSTAC_DEVICE": "cuda"})
    moved = make("moved", gpu, how=["hang"], timeout=120)
    last = make("last", moved, how=["hang"], timeout=120)
    jobs = [gpu, moved, last]
    with cluster(tmp_path, plain="", gpu="GPU=1") as dask, DaskPool(dask.address, patience=2) as pool:
        pool.require_workers(jobs)
        with pytest.raises(CannotRunError, match=r"has no worker with GPU=2: start one .* --resources 'GPU=1'"):
            pool.require_workers([make("two", resources={"GPU": 2})])

        def kill():
            for job in (moved, last):
                wait_for(lambda job=job: runs(job) == 1)
                worker = int((job.folder / "runs.txt").read_text().split()[1])
                next(process for process in dask.workers.values() if process.pid == worker).kill()

        killer = threading.Thread(target=kill)
        killer.start()
        outcomes = {one.job.name: one for one in run(jobs, pool, retries=0)}
        killer.join()
    assert outcomes["gpu"].result == {"value": 1, "parent": dask.workers["gpu"].pid, "device": "cuda"}
    assert outcomes["moved"].state == "done"
    began, ended = [int(line.split()[1]) for line in (moved.folder / "runs.txt").read_text().splitlines()]
    assert {began, ended} == {process.pid for process in dask.workers.values()}
    assert outcomes["last"].state == "failed"
    assert "has no worker" in outcomes["last"].reason


def test_no_scheduler_is_said_in_one_line():
    with pytest.raises(UnavailableError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9 \(.*\): check"):
        DaskPool("tcp://127.0.0.1:9", patience=0.5)
    with pytest.raises(UnavailableError, match="no Dask scheduler answers at nonsense"):
        DaskPool("nonsense://x", patience=0.5)


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingPackageError, match=r"needs Dask, .*: pip install 'modelstac\[dask\]'"):
        DaskPool("tcp://127.0.0.1:9")
