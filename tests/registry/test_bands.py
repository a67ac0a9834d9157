"""Bands of data are found by what they are called and put in the order of the model; of arrays nothing is guessed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import xarray as xr
from onnx import TensorProto, helper

import modelstac
from modelstac.catalog.errors import DataError
from modelstac.catalog.items.mlm import BAND_AXES
from modelstac.registry import Model
from modelstac.registry.running.bands import Band, bands_of_axis, choose

# Sentinel-2: name, common name, centre wavelength and full width at half maximum in micrometres.
SENSOR = [
    ("B02", "blue", 0.490, 0.098),
    ("B03", "green", 0.560, 0.045),
    ("B04", "red", 0.665, 0.038),
    ("B05", "rededge", 0.704, 0.019),
    ("B06", "rededge", 0.741, 0.018),
    ("B08", "nir", 0.833, 0.145),
]
WANTED = ("B04", "B03", "B02")
MEANS = (1, 2, 3)
PIXELS = {"B02": 2.0, "B03": 3.0, "B04": 4.0, "B05": 5.0, "B06": 6.0, "B08": 8.0}
RIGHT = [3.0, 1.0, -1.0]
"""4, 3, 2 less the means 1, 2, 3."""


def write(path: Path, axis: str, *, metadata: dict[str, Any] | None = None, wanted: tuple[str, ...] = WANTED) -> Path:
    """Write somebody's item of a network that gives its input back, with bands along an axis of some name."""
    shape: list[Any] = ["batch", 3, "height", "width"]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("image", "mask")]
    graph = helper.make_graph([helper.make_node("Identity", ["image"], ["mask"])], "g", [values[0]], [values[1]])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path / "model.onnx")

    def layout(axis: str) -> dict[str, Any]:
        order = ["batch", axis, "height", "width"]
        return {"shape": [-1, 3, -1, -1], "dim_order": order, "data_type": "float32"}

    item = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": ["https://stac-extensions.github.io/mlm/v1.5.1/schema.json"],
        "id": "somebodys",
        "geometry": {"type": "Point", "coordinates": [5, 52]},
        "bbox": [5, 52, 5, 52],
        "properties": {
            "datetime": "2024-01-01T00:00:00Z",
            "mlm:name": "somebodys",
            "mlm:architecture": "U-Net",
            "mlm:tasks": ["semantic-segmentation"],
            "mlm:framework": "ONNX",
            "mlm:input": [
                {
                    "name": "image",
                    "bands": list(wanted),
                    "input": layout(axis),
                    "value_scaling": [{"type": "z-score", "mean": mean, "stddev": 1} for mean in MEANS],
                }
            ],
            "mlm:output": [{"name": "mask", "tasks": ["semantic-segmentation"], "result": layout("class")}],
            **(metadata or {}),
        },
        "links": [],
        "assets": {
            "model": {
                "href": "./model.onnx",
                "type": "application/octet-stream; framework=onnx",
                "roles": ["mlm:model"],
                "mlm:artifact_type": "onnx",
            }
        },
    }
    (path / "item.json").write_text(json.dumps(item))
    return path / "item.json"


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Model]:
    """Return a function that loads such an item; what it pins is kept beside."""
    monkeypatch.chdir(tmp_path)
    return lambda axis="channel", **more: modelstac.load(write(tmp_path, axis, **more))


def image(names: tuple[str, ...], dim: str = "band", labels: Any = None) -> xr.DataArray:
    """Return pixels of bands of the sensor, labelled by their names or otherwise."""
    values = np.stack([np.full((4, 4), PIXELS[name], np.float32) for name in names])
    return xr.DataArray(values, {dim: list(names) if labels is None else labels}, (dim, "y", "x"))


def pixel(found: xr.DataArray) -> list[float]:
    assert found.dims == ("class", "y", "x")
    return [float(value) for value in found[:, 0, 0]]


EO = {"bands": [
    {"name": n, "eo:common_name": c, "eo:center_wavelength": w, "eo:full_width_half_max": f} for n, c, w, f in SENSOR
]}  # fmt: skip
OLD_EO = {"eo:bands": [
    {"name": n, "common_name": c, "center_wavelength": w, "full_width_half_max": f} for n, c, w, f in SENSOR
]}  # fmt: skip


@pytest.mark.parametrize("axis", [*BAND_AXES, "C", "Channels"])
@pytest.mark.parametrize("dim", ["band", "bands", "channel", "variable"])
def test_bands_are_put_in_order_by_name_on_any_axis_of_bands(make: Callable[..., Model], axis: str, dim: str) -> None:
    model = make(axis)
    assert pixel(model.predict(image(("B02", "B03", "B04"), dim))) == RIGHT
    assert pixel(model.predict(image(("B08", "B02", "B04", "B03"), dim))) == RIGHT  # one more is left out


