"""One published model as a typed object: built by training and export jobs, and what an item is written from.

:mod:`modelstac.catalog.items.writing` makes the item of it, :mod:`modelstac.catalog.items.reading` reads one.

Fields of our own have the prefix ``interop:``; all else is STAC 1.1, MLM 1.5.2 and the file, version and datacube
extensions.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from modelstac.catalog.items.formats import FORMATS, Format
from modelstac.catalog.items.geometry import bounding_box, check_geometry, cut
from modelstac.catalog.items.mlm import SEMVER, Accelerator, Fragment, ModelInput, ModelOutput, Task
from modelstac.catalog.items.provenance import ExtraAsset, KeptLink, Parity, Place, Provider, Source, Step, Timing
from modelstac.catalog.items.sizes import Size
from modelstac.catalog.times import first_and_last, in_utc

__all__ = ["ExtraAsset", "KeptLink", "ModelDescription", "Parity", "Provider", "Source", "Step", "Timing"]

MODEL_ASSET = "model"

# Names become folders and parts of URLs, so they are stricter than mlm:name.
NAME_PATTERN = r"^[a-zA-Z][a-zA-Z0-9_.-]{0,98}[a-zA-Z0-9]$"
VARIANT_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,98}[a-z0-9])?$"
_HYPERPARAMETER = re.compile(r"[0-9a-zA-Z_.-]+", re.ASCII)

Geometry = Annotated[dict[str, Any], AfterValidator(check_geometry), AfterValidator(cut)]
"""A geometry of GeoJSON in degrees; one that goes over the antimeridian is cut there."""

Backend = Literal["tensorflow", "torch", "jax"]
Precision = Literal["fp32", "fp16", "bf16", "int8"]


class ModelDescription(Fragment):
    """Everything that the catalog says about one (model name, version, variant).

    Parameters
    ----------
    name, version, variant
        Together the item id; ``name`` is also the collection. ``version`` is semantic; ``variant`` names format and
        framework, such as ``keras-tensorflow``, ``torch`` or ``onnx-from-torch``.
    title, description
        For people; the description may be Markdown.
    license
        SPDX identifier, or ``other``.
    model_title
        Title of the collection, where the name alone would not do.
    geometry, bbox, start, end
        Footprint (GeoJSON, degrees) and time of the training data. The bounding box follows from the geometry when it
        is not given; a time without zone is UTC.
    format
        A key of :data:`modelstac.catalog.items.formats.FORMATS`.
    framework_version
        Version of the framework that wrote the file, semantic (see :func:`modelstac.catalog.items.versions.semver`).
    backend, backend_version
        What Keras ran on, for Keras models only.
    sizes
        Lengths that open axes may have, by the name of the input or output and of the axis; what is not named may be of
        any length, as far as is known.
    closed
        Of a converted file, by input and axis: the one length of axes that its source leaves open.
    halo
        How many pixels around it an output pixel depends on, by input and axis, or ``global``; None where nobody
        measured.
    memory_size, accelerator, accelerator_constrained, accelerator_summary, accelerator_count, batch_size_suggestion
        Bytes needed to load the model, what it was made for and whether it needs that, how many, and how large a batch.
    entrypoint
        ``package.module:function`` that builds the architecture, where the file holds weights only.
    pretrained, pretrained_source
        Whether training began from other weights than random ones, and whose; None where nobody said so.
    cube_dimensions, cube_variables
        The datacube extension's objects for the data the model reads and writes, by name.
    band_details
        What the raster extension says of bands, such as ``unit`` and ``statistics``, by their names.
    region, months
        Name of the place of the training data, and the months of the year that they are of.
    code
        What made the model: ``commit``, ``repository``, ``path`` and ``changed``.
    origin
        Where the model was taken from: ``registry``, and by what it is found there (``name``, ``version``,
        ``address``), with the SHA-256 of its ``files`` there.
    links, common
        Links and fields of other extensions that are kept as they are (``KEPT_RELS`` and ``COMMON`` in ``links``).
    batch_difference
        How far the result of a sample was seen to move with the others of its batch, as a share of the largest value;
        None where it does not, or nobody tried.
    unproved
        Whether nothing ran the file: its sizes are those that it states, and nobody knows that it is a function.
    sources, route, parity
        What the model is derived from, by which conversions, and how far it is from its source.
    precision, timing
        Of the numbers with which the file computes (``fp32``, ``fp16``, ``bf16``, ``int8``), and how long it takes.
    scores
        Flat metrics on held-out data, such as ``{"rmse": 0.9}``; the units belong in the name.
    main_metric
        The one of them that matters most, shown first.
    job
        Digest of the job specification that made the model.
    artifact
        The model file; a URL as a string when it is elsewhere.
    checksum, size
        SHA-256 (hexadecimal) and bytes of the artifact. Computed for a local file; known from the item when read.
    assets
        Files beside the model, by asset key.
    """

    name: str = Field(pattern=NAME_PATTERN, min_length=3)
    version: str
    variant: str = Field(pattern=VARIANT_PATTERN)
    title: str = Field(min_length=1)
    description: str = Field(min_length=1)
    license: str = Field(min_length=1)
    model_title: str | None = None
    keywords: tuple[str, ...] = ()
    providers: tuple[Provider, ...] = ()

    geometry: Geometry
    bbox: tuple[float, ...] = ()
    start: datetime
    end: datetime

    format: str
    framework_version: str
    backend: Backend | None = None
    backend_version: str | None = None

    architecture: str = Field(min_length=1)
    tasks: tuple[Task, ...] = Field(min_length=1)
    inputs: tuple[ModelInput, ...] = Field(min_length=1)
    outputs: tuple[ModelOutput, ...] = Field(min_length=1)
    sizes: dict[str, dict[str, Size]] = Field(default_factory=dict)
    closed: dict[str, dict[str, int]] = Field(default_factory=dict)
    halo: dict[str, dict[str, Any]] | None = None
    batch_difference: float | None = Field(default=None, gt=0)
    unproved: bool = False
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    parameters: int = Field(ge=0)
    memory_size: int | None = Field(default=None, ge=0)
    accelerator: Accelerator | None = None
    accelerator_constrained: bool | None = None
    accelerator_summary: str | None = None
    accelerator_count: int | None = Field(default=None, ge=1)
    batch_size_suggestion: int | None = Field(default=None, ge=0)
    entrypoint: str | None = None
    pretrained: bool | None = False
    pretrained_source: str | None = None

    cube_dimensions: dict[str, dict[str, Any]] = Field(default_factory=dict)
    cube_variables: dict[str, dict[str, Any]] = Field(default_factory=dict)

    band_details: dict[str, dict[str, Any]] = Field(default_factory=dict)
    region: str | None = Field(default=None, min_length=1)
    months: tuple[Annotated[int, Field(ge=1, le=12)], ...] = ()
    code: dict[str, Any] | None = None
    origin: dict[str, Any] | None = None

    links: tuple[KeptLink, ...] = ()
    common: dict[str, Any] = Field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    route: tuple[Step, ...] = ()
    parity: Parity | None = None
    precision: Precision | None = None
    timing: Timing | None = None
    scores: dict[str, float] | None = None
    main_metric: str | None = None
    job: str | None = None

    artifact: Place
    checksum: str | None = None
    size: int | None = None
    assets: dict[str, ExtraAsset] = Field(default_factory=dict)

    @property
    def id(self) -> str:
        """The item id."""
        return f"{self.name}-{self.version}-{self.variant}"

    @property
    def framework(self) -> str:
        """Value of ``mlm:framework``: what the file is."""
        return self.file_format.framework

    @property
    def moves_with_batch(self) -> float | None:
        """How far the result of a sample moves with the others of its batch, by itself or since it was converted."""
        converted = None if self.parity is None else self.parity.batch_difference
        return self.batch_difference or converted

    @property
    def file_format(self) -> Format:
        """The format's row in the table of formats."""
        return FORMATS[self.format]

    @field_validator("version", "framework_version")
    @classmethod
    def _semantic(cls, value: str) -> str:
        if not SEMVER.fullmatch(value):
            raise ValueError(f"{value!r} is no semantic version, such as 1.0.0 (catalog.versions.semver makes one)")
        return value

    @field_validator("version")
    @classmethod
    def _without_build(cls, value: str) -> str:
        if "+" in value:
            raise ValueError(f"{value!r} has build metadata, which a model version cannot carry into a URL")
        return value

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if value not in FORMATS:
            raise ValueError(f"unknown format {value!r}; known: {', '.join(sorted(FORMATS))}")
        return value

    @field_validator("start", "end", mode="before")
    @classmethod
    def _first_or_last(cls, value: Any, info: ValidationInfo) -> Any:
        # A day as the end is its whole day.
        return first_and_last(value)[info.field_name == "end"] if isinstance(value, (str, date)) else value

    @field_validator("start", "end")
    @classmethod
    def _utc(cls, value: datetime) -> datetime:
        return in_utc(value)

    @field_validator("hyperparameters")
    @classmethod
    def _hyperparameter_names(cls, value: dict[str, Any]) -> dict[str, Any]:
        for key in value:
            if not _HYPERPARAMETER.fullmatch(key):
                raise ValueError(f"name {key!r}: letters, digits, '_', '.' and '-' only")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.end < self.start:
            raise ValueError(f"end {self.end.isoformat()} is before start {self.start.isoformat()}")
        if MODEL_ASSET in self.assets:
            raise ValueError(f"the asset key {MODEL_ASSET!r} belongs to the artifact itself")
        if (self.backend is None) != (self.backend_version is None):
            raise ValueError("backend and backend_version need each other")
        if self.main_metric is not None and self.main_metric not in (self.scores or {}):
            known = ", ".join(sorted(self.scores or {})) or "none"
            raise ValueError(f"main_metric {self.main_metric!r} is none of the scores: {known}")
        names = {v if isinstance(v, str) else v.name for a in (*self.inputs, *self.outputs) for v in a.variables}
        if missing := sorted(names - self.cube_variables.keys()):
            raise ValueError(f"cube_variables lacks {', '.join(missing)}, which inputs or outputs name")
        return self

    @model_validator(mode="before")
    @classmethod
    def _fill_bbox(cls, fields: Any) -> Any:
        if isinstance(fields, dict) and not fields.get("bbox") and isinstance(fields.get("geometry"), dict):
            geometry = cut(check_geometry(fields["geometry"]))
            return {**fields, "geometry": geometry, "bbox": bounding_box(geometry)}
        return fields
