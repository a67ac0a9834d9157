"""Where the channels of a kernel stand, in Keras and in PyTorch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def channels_last(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn a kernel (out, in, *space) into (*space, in, out); leave vectors alone."""
    return array if array.ndim == 1 else array.transpose(*range(2, array.ndim), 1, 0)


def channels_first(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn a kernel (*space, in, out) into (out, in, *space); leave vectors alone."""
    return array if array.ndim == 1 else array.transpose(array.ndim - 1, array.ndim - 2, *range(array.ndim - 2))
