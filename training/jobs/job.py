"""A training job as a JSON specification: :func:`modelstac.training.jobs.train.train` makes an item of it, once."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from modelstac.catalog.errors import DataError, SpecError
from modelstac.catalog.items.description import NAME_PATTERN
from modelstac.catalog.items.mlm import SEMVER
from modelstac.training.architecture import Spec, architecture_of, read_spec
from modelstac.training.data import Preparation, Windows, make_windows, split_by_time
from modelstac.training.fitting.fit import FitSpec
from modelstac.training.jobs.recipes import NOWCAST, RECIPES, SQUARES, preset
from modelstac.training.spec import positive
from modelstac.training.variants.variant import find_variant


@dataclass(frozen=True)
class TrainJob:
    """One training of one variant; the same job on the same data gives the same item.

    Parameters
    ----------
    variant
        A name of `modelstac.training.variants.variant.VARIANTS`.
    data
        Folder of radar frames, or files.
    architecture
        What to train. Its height and width give way to those of the prepared data.
    fit, preparation
        How to train, and what the model sees of the frames.
    preset
        Name of the preset that the fields come from, for the record.
    name, version
        Of the model: with the variant they are the item id.
    first_test
        Where the frames for scoring begin: an index, a fraction of the frames, or a time (ISO 8601); by default just
        one window, the last, is held out.
    held_out
        Folders of events to score on. Then ``data`` are folders of events, too, each of one product; each event is cut
        to a square as large as the architecture's grid, and none is both seen and scored.
    squares
        Of each event that is trained on at most so many squares are taken, those in which it rained most; of those held
        out just the wettest.
    license
        SPDX identifier of the model's licence.
    data_href
        Where the data are published, for the item's ``derived_from`` link: a URL, or the id of a dataset in the catalog
        that the model is published into.

    Raises
    ------
    SpecError
        When a field makes no sense.
    """

    variant: str
    data: str | tuple[str, ...]
    architecture: Spec
    fit: FitSpec = field(default_factory=FitSpec)
    preparation: Preparation = field(default_factory=Preparation)
    preset: str | None = None
    name: str = "convlstm-knmi"
    version: str = "1.0.0"
    first_test: int | float | str | None = None
    license: str = "MIT"
    data_href: str | None = None
    held_out: tuple[str, ...] = ()
    squares: int = 1

    def __post_init__(self) -> None:
        find_variant(self.variant)
        parts = self.data if isinstance(self.data, list | tuple) else (self.data,)
        if not parts or not all(isinstance(part, str | Path) and str(part) for part in parts):
            raise SpecError(f"data must be a folder of radar frames or a list of files, not {self.data!r}")
        object.__setattr__(
            self, "data", tuple(map(str, parts)) if isinstance(self.data, list | tuple) else str(self.data)
        )
        if not isinstance(self.name, str) or not re.fullmatch(NAME_PATTERN, self.name):
            raise SpecError(f"name {self.name!r}: 2 to 100 letters, digits, '_', '.' and '-', a letter first")
        if not isinstance(self.version, str) or not SEMVER.fullmatch(self.version) or "+" in self.version:
            raise SpecError(f"version {self.version!r} must be semantic, such as 1.0.0")
        if not isinstance(self.license, str) or not self.license:
            raise SpecError(f"license must be an SPDX identifier such as MIT, not {self.license!r}")
        if not isinstance(self.held_out, list | tuple):
            raise SpecError(f"held_out must be a list of folders, not {self.held_out!r}")
        object.__setattr__(self, "held_out", tuple(map(str, self.held_out)))
        object.__setattr__(self, "squares", positive("squares", self.squares))
        if self.held_out and self.first_test is not None:
            raise SpecError("first_test splits one series by time, held_out names whole events: give one of the two")
        if self.preset == NOWCAST and not self.held_out:
            raise SpecError(f"the preset {NOWCAST} trains over events: name folders, and those held out (--held-out)")
        self._split()

    @classmethod
    def from_preset(cls, preset_name: str, /, *, variant: str, data: str | Path, **changes: Any) -> TrainJob:
        """Make the job of a preset, with other fields changed.

        Raises
        ------
        NotFoundError
            When there is no such preset.
        """
        architecture = preset(preset_name)
        fit, preparation = RECIPES[preset_name]
        fields: dict[str, Any] = {
            "architecture": architecture,
            "fit": fit,
            "preparation": preparation,
            "preset": preset_name,
            "name": f"{architecture_of(architecture).slug}-{NOWCAST if preset_name == NOWCAST else 'knmi'}",
            "squares": SQUARES.get(preset_name, 1),
        } | changes
        return cls(variant=variant, data=str(data), **fields)

    @property
    def item_id(self) -> str:
        """Id of the item that the job publishes."""
        return f"{self.name}-{self.version}-{self.variant}"

    def to_dict(self) -> dict[str, Any]:
        """Give the fields as JSON types."""
        plain = {entry.name: getattr(self, entry.name) for entry in dataclasses.fields(self)}
        parts = {name: getattr(self, name).to_dict() for name in ("architecture", "fit", "preparation")}
        plain["held_out"] = list(self.held_out)
        for name, empty in (("held_out", []), ("squares", 1)):
            if plain[name] == empty:
                del plain[name]  # jobs from before there were such keep their digest
        return plain | parts | {"data": list(self.data) if isinstance(self.data, tuple) else self.data}

    def to_json(self) -> str:
        """Write the job as JSON, the same text for the same job."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> TrainJob:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        SpecError
            When it is no JSON object, lacks a field, has an unknown one, or makes no sense.
        """
        try:
            found = json.loads(text)
        except ValueError as error:
            raise SpecError(f"a training job is a JSON object: {error}") from error
        known = [entry.name for entry in dataclasses.fields(cls)]
        if not isinstance(found, dict):
            raise SpecError(f"a training job is a JSON object, not {type(found).__name__}")
        if unknown := sorted(set(found) - set(known)):
            raise SpecError(f"a training job has no field {unknown[0]!r}; known: {', '.join(known)}")
        if missing := [name for name in ("variant", "data", "architecture") if name not in found]:
            raise SpecError(f"a training job needs the field {missing[0]!r}")
        for name, read in (
            ("architecture", read_spec),
            ("fit", FitSpec.from_dict),
            ("preparation", Preparation.from_dict),
        ):
            if not isinstance(found.get(name, {}), dict):
                raise SpecError(f"{name} of a training job is a JSON object, not {found[name]!r}")
            if name in found:
                found[name] = read(found[name])
        return cls(**found)

    def digest(self, data: str) -> str:
        """Compute what identifies the result (``interop:job``): the job, with the data in place of their path.

        Parameters
        ----------
        data
            Digest of the prepared frames, `modelstac.training.jobs.job.data_digest`.
        """
        content = self.to_dict() | {"data": data}
        content.pop("held_out", None)  # they are part of the data
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def split(self, ds: xr.Dataset) -> tuple[Windows, Windows]:
        """Cut prepared frames into windows for training and later ones for scoring, which share no frame.

        Raises
        ------
        DataError
            When there are too few frames for a window on either side, or one is missing.
        """
        frames_in, frames_out = self.architecture.frames_in, self.architecture.frames_out
        window, count = frames_in + frames_out, ds.sizes["time"]
        first_test = self._split()
        if first_test is None:
            first_test = count - window
            if first_test < window:
                raise DataError(
                    f"training and scoring need at least {2 * window} frames, {window} each"
                    f" ({frames_in} in and {frames_out} out), and there are {count}:"
                    " add frames, or choose an architecture of fewer frames"
                )
        parts = split_by_time(ds, first_test)
        for purpose, part in zip(("training", "scoring"), parts, strict=True):
            if part.sizes["time"] < window:
                raise DataError(
                    f"the split at {self.first_test} leaves {part.sizes['time']} of {count} frames for {purpose}, and"
                    f" one window needs {window}: move first_test, or add frames"
                )
        train_ds, test_ds = parts
        return make_windows(train_ds, frames_in, frames_out), make_windows(test_ds, frames_in, frames_out)

    def _split(self) -> int | float | np.datetime64 | None:
        value = self.first_test
        if isinstance(value, str):
            try:
                return np.datetime64(datetime.fromisoformat(value.removesuffix("Z")).replace(tzinfo=None), "ns")
            except ValueError as error:
                raise SpecError(f"first_test {value!r} is no time: write it as 2010-08-26T04:40") from error
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)):
            return value
        raise SpecError(f"first_test must be an index, a fraction or a time, not {value!r}")


def data_digest(ds: xr.Dataset) -> str:
    """Compute the SHA-256 of prepared frames: their values, times and grid, wherever the files lie."""
    digest = hashlib.sha256(str(ds["crs"].attrs["proj4"]).encode())
    for name in ("time", "y", "x"):
        digest.update(ds[name].values.tobytes())
    for index in range(ds.sizes["time"]):  # frame by frame: those of a store may be larger than memory
        digest.update(ds["rainfall_rate"][index].values.tobytes())
    return digest.hexdigest()
