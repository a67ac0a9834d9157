"""Losses and learning rates as TensorBoard logs, the same for every framework."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import MissingPackageError
from modelstac.catalog.messages import Measured, Message, Report, ignore

try:
    from tensorboardX import SummaryWriter
except ModuleNotFoundError as error:
    if error.name != "tensorboardX":
        raise
    raise MissingPackageError.extra("tensorboardX", "tensorboard", "writing TensorBoard logs") from error


@contextmanager
def tensorboard(folder: Path, report: Report = ignore) -> Iterator[Report]:
    """Give a listener that writes what is measured into ``folder``, and passes every message on.

    Parameters
    ----------
    folder
        For ``tensorboard --logdir``; one folder a run.
    report
        Gets every message.

    Raises
    ------
    StorageError
        The folder cannot be written.
    """
    with explained(f"write TensorBoard logs into {folder}"):
        writer = SummaryWriter(str(folder))

    def listen(message: Message) -> None:
        if isinstance(message, Measured):
            for name, value in message.values.items():
                writer.add_scalar(f"{message.task}/{name}", value, message.step)
        report(message)

    try:
        yield listen
    finally:
        writer.close()
