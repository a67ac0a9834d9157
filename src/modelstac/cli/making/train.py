"""``modelstac train``: from radar frames to a published model."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelstac.cli.common.options import catalog_option, json_option, new_or_existing_catalog, print_json, read_text
from modelstac.cli.common.progress import progress
from modelstac.cli.common.quiet import quiet_frameworks
from modelstac.cli.common.terminal import say

if TYPE_CHECKING:
    import pystac

    from modelstac.catalog.messages import Report
    from modelstac.training.fitting.checkpoints import Checkpoints
    from modelstac.training.jobs.job import TrainJob

FIT = (
    "epochs",
    "batch_size",
    "accumulate",
    "learning_rate",
    "loss",
    "precision",
    "augmentation",
    "validation",
    "patience",
    "seed",
)
FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
THREADS = 2
CHECKPOINT_EVERY = re.compile(r"(\d+(?:\.\d+)?)\s*(m|steps?)")


@click.command()
@click.argument("data", metavar="[DATA...]", nargs=-1, type=click.Path(path_type=Path))
@click.option("--variant", metavar="NAME", help="keras-tensorflow, keras-torch or torch.  [default: torch]")
@click.option("--preset", metavar="NAME", help="small, nowcast, tiny, reference, …  [default: tiny]")
@click.option("--name", metavar="NAME", help="Name of the model.  [default: that of the architecture, -knmi]")
@click.option("--version", metavar="VERSION", help="Version of the model.  [default: 1.0.0]")
@click.option("--license", metavar="SPDX", help="Licence of the model.  [default: MIT]")
@click.option("--derived-from", "data_href", metavar="ID", help="Id of the published dataset, or a URL.")
@click.option("--first-test", metavar="WHERE", help="Frame to score from: an index, a fraction or a time (ISO 8601).")
@click.option(
    "--held-out", multiple=True, metavar="FOLDER", help="Event to score on; then DATA are folders of events, too."
)
@click.option("--epochs", type=int, help="Passes over the data.")
@click.option("--batch-size", type=int, help="Windows in a step.")
@click.option("--accumulate", type=int, help="Steps whose gradients are averaged into one change of the weights.")
@click.option("--learning-rate", type=float, help="Rate of the first step.")
@click.option(
    "--loss", metavar="NAME", help="masked_bce, masked_mse, masked_csi, masked_mse_csi or masked_mse_half_csi."
)
@click.option("--precision", metavar="NAME", help="float32 or bfloat16.")
@click.option(
    "--augment", "augmentation", multiple=True, metavar="HOW", help="flips, rotations or lighter; may be given again."
)
@click.option("--validation", type=float, help="Share of the training windows, the last, to watch the loss of.")
@click.option("--patience", type=int, help="Epochs to wait for a lower validation loss before stopping.")
@click.option("--seed", type=int, help="Of initial weights and the order of the windows.")
@click.option("--job", "job_file", type=click.Path(path_type=Path), help="A whole job as JSON, instead of all above.")
@click.option(
    "--checkpoints", "folder", type=click.Path(path_type=Path), help="Folder for them.  [default: in the user's cache]"
)
@click.option(
    "--checkpoint-every",
    "every",
    metavar="WHEN",
    default="5m",
    show_default=True,
    help="5m, or 200steps: changes of the weights.",
)
@click.option(
    "--device", metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps.  [default: auto, a GPU if there is one]"
)
@click.option("--devices", type=int, metavar="N", help="Share each batch among so many.")
@click.option(
    "--compile",
    "compiled",
    is_flag=True,
    help="Let torch.compile make kernels for this machine first (torch, keras-torch).",
)
@click.option("--low-memory", is_flag=True, help="Compute more in the backward pass to keep less (torch, keras-torch).")
@click.option(
    "--threads", type=click.IntRange(1), default=THREADS, show_default=True, help="Of the processor; recorded."
)
@click.option(
    "--deterministic", is_flag=True, help="Refuse operations whose rounding depends on chance (GPUs); slower."
)
@click.option("--tf32", is_flag=True, help="Let GPUs multiply with ten bits of mantissa: faster, and rougher.")
@click.option("--config", "config", type=click.Path(path_type=Path), help="Of PACKAGE.MODULE:FUNCTION: a YAML file.")
@click.option("--lock", is_flag=True, help="Publish all packages that run it with their hashes, as uv finds them now.")
@click.option("--tensorboard", "logs", type=click.Path(path_type=Path), help="Folder for TensorBoard logs.")
@catalog_option
@json_option("the published item")
def train(
    *,
    data: tuple[Path, ...],
    job_file: Path | None,
    folder: Path | None,
    every: str,
    logs: Path | None,
    config: Path | None,
    lock: bool,
    device: str | None,
    devices: int | None,
    compiled: bool,
    low_memory: bool,
    threads: int,
    deterministic: bool,
    tf32: bool,
    catalog: str | None,
    as_json: bool,
    **fields: Any,
) -> None:
    """Train a model on the radar frames DATA (a folder or files), score it, and publish it.

    The frames before --first-test are for training, those from it on for scoring; by default the last window is held
    out. With --held-out each DATA is the folder of an event, and whole events are for scoring. A job that ran before on
    the same data gives its item and trains nothing; one that was killed goes on from its last checkpoint. DATA may also
    be a function of yours, PACKAGE.MODULE:FUNCTION, that @modelstac.training_job made a job: then --config names its
    configuration, its data and what is said of the model.
    """
    if config is not None or (len(data) == 1 and FUNCTION.fullmatch(str(data[0])) and not data[0].exists()):
        _refuse_others(data, {**fields, "job": job_file, "device": device, "devices": devices})
        _function(str(data[0]), config, folder, catalog, as_json)
        return
    quiet_frameworks()
    from modelstac.training.fitting.execution import Execution
    from modelstac.training.jobs.train import train

    execution = Execution(
        device or "auto",
        1 if devices is None else devices,
        compiled,
        low_memory,
        threads=threads,
        deterministic=deterministic,
        tf32=tf32,
    )
    changes = {name: value for name, value in fields.items() if value not in {None, ()}}
    checkpoints = _checkpoints(folder, every)
    if job_file is None:
        job = _job_of_preset(data, changes)
    elif data or changes:
        raise click.UsageError("--job holds the whole job: give it alone, or leave it out", click.get_current_context())
    else:
        job = _job_of_file(job_file)
    with progress() as report, _logs(logs, report) as listener:
        opened = new_or_existing_catalog(catalog)
        item = train(job, opened, checkpoints=checkpoints, execution=execution, lock=lock, report=listener)
    _print(item, as_json)


def _refuse_others(data: tuple[Path, ...], others: dict[str, Any]) -> None:
    given = [name for name, value in others.items() if value not in {None, ()}]
    if len(data) != 1 or given:
        what = f"--{given[0].replace('_', '-')} is" if given else "several names are"
        raise click.UsageError(f"{what} for the radar networks: a function has its own configuration (--config)")


def _function(name: str, config: Path | None, folder: Path | None, catalog: str | None, as_json: bool) -> None:
    """Train by a function of the user's."""
    from modelstac.pipeline.functions import read_job, run

    job, document = read_job(name, config)
    quiet_frameworks()
    with progress() as report, document.explaining({"publish"}):
        item = run(job, new_or_existing_catalog(catalog), checkpoints=folder, report=report)
    _print(item, as_json)


