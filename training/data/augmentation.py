"""More windows from the same rain: mirrored, turned, and lighter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.errors import SpecError
from modelstac.training.data.windows import Index, Windows

SHARE = 0.4
"""Of the rain that is left in lighter windows."""


@dataclass(frozen=True, eq=False)
class Augmented:
    """Windows in several orientations; has the methods of `Windows`, so that fitting takes it as it is.

    Window ``i`` in orientation ``k`` is number ``i * orientations + k``: which orientations a run sees, and in what
    order, follows from the order of the windows alone, so that a run can be repeated and resumed.

    Parameters
    ----------
    windows
        The windows as they are.
    flips
        Also mirrored, left to right.
    rotations
        Also turned: by 90, 180 and 270 degrees where frames are square, else by 180.
    lighter
        Also with `SHARE` of the rain, so that what is learned of heavy rain is tried on light rain, too.
    """

    windows: Windows
    flips: bool = True
    rotations: bool = True
    lighter: bool = False

    def __post_init__(self) -> None:
        if not (self.flips or self.rotations or self.lighter):
            raise SpecError("augmentation without flips, rotations and lighter rain is none: leave it out")

    def __len__(self) -> int:
        return len(self.windows) * self.orientations

    def __getattr__(self, name: str) -> Any:
        return getattr(self.windows, name)

    @property
    def _turns(self) -> tuple[int, ...]:
        if not self.rotations:
            return (0,)
        rows, columns = self.windows.shape
        return (0, 1, 2, 3) if rows == columns else (0, 2)

    @property
    def orientations(self) -> int:
        """Number of orientations of each window, the original among them."""
        return len(self._turns) * (2 if self.flips else 1) * (2 if self.lighter else 1)

    @property
    def starts(self) -> NDArray[np.int64]:
        """Index of the first frame of each window."""
        return np.repeat(self.windows.starts, self.orientations)

    def inputs(self, index: Index) -> NDArray[np.float32]:
        """Frames given to the model; see `Windows.inputs`."""
        return self._each(self.windows.inputs, index)

    def targets(self, index: Index) -> NDArray[np.float32]:
        """Frames that follow; see `Windows.targets`."""
        return self._each(self.windows.targets, index)

    def mask(self, index: Index) -> NDArray[np.bool_]:
        """Tell where a target counts; see `Windows.mask`."""
        return self._each(self.windows.mask, index)

    def times(self, index: Index) -> NDArray[np.datetime64]:
        """Return the times of all frames; see `Windows.times`."""
        return self.windows.times(np.arange(len(self))[index] // self.orientations)

    def _each(self, part: Any, index: Index) -> NDArray[Any]:
        chosen = np.arange(len(self))[index]
        if chosen.ndim == 0:
            return self._turned(part(int(chosen) // self.orientations), int(chosen) % self.orientations)
        return np.stack([self._turned(part(int(i) // self.orientations), int(i) % self.orientations) for i in chosen])

    def _turned(self, frames: NDArray[Any], orientation: int) -> NDArray[Any]:
        lighter, place = divmod(orientation, len(self._turns) * (2 if self.flips else 1))
        flipped, turn = divmod(place, len(self._turns))
        if flipped:
            frames = frames[..., ::-1]
        if lighter and frames.dtype != np.bool_:
            frames = (frames * SHARE).astype(frames.dtype)
        return np.rot90(frames, self._turns[turn], axes=(-2, -1))