def test_an_array_is_taken_in_the_order_that_is_declared(make: Callable[..., Model]) -> None:
    values = image(("B02", "B03", "B04")).values[None]
    np.testing.assert_array_equal(make().predict(values), values)
    unlabelled = xr.DataArray(values[0], dims=("band", "y", "x"))
    assert pixel(make().predict(unlabelled)) == [1.0, 1.0, 1.0]
    numbered = unlabelled.assign_coords(band=[1, 2, 3])  # as GDAL numbers them: no names
    assert pixel(make().predict(numbered)) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("metadata", [EO, OLD_EO], ids=["STAC 1.1", "STAC 1.0"])
def test_common_names_of_the_item_say_which_bands_are_meant(
    make: Callable[..., Model], metadata: dict[str, Any]
) -> None:
    model = make(metadata=metadata)
    assert pixel(model.predict(image(("B02", "B03", "B04"), labels=["blue", "green", "red"]))) == RIGHT
    data = image(("B02", "B03", "B04"), labels=["x", "y", "z"])  # as stackstac gives them
    assert pixel(model.predict(data.assign_coords(common_name=("band", ["blue", "green", "red"])))) == RIGHT
    variables = {name: image((band,))[0].drop_vars("band") for band, name in (("B02", "blue"), ("B04", "red"))}
    green = image(("B03",))[0].drop_vars("band").assign_attrs(common_name="green")
    assert pixel(model.predict(xr.Dataset(variables | {"anything": green}))) == RIGHT
    with pytest.raises(DataError, match="needs the variables B04, B03, B02; found blue, red: B03 missing: load it"):
        model.predict(xr.Dataset(variables))


def test_names_of_the_model_may_be_common_names(make: Callable[..., Model]) -> None:
    data = image(("B02", "B03", "B04")).assign_coords(common_name=("band", ["blue", "green", "red"]))
    assert pixel(make(wanted=("red", "green", "blue")).predict(data)) == RIGHT
    with pytest.raises(DataError, match="needs the bands red, green, blue; found B02, B03, B04: load them"):
        make(wanted=("red", "green", "blue")).predict(image(("B02", "B03", "B04")))  # names alone say nothing of colour


@pytest.mark.parametrize(
    ("name", "values", "attributes"),
    [
        ("center_wavelength", [0.497, 0.560, 0.665], {}),
        ("wavelength", [497.0, 560.0, 665.0], {"units": "nm"}),
        ("wavelength", [497.0, 560.0, 665.0], {}),  # nanometres: there is no optical band at 497 µm
        ("wavelengths", [4.97e-7, 5.60e-7, 6.65e-7], {"units": "m"}),
    ],
)
def test_wavelengths_within_a_band_say_which_it_is(
    make: Callable[..., Model], name: str, values: list[float], attributes: dict[str, str]
) -> None:
    data = image(("B02", "B03", "B04"), labels=["x", "y", "z"]).assign_coords({name: ("band", values, attributes)})
    assert pixel(make(metadata=EO).predict(data)) == RIGHT
    shifted = data.assign_coords({name: ("band", [v * 1.2 for v in values], attributes)})
    with pytest.raises(DataError, match="needs the bands B04, B03, B02; found x, y, z"):
        make(metadata=EO).predict(shifted)


def test_descriptions_of_gdals_bands_are_names(make: Callable[..., Model]) -> None:
    for key in ("long_name", "descriptions", "band_names"):
        data = image(("B02", "B03", "B04"), labels=[1, 2, 3]).assign_attrs({key: ("B02", "B03", "B04")})
        assert pixel(make().predict(data)) == RIGHT


def test_variables_that_are_numbered_say_their_names(make: Callable[..., Model]) -> None:
    """As rioxarray reads a raster with ``band_as_variable``."""
    bands = {
        f"band_{n}": image((name,))[0].drop_vars("band").assign_attrs(long_name=name)
        for n, name in enumerate(("B02", "B03", "B04"), 1)
    }
    assert pixel(make().predict(xr.Dataset(bands))) == RIGHT
    other = {name: array.drop_attrs() for name, array in bands.items()}
    with pytest.raises(DataError, match="needs the variables B04, B03, B02; found band_1, band_2, band_3"):
        make().predict(xr.Dataset(other))


