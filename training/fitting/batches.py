"""The batches of a fit: the same windows in the same order for every framework, and what each process has of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import DataError

if TYPE_CHECKING:
    from modelstac.training.data import Preparation, Windows
    from modelstac.training.fitting.fit import FitSpec

Share = tuple[int, int]
"""Number of a process, and how many share each batch."""

WHOLE: Share = (0, 1)


@dataclass(frozen=True)
class Batch:
    """One step's data: (window, time, y, x) float32, values from 0 to 1, the mask 1 where a pixel counts.

    Parameters
    ----------
    number
        Of the step, counted from 1 over all epochs.
    epoch, step
        The epoch, and the step in it, counted from 1.
    windows
        Numbers of all windows of the batch; the arrays hold the share of this process.
    """

    number: int
    epoch: int
    step: int
    learning_rate: float
    windows: NDArray[np.int64]
    inputs: NDArray[np.float32]
    targets: NDArray[np.float32]
    mask: NDArray[np.float32]


def batches(
    windows: Windows, preparation: Preparation, fit: FitSpec, *, done: int = 0, share: Share = WHOLE
) -> Iterator[Batch]:
    """Give the batches of all epochs, each epoch in a seeded order of its own, the same for every framework.

    Parameters
    ----------
    done
        Steps to leave out at the beginning, without reading their data.
    share
        What this process has of each batch.
    """
    rng = np.random.default_rng(fit.seed)
    steps = fit.steps(len(windows))
    for epoch in range(fit.epochs):
        order = rng.permutation(len(windows))
        for step in range(max(done - epoch * steps, 0), steps):
            index = order[step * fit.batch_size : (step + 1) * fit.batch_size]
            number = epoch * steps + step
            rate = fit.rate(number, fit.epochs * steps)
            place = {"number": number + 1, "epoch": epoch + 1, "step": step + 1}
            yield one_batch(windows, preparation, index, **place, rate=rate, share=share)


def one_batch(
    windows: Windows,
    preparation: Preparation,
    index: NDArray[np.int64],
    *,
    number: int,
    epoch: int,
    step: int,
    rate: float,
    share: Share,
) -> Batch:
    """Read one batch: the windows with some numbers, as a model sees them."""
    rank, count = share
    # Too few for all: each process computes all of them, whose mean is that of one.
    own = index[rank::count] if len(index) >= count else index
    mask = windows.mask(own)
    if len(empty := own[~mask.any(axis=(1, 2, 3))]):
        first = windows.times(int(empty[0]))[0].astype("datetime64[m]")
        raise DataError(
            f"the window that begins at {first} has no pixel that was measured in all frames given and in one that"
            " follows: leave those frames out, or crop to what is measured"
        )
    return Batch(
        number=number,
        epoch=epoch,
        step=step,
        learning_rate=rate,
        windows=index,
        inputs=preparation.inputs_to_model(windows.inputs(own)),
        targets=preparation.to_model(windows.targets(own)),
        mask=mask.astype(np.float32),
    )
