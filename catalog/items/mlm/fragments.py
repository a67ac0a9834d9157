"""The parts of the Machine Learning Model (MLM) extension as typed, frozen objects.

Source: MLM 1.5.2, https://github.com/stac-extensions/mlm/tree/v1.5.2 (sections named in the classes). The rules that
the JSON schema states are stated here too, so that a mistake is found where the object is built.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.mlm.names import (
    BANDS_FIELD,
    DTYPE_FIELD,
    TENSOR_FIELD,
    DataType,
    ResizeType,
    Task,
    band_axis,
)


def one_line(error: ValidationError) -> str:
    """Return pydantic's errors as one line: the first three fields and what is wrong with each."""
    found = [
        ".".join(str(part) for part in e["loc"]) + (": " if e["loc"] else "") + e["msg"].removeprefix("Value error, ")
        for e in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    return "; ".join(found[:3]) + more


class Fragment(BaseModel):
    """A frozen piece of an item; unknown fields are refused, so that a typing mistake does not pass in silence.

    Raises
    ------
    InvalidItemError
        From the constructor, when the content breaks MLM or our own rules.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    if not TYPE_CHECKING:  # a type checker should see the constructor that pydantic derives from the fields

        def __init__(self, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise InvalidItemError(f"{type(self).__name__} is invalid: {one_line(error)}") from error

        # Pydantic then checks what lies in another one itself, without a call of this one for each.
        __init__.__pydantic_base_init__ = True

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object, without the fields that are not set."""
        return self.model_dump(mode="json", exclude_none=True)


class Processing(Fragment):
    """A processing expression ("Processing Expression", also a value scaling of its own)."""

    type: Literal["processing"] = "processing"
    format: str
    expression: Any
    description: str | None = None


class MinMax(Fragment):
    """Scaling (x - minimum) / (maximum - minimum)."""

    type: Literal["min-max"] = "min-max"
    minimum: float
    maximum: float


class ZScore(Fragment):
    """Scaling (x - mean) / stddev."""

    type: Literal["z-score"] = "z-score"
    mean: float
    stddev: float


class Clip(Fragment):
    """Scaling min(max(x, minimum), maximum)."""

    type: Literal["clip"] = "clip"
    minimum: float
    maximum: float


class ClipMin(Fragment):
    """Scaling max(x, minimum)."""

    type: Literal["clip-min"] = "clip-min"
    minimum: float


class ClipMax(Fragment):
    """Scaling min(x, maximum)."""

    type: Literal["clip-max"] = "clip-max"
    maximum: float


class Offset(Fragment):
    """Scaling x - value."""

    type: Literal["offset"] = "offset"
    value: float


class Scale(Fragment):
    """Scaling x / value."""

    type: Literal["scale"] = "scale"
    value: float


ValueScaling = Annotated[
    MinMax | ZScore | Clip | ClipMin | ClipMax | Offset | Scale | Processing, Field(discriminator="type")
]

DimensionName = Annotated[str, Field(pattern=r"^[a-z_-]+$")]


class BandOrVariable(Fragment):
    """A band or variable that is computed from others ("Model Bands or Variables Object")."""

    name: str = Field(min_length=1)
    format: str | None = None
    expression: Any = None

    @model_validator(mode="after")
    def _both_or_none(self) -> BandOrVariable:
        if (self.format is None) != (self.expression is None):
            raise ValueError(f"variable {self.name!r} needs both format and expression, or none of the two")
        return self


class Structure(Fragment):
    """Shape and layout of one array ("Input Structure Object", "Result Structure Object").

    Parameters
    ----------
    shape
        Length of every axis; -1 where any length will do.
    dim_order
        Name of every axis; ``bands`` and ``variables`` are reserved for the lists of the same name.
    data_type
        Name of the data type, as in the raster extension.

    Other fields have a prefix: ``interop:data_type`` names a type that the extension calls ``other``.
    """

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False, defer_build=True)

    shape: tuple[Annotated[int, Field(ge=-1)], ...] = Field(min_length=1)
    dim_order: tuple[DimensionName, ...] = Field(min_length=1)
    data_type: DataType

    @model_validator(mode="after")
    def _one_name_per_axis(self) -> Structure:
        if len(self.shape) != len(self.dim_order):
            raise ValueError(f"shape {self.shape} and dim_order {self.dim_order} differ in length")
        if len(set(self.dim_order)) != len(self.dim_order):
            raise ValueError(f"dim_order {self.dim_order} names an axis twice")
        if unknown := [name for name in self.model_extra or () if ":" not in name]:
            raise ValueError(f"{unknown[0]!r} is no field of shape, dim_order and data_type")
        return self

    @property
    def dtype(self) -> str:
        """NumPy name of the data type."""
        return str((self.model_extra or {}).get(DTYPE_FIELD, self.data_type))

    @classmethod
    def of(cls, shape: Sequence[int], dim_order: Sequence[str], dtype: str) -> Self:
        """Make it of a NumPy type, which may be one that MLM has no name for."""
        if dtype in get_args(DataType):
            return cls(shape=tuple(shape), dim_order=tuple(dim_order), data_type=cast(DataType, dtype))
        fields: dict[str, Any] = {"shape": tuple(shape), "dim_order": tuple(dim_order), "data_type": "other"}
        return cls(**(fields | {DTYPE_FIELD: dtype}))