def test_names_that_stand_beside_the_axis_or_are_bytes(make: Callable[..., Model]) -> None:
    names = ["B02", "B03", "B04"]
    numbered = image(tuple(names), labels=[1, 2, 3])
    for key in ("band_name", "title"):
        sensor = ("band", ["S2A"] * 3)  # which is no name of a band
        beside = numbered.assign_coords({"platform": sensor, key: ("band", names)})
        assert pixel(make().predict(beside)) == RIGHT
    assert pixel(make().predict(image(tuple(names), labels=np.array(names, "S")))) == RIGHT


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (["X", "Y", "Z"], "needs the bands B04, B03, B02; found X, Y, Z: load them"),
        (["B02", "B03", "X"], "needs the bands B04, B03, B02; found B02, B03, X: B04 missing: load it"),
        (["B02", "B03", "B4"], "B04 missing: rename 'B4' if it is B04"),
        (["B02", "B03", "B03"], "the bands of the data name 'B03' twice: select one"),
    ],
)
def test_labels_that_do_not_fit_are_refused_with_both_lists(
    make: Callable[..., Model], labels: list[str], text: str
) -> None:
    with pytest.raises(DataError, match=text) as raised:
        make().predict(image(("B02", "B03", "B04"), labels=labels))
    assert "\n" not in str(raised.value)


def test_what_may_be_several_bands_is_refused_unless_the_wavelength_tells() -> None:
    wanted = [Band("edge", "rededge", 0.704, 0.019)]
    found = [Band(name, common) for name, common, *_ in SENSOR]
    with pytest.raises(DataError, match="its band edge may be any of the bands B05, B06: select one and name it so"):
        choose(wanted, found, of="x", kind="bands")
    assert choose(wanted, [Band(*band) for band in SENSOR], of="x", kind="bands") == [3]
    with pytest.raises(DataError, match="B05 of the data would be the bands a and b"):
        choose([Band("a", "rededge"), Band("b", "rededge")], found[3:4], of="x", kind="bands")


def test_bands_of_two_dates_that_are_stacked_are_taken_in_their_order_alone() -> None:
    two = [Band("B04"), Band("B08"), Band("B04"), Band("B08")]
    assert choose(two, list(two), of="x", kind="bands") == [0, 1, 2, 3]
    for found in (two[:2], two[:2] + two[1::-1]):
        with pytest.raises(DataError, match="lists 'B04' 2 times, as of several dates: give all of its 4 bands in its"):
            choose(two, found, of="x", kind="bands")


def test_a_list_that_belongs_to_no_axis_is_said(make: Callable[..., Model]) -> None:
    heard: list[Any] = []
    path = write(Path.cwd(), "depth")
    model = modelstac.load(path, report=heard.append)
    assert model.signature.inputs[0].dim_order[1] == "depth"
    assert any("bands that 'image' lists belong to none of its axes" in getattr(m, "text", "") for m in heard)


def test_a_band_without_a_step_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, "channel")
    item = json.loads(path.read_text())
    item["properties"]["mlm:input"][0]["value_scaling"][1] = {"type": None}
    path.write_text(json.dumps(item))
    assert pixel(modelstac.load(path).predict(image(("B02", "B03", "B04")))) == [3.0, 3.0, -1.0]


def test_it_is_adopted_with_its_bands(make: Callable[..., Model], tmp_path: Path) -> None:
    from modelstac.catalog import open_catalog
    from modelstac.registry.describing.adopt import Said, adopt

    write(tmp_path, "channel")
    into = open_catalog(tmp_path / "catalog", create=True)
    item = adopt(str(tmp_path / "item.json"), into, said=Said(version="1.0.0", license="MIT"))
    image_input = item.properties["mlm:input"][0]
    assert image_input["input"]["dim_order"][1] == "channel"
    assert image_input["interop:bands"] == list(WANTED)  # MLM wants a list beside an axis "bands" only
    assert pixel(modelstac.load(item.id, catalog=into).predict(image(("B02", "B03", "B04")))) == RIGHT


def test_a_band_alone_says_by_its_name_which_it_is() -> None:
    array = xr.DataArray(np.zeros((1, 2, 2)), dims=("band", "y", "x"))
    for said in (array.rename("B08"), array.assign_attrs(long_name="nir")):
        found = bands_of_axis(said, "band")
        assert found is not None
        with pytest.raises(DataError, match="needs the bands B04; found"):
            choose([Band("B04")], found, of="image", kind="bands")
    assert bands_of_axis(array.rename("B04"), "band") == [Band("B04")]
    assert bands_of_axis(array.rename("reflectance").assign_attrs(long_name="rain rate"), "band") is None
