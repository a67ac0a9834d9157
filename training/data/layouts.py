"""Radar frames (time, height, width) in the layout that a model declares, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FRAME_AXES = ("time", "height", "width")


def frames_to_layout(values: NDArray[np.float32], dim_order: Sequence[str]) -> NDArray[np.float32]:
    """Turn (time, height, width) into a layout, with one of every other dimension."""
    ordered = values.transpose([FRAME_AXES.index(name) for name in dim_order if name in FRAME_AXES])
    return np.expand_dims(ordered, [i for i, name in enumerate(dim_order) if name not in FRAME_AXES])


def frames_from_layout(values: NDArray[np.float32], dim_order: Sequence[str]) -> NDArray[np.float32]:
    """Turn a layout with one of every other dimension into (time, height, width)."""
    kept = [name for name in dim_order if name in FRAME_AXES]
    squeezed = values.squeeze(tuple(i for i, name in enumerate(dim_order) if name not in FRAME_AXES))
    return squeezed.transpose([kept.index(name) for name in FRAME_AXES])


def number_of_frames(sizes: Mapping[str, int], hyperparameters: Mapping[str, Any]) -> int | None:
    """Give how many frames a model was trained on, also where its file takes any number; None where it is not said.

    Parameters
    ----------
    sizes
        Of the dimensions of the layout, -1 for any.
    hyperparameters
        The item's, with the architecture of a training job.
    """
    if sizes["time"] != -1:
        return sizes["time"]
    architecture = hyperparameters.get("architecture")
    frames = architecture.get("frames") if isinstance(architecture, dict) else None
    return frames if isinstance(frames, int) and frames >= 1 else None
