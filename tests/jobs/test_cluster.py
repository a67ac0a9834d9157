"""Workers from a batch system: the script that it gets, and the same machinery run on this machine."""

import os
import subprocess
import sys

import pytest

from modelstac.catalog.errors import CannotRunError, SpecError
from modelstac.jobs.cluster import ClusterSpec, job_script, start
from modelstac.jobs.dask_pool import DaskPool
from modelstac.jobs.run import run


def test_the_script_for_slurm_asks_for_what_the_file_says(tmp_path):
    spec = ClusterSpec(
        workers=4,
        cores=8,
        memory="24GiB",
        walltime="04:00:00",
        gpus=1,
        queue="gpu",
        account="rain",
        directives=["--constraint=a100"],
        setup=["module load cuda", "source ~/venv/bin/activate"],
        interface="lo",
    )
    *lines, worker = job_script(spec, tmp_path / "logs").strip().splitlines()
    directives = {line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")}
    assert directives == {
        "-J modelstac",
        f"-e {tmp_path}/logs/modelstac-%J.err",
        f"-o {tmp_path}/logs/modelstac-%J.out",
        "-p gpu",
        "-A rain",
        "-n 1",
        "--cpus-per-task=8",
        "--mem=24G",
        "-t 04:00:00",
        "--constraint=a100",
        "--gres=gpu:1",
    }
    assert lines[0].startswith("#!")
    assert lines[-2:] == spec.setup
    assert " -m distributed.cli.dask_worker ADDRESS --name NAME " in worker
    # The last --nthreads counts: one job at a time has all cores.
    assert worker.split("--nthreads")[-1].split() == ["1", "--resources", "GPU=1", "--interface", "lo"]


def test_settings_that_dask_jobqueue_refuses_are_named(tmp_path):
    with pytest.raises(SpecError, match=r"cluster: dask-jobqueue refuses these settings for slurm: .*colour"):
        job_script(ClusterSpec(options={"colour": "red"}), tmp_path)
    with pytest.raises(SpecError, match=r"cluster: .*'muchmemory'"):
        job_script(ClusterSpec(memory="much memory"), tmp_path)


def test_a_batch_system_that_is_not_here_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotRunError, match=r"no sbatch here, which cluster\.system slurm needs"):
        start(ClusterSpec(), tmp_path, jobs=1)


# dask-jobqueue's own local cluster leaves its processes to Python's garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_jobs_run_on_workers_that_were_asked_for(make, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))  # what a batch system hands on
    first = make("first")
    jobs = [first, make("second", first), make("third", first)]
    with start(ClusterSpec(system="local", workers=2), tmp_path, jobs=len(jobs)) as pool:
        assert isinstance(pool, DaskPool)
        outcomes = run(jobs, pool)
    assert [one.state for one in outcomes] == ["done"] * 3
    assert [one.result["value"] for one in outcomes] == [1, 2, 2]


def test_what_the_batch_system_refuses_is_said(tmp_path):
    sbatch = tmp_path / "sbatch"
    sbatch.write_text("#!/bin/sh\necho 'sbatch: error: Invalid partition name specified' >&2\nexit 1\n")
    sbatch.chmod(0o755)
    program = "from modelstac.jobs.cluster import *; start(ClusterSpec(queue='nowhere'), Path('logs'), jobs=2)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ
        | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    refused = "CannotRunError: slurm does not take the workers: sbatch: error: Invalid partition name specified"
    assert done.stderr.strip().endswith(refused)
