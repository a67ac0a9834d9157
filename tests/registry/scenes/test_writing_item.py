"""The STAC item of a result: valid by pystac, of the right place and time, and taken by catalogs; and object stores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import obstore
import pystac
import pytest
from affine import Affine
from obstore.store import from_url
from odc.geo.geobox import GeoBox
from tests.catalog.conftest import moto
from tests.registry.scenes.in_memory import CLASSES, InMemory, class_map, scores
from tests.registry.scenes.reading_models import tif
from tests.registry.scenes.small_models import average

from modelstac.catalog.errors import ModelStacError, StorageError
from modelstac.catalog.items.digests import from_multihash, sha256
from modelstac.catalog.items.validation import offline_validator
from modelstac.registry.scenes.predicting import predict_scene
from modelstac.registry.scenes.rasters import Class, Layer
from modelstac.registry.scenes.writing.write import write

MODEL = pystac.Item("land-1.0.0-onnx", None, None, datetime(2026, 1, 1, tzinfo=UTC), {"title": "Land cover"})
WHEN = datetime(2026, 7, 1, 10, 30, tzinfo=UTC)


def link_to_scene(**properties: Any) -> pystac.Link:
    moment = properties.pop("datetime", WHEN)
    scene = pystac.Item("S2A_33UVR", None, None, moment, properties)
    scene.set_self_href("https://example.org/S2A_33UVR.json")
    return pystac.Link("derived_from", scene, "application/geo+json")


def test_an_item_says_what_where_when_and_of_what(tmp_path: Path) -> None:
    written = write(
        [class_map()],
        tmp_path / "map.tif",
        model=MODEL,
        origins=[link_to_scene()],
        notes=["reflectance = 0.0001 x - 0.1"],
        vector=tmp_path / "map.parquet",
        preview=tmp_path / "map.png",
        software={"onnxruntime": "1.20.0"},
    )
    assert [found.kind for found in written] == ["map", "polygons", "preview", "item"]
    item = pystac.Item.from_file(tmp_path / "map.json")
    assert len(item.validate(validator=offline_validator())) == 5  # STAC itself and four extensions
    assert (item.id, item.datetime) == ("map", WHEN)
    assert item.properties["proj:code"] == "EPSG:32633"
    assert item.properties["proj:shape"] == [600, 700]
    assert item.properties["proj:transform"] == [10, 0, 500_000, 0, -10, 5_000_000]
    assert item.properties["proj:bbox"] == [500_000, 4_994_000, 507_000, 5_000_000]
    assert item.bbox == pytest.approx([15.0, 45.099, 15.089, 45.1535], abs=1e-3)
    assert item.properties["processing:software"]["onnxruntime"] == "1.20.0"
    assert item.properties["processing:software"].keys() == {"modelstac", "onnxruntime"}
    assert item.properties["processing:lineage"] == "reflectance = 0.0001 x - 0.1"
    sources = {link.get_href(transform_href=False): link for link in item.get_links("derived_from")}
    assert sources.keys() == {"https://example.org/S2A_33UVR.json", "land-1.0.0-onnx.json"}
    assert sources["land-1.0.0-onnx.json"].extra_fields["interop:item_id"] == "land-1.0.0-onnx"
    assert item.assets.keys() == {"map", "polygons", "preview"}
    for asset in item.assets.values():
        path = Path(str(asset.get_absolute_href()))
        assert from_multihash(asset.extra_fields["file:checksum"]) == sha256(path)
        assert asset.extra_fields["file:size"] == path.stat().st_size
    found = item.assets["map"].extra_fields
    assert found["bands"] == [{"name": "cover", "data_type": "uint8", "nodata": 255}]
    assert [one["title"] for one in found["classification:classes"]] == [one.name for one in CLASSES]
    assert found["classification:classes"][3] == {
        "value": 3,
        "name": "flooded_vegetation",
        "title": "flooded vegetation",
        "description": "flooded vegetation",
        "color_hint": "A1CAF1",
    }


def test_many_layers_and_grids_are_assets_with_their_own_place(tmp_path: Path) -> None:
    finer = GeoBox((1200, 1400), Affine(5, 0, 500_000, 0, -5, 5_000_000), "EPSG:32633")
    write([class_map(), scores(finer, bands=("height",), unit="m")], tmp_path / "map.tif", when=WHEN, item_id="a.b")
    item = pystac.Item.from_file(tmp_path / "map.json")
    item.validate(validator=offline_validator())
    assert item.id == "a.b"
    assert item.assets["map-scores"].extra_fields["proj:shape"] == [1200, 1400]
    bands = item.assets["map-scores"].extra_fields["bands"]
    assert bands == [{"name": "height", "data_type": "float32", "nodata": "nan", "unit": "m"}]


@pytest.mark.parametrize(
    ("grid", "bbox"),
    [
        (GeoBox((60, 70), Affine(0.1, 0, 177, 0, -0.1, 62), "EPSG:4326"), [177, 56, -176, 62]),
        (GeoBox((60, 60), Affine(50_000, 0, -1.5e6, 0, -50_000, 1.5e6), "EPSG:3031"), [-180, -90, 180, -71]),
        (GeoBox((60, 60), Affine(50_000, 0, -1.5e6, 0, -50_000, 1.5e6), "EPSG:3995"), [-180, 71, 180, 90]),
    ],
)
def test_places_over_the_antimeridian_and_around_poles(tmp_path: Path, grid: GeoBox, bbox: list[float]) -> None:
    write([class_map(grid)], tmp_path / "map.tif", when=WHEN)
    item = pystac.Item.from_file(tmp_path / "map.json")
    item.validate(validator=offline_validator())
    assert item.bbox is not None
    assert item.bbox[0::2] == bbox[0::2]
    assert bbox[1] - 6 <= item.bbox[1] <= bbox[1] + 6
    assert abs(item.bbox[3] - bbox[3]) < 6


def test_a_reference_system_without_a_number_is_written_out(tmp_path: Path) -> None:
    grid = GeoBox((60, 70), Affine(500, 0, -1e4, 0, -500, 2e4), "+proj=laea +lat_0=52 +lon_0=10 +ellps=GRS80")
    write([class_map(grid)], tmp_path / "map.tif", when=WHEN)
    item = pystac.Item.from_file(tmp_path / "map.json")
    item.validate(validator=offline_validator())
    assert item.properties["proj:code"] is None
    assert item.properties["proj:wkt2"].startswith("PROJCRS")


def test_times_come_from_the_scenes_or_are_given_or_are_said_to_be_unknown(tmp_path: Path) -> None:
    later = datetime(2026, 8, 1, tzinfo=UTC)

    def made(**named: Any) -> pystac.Item:
        write([class_map(patch=300)], tmp_path / "map.tif", overviews=False, **named)
        item = pystac.Item.from_file(tmp_path / "map.json")
        item.validate(validator=offline_validator())
        return item

    nowhere = pystac.Item("made-here", None, None, WHEN, {})
    one = made(origins=[pystac.Link("derived_from", nowhere)])
    assert one.datetime == WHEN
    assert [link.href for link in one.get_links("derived_from")] == ["made-here.json"]
    two = made(origins=[link_to_scene(), link_to_scene(datetime=later)])
    assert two.datetime is None
    assert (two.common_metadata.start_datetime, two.common_metadata.end_datetime) == (WHEN, later)
    assert made(when=(WHEN, WHEN)).datetime == WHEN
    before = datetime.now(UTC)
    unknown = made(origins=[pystac.Link("derived_from", "https://example.org/scene.tif")])
    assert unknown.datetime is not None
    assert unknown.datetime >= before.replace(microsecond=0)
    assert "the scene says no time" in unknown.properties["description"].lower()


def test_classes_of_any_names_are_valid(tmp_path: Path) -> None:
    names = ("Wald / forêt", "Wald   forêt", "湖", "", "x" * 300)
    classes = tuple(Class(i, name) for i, name in enumerate(names))
    write([class_map(classes=classes)], tmp_path / "map.tif", when=WHEN)
    write([class_map(classes=classes)], tmp_path / "map.nc", item=False)
    item = pystac.Item.from_file(tmp_path / "map.json")
    item.validate(validator=offline_validator())
    found = item.assets["map"].extra_fields["classification:classes"]
    assert [one["title"] for one in found] == list(names)
    assert len({one["name"] for one in found}) == len(names)


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, moto() as address:
        for name, value in {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }.items():
            patch.setenv(name, value)
        yield address


def test_a_result_goes_into_an_object_store_whole(store: str, tmp_path: Path) -> None:
    import urllib.request

    import xarray as xr

    urllib.request.urlopen(urllib.request.Request(f"{store}/maps", method="PUT")).close()
    base = "s3://maps/of july"
    raster = class_map()
    for name in ("map.tif", "map.zarr"):
        written = write([raster], f"{base}/{name}", when=WHEN, preview=f"{base}/map.png")
        assert [found.href for found in written] == [f"{base}/{name}", f"{base}/map.png", f"{base}/map.json"]
    bucket = from_url("s3://maps")
    paths = [meta["path"] for page in obstore.list(bucket) for meta in page]
    assert {"of july/map.json", "of july/map.png", "of july/map.tif", "of july/map.zarr/zarr.json"} <= set(paths)
    for path in paths:
        local = tmp_path / path
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_bytes(bytes(obstore.get(bucket, path).bytes()))
    item = json.loads((tmp_path / "of july" / "map.json").read_text())
    assert item["assets"]["map"]["href"] == "./map.zarr"
    with xr.open_dataset(tmp_path / "of july" / "map.zarr", mask_and_scale=False) as found:
        assert np.array_equal(found["cover"], raster.values[0])
    with pytest.raises(
        StorageError, match=r"cannot write s3://nowhere/here/map\.tif: there is no such bucket"
    ) as caught:
        write([raster], "s3://nowhere/here/map.tif", item=False)
    assert "\n" not in str(caught.value)


def test_a_catalog_of_items_of_any_kind_takes_it(tmp_path: Path) -> None:
    from modelstac.catalog.server.routes.incoming import Checks

    write([class_map()], tmp_path / "map.tif", model=MODEL, when=WHEN)
    document = json.loads((tmp_path / "map.json").read_text())
    for asset in document["assets"].values():
        asset["href"] = f"https://example.org/{asset['href'][2:]}"
    stored = Checks(any_items=True).item(document, "maps", "https://catalog.example/")
    assert stored["collection"] == "maps"
    assert stored["properties"]["proj:code"] == "EPSG:32633"
    with pytest.raises(ModelStacError):
        Checks().item(json.loads((tmp_path / "map.json").read_text()), "maps", "https://catalog.example/")


def test_a_layer_is_described_as_it_is_stored(tmp_path: Path) -> None:
    raster = class_map()
    values = (raster.values == 1).astype(bool)
    write([InMemory(Layer("mask", raster.layer.grid, "bool", ("",)), values)], tmp_path / "map.tif", when=WHEN)
    item = pystac.Item.from_file(tmp_path / "map.json")
    assert item.assets["map"].extra_fields["bands"] == [{"name": "mask", "data_type": "uint8"}]


def test_an_item_says_who_took_the_scene_and_how_large_its_pixels_are(tmp_path: Path) -> None:
    sensors = {"platform": {"sentinel-2a", "sentinel-2b"}, "constellation": {"sentinel-2"}, "instruments": {"msi"}}
    write([class_map()], tmp_path / "map.tif", when=WHEN, sensors=sensors)
    item = pystac.Item.from_file(tmp_path / "map.json")
    item.validate(validator=offline_validator())
    said = {key: item.properties.get(key) for key in ("platform", "constellation", "instruments", "gsd")}
    assert said == {"platform": None, "constellation": "sentinel-2", "instruments": ["msi"], "gsd": 10.0}

    scene_item = {
        "type": "Feature", "stac_version": "1.1.0", "id": "s", "links": [], "geometry": None,
        "properties": {"datetime": "2026-07-01T10:30:00Z", "platform": "landsat-9", "instruments": ["oli", "tirs"]},
        "assets": {"red": {"href": str(tmp_path / "red.tif"), "type": "image/tiff; application=geotiff"}},
    }  # fmt: skip
    tif(tmp_path / "red.tif", np.ones((20, 30), "float32"), crs="EPSG:3857", transform=Affine(30, 0, 0, 0, -30, 8e6))
    other = {"datetime": "2026-08-01T00:00:00Z", "platform": "landsat-8"}
    later = {**scene_item, "properties": {**scene_item["properties"], **other}}
    both = {"type": "FeatureCollection", "features": [scene_item, later]}
    predict_scene(average(), both, tmp_path / "mean.tif", reading={"datetime": "2026-07-01"})
    item = pystac.Item.from_file(tmp_path / "mean.json")
    assert (item.properties["platform"], item.properties["instruments"]) == ("landsat-9", ["oli", "tirs"])
    assert item.properties["gsd"] == pytest.approx(30 * np.cos(np.radians(58.2)), rel=0.02)
    assert item.datetime == WHEN
