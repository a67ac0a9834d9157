"""Where a model comes from and how far it is proven: sources, conversion steps, parity, and files beside the model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from modelstac.catalog.items.links import is_image
from modelstac.catalog.items.mlm import Fragment


def _local_or_url(place: Path | str) -> Path | str:
    return Path(place) if isinstance(place, str) and "://" not in place and not place.startswith("data:") else place


# Strings first: trying each as a path too took most of the time of reading an item.
Place = Annotated[str | Path, Field(union_mode="left_to_right"), AfterValidator(_local_or_url)]


class Step(Fragment):
    """One conversion in ``interop:route``.

    Parameters
    ----------
    source_format, target_format
        From what to what.
    tool, version
        What did it.
    method
        How: by the framework's own exporter, or rebuilt from the architecture and the weights.
    warnings
        What the tool said on the way.
    """

    source_format: str
    target_format: str
    tool: str
    version: str
    method: str | None = None
    warnings: tuple[str, ...] = ()


class OutputParity(Fragment):
    """How far one output of several is from that of the source.

    Parameters
    ----------
    max_absolute_difference, max_relative_difference, root_mean_square_difference, percentile_99_difference, cosine
        As in :class:`Parity`, of this output.
    differing_ppm
        Of whole numbers and truth values: how many are not the same, in parts per million.
    values
        How many values were compared; 0 where the output was empty in every case.
    passed
        Whether what was allowed held.
    """

    max_absolute_difference: float = Field(ge=0)
    max_relative_difference: float = Field(ge=0)
    root_mean_square_difference: float = Field(ge=0)
    percentile_99_difference: float = Field(ge=0)
    cosine: float
    differing_ppm: float | None = Field(default=None, ge=0, le=1e6)
    values: int = Field(ge=0)
    passed: bool


class Parity(Fragment):
    """How far a converted model is from its source, over all cases compared (``interop:parity``).

    Of several outputs each measure is that of the output which is worst by it.

    Parameters
    ----------
    source
        Item id of the source.
    max_absolute_difference, max_relative_difference, root_mean_square_difference
        Over all output values, in the units of the model's output; the relative one is a fraction.
    cases
        Number of inputs compared.
    absolute_tolerance, relative_tolerance
        What was allowed.
    passed
        Whether it held.
    percentile_99_difference, cosine
        99th percentile of the absolute differences; cosine of the angle between the two outputs.
    differing_ppm, differing_ppm_tolerance
        Of whole numbers and truth values (class ids, masks): how many are not the same, in parts per million, and how
        many were allowed to be. These are judged by nothing else.
    rmse_change, csi_change
        What the conversion changes in the task on real data, where there were any: in the root mean square error, and
        (largest over the thresholds, without sign) in the critical success index.
    outputs
        Where there are several outputs: each by its name.
    judged_cases, judged_on
        How many of the cases count, and which values these have, in words.
    unjudged_difference
        Largest absolute difference of the other cases, where none is infinite.
    allowed_difference
        What was allowed in the case of the largest difference: the absolute tolerance grows with outputs above 1, and
        the relative one is smaller where all outputs are.
    tolerance_by
        Who says what is allowed, where it is not the precision of the file: whoever converted, or the precision of the
        source; in words.
    batch_difference
        How far the result of a sample was seen to move with the others of its batch; not set where it does not.
    """

    source: str
    max_absolute_difference: float = Field(ge=0)
    max_relative_difference: float = Field(ge=0)
    root_mean_square_difference: float = Field(ge=0)
    cases: int = Field(ge=1)
    absolute_tolerance: float = Field(ge=0)
    relative_tolerance: float = Field(ge=0)
    passed: bool
    percentile_99_difference: float | None = Field(default=None, ge=0)
    cosine: float | None = None
    differing_ppm: float | None = Field(default=None, ge=0, le=1e6)
    differing_ppm_tolerance: float | None = Field(default=None, ge=0)
    rmse_change: float | None = None
    csi_change: float | None = Field(default=None, ge=0)
    outputs: dict[str, OutputParity] | None = None
    judged_cases: int | None = Field(default=None, ge=1)
    judged_on: str | None = None
    unjudged_difference: float | None = Field(default=None, ge=0)
    tolerance_by: str | None = None
    batch_difference: float | None = Field(default=None, ge=0)
    allowed_difference: float | None = Field(default=None, ge=0)


class Timing(Fragment):
    """How long a conversion took and how long its result takes (``interop:timing``), where it was made.

    Parameters
    ----------
    conversion_seconds
        Of the conversion, without the comparison.
    latency_seconds, source_latency_seconds
        Median time of one prediction of the result, and of its source in turns with it.
    shape
        Of the input that was timed, in the layout of the source; of several inputs, of the first.
    shapes
        Where there are several inputs: of each by its name.
    """

    conversion_seconds: float = Field(ge=0)
    latency_seconds: float = Field(ge=0)
    source_latency_seconds: float = Field(ge=0)
    shape: tuple[int, ...]
    shapes: dict[str, tuple[int, ...]] | None = None


class Source(Fragment):
    """What a model is derived from: an item of the same catalog (``item_id``) or anything with a URL (``href``).

    With both, the URL counts only where the catalog does not have the item.
    """

    href: str | None = None
    item_id: str | None = None
    title: str | None = None
    media_type: str | None = None

    @model_validator(mode="after")
    def _somewhere(self) -> Source:
        if not self.href and not self.item_id:
            raise ValueError("a source needs an item_id or an href")
        return self


class Provider(Fragment):
    """A person or organisation behind a model (STAC common metadata, "Provider Object")."""

    name: str = Field(min_length=1)
    roles: tuple[str, ...] = ()
    url: str | None = None
    description: str | None = None


class KeptLink(Fragment):
    """A link that an item keeps: its licence, what to cite, its documentation.

    Parameters
    ----------
    rel, href
        As in STAC.
    media_type, title
        Of what it leads to.
    """

    rel: str = Field(min_length=1)
    href: str = Field(min_length=1)
    media_type: str | None = None
    title: str | None = None


class ExtraAsset(Fragment):
    """A file beside the model: history, metrics, parity report, thumbnail; or what runs it: code, a container.

    Parameters
    ----------
    path
        The local file; a URL as a string when the file is elsewhere, or the name of a container image.
    checksum, size
        SHA-256 as hexadecimal digits, and bytes. Computed for a local file; known from the item when read from one.
        What lies elsewhere and is not of ours may have none.
    fields
        Fields of extensions, such as ``mlm:entrypoint``.
    """

    path: str | Path
    media_type: str | None = None
    roles: tuple[str, ...] = ()
    title: str | None = None
    description: str | None = None
    checksum: str | None = None
    size: int | None = None
    fields: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _placed(cls, given: Any) -> Any:
        if not isinstance(given, dict) or not isinstance(path := given.get("path"), str):
            return given
        image = is_image(path, given.get("media_type"), given.get("roles") or ())
        return given if image else given | {"path": _local_or_url(path)}
