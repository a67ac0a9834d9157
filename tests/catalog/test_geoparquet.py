"""A catalog as one GeoParquet file, read back by pyarrow, DuckDB, GeoPandas and stac-geoparquet itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import geopandas
import pyarrow.parquet as pq
import pytest
from stac_geoparquet import arrow

from modelstac.catalog import open_catalog
from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import CatalogError, InvalidItemError
from modelstac.catalog.geoparquet import write_geoparquet
from modelstac.catalog.items.documents import located
from modelstac.catalog.search.page import Page
from modelstac.catalog.testing import Examples


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    found = open_catalog(str(tmp_path / "models.sqlite"), create=True)
    examples = Examples(tmp_path)
    for version in ("1.0.0", "1.1.0"):
        found.publish(examples.item(version=version))
    return found


def test_tools_read_it(catalog: Catalog, tmp_path: Path) -> None:
    path = tmp_path / "models.parquet"
    assert write_geoparquet(catalog, path).items == 2
    stored = {item.id: located(item) for item in catalog.items()}
    table = pq.read_table(path)
    assert sorted(table["id"].to_pylist()) == sorted(stored)
    found = duckdb.sql(
        f"SELECT id, \"mlm:framework\", assets.model.href FROM '{path}' WHERE version = '1.1.0'"
    ).fetchall()
    (document,) = (one for one in stored.values() if one["properties"]["version"] == "1.1.0")
    assert found == [(document["id"], document["properties"]["mlm:framework"], document["assets"]["model"]["href"])]
    frame = geopandas.read_parquet(path)
    assert frame.crs.to_epsg() == 4326
    assert not frame.geometry.is_empty.any()
    assert "stac-geoparquet" in {key.decode() for key in pq.read_schema(path).metadata}
    for back in arrow.stac_table_to_items(table):
        assert back["assets"].keys() == stored[back["id"]]["assets"].keys()
        assert said(back["properties"]["mlm:input"]) == said(stored[back["id"]]["properties"]["mlm:input"])


def said(value: Any) -> Any:
    """Leave out what is null: in Parquet a field that one of several lacks is."""
    if isinstance(value, dict):
        return {name: said(one) for name, one in value.items() if one is not None}
    return [said(one) for one in value] if isinstance(value, list) else value


class Documents(Catalog):
    """A catalog of items as they are given; somebody else's are not all alike."""

    def __init__(self, items: list[Any]) -> None:
        super().__init__("odd")
        self._items = items

    def items(self) -> Any:
        return iter(self._items)

    def collections(self) -> Any:
        return iter(())

    def page(self, *_: Any, **__: Any) -> Any:
        return Page((), None, None)


Documents.__abstractmethods__ = frozenset()


def test_fields_of_several_types_are_json_text(tmp_path: Path) -> None:
    examples = Examples(tmp_path)
    odd: list[Any] = []
    for number, (depth, nested, box) in enumerate(
        [
            (3, {"a": 1}, [0, 0, 1, 1]),
            ("deep", {"a": "x", "b": [1, 2.5]}, [0, 0, -5, 1, 1, 5]),
            (None, {}, [0, 0, 1, 1]),
            (2.5, {"b": []}, [0, 0, 1, 1]),
            (1 << 70, {"a": None, "b": [3]}, [0, 0, 1, 1]),
        ]
    ):
        item = examples.item(version=f"1.{number}.0")
        item.properties |= {"x:depth": depth, "x:nested": nested, "x:flags": [True], "x:none": {}, "x:ok": number / 2}
        item.properties["x:time"] = [(1 << 60) + 1, 0.5, 1, 1, 1][number]
        item.bbox = box
        item.assets["model"].extra_fields["x:size"] = number if number % 2 else str(number)
        if number == 2:
            item.geometry = None
        odd.append(item)
    path = tmp_path / "odd.parquet"
    written = write_geoparquet(Documents(odd), path)
    assert set(written.as_text) == {
        "properties.x:depth",
        "properties.x:nested.a",
        "properties.x:none",
        "properties.x:time",
        "assets.model.x:size",
    }
    table = pq.read_table(path)
    assert [None if v is None else json.loads(v) for v in table["x:depth"].to_pylist()] == [
        3,
        "deep",
        None,
        2.5,
        1 << 70,
    ]
    assert table["x:nested"].to_pylist()[1] == {"a": '"x"', "b": [1.0, 2.5]}
    assert json.loads(table["x:time"].to_pylist()[0]) == (1 << 60) + 1
    assert [back["geometry"] for back in arrow.stac_table_to_items(table)][2] == {"type": "Polygon", "coordinates": []}
    assert table["x:ok"].to_pylist() == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert table["bbox"].to_pylist()[1] == {"xmin": 0, "ymin": 0, "xmax": 1, "ymax": 1}
    assert {str(side.type) for side in table.schema.field("bbox").type} == {"double"}
    assert duckdb.sql(f"SELECT count(*) FROM '{path}' WHERE \"x:ok\" > 0.7").fetchall() == [(3,)]


def test_items_without_assets_with_members_of_their_own_and_days_are_written(tmp_path: Path) -> None:
    odd = [Examples(tmp_path).item(version=f"1.{number}.0") for number in range(2)]
    for item, member in zip(odd, (["x", 1, None], "x"), strict=True):
        item.assets.clear()
        item.extra_fields["own"] = {"list": member}
    odd[0].properties |= {"created": "2020-01-02", "end_datetime": "2020-01-02T12:00:00"}
    odd[1].properties |= {"end_datetime": "2020-W01"}
    path = tmp_path / "odd.parquet"
    assert write_geoparquet(Documents(odd), path).as_text == ("own.list",)
    table = pq.read_table(path)
    assert [own["list"] for own in table["own"].to_pylist()] == ['["x", 1, null]', '"x"']
    times = [table["created"][0], *table["end_datetime"]]
    assert [str(time.as_py()) for time in times] == [
        "2020-01-02 00:00:00+00:00",
        "2020-01-02 12:00:00+00:00",
        "2020-01-05 23:59:59.999999+00:00",
    ]
    assert [back["assets"] for back in arrow.stac_table_to_items(table)] == [{}, {}]


def test_nothing_is_written_of_nothing_and_of_what_is_no_time(tmp_path: Path) -> None:
    path = tmp_path / "none.parquet"
    with pytest.raises(CatalogError, match="has no items"):
        write_geoparquet(Documents([]), path)
    assert not path.exists()
    item = Examples(tmp_path).item()
    item.properties["created"] = "yesterday"
    heard: list[Any] = []
    with pytest.raises(CatalogError, match="has no items"):
        write_geoparquet(Documents([item]), path, report=heard.append)
    assert [note.text for note in heard] == [
        f"{item.id} is left out: its created is 'yesterday', and a time of RFC 3339 is needed"
    ]
    item.properties["created"], item.geometry = "2020-01-01T00:00:00Z", {"type": "Point", "coordinates": ["a", "b"]}
    with pytest.raises(InvalidItemError, match="cannot be written as GeoParquet"):
        write_geoparquet(Documents([item]), path)
