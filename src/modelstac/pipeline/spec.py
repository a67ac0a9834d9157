"""The file that ``modelstac pipeline`` reads."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from modelstac.catalog.errors import ModelStacError, Place, SpecError
from modelstac.catalog.written import Document, read
from modelstac.jobs.cluster import ClusterSpec

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(value: Any) -> Any:
    found = _SPAN.fullmatch(value) if isinstance(value, str) else None
    if isinstance(value, str) and found is None:
        raise ValueError("write a time as 90s, 30m, 2h or 1d")
    return float(found[1]) * _SECONDS[found[2]] if found else value


def _named(value: Any) -> Any:
    return {"to": value} if isinstance(value, str) else value


def _moment(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime | date) else value  # YAML has made a date of it


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ExportSpec(_Strict):
    """A format, or a format with what ``modelstac export`` has options for."""

    to: str
    via: str | None = None
    precision: str = "fp32"
    unroll: int | None = Field(default=None, ge=1)
    real_windows: bool = False


Exports = list[Annotated[ExportSpec, BeforeValidator(_named)]]


class GridSpec(_Strict):
    """What every combination is made of; each model is exported to every format."""

    variants: list[str] = Field(min_length=1)
    presets: list[str] = Field(default=["tiny"], min_length=1)
    seeds: list[int] = Field(default=[42], min_length=1)
    exports: Exports = []


class ScenesSpec(_Strict):
    """A published model and the scenes that it is run on: a map of each.

    Parameters
    ----------
    item
        Id of the model.
    sources
        A path or URL for each scene, with ``*`` for several, or a list of files that are one scene, or files by input.
    output
        Of each map; ``{name}`` is what the scene is called.
    options
        What :func:`modelstac.predict_scene` takes besides.
    """

    item: str
    sources: list[str | list[str] | dict[str, str | list[str]]] = Field(min_length=1)
    output: str = "maps/{name}.tif"
    options: dict[str, Any] = {}


class Running(_Strict):
    """How the jobs of a grid run, whichever they are.

    Parameters
    ----------
    catalog
        Where all is published; by default the one that ``MODELSTAC_CATALOG`` names.
    work
        Folder for what jobs keep; all machines see it, and the data, under the same path.
    device
        ``cuda``: trainings and scores want a worker with a GPU.
    timeout, retries
        Of an attempt at any job; attempts after the first.
    cluster
        Workers to ask a batch system for.
    """

    catalog: str | None = None
    work: str = "work"
    device: Literal["cpu", "cuda"] = "cpu"
    timeout: Annotated[float | None, BeforeValidator(_seconds), Field(gt=0)] = None
    retries: int = Field(default=2, ge=0)
    cluster: ClusterSpec | None = None


class PipelineSpec(Running):
    """A grid of trainings and exports of the radar networks.

    Parameters
    ----------
    data
        Folder of radar frames, or a prepared store.
    grid
        Variants x seeds x presets x exports.
    name, version, license
        Of the models; the name holds ``{preset}`` and ``{seed}`` where there are several.
    first_test, fit, architecture, preparation
        Instead of the preset's.
    data_href
        Id of the published dataset, or a URL.
    score
        Load every model again and score it.
    checkpoint_every
        Of a training.
    scenes
        Maps to be made by a model that is published already.
    """

    data: str
    grid: GridSpec | None
    scenes: ScenesSpec | None = None
    name: str = "convlstm-knmi-{preset}-{seed}"
    version: str = "1.0.0"
    license: str = "MIT"
    first_test: Annotated[int | float | str | None, BeforeValidator(_moment)] = None
    fit: dict[str, Any] = {}
    architecture: dict[str, Any] = {}
    preparation: dict[str, Any] = {}
    data_href: str | None = None
    score: bool = False
    checkpoint_every: Annotated[float, BeforeValidator(_seconds), Field(gt=0)] = 300.0


class Pipeline:
    """A specification and where its parts stand in the file.

    Parameters
    ----------
    spec
        What it says.
    document
        The file.
    folder
        The folder that relative paths start from: the file's.
    """

    def __init__(self, spec: Any, document: Document, folder: Path) -> None:
        self.spec, self.folder, self._document = spec, folder, document
        if not isinstance(spec, PipelineSpec):
            return
        with self.at("name"):
            fields = [field for _, field, _, _ in Formatter().parse(spec.name) if field is not None]
            if unknown := [field for field in fields if field not in {"preset", "seed"}]:
                raise SpecError(f"{{{unknown[0]}}} is no part of a name: there are {{preset}} and {{seed}}")

    def path(self, text: str) -> str:
        """Make a path absolute, from the folder of the file; addresses stay as they are."""
        return text if "://" in text else str((self.folder / Path(text).expanduser()).resolve())

    @contextlib.contextmanager
    def at(self, *place: str | int) -> Iterator[None]:
        """Put line and field before what an error inside says."""
        try:
            yield
        except (ModelStacError, ValueError) as error:
            kind, inside = (type(error), error.place) if isinstance(error, ModelStacError) else (SpecError, ())
            if inside is None:
                raise
            raise kind(f"{self._document.where((*place, *inside))}: {error}") from error


def load(text: str, file: Path) -> Pipeline:
    """Read a specification.

    Raises
    ------
    SpecError
        With the line and the field.
    """
    document = read(text, file.name)
    if not isinstance(document.values, dict):
        raise SpecError(f"{document.where(())}: a pipeline is a mapping with data and grid, or with scenes")
    nothing = {"data": "", "grid": None} if "scenes" in document.values else {}
    try:
        spec = PipelineSpec.model_validate({**nothing, **document.values})
    except ValidationError as error:
        raise refused(error, document) from error
    return Pipeline(spec, document, file.absolute().parent)


def refused(error: ValidationError, document: Document) -> SpecError:
    """Say what of a file makes no sense, with its line."""
    first, *others = error.errors(include_url=False)
    more = f" (and {len(others)} more)" if others else ""
    return SpecError(f"{document.where(_place(first['loc']))}: {_said(first)}{more}")


def _place(found: tuple[str | int, ...]) -> Place:
    """Leave out the types that were tried, which pydantic names among the fields."""
    return tuple(part for part in found if part not in {"int", "float", "str"})


def _said(error: Any) -> str:
    text: str = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return "there is no such field"
    if error["type"] == "missing":
        return "this field is needed"
    if error["type"] in {"model_type", "dict_type"}:
        return f"a mapping with fields is needed, not {error['input']!r}"
    return f"{text[0].lower()}{text[1:]}, not {error['input']!r}"
