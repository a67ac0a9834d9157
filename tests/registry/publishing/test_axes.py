"""What axes of an output are called where nobody names them, and bands of an example in another order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from modelstac.catalog.errors import DataError
from modelstac.catalog.items.sizes import ANY, Size
from modelstac.registry.facts import Tensor
from modelstac.registry.publishing.feeding import feed
from modelstac.registry.publishing.fitting import output_axes, read_examples

BANDS = ("B02", "B03", "B04", "B08")
SERIES, CUBE, LAST = "batch time bands", "batch time bands height width", "batch time height width bands"


def sizes(*lengths: int | None) -> tuple[Size, ...]:
    return tuple(ANY if length is None else Size.fixed(length) for length in lengths)


@pytest.mark.parametrize(
    ("dims", "taken", "given", "classes", "expected"),
    [
        (SERIES, (None, 5, 4), (None, 2), 2, "batch class"),
        (SERIES, (None, None, 4), (None, 2), 2, "batch class"),
        (SERIES, (None, 5, 4), (None, 1), None, "batch channel"),
        (SERIES, (None, 5, 4), (None, 5), None, "batch time"),
        (SERIES, (None, 5, 4), (None, 5), 3, "batch time"),
        (SERIES, (None, 5, 4), (None, 5), 5, None),
        (SERIES, (None, None, 4), (None, None, 2), 2, "batch time class"),
        (CUBE, (None, 5, 4, None, None), (None, 2, None, None), 2, "batch class height width"),
        (CUBE, (None, 5, 4, None, None), (None, 5, None, None), None, "batch time height width"),
        (CUBE, (None, 5, 4, None, None), (None, 5, 2, None, None), 2, "batch time class height width"),
        (LAST, (None, 6, 32, 32, 4), (None, 32, 32, 2), 2, "batch height width class"),
        (LAST, (None, 6, 32, 32, 4), (None, 32, 32, 1), None, "batch height width channel"),
        (LAST, (None, None, None, None, 4), (None, None, None, 2), 2, "batch height width class"),
        (LAST, (None, 6, 32, 32, 4), (None, 6, 32, 32), None, "batch time height width"),
        ("batch bands y x", (None, 4, 32, 32), (None, 16, 16), 2, "batch y x"),
    ],
)
def test_axes_of_an_output_are_of_lengths_that_they_can_have(
    dims: str, taken: tuple[int | None, ...], given: tuple[int | None, ...], classes: int | None, expected: str | None
) -> None:
    output = Tensor("y", sizes(*given), "float32")
    found = output_axes(output, [(tuple(dims.split()), sizes(*taken))], classes=classes, bands=())
    assert found == (tuple(expected.split()) if expected else None)


ROWS = np.arange(12, dtype=np.float32).reshape(3, 4)
TABLE = Tensor("x", sizes(None, 4), "float32")


@pytest.mark.parametrize(
    "example",
    [
        pd.DataFrame(ROWS, columns=BANDS)[[*reversed(BANDS)]],
        pd.DataFrame(ROWS, columns=BANDS)[[*reversed(BANDS)]].assign(label=1),
        xr.DataArray(ROWS, dims=("batch", "band"), coords={"band": [*BANDS]}).isel(band=[2, 0, 3, 1]),
    ],
    ids=["table", "surplus", "xarray"],
)
def test_an_example_is_fed_in_the_order_of_the_bands_that_are_said(example: object) -> None:
    fed, _ = feed({"example": example, "bands": BANDS}, [TABLE], Path(), first=True)
    np.testing.assert_array_equal(fed["x"].scaled, ROWS)
    assert fed["x"].bands == BANDS


def test_an_example_without_a_band_or_with_masked_values_is_refused() -> None:
    lacking = pd.DataFrame(ROWS, columns=BANDS)[["B02", "B03"]]
    with pytest.raises(DataError, match="has the bands B02, B03: B04, B08 missing"):
        feed({"example": lacking, "bands": BANDS}, [TABLE], Path(), first=True)
    with pytest.raises(DataError, match="2 of 12 values masked"):
        read_examples(np.ma.masked_array(ROWS, ROWS > 9), ["x"], folder=Path())


@pytest.mark.parametrize("example", [ROWS.astype(">f4"), ROWS[::-1].copy()[::-1], np.asfortranarray(ROWS)])
def test_memory_of_an_example_may_lie_in_any_order(example: np.ndarray) -> None:
    found = read_examples(example, ["x"], folder=Path())["x"].array
    np.testing.assert_array_equal(found, ROWS)
    assert found.dtype.isnative
    assert found.flags.c_contiguous


def test_an_example_may_leave_out_what_has_a_default() -> None:
    assert list(read_examples(ROWS, ["x", "w"], folder=Path(), optional={"w"})) == ["x"]
    assert list(read_examples({"x": ROWS, "w": ROWS}, ["x", "w"], folder=Path(), optional={"w"})) == ["x", "w"]


def test_examples_have_the_order_of_the_inputs_however_they_are_written() -> None:
    assert list(read_examples({"w": ROWS, "x": ROWS}, ["x", "w"], folder=Path())) == ["x", "w"]
