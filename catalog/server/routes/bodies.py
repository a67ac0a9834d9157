"""What a search may say beside what stac-fastapi takes: CQL2 as text, an order in short, words as one text.

Place and time are taken as they are sent, by GET and by POST: what they mean, and what is wrong with them, is said in
one place (``requests.py``); stac-pydantic reads "2020" as seconds, and tells a wrong polygon that it is no Point.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar, cast

import attr
from fastapi import Query
from pydantic import BaseModel, Field, create_model, field_validator
from stac_fastapi.extensions.filter.request import FilterExtensionPostRequest
from stac_fastapi.extensions.free_text.request import FreeTextExtensionPostRequest
from stac_fastapi.extensions.sort.request import SortExtensionPostRequest
from stac_fastapi.types.search import APIRequest, DateTimeQueryType

Body = TypeVar("Body", bound=BaseModel)
_BOX = "West, south, east, north in degrees, or six numbers with heights; west beyond east crosses the antimeridian."
_GEOMETRY = "A geometry of GeoJSON that the item's geometry shares a point with."
_MOMENTS = "A moment of RFC 3339, or two with '/' between them, '..' for an open end."


def plain_address(model: Any) -> type[APIRequest]:
    """Return a model of a GET that takes box and time as they are."""
    fields = {
        "bbox": attr.ib(default=None, type=Annotated[str | None, Query(description=_BOX)]),
        "datetime": attr.ib(default=None, type=DateTimeQueryType),
    }
    return cast("type[APIRequest]", attr.make_class(model.__name__, fields, bases=(model,)))


def plain_body(model: type[Body]) -> type[Body]:
    """Return a model of a POST that takes box, geometry and time as they are."""
    lengths: dict[str, Any] = {"minItems": 4, "maxItems": 6}
    return create_model(
        model.__name__,
        __base__=model,
        bbox=(list[float] | None, Field(None, description=_BOX, json_schema_extra=lengths)),
        intersects=(dict[str, Any] | None, Field(None, description=_GEOMETRY)),
        datetime=(str | None, Field(None, description=_MOMENTS)),
    )


class FilterBody(FilterExtensionPostRequest):
    """``filter`` as JSON or as text; without ``filter-lang`` what it is tells which."""

    filter_expr: dict[str, Any] | str | bool | None = Field(  # type: ignore[assignment]
        None, alias="filter", description="A condition of CQL2, as JSON or as text."
    )
    filter_lang: Literal["cql2-json", "cql2-text"] | None = Field(  # type: ignore[assignment]
        None, alias="filter-lang", description="How the filter is written; where it is not said, what it is tells."
    )


class SortField(BaseModel):
    """One property to sort by; upwards where nothing is said."""

    field: str = Field(min_length=1)
    direction: Literal["asc", "desc"] = "asc"

    @field_validator("direction", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value


class SortBody(SortExtensionPostRequest):
    """``sortby`` as the standard has it, and as a GET has it: ``["-properties.datetime", "id"]``."""

    sortby: list[SortField | str] | str | None = Field(  # type: ignore[assignment]
        None, description="Properties with a direction, or their names with - before one to sort downwards."
    )


class TextBody(FreeTextExtensionPostRequest):
    """``q`` as a list of words, and as a GET has it."""

    q: list[str] | str | None = Field(  # type: ignore[assignment]
        None, description="Words that must all occur; commas, or entries of a list, separate alternatives."
    )
