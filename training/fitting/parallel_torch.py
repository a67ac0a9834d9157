"""One fit by several processes, each on a device of its own, with PyTorch's DistributedDataParallel.

Every process goes through the same batches in the same order and takes its share of each. The first one leaves the
checkpoints and reports; all of them go on from the same one.
"""

from __future__ import annotations

import queue
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import multiprocessing, nn
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, spawn

from modelstac.catalog.errors import ModelStacError, TrainingError
from modelstac.catalog.messages import Report, ignore
from modelstac.training.fitting.checkpoints import Checkpoints
from modelstac.training.fitting.devices_torch import find_device, settings
from modelstac.training.fitting.execution import Execution
from modelstac.training.fitting.fit import FitSpec
from modelstac.training.fitting.fit_torch import fit_model
from modelstac.training.fitting.history import History

if TYPE_CHECKING:
    from modelstac.training.data import Preparation, Windows

RESULT = "result.pt"


@dataclass(frozen=True)
class _Task:
    build: Callable[[], nn.Module]
    windows: Windows
    preparation: Preparation
    fit: FitSpec
    checkpoints: Checkpoints
    execution: Execution
    folder: str
    threads: int


def fit_in_processes(
    build: Callable[[], nn.Module],
    windows: Windows,
    preparation: Preparation,
    fit: FitSpec,
    *,
    checkpoints: Checkpoints,
    execution: Execution,
    report: Report = ignore,
) -> tuple[History, dict[str, torch.Tensor]]:
    """Fit what ``build`` gives (it is sent to the processes by its name), and return the history and the weights.

    Raises
    ------
    TrainingError
        Also when a process died; the last checkpoint stays.
    CannotRunError
        When there are not so many devices.
    SpecError
        When a batch has fewer windows than there are devices.
    """
    execution.check_shares(fit.batch_size)
    find_device(execution)  # before anything is started
    context = multiprocessing.get_context("spawn")
    messages = context.Queue()
    threads = max(execution.threads // execution.devices, 1)
    with tempfile.TemporaryDirectory(prefix="modelstac-") as folder:
        task = _Task(build, windows, preparation, fit, checkpoints, execution, folder, threads)
        running = spawn(_process, (task, messages), nprocs=execution.devices, join=False)  # type: ignore[no-untyped-call]
        try:
            while not running.join(timeout=0.05):
                _pass_on(messages, report)
        except (ProcessExitedException, ProcessRaisedException) as error:
            _pass_on(messages, report)
            _raise_what_is_known(folder)
            if not Path(folder, RESULT).exists():  # once it is there, a process can only have died of its own end
                reason = str(error).strip().splitlines()[-1]
                raise TrainingError(
                    f"a process of the training died ({reason}): the same command goes on from the last checkpoint"
                ) from error
        finally:
            for process in running.processes:  # none outlives this one
                if process.is_alive():
                    process.terminate()
        _pass_on(messages, report)
        _raise_what_is_known(folder)
        history, weights = _read(Path(folder, RESULT))
    return history, weights


def _raise_what_is_known(folder: str) -> None:
    """Raise the error of ours that a process met; where others then missed it, theirs says nothing."""
    for path in sorted(Path(folder).glob("error*")):
        raise _read(path)


def _read(path: Path) -> Any:
    # Written by the processes above, a moment ago, into a folder that is ours alone.
    return torch.load(path, weights_only=False)


def _pass_on(messages: Any, report: Report) -> None:
    while True:
        try:
            report(messages.get(timeout=0.05))
        except queue.Empty:
            return


def _process(rank: int, task: _Task, messages: Any) -> None:
    with settings(task.execution, threads=task.threads):
        _take_part(rank, task, messages)


def _take_part(rank: int, task: _Task, messages: Any) -> None:
    device = find_device(task.execution, rank)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=f"file://{task.folder}/meeting",
        rank=rank,
        world_size=task.execution.devices,
    )
    try:
        model = task.build()
        history = fit_model(
            model,
            task.windows,
            task.preparation,
            task.fit,
            checkpoints=replace(task.checkpoints, writes=rank == 0),
            execution=task.execution,
            share=(rank, task.execution.devices),
            report=messages.put if rank == 0 else ignore,
        )
        if rank == 0:
            weights = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
            part = Path(task.folder, RESULT + ".part")
            torch.save((history, weights), part)
            part.rename(Path(task.folder, RESULT))
        # Nobody ends before the result is there: Gloo's threads have been seen to abort a process that was ending.
        dist.barrier()
    except ModelStacError as error:  # all of them see the same loss; of the data each sees its share
        torch.save(error, Path(task.folder, f"error-{rank}.pt"))
    dist.destroy_process_group()
