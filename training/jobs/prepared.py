"""What a job trains on and is scored on: frames split by time, or several events of which some are held out whole."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from modelstac.catalog.errors import SpecError
from modelstac.catalog.items.geometry import united
from modelstac.catalog.messages import Report
from modelstac.training.architecture import Spec
from modelstac.training.data import Windows, read_frames
from modelstac.training.data.events import Event, joined, read_event
from modelstac.training.jobs.job import TrainJob, data_digest


@dataclass(frozen=True, eq=False)
class Prepared:
    """Prepared data of a job.

    Parameters
    ----------
    frames
        Prepared frames; of several events those of the first.
    polygon, bbox
        Outline of what training sees, in degrees.
    digest
        SHA-256 of all prepared frames.
    events
        The squares of events for training, and those held out; none where one series is split by time.
    """

    frames: xr.Dataset
    polygon: dict[str, Any]
    bbox: tuple[float, ...]
    digest: str
    events: tuple[tuple[Event, ...], tuple[Event, ...]] = field(default=((), ()))

    def split(self, job: TrainJob) -> tuple[Windows, dict[str, Windows]]:
        """Give the windows for training, and those for scoring by the name of their event."""
        if not job.held_out:
            train, test = job.split(self.frames)
            return train, {"": test}
        spec = job.architecture
        seen, held_out = ([event.windows(spec.frames_in, spec.frames_out) for event in part] for part in self.events)
        names = [event.name for event in self.events[1]]
        return joined(seen), dict(zip(names, held_out, strict=True))

    def spec(self, job: TrainJob) -> Spec:
        """Give the architecture on the grid of the data."""
        return dataclasses.replace(job.architecture, height=self.frames.sizes["y"], width=self.frames.sizes["x"])

    def record(self) -> dict[str, Any]:
        """Give as JSON types what an item says of several events: products, and which were seen or held out."""
        if not self.events[0]:
            return {"product": str(self.frames.attrs["product"])}
        seen, held_out = (
            [_said(list(squares)) for _, squares in groupby(part, lambda event: event.name)] for part in self.events
        )
        products = sorted({one["product"] for one in seen})
        return {"product": ", ".join(products), "products": products, "events": seen, "held_out": held_out}


def _said(squares: Sequence[Event]) -> dict[str, Any]:
    """Say what an event is, of which these squares are taken."""
    event = squares[0]
    time = event.frames["time"].values
    first, last = (f"{np.datetime_as_string(moment, 's')}Z" for moment in (time[0], time[-1]))
    product = str(event.frames.attrs["product"])
    mean = round(float(np.mean([square.frames["rainfall_rate"].mean() for square in squares])), 3)
    said = {"name": event.name, "product": product, "first": first, "last": last, "mean_mm_h": mean}
    return said | {"squares": len(squares)}


def _names(places: Sequence[Path]) -> list[str]:
    """Name events by their folders, and by as many of those around them as tell them apart."""
    names: list[str] = []
    for depth in range(1, max(len(place.parts) for place in places) + 1):
        names = ["/".join(place.parts[-depth:]) for place in places]
        if len(set(names)) == len(places):
            break
    return names


def prepare(job: TrainJob, report: Report) -> Prepared:
    """Read and prepare the data of a job.

    Raises
    ------
    DataError, NotFoundError
        When they cannot be used.
    SpecError
        When several events are asked for and there are not two for training, or one is there twice.
    """
    if not job.held_out:
        frames = read_frames(job.data, report=report)
        ds = job.preparation.apply(frames, report=report)
        return Prepared(ds, *job.preparation.footprint(frames), data_digest(ds))
    folders = (job.data if isinstance(job.data, tuple) else (job.data,), job.held_out)
    if len(folders[0]) < 2:
        raise SpecError(
            f"training over events needs two at least beside those held out, and {folders[0][0]} is one: name more"
        )
    places = [Path(folder).resolve() for part in folders for folder in part]
    twice = [place for place, count in Counter(places).items() if count > 1]
    if twice:
        raise SpecError(f"{twice[0]} is named twice: an event is trained on or held out, and never both")
    names, size = _names(places), job.architecture.height
    seen, held_out = (
        tuple(
            dataclasses.replace(square, name=name)
            for folder, name in zip(part, names[first:], strict=False)
            for square in read_event(folder, job.preparation, size, most=most, report=report)
        )
        for part, first, most in ((folders[0], 0, job.squares), (folders[1], len(folders[0]), 1))
    )
    digest = hashlib.sha256("".join(data_digest(event.frames) for event in seen + held_out).encode()).hexdigest()
    boxes = np.array([event.bbox for event in seen])
    bbox = (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())
    return Prepared(seen[0].frames, united([event.polygon for event in seen]), bbox, digest, (seen, held_out))
