"""Tables in, by the names of their columns: of pandas in all its types, of Arrow, fields of arrays, and files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner
from tests.registry import statements

import modelstac
from modelstac.catalog import open_catalog
from modelstac.catalog.errors import DataError
from modelstac.catalog.items.writing import write_item
from modelstac.cli import main
from modelstac.registry import Model
from modelstac.registry.describing.describe import describe_file
from modelstac.registry.publishing.fitting import read_examples

BANDS = ["B02", "B03", "B04"]
ROWS = np.random.default_rng(0).integers(0, 99, (5, 3)).astype(np.float32)
TURNED = pd.DataFrame(ROWS, columns=BANDS)[[*reversed(BANDS)]].assign(place="x", id=range(5))


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog with a model that gives its rows back."""
    folder = tmp_path_factory.mktemp("tables")
    shape: list[Any] = ["batch", 3]
    statements.graph(folder / "same.onnx", [("Identity", ["x"], ["y"])], [("x", shape)], [("y", shape)])
    dims = ("batch", "bands")
    said = statements.statement(input_dims=dims, output_dims=dims, bands=BANDS, output_bands=("a", "b", "c"))
    open_catalog(folder / "catalog", create=True).publish(write_item(describe_file(folder / "same.onnx", said)))
    return folder / "catalog"


@pytest.fixture(scope="module")
def model(catalog: Path) -> Model:
    return modelstac.load("net", catalog=catalog)


TABLES: dict[str, Callable[[], Any]] = {
    "pandas": lambda: TURNED,
    "types of pandas": lambda: TURNED.astype({"B02": "Float32", "B03": "Int64"}),
    "types of Arrow": lambda: TURNED.convert_dtypes(dtype_backend="pyarrow").astype({"B04": "float[pyarrow]"}),
    "Arrow": lambda: pa.Table.from_pandas(TURNED),
    "fields": lambda: TURNED.drop(columns="place").to_records(index=False),
    "columns that are numbered": lambda: pd.DataFrame(ROWS),
}


@pytest.mark.parametrize("kind", TABLES)
def test_columns_are_found_by_name(model: Model, kind: str) -> None:
    np.testing.assert_array_equal(model.predict(TABLES[kind]()), ROWS)
    np.testing.assert_array_equal(model.predict(x=TABLES[kind](), scaled=False), ROWS)


@pytest.mark.parametrize("kind", ["pandas", "types of pandas", "Arrow"])
def test_columns_that_lack_or_have_gaps_are_refused(model: Model, kind: str) -> None:
    table = TABLES[kind]()
    with pytest.raises(DataError, match=r"found the columns B04, B02, place, id: B03 missing"):
        model.predict(table.drop(columns="B03") if isinstance(table, pd.DataFrame) else table.drop_columns("B03"))
    gap = TURNED.astype({"B02": "Float32"}) if kind == "types of pandas" else TURNED.copy()
    gap.loc[2, "B02"] = None
    with pytest.raises(DataError, match="1 of 15 values NaN"):
        model.predict(gap if kind != "Arrow" else pa.Table.from_pandas(gap))


@pytest.mark.parametrize("kind", ["Arrow", "fields"])
def test_an_example_is_a_table_of_any_kind(kind: str) -> None:
    table = TABLES[kind]()
    found = read_examples(table.drop_columns("place") if kind == "Arrow" else table, ["x"], folder=Path())["x"]
    assert found.bands == ("B04", "B03", "B02", "id")
    np.testing.assert_array_equal(found.array[:, :3], ROWS[:, ::-1])


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_files_of_tables_are_inputs(catalog: Path, tmp_path: Path, form: str) -> None:
    path, target = tmp_path / f"table.{form}", tmp_path / "out.npy"
    getattr(TURNED, f"to_{form}")(path)
    for given in ([str(path)], ["--input", str(path)], ["--input", f"x={path}"]):
        found = CliRunner().invoke(main, ["predict", "net", *given, "--output", str(target), "--catalog", str(catalog)])
        assert found.exit_code == 0, found.output
        np.testing.assert_array_equal(np.load(target), ROWS)
        target.unlink()
    path.write_text("")
    found = CliRunner().invoke(main, ["predict", "net", str(path), "--output", str(target), "--catalog", str(catalog)])
    assert found.exit_code == 2
    assert f"is no table in {'CSV' if form == 'csv' else 'Parquet'}" in found.output
    assert not target.exists()
