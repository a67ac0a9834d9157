"""Which axes of a tensor are samples, rows and columns; the others are bands of a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.registry.probing.axes import HEIGHT, WIDTH, is_batch, kind_of

if TYPE_CHECKING:
    from modelstac.registry.running.signature import TensorSignature

    Values = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Axes:
    """The axes of an input or output.

    Parameters
    ----------
    dims
        Names of all of them, in the order of the tensor.
    """

    dims: tuple[str, ...]

    @classmethod
    def of(cls, tensor: TensorSignature) -> Axes:
        """Read them from a signature."""
        return cls(tensor.dim_order)

    @cached_property
    def batch(self) -> int | None:
        """Where the samples are counted."""
        return next((i for i, dim in enumerate(self.dims) if is_batch(dim)), None)

    @cached_property
    def rows(self) -> int | None:
        """Where the rows are."""
        return next((i for i, dim in enumerate(self.dims) if kind_of(dim) == HEIGHT), None)

    @cached_property
    def columns(self) -> int | None:
        """Where the columns are."""
        return next((i for i, dim in enumerate(self.dims) if kind_of(dim) == WIDTH), None)

    @property
    def is_image(self) -> bool:
        """Whether it has both rows and columns."""
        return self.rows is not None and self.columns is not None

    @cached_property
    def others(self) -> tuple[int, ...]:
        """Axes that are neither: bands, classes, times."""
        return tuple(i for i in range(len(self.dims)) if i not in {self.batch, self.rows, self.columns})

    @cached_property
    def of_sample(self) -> tuple[int, int]:
        """Rows and columns in one sample, which has no batch; those of a model of pixels come last."""
        if not self.is_image:
            return len(self.others), len(self.others) + 1
        kept = [i for i in range(len(self.dims)) if i != self.batch]
        return kept.index(self.rows), kept.index(self.columns)  # type: ignore[arg-type]

    def stacked(self, samples: Sequence[Values]) -> Values:
        """Make a batch of samples; of a tensor without batch there is one."""
        if self.batch is None:
            return samples[0]
        if len(samples) == 1:
            return np.expand_dims(samples[0], self.batch)
        return np.stack(samples, self.batch)

    def bands_first(self, array: Values) -> Values:
        """Give a view of an output as sample, others, row, column, whatever its order; pixels have none of the last."""
        order = [*self.others, *(axis for axis in (self.rows, self.columns) if axis is not None)]
        if self.batch is None:
            return array.transpose(order)[None]
        return array.transpose([self.batch, *order])


def pixels_as_samples(sample: Values, axes: Axes) -> Values:
    """Turn other axes, row, column into as many samples as there are pixels."""
    shape = sample.shape[:-2]
    samples = sample.reshape(math.prod(shape), -1).T.reshape(-1, *shape)
    return np.ascontiguousarray(samples if axes.batch in {0, None} else np.moveaxis(samples, 0, axes.batch))
