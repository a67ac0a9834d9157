"""Workers from a batch system (Slurm, PBS, …), by dask-jobqueue."""

from __future__ import annotations

import contextlib
import importlib
import shlex
import shutil
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from modelstac.catalog.errors import CannotRunError, MissingPackageError, SpecError
from modelstac.jobs.dask_pool import DaskPool, quiet

CLASSES = {
    "slurm": "SLURM",
    "pbs": "PBS",
    "sge": "SGE",
    "lsf": "LSF",
    "oar": "OAR",
    "moab": "Moab",
    "htcondor": "HTCondor",
    "local": "Local",
}


class ClusterSpec(BaseModel):
    """The workers to ask for: each a job of the batch system, which does one of our jobs at a time.

    Parameters
    ----------
    system
        ``local`` starts workers on this machine, to try a specification out.
    workers
        How many, at most.
    cores, memory, walltime, gpus
        Of each; a worker with GPUs offers them as Dask's resource ``GPU``.
    queue, account
        As the system knows them.
    directives
        Further ones, such as ``--constraint=a100``; GPUs of another system than Slurm are asked for here.
    setup
        Lines of shell before the worker starts, such as ``module load cuda``.
    interface
        Network interface that machines reach each other by, such as ``ib0``.
    options
        Further arguments of dask-jobqueue's class.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    system: Literal["slurm", "pbs", "sge", "lsf", "oar", "moab", "htcondor", "local"] = "slurm"
    workers: int = Field(default=1, ge=1)
    cores: int = Field(default=1, ge=1)
    memory: str = "4GB"
    walltime: str | None = None
    gpus: int = Field(default=0, ge=0)
    queue: str | None = None
    account: str | None = None
    directives: list[str] = []
    setup: list[str] = []
    interface: str | None = None
    options: dict[str, Any] = {}

    def arguments(self, logs: Path) -> dict[str, Any]:
        """Give the arguments for dask-jobqueue's class."""
        extra = ["--nthreads", "1"]  # a worker takes one job at a time, which has all its cores
        directives = list(self.directives)
        if self.gpus:
            extra += ["--resources", f"GPU={self.gpus}"]
            directives += [f"--gres=gpu:{self.gpus}"] if self.system == "slurm" else []
        named = ("walltime", "queue", "account", "interface")
        given = {name: getattr(self, name) for name in named if getattr(self, name) is not None}
        return {
            "cores": self.cores,
            "processes": 1,
            "memory": self.memory,
            "job_extra_directives": directives,
            "job_script_prologue": list(self.setup),
            "worker_extra_args": extra,
            "log_directory": str(logs),
            "job_name": "modelstac",
            "scheduler_options": {"dashboard_address": ":0"},  # any port: others may run on this machine
            **given,
            **self.options,
        }


def job_script(spec: ClusterSpec, logs: Path) -> str:
    """Give the script that is handed to the batch system for each worker.

    Raises
    ------
    MissingPackageError
        If dask-jobqueue is not installed.
    SpecError
        If it refuses the settings.
    """
    arguments = spec.arguments(logs)
    del arguments["scheduler_options"]
    try:
        script: str = _class(spec).job_cls(scheduler="ADDRESS", name="NAME", **arguments).job_script()
    except (TypeError, ValueError) as error:
        raise _refused(spec, error) from error
    return script


def start(spec: ClusterSpec, logs: Path, *, jobs: int) -> DaskPool:
    """Ask the batch system for workers; the pool ends them when it is closed.

    Parameters
    ----------
    spec
        The workers.
    logs
        Folder for what they print, which all machines see.
    jobs
        How many jobs there are: no more workers than that are asked for.

    Raises
    ------
    CannotRunError
        If there is no such batch system here, or it refuses.
    MissingPackageError, SpecError
        As :func:`job_script`.
    """
    made = _class(spec)
    submit = shlex.split(made.job_cls.submit_command or "")
    if submit and shutil.which(submit[0]) is None:
        raise CannotRunError(f"no {submit[0]} here, which cluster.system {spec.system} needs: run it elsewhere")
    quiet()
    try:
        cluster = made(**spec.arguments(logs))
    except (TypeError, ValueError) as error:
        raise _refused(spec, error) from error
    try:
        # What cluster.scale() does, but for the moment: it would drop what the batch system says to the workers.
        while len(cluster.worker_spec) < min(spec.workers, max(jobs, 1)):
            cluster.worker_spec.update(cluster.new_worker_spec())
        cluster.sync(cluster._correct_state)
    except RuntimeError as error:
        with contextlib.suppress(AssertionError):  # that every worker was started, at the end of closing
            cluster.close(timeout=5)
        said = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise CannotRunError(f"{spec.system} does not take the workers: {said[-1] if said else error}") from error
    return _OwnCluster(cluster)


class _OwnCluster(DaskPool):
    """A cluster that ends with the pool."""

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        try:
            super().__init__(cluster, grows=True)
        except BaseException:
            cluster.close(timeout=5)
            raise

    def close(self) -> None:
        super().close()
        self._cluster.close(timeout=10)


def _class(spec: ClusterSpec) -> Any:
    module = "dask_jobqueue.local" if spec.system == "local" else "dask_jobqueue"
    try:
        return getattr(importlib.import_module(module), f"{CLASSES[spec.system]}Cluster")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in {"dask_jobqueue", "dask", "distributed"}:
            raise
        raise MissingPackageError.extra("dask-jobqueue", "slurm", "asking a batch system for workers") from error


def _refused(spec: ClusterSpec, error: Exception) -> SpecError:
    reason = " ".join(str(error).split())
    return SpecError(f"cluster: dask-jobqueue refuses these settings for {spec.system}: {reason}")
