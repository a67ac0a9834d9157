"""A grid runs as jobs: by files of jobs, in this process's children, and on a cluster whose worker is killed."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.dask_cluster import cluster, wait_for

from modelstac.catalog import open_catalog
from modelstac.cli import main
from modelstac.jobs.pools import LocalPool
from modelstac.jobs.run import run
from modelstac.pipeline.plan import plan
from modelstac.pipeline.spec import load


@pytest.fixture
def pipeline(capfd, monkeypatch):
    """Return a function that runs ``modelstac pipeline`` in this process."""
    monkeypatch.delenv("MODELSTAC_CATALOG", raising=False)

    def run(*arguments):
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main(["pipeline", *map(str, arguments)], prog_name="modelstac")
        return subprocess.CompletedProcess([], end.value.code, *capfd.readouterr())

    return run


def checksum(folder, item_id):
    return open_catalog(folder).get(item_id).assets["model"].extra_fields["file:checksum"]


def test_the_same_grid_anywhere_gives_the_same_models(grid, pipeline, tmp_path):
    # Many steps, so that there is time to kill; a checkpoint after every one of them.
    path = grid(("epochs: 2", "epochs: 15"), more="score: true\ncheckpoint_every: 0.001s\n")
    folder = tmp_path / "jobs"
    assert pipeline(path, "--write-jobs", folder).returncode == 0
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for entry in json.loads((folder / "order.json").read_text()):
        command = [sys.executable, "-m", "modelstac.job", folder / entry["file"]]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "result" in json.loads(done.stdout)
    there = pipeline(path)
    assert there.returncode == 0
    assert there.stdout.endswith("\n5 there before\n")
    assert max(map(len, there.stdout.splitlines())) <= 80
    scores = [line for line in there.stdout.splitlines() if "RMSE" in line]
    assert len({line.split("RMSE")[1] for line in scores}) == 1  # trained, loaded again, and converted
    assert len(scores) == 3

    other = tmp_path / "other.yaml"
    alone = path.read_text().replace("score: true", "").replace("[onnx]", "[]")
    other.write_text(alone.replace("catalog: catalog", "catalog: other\nwork: other-work"))
    with cluster(tmp_path, first="", second="") as dask:
        killed = []
        killer = threading.Thread(target=kill_who_trains, args=(tmp_path / "other-work", dask, killed))
        killer.start()
        done = pipeline(other, "--scheduler", dask.address, "--json")
        killer.join()
    assert done.returncode == 0, done.stderr
    prepare, train = json.loads(done.stdout)
    assert (prepare["state"], train["state"], len(killed)) == ("done", "done", 1)
    log = Path(train["log"]).read_text()
    assert log.count("--- ") == 2
    assert "going on after step" in log
    item_id = "rain-tiny-1-1.0.0-torch"
    assert checksum(tmp_path / "other", item_id) == checksum(tmp_path / "catalog", item_id)


def kill_who_trains(work, dask, killed):
    """Kill the worker whose training has left a checkpoint."""
    wait_for(lambda: list(work.glob("jobs/train-*/checkpoints/checkpoint.npz")), 120)
    (training,) = work.glob("jobs/train-*")
    for worker in dask.workers.values():
        children = Path(f"/proc/{worker.pid}/task").glob("*/children")
        for pid in " ".join(file.read_text() for file in children).split():
            if training.name in Path(f"/proc/{pid}/cmdline").read_text():
                worker.kill()
                killed.append(worker)


def test_a_catalog_that_is_away_for_a_while_loses_nothing(grid, pipeline, tmp_path):
    path = grid(("  exports: [onnx]\n", ""))
    (tmp_path / "catalog").write_text("no catalog")
    done = pipeline(path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is a file, no catalog" in done.stderr
    (tmp_path / "catalog").unlink()
    assert pipeline(path, "--dry-run").stdout.endswith("2 of 2 jobs are to be done\n")
    assert pipeline(path).returncode == 0
    catalog = (tmp_path / "catalog").rename(tmp_path / "away")
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "other.txt").touch()
    with LocalPool() as pool:
        jobs = plan(load(path.read_text(), path), str(catalog.with_name("catalog")))
        prepare, train = run(jobs, pool, retries=1, pause=0.1)
    assert prepare.state == "there"
    assert (train.state, train.attempts) == ("failed", 2)
    assert "is no catalog" in train.reason
    (tmp_path / "catalog" / "other.txt").unlink()
    (tmp_path / "away").rename(tmp_path / "catalog")
    assert pipeline(path).stdout.endswith("2 there before\n")


def test_what_fails_is_named_and_the_rest_is_done(grid, pipeline, tmp_path):
    path = grid(("coarsen: 4", "coarsen: 7"))
    done = pipeline(path, "--retries", "0")
    assert done.returncode == 1
    assert "prepare-tiny: 48 rows do not divide into blocks of 7 pixels" in done.stdout
    assert done.stdout.endswith("1 failed, 2 skipped\n")
    assert done.stderr.endswith("3 of 3 jobs have no result: see above; run it again to do what is missing\n")


def test_a_batch_system_that_is_not_here_is_said(grid, pipeline):
    done = pipeline(grid(more="cluster: {system: lsf}\n"), "--cluster")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no bsub here, which cluster.system lsf needs" in done.stderr
    assert "needs the section cluster" in pipeline(grid(), "--cluster").stderr
