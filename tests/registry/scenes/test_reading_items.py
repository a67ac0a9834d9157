"""Scenes that are STAC items, and those that a search of an API finds."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import odc.stac
import pyproj
import pystac
import pytest
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from tests.registry.scenes.reading_models import CORNER, UTM, model, scene_item, tensor, tif, whole

from modelstac.catalog.errors import DataError
from modelstac.registry.scenes.reading.opening import from_api, open_source

VALUES = np.random.default_rng(0).integers(1, 10_000, (4, 40, 50)).astype(np.uint16)
COUNTS = [{"type": "scale", "value": 10_000}]
MODEL = model(tensor(["B04", "B02"], value_scaling=COUNTS))


def written(folder: Path, item: dict[str, Any], name: str = "item.json") -> Path:
    (folder / name).write_text(json.dumps(item))
    return folder / name


def scene(folder: Path, **properties: Any) -> dict[str, Any]:
    """Write assets called by colour, as the large archives have them, and pictures beside them."""
    for n, key in enumerate(["blue", "green", "red", "visual"]):
        tif(folder / f"{key}.tif", VALUES[n], nodata=0)
    tif(folder / "blue-jp2.tif", VALUES[3])
    bands = {"blue": ("B02", 0.49), "green": ("B03", 0.56), "red": ("B04", 0.665)}
    assets: dict[str, dict[str, Any]] = {
        key: {"eo:bands": [{"name": key, "common_name": key, "center_wavelength": centre}], "gsd": 10}
        for key, (_, centre) in bands.items()
    }
    assets["visual"] = {"eo:bands": [{"name": "red", "common_name": "red"}], "roles": ["visual"]}
    assets["blue-jp2"] = {"eo:bands": [{"name": "blue", "common_name": "blue"}]}
    assets["thumbnail"] = {"type": "image/jpeg", "roles": ["thumbnail"], "href": "./thumbnail.jpg"}
    return scene_item(
        folder, assets, **({"constellation": "sentinel-2", "s2:processing_baseline": "03.00"} | properties)
    )


@pytest.mark.parametrize("how", ["path", "item", "dictionary", "collection", "object of several"])
def test_bands_of_the_assets_of_an_item(tmp_path: Path, how: str) -> None:
    item = scene(tmp_path)
    path = written(tmp_path, item)
    both = {"type": "FeatureCollection", "features": [item]}
    given: Any = {
        "path": path,
        "item": pystac.Item.from_file(path),
        "dictionary": {
            **item,
            "assets": {k: {**a, "href": str(tmp_path / f"{k}.tif")} for k, a in item["assets"].items()},
        },
        "collection": written(tmp_path, both, "items.json"),
        "object of several": pystac.ItemCollection([pystac.Item.from_file(path)]),
    }[how]
    source = open_source(given, MODEL)
    np.testing.assert_array_equal(whole(source).values, VALUES[[2, 0]])
    assert source.notes == ("input 'image' reads red for B04, blue for B02",)
    [link] = source.origins
    assert link.rel == "derived_from"
    if how in ("path", "item"):
        assert link.href == str(path)
    assert source.identity["sources"][0]["item"] == "scene"


@pytest.mark.parametrize(
    ("kind", "name"),
    [("application/x-netcdf", "cube.nc"), ("application/vnd+zarr; version=3", "cube.zarr"), (None, "cube.zarr/")],
)
def test_an_item_of_a_cube_has_its_variables(tmp_path: Path, kind: str | None, name: str) -> None:
    cube = xr.DataArray(
        VALUES[:2], {"band": ["B02", "B04"], **xr_coords(GeoBox((40, 50), CORNER, UTM))}, ("band", "y", "x")
    )
    cube.to_dataset("band").to_netcdf(tmp_path / "cube.nc")
    cube.to_dataset("band").to_zarr(tmp_path / "cube.zarr", zarr_format=3, consolidated=False)
    item = scene_item(tmp_path, {"cube": {"href": f"./{name}", "type": kind}, "thumbnail": {"type": "image/png"}})
    source = open_source(written(tmp_path, item), MODEL, physical=False)
    np.testing.assert_array_equal(whole(source).values, VALUES[[1, 0]])
    assert source.grids["image"] == GeoBox((40, 50), CORNER, UTM)


@pytest.mark.parametrize(
    ("fields", "properties", "known"),
    [
        ({"proj:code": UTM}, {}, True),
        ({}, {"proj:code": UTM}, True),
        ({}, {"proj:epsg": 32633}, True),
        ({"proj:wkt2": pyproj.CRS(UTM).to_wkt()}, {"proj:epsg": None}, True),
        ({}, {"proj:projjson": pyproj.CRS(UTM).to_json_dict()}, True),
        ({"proj:code": "NOBODY:1"}, {"proj:epsg": "x"}, False),
        ({}, {}, False),
    ],
)
def test_a_file_that_says_no_system_has_that_of_its_item(
    tmp_path: Path, fields: dict[str, Any], properties: dict[str, Any], known: bool
) -> None:
    for n, key in enumerate(["B02", "B04"]):
        tif(tmp_path / f"{key}.tif", VALUES[n], crs=None)
    path = written(tmp_path, scene_item(tmp_path, {"B02": fields, "B04": fields}, **properties))
    if not known:
        with pytest.raises(DataError, match="says no reference system"):
            open_source(path, MODEL, physical=False)
        return
    assert open_source(path, MODEL, physical=False).grids["image"] == GeoBox((40, 50), CORNER, UTM)
    assert open_source(path, MODEL, physical=False, crs="EPSG:32631").grids["image"].crs == "EPSG:32631"
    for n, key in enumerate(["B02", "B04"]):  # what the file says itself is right
        tif(tmp_path / f"{key}.tif", VALUES[n], crs="EPSG:32632")
    assert open_source(path, MODEL, physical=False).grids["image"].crs == "EPSG:32632"


def test_it_is_what_odc_stac_loads(tmp_path: Path) -> None:
    place = GeoBox((40, 50), CORNER, UTM).geographic_extent
    said = {"geometry": place.json, "bbox": list(place.boundingbox)}  # without which it takes the item for elsewhere
    item = pystac.Item.from_file(written(tmp_path, scene(tmp_path) | said))
    source = open_source(item, MODEL)
    wanted = odc.stac.load([item], bands=["red", "blue"], geobox=source.grids["image"])
    np.testing.assert_array_equal(whole(source).values, wanted.isel(time=0).to_array().values)


def test_bands_by_wavelength(tmp_path: Path) -> None:
    item = scene(tmp_path)
    for asset in item["assets"].values():
        for band in asset.get("eo:bands", []):
            band["name"] = f"x-{band['name']}"
            band.pop("common_name")
    item["assets"].pop("blue-jp2")
    item["properties"].pop("constellation")
    reads = model(
        tensor(["one", "two"]),
        bands=[
            {"name": "one", "eo:center_wavelength": 0.66, "eo:full_width_half_max": 0.03},
            {"name": "two", "eo:center_wavelength": 0.49, "eo:full_width_half_max": 0.06},
        ],
    )
    np.testing.assert_array_equal(whole(open_source(written(tmp_path, item), reads)).values, VALUES[[2, 0]])


def test_of_several_resolutions_that_of_the_model_or_the_finest(tmp_path: Path) -> None:
    for side in (1, 2):
        tif(tmp_path / f"B04_{side}0m.tif", VALUES[0, ::side, ::side], transform=CORNER @ CORNER.scale(side))
    assets = {
        f"B04_{side}0m": {"bands": [{"name": "B04", "eo:common_name": "red"}], "gsd": 10 * side} for side in (1, 2)
    }  # fmt: skip
    path = written(tmp_path, scene_item(tmp_path, assets))
    assert open_source(path, model(tensor(["B04"]))).grids["image"].shape == (40, 50)
    assert open_source(path, model(tensor(["B04"]), gsd=20)).grids["image"].shape == (20, 25)


def test_granules_of_one_pass_are_one_scene_and_dates_are_frames(tmp_path: Path) -> None:
    left, right, later = VALUES[0, :, :30], VALUES[0, :, 30:], VALUES[1]
    files = {"left": (left, 0), "right": (right, 30), "later": (later, 0)}
    for name, (values, at) in files.items():
        tif(tmp_path / f"{name}.tif", values, nodata=0, transform=CORNER @ CORNER.translation(at, 0))
    times = {"left": "2023-06-01T10:00:00Z", "right": "2023-06-01T10:00:14Z", "later": "2023-06-06T10:00:00Z"}
    items = [
        scene_item(tmp_path, {"B04": {"href": f"./{name}.tif"}}, id=name, datetime=times[name])
        for name in ("later", "left", "right")
    ]
    path = written(tmp_path, {"type": "FeatureCollection", "features": items}, "items.json")
    frames = model(tensor(["B04"], (-1, 2, 1, -1, -1), ("batch", "time", "bands", "height", "width")))
    source = open_source(path, frames)
    np.testing.assert_array_equal(whole(source).values[:, 0], VALUES[:2])
    assert [str(time)[:10] for time in source.times["image"]] == ["2023-06-01", "2023-06-06"]
    assert len(source.origins) == 3
    with pytest.raises(DataError, match="has no time, and the scene has 3: 2023-06-01T10:00"):
        open_source(path, model(tensor(["B04"])))


@pytest.mark.parametrize(
    ("mine", "theirs", "said"),
    [
        (
            {"constellation": "sentinel-2"},
            {"constellation": "landsat"},
            "the constellation landsat and the model of sentinel-2",
        ),
        (
            {"platform": "sentinel-2"},
            {"platform": "landsat-8", "constellation": "x"},
            "the platform landsat-8 and the model",
        ),
        (
            {"instruments": ["msi"]},
            {"instruments": ["oli", "tirs"], "constellation": "x"},
            "the instrument oli, tirs and",
        ),
    ],
)
def test_an_item_of_another_sensor_is_refused(tmp_path: Path, mine: Any, theirs: Any, said: str) -> None:
    path = written(tmp_path, scene(tmp_path, **theirs))
    sensor = model(tensor(["red", "blue"]), **mine)
    with pytest.raises(DataError, match=said):
        open_source(path, sensor)
    named = open_source(path, sensor, bands=["red", "blue"])
    np.testing.assert_array_equal(whole(named).values, VALUES[[2, 0]])


@pytest.mark.parametrize(
    "theirs",
    [
        {"platform": "sentinel-2a"},
        {"platform": "Sentinel-2B"},
        {"constellation": "sentinel-2"},
        {"instruments": ["MSI"]},
    ],
)
def test_an_item_of_the_same_sensor_is_read(tmp_path: Path, theirs: Any) -> None:
    path = written(tmp_path, scene(tmp_path, **theirs))
    sensor = model(tensor(["red", "blue"]), platform="sentinel-2a", constellation="sentinel-2", instruments=["msi"])
    assert whole(open_source(path, sensor)).values.shape == (2, 40, 50)


@pytest.mark.parametrize("roles", [True, 1.5, [{"name": "data"}], "data", {"data": 1}])
def test_odd_roles_say_nothing(tmp_path: Path, roles: Any) -> None:
    tif(tmp_path / "B04.tif", np.ones((4, 4), np.float32))
    item = scene_item(tmp_path, {"B04": {"href": str(tmp_path / "B04.tif"), "roles": roles}})
    assert open_source(item, model(tensor(["B04"]))).feeds


def test_what_is_no_scene_is_said(tmp_path: Path) -> None:
    said = {
        "a collection": {"type": "Collection", "id": "c"},
        "a catalog": {"type": "Catalog", "id": "c"},
        r"no asset that is a raster, NetCDF or Zarr; it has thumbnail \(image/png\): name": scene_item(
            tmp_path, {"thumbnail": {"type": "image/png"}}
        ),
        r"lists parts of other files \(kerchunk\) and is no STAC item: open it with xarray": {"version": 1, "refs": {}},
        "has no items": {"type": "FeatureCollection", "features": []},
        "no STAC item that can be read": {"type": "Feature", "assets": {}},
    }
    for text, content in said.items():
        with pytest.raises(DataError, match=text):
            open_source(written(tmp_path, content), MODEL)
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(DataError, match="is no JSON, of which a STAC item is made"):
        open_source(tmp_path / "broken.json", MODEL)
    with pytest.raises(DataError, match=r"cannot read .*none.json: No such file"):
        open_source(tmp_path / "none.json", MODEL)
    lost = scene_item(tmp_path, {"B04": {}, "B02": {}})
    with pytest.raises(DataError, match=r"cannot open .*B04.tif: there is no such file"):
        open_source(written(tmp_path, lost), MODEL)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[str]:
    """Serve a small STAC API, and the rasters of what it finds, by ranges."""
    item = scene(tmp_path) | {"collection": "s2"}
    box = GeoBox((40, 50), CORNER, UTM).geographic_extent.boundingbox
    item["bbox"] = list(box)
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def _root(self) -> str:
            return f"http://127.0.0.1:{self.server.server_address[1]}"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(asked)
            found = json.loads(json.dumps(item))
            for key, asset in found["assets"].items():
                asset["href"] = f"{self._root()}/{key}.tif?signature=secret"
            found["links"] = [{"rel": "self", "href": f"{self._root()}/collections/s2/items/scene?token=secret"}]
            features = [found] if asked.get("collections") == ["s2"] else []
            self._json({"type": "FeatureCollection", "features": features, "links": []})

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if path == "/":
                links = [{"rel": rel, "href": f"{self._root()}{at}", "type": kind, **more} for rel, at, kind, more in (
                    ("self", "/", "application/json", {}), ("root", "/", "application/json", {}),
                    ("search", "/search", "application/geo+json", {"method": "POST"}))]  # fmt: skip
                classes = ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"]
                self._json({"type": "Catalog", "id": "a", "stac_version": "1.0.0", "description": "a",
                            "conformsTo": classes, "links": links})  # fmt: skip
                return
            file = tmp_path / path.strip("/")
            if not file.is_file():
                self.send_error(404)
                return
            body, status = file.read_bytes(), 200
            size = len(body)
            if asked := self.headers.get("Range"):
                start, _, end = asked.removeprefix("bytes=").partition("-")
                body, status = body[int(start) : int(end or size) + 1], 206
            self.send_response(status)
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{int(start) + len(body) - 1}/{size}")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"one"')
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def _json(self, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_what_an_api_finds_is_read_and_cut_to_the_box(api: str) -> None:
    grid = GeoBox((40, 50), CORNER, UTM)
    box = list(grid[10:20, 5:30].geographic_extent.boundingbox)
    source = from_api(api, MODEL, collections=["s2"], bbox=box, datetime="2023-06")
    cut = source.grids["image"]
    down, right = round((CORNER.f - cut.affine.f) / 10), round((cut.affine.c - CORNER.c) / 10)
    wanted = VALUES[[2, 0], down : down + cut.shape[0], right : right + cut.shape[1]]
    np.testing.assert_array_equal(whole(source).values, wanted)
    assert wanted.shape[1] < 15
    assert [link.href for link in source.origins] == [f"{api}/collections/s2/items/scene"]
    told = json.dumps([source.identity, source.notes, [link.to_dict() for link in source.origins]])
    assert "secret" not in told
    assert '\\"one\\"' in told  # the state that the server has
    with pytest.raises(DataError, match="has nothing of other, anywhere, any time: widen the search"):
        from_api(api, MODEL, collections=["other"])


def test_a_server_that_is_none_is_said(api: str) -> None:
    with pytest.raises(DataError, match=r"cannot search http://127.0.0.1:1 for s2, anywhere, any time"):
        from_api("http://127.0.0.1:1", MODEL, collections=["s2"])
    with pytest.raises(DataError, match=r"cannot open .*/nothing.tif: ") as error:
        open_source(f"{api}/nothing.tif?signature=secret", MODEL)
    assert "secret" not in str(error.value)
    np.testing.assert_array_equal(
        whole(open_source(f"{api}/blue.tif?signature=secret", model(tensor(["blue"])))).values, VALUES[:1]
    )