def _print(item: pystac.Item, as_json: bool) -> None:
    if as_json:
        print_json(item.to_dict(transform_hrefs=False))
        return
    say(f"published {item.id}")
    scores = item.properties.get("interop:scores") or {}
    width = max(map(len, scores), default=0)
    for name, score in scores.items():
        say(f"  {name.ljust(width)}  {score:.4g}")


def _job_of_preset(data: tuple[Path, ...], changes: dict[str, Any]) -> TrainJob:
    from modelstac.training.jobs.job import TrainJob

    if not data:
        raise click.UsageError("name the folder of radar frames, or --job", click.get_current_context())
    fit = {name: changes.pop(name) for name in FIT if name in changes}
    if "first_test" in changes:
        changes["first_test"] = _moment(changes["first_test"])
    preset, variant = changes.pop("preset", "tiny"), changes.pop("variant", "torch")
    job = TrainJob.from_preset(preset, variant=variant, data=data[0], **changes)
    files = str(data[0]) if len(data) == 1 else tuple(map(str, data))
    return replace(job, data=files, fit=replace(job.fit, **fit))


def _checkpoints(folder: Path | None, every: str) -> Checkpoints:
    from modelstac.training.fitting.checkpoints import Checkpoints

    found = CHECKPOINT_EVERY.fullmatch(every.strip())
    if found is None or (found[2] != "m" and "." in found[1]):
        raise click.BadParameter(
            f"{every!r} is neither minutes (5m) nor steps (200steps)", param_hint="--checkpoint-every"
        )
    if found[2] == "m":
        return Checkpoints(folder, minutes=float(found[1]))
    return Checkpoints(folder, minutes=None, steps=int(found[1]))


def _logs(folder: Path | None, report: Report) -> AbstractContextManager[Report]:
    if folder is None:
        return nullcontext(report)
    from modelstac.training.fitting.tensorboard import tensorboard

    return tensorboard(folder, report)


def _job_of_file(path: Path) -> TrainJob:
    from modelstac.training.jobs.job import TrainJob

    return TrainJob.from_json(read_text(path, "training job"))


def _moment(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