class InputStructure(Structure):
    """Shape and layout of an input."""


class ResultStructure(Structure):
    """Shape and layout of an output."""


class _Array(Fragment):
    # MLM leaves these objects open to fields of other extensions, such as classification:classes.
    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False, defer_build=True)

    name: str = Field(min_length=1)
    bands: tuple[str | BandOrVariable, ...] = ()
    variables: tuple[str | BandOrVariable, ...] = ()
    description: str | None = None

    @property
    def name_in_file(self) -> str:
        """What the file calls it."""
        return str((self.model_extra or {}).get(TENSOR_FIELD, self.name))

    @model_validator(mode="before")
    @classmethod
    def _bands_of_another_axis(cls, fields: Any) -> Any:
        if not isinstance(fields, dict) or BANDS_FIELD not in fields:
            return fields
        rest = {name: value for name, value in fields.items() if name != BANDS_FIELD}
        return rest | {"bands": fields[BANDS_FIELD]}

    def _check_reserved_axes(self, structure: Structure) -> None:
        axes = dict(zip(structure.dim_order, structure.shape, strict=True))
        for reserved, names in (("bands", self.bands), ("variables", self.variables)):
            axis = (band_axis(structure.dim_order) if reserved == "bands" else None) or reserved
            # MLM reserves "bands"; a channel may be anything, and has a list where it is made of bands.
            if bool(names) != (axis in axes) and (names or axis == reserved):
                how = f"call the axis of these names {axis!r}" if names else "name what is along it"
                if not names and reserved == "bands":
                    how = "name them (--bands, --output-bands), or call the axis 'channel'"
                raise ValueError(
                    f"{self.name!r}: the axis {axis!r} in dim_order and the list {reserved!r} need each other: {how}"
                )
            if names and axes[axis] not in {-1, len(names)}:
                raise ValueError(f"{self.name!r}: axis {axis!r} has length {axes[axis]}, the list {len(names)} names")

    def _json(self, structure: Structure) -> dict[str, Any]:
        """Return the JSON object; ``bands`` is always there, as readers of earlier versions of MLM need it."""
        content = super().to_json()
        if not self.variables:
            del content["variables"]
        if self.bands and "bands" not in structure.dim_order:  # its schema forbids the list beside another axis
            content |= {"bands": [], BANDS_FIELD: content["bands"]}
        return content


class ModelInput(_Array):
    """One input of a model ("Model Input Object")."""

    input: InputStructure
    value_scaling: tuple[ValueScaling, ...] | None = Field(default=None, min_length=1)
    resize_type: ResizeType | None = None
    pre_processing_function: Any = None

    @model_validator(mode="after")
    def _reserved_axes(self) -> ModelInput:
        self._check_reserved_axes(self.input)
        return self

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self._json(self.input)


class ModelOutput(_Array):
    """One output of a model ("Model Output Object")."""

    tasks: tuple[Task, ...]
    result: ResultStructure
    post_processing_function: Any = None

    @model_validator(mode="after")
    def _reserved_axes(self) -> ModelOutput:
        self._check_reserved_axes(self.result)
        return self

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return self._json(self.result)
