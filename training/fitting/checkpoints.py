"""Checkpoints of a fit: everything that a killed run needs to end with the same weights, bit for bit, on CPUs.

One file of plain arrays (NumPy's ``.npz`` without pickles, so that it runs no code), replaced as a whole: whenever a
run is killed, the last checkpoint is there and complete.
"""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import IntegrityError, SpecError

State = Mapping[str, NDArray[Any]]
"""All that learning depends on, by name."""

MINUTES = 5.0
_FILE = "checkpoint.npz"
_FORMAT = 1
_STATE, _BEST = "state:", "best:"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A fit after a step.

    Parameters
    ----------
    step
        Steps that are done: with the seed it is the place in the data.
    state
        The learner's.
    history
        `modelstac.training.fitting.history.Recorder.rows`.
    best
        Validation loss, epoch and state of the best epoch so far, where a fit watches them.
    """

    step: int
    state: State
    history: list[dict[str, Any]]
    best: tuple[float, int, State] | None = None


@dataclass
class Checkpoints:
    """Where and how often a run leaves checkpoints.

    Parameters
    ----------
    folder
        Where the file lies; None keeps none.
    key
        What identifies the run (the digest of its job): a checkpoint of another run is refused.
    minutes, steps
        Leave one after so many minutes, or so many changes of the weights; the first that is reached counts. None never
        does.
    writes
        Whether this process leaves them; of several that share a fit one does, and all of them go on from it.

    Raises
    ------
    SpecError
        When neither minutes nor steps make sense.
    """

    folder: Path | None
    key: str = ""
    minutes: float | None = MINUTES
    steps: int | None = None
    writes: bool = True
    _saved_at: float = field(default_factory=time.monotonic, repr=False)
    _since: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        for name, value in (("minutes", self.minutes), ("steps", self.steps)):
            if value is not None and not value > 0:
                raise SpecError(f"a checkpoint every {value} {name}: give a number above 0")

    @property
    def path(self) -> Path:
        """The file."""
        assert self.folder is not None
        return self.folder / _FILE

    def load(self) -> Checkpoint | None:
        """Read the last checkpoint; None where there is none.

        Raises
        ------
        SpecError
            It belongs to another run.
        IntegrityError
            It is no checkpoint, or a damaged one.
        """
        if self.folder is None or not self.path.exists():
            return None
        advice = "remove it to begin anew"
        try:
            # Opened here: numpy leaves a file open that turns out to be no archive.
            with explained(f"read {self.path}"), self.path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                meta = json.loads(str(file["meta"]))
                arrays = {name: file[name] for name in file.files if name != "meta"}
                found, version, best = meta["key"], meta["format"], meta["best"]
        except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise IntegrityError(f"{self.path} is no whole checkpoint ({error}): {advice}") from error
        if version != _FORMAT or found != self.key:
            raise SpecError(
                f"{self.path} is the checkpoint of another run ({str(found)[:12]}, not {self.key[:12]}):"
                f" name another folder for checkpoints, or {advice}"
            )
        parts = {
            prefix: {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
            for prefix in (_STATE, _BEST)
        }
        return Checkpoint(
            step=int(meta["step"]),
            state=parts[_STATE],
            history=meta["history"],
            best=None if best is None else (float(best[0]), int(best[1]), parts[_BEST]),
        )

    def save_when_due(self, checkpoint: Callable[[], Checkpoint]) -> None:
        """Count a change of the weights, and leave a checkpoint when it is time for one.

        Raises
        ------
        StorageError
            The file cannot be written; the one before stays.
        """
        self._since += 1
        waited = time.monotonic() - self._saved_at
        by_time = self.minutes is not None and waited >= 60 * self.minutes
        by_steps = self.steps is not None and self._since >= self.steps
        if self.folder is not None and self.writes and (by_time or by_steps):
            self._save(checkpoint())
            self._since, self._saved_at = 0, time.monotonic()

    def clear(self) -> None:
        """Remove the checkpoint of a run that is done."""
        if self.folder is None:
            return
        with explained(f"remove {self.path}"):
            self.path.unlink(missing_ok=True)
            if self.folder.is_dir() and not any(self.folder.iterdir()):
                self.folder.rmdir()

    def _save(self, checkpoint: Checkpoint) -> None:
        best = checkpoint.best
        meta = {
            "format": _FORMAT,
            "key": self.key,
            "step": checkpoint.step,
            "history": checkpoint.history,
            "best": None if best is None else best[:2],
        }
        arrays = {f"{_STATE}{name}": array for name, array in checkpoint.state.items()}
        if best is not None:
            arrays |= {f"{_BEST}{name}": array for name, array in best[2].items()}
        with explained(f"write the checkpoint {self.path}"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            partial = self.path.with_name(f".{_FILE}.{os.getpid()}")
            # In memory first: on a full disk, the archive that numpy leaves open would fail again when it is closed.
            content = io.BytesIO()
            np.savez(content, allow_pickle=False, meta=json.dumps(meta), **arrays)
            try:
                with partial.open("wb") as file:
                    file.write(content.getbuffer())
                    file.flush()
                    os.fsync(file.fileno())
                partial.replace(self.path)
            finally:
                partial.unlink(missing_ok=True)


NO_CHECKPOINTS = Checkpoints(None)
