"""What a search by POST may say beside what stac-fastapi takes: CQL2 as text, and an order in short."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator
from stac_fastapi.extensions.filter.request import FilterExtensionPostRequest
from stac_fastapi.extensions.sort.request import SortExtensionPostRequest


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
