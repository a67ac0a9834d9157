from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.mlm import (
    BandOrVariable,
    Clip,
    ClipMax,
    ClipMin,
    InputStructure,
    MinMax,
    ModelInput,
    Offset,
    Processing,
    Scale,
    ZScore,
)

ROWS = InputStructure(shape=(-1, 3), dim_order=("batch", "variables"), data_type="float32")


def test_every_value_scaling_is_read_back_as_its_own_kind() -> None:
    scaling = (
        MinMax(minimum=0, maximum=1),
        ZScore(mean=1, stddev=2),
        Clip(minimum=0, maximum=1),
        ClipMin(minimum=0),
        ClipMax(maximum=1),
        Offset(value=3),
        Scale(value=30.6),
        Processing(format="python", expression="numpy:log1p"),
    )
    made = ModelInput(name="x", variables=("a", "b", "c"), input=ROWS, value_scaling=scaling)
    assert ModelInput(**made.to_json()) == made


def test_bands_are_always_written_and_variables_when_there_are_any() -> None:
    plain = ModelInput(
        name="x", input=InputStructure(shape=(-1, 3), dim_order=("batch", "height"), data_type="float32")
    ).to_json()
    assert plain["bands"] == []
    assert "variables" not in plain


def test_fields_of_other_extensions_survive() -> None:
    made = ModelInput(**{"name": "x", "variables": ["a", "b", "c"], "input": ROWS, "foreign:field": [1]})
    assert made.to_json()["foreign:field"] == [1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InputStructure(shape=(1, 2), dim_order=("batch",), data_type="float32"), "differ in length"),
        (lambda: InputStructure(shape=(1, 2), dim_order=("time", "time"), data_type="float32"), "names an axis twice"),
        (lambda: InputStructure(shape=(-2,), dim_order=("batch",), data_type="float32"), "shape.0"),
        (lambda: InputStructure(shape=(1,), dim_order=("Batch",), data_type="float32"), "dim_order.0"),
        (lambda: InputStructure(shape=(1,), dim_order=("batch",), data_type="float128"), "data_type"),
        (lambda: ModelInput(name="x", input=ROWS), "'variables'"),
        (lambda: ModelInput(name="x", variables=("a",), input=ROWS), "has length 3, the list 1 names"),
        (lambda: ModelInput(name="x", variables=("a", "b", "c"), input=ROWS, value_scaling=()), "value_scaling"),
        (lambda: Scale(value=float("nan")), "value"),
        (lambda: Scale(value=1, minimum=0), "minimum"),
        (lambda: BandOrVariable(name="ndvi", format="rio-calc"), "both format and expression"),
    ],
)
def test_what_mlm_forbids_is_refused_in_one_line(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidItemError) as caught:
        make()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
