"""What labels say of values: used, or refused in one line; of plain arrays nothing is guessed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pystac
import pytest
import xarray as xr
from tests.registry import statements

import modelstac
from modelstac.catalog.errors import DataError, InvalidItemError
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.messages import Message, Note
from modelstac.registry import Model
from modelstac.registry.describing.describe import describe_file
from modelstac.registry.running.labels.systems import import_proj, is_geographic
from modelstac.registry.running.labels.units import converted
from modelstac.registry.running.values.scaling import obstacle, unmet

BANDS = ("B02", "B03", "B04")
DIMS = ("band", "y", "x")
VALUES = np.arange(3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5)
COUNTS = {"type": "z-score", "mean": 1353.0, "stddev": 500.0}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The item of a network that gives three bands back as they are."""
    shape: list[Any] = ["batch", 3, "height", "width"]
    path = tmp_path_factory.mktemp("labels") / "same.onnx"
    statements.graph(path, [("Identity", ["x"], ["y"])], [("x", shape)], [("y", shape)])
    dims = statements.IMAGE
    said = statements.statement(input_dims=dims, output_dims=dims, bands=BANDS, output_bands=("a", "b", "c"))
    return write_item(describe_file(path, said)).to_dict()


Make = Callable[..., Model]


@pytest.fixture
def make(document: dict[str, Any]) -> Make:
    """Return a function that loads it with other fields, and a scaling."""

    def load(scaling: list[Any] | None = None, notes: list[str] | None = None, **fields: Any) -> Model:
        item = pystac.Item.from_dict(document, preserve_dict=True)
        item.properties |= fields
        if scaling is not None:
            item.properties["mlm:input"][0]["value_scaling"] = scaling
        if notes is None:
            return modelstac.load(item)

        def note(message: Message) -> None:
            if isinstance(message, Note):
                notes.append(message.text)

        return modelstac.load(item, report=note)

    return load


def somebodys(document: dict[str, Any], scaling: list[Any]) -> pystac.Item:
    """Make somebody else's item of it, which may say anything."""
    item = pystac.Item.from_dict(document, preserve_dict=True)
    item.properties = {key: value for key, value in item.properties.items() if not key.startswith("interop:")}
    item.properties["mlm:input"][0]["value_scaling"] = scaling
    return item


def labelled(values: np.ndarray = VALUES, **attrs: Any) -> xr.DataArray:
    return xr.DataArray(values, {"band": list(BANDS)}, DIMS, attrs=attrs)


def assert_refused(run: Callable[[], object], text: str, error: type[Exception] = DataError) -> None:
    with pytest.raises(error, match=text) as raised:
        run()
    assert "\n" not in str(raised.value)


MISSING = [
    {"_FillValue": 7},
    {"_FillValue": np.int16(7)},
    {"missing_value": [7, 59]},
    {"nodata": 7},
    {"nodata": "7"},
    {"nodatavals": (7, np.nan, np.nan)},
    {"valid_min": 1},
    {"valid_max": 50},
    {"valid_range": [0, 50]},
    {"valid_range": "0, 50"},  # GDAL's reader of HDF
    {"NoData": 7},
    {"no_data_value": 7},
]


@pytest.mark.parametrize("attrs", MISSING, ids=str)
@pytest.mark.parametrize("dtype", ["int16", "float32", ">i4"])
@pytest.mark.parametrize("blocks", [False, True])
def test_what_data_call_missing_is_no_number(make: Make, attrs: dict[str, Any], dtype: str, blocks: bool) -> None:
    array = labelled(VALUES.astype(dtype), **attrs)
    array = array.chunk(y=4) if blocks else array
    assert_refused(lambda: np.asarray(make().predict(array)), f"of 60 values are missing.*{next(iter(attrs))}")


def test_codes_that_no_value_has_change_nothing(make: Make) -> None:
    for attrs in ({"_FillValue": -9999}, {"nodata": None}, {"nodata": np.nan}, {"valid_range": [0, 100]}):
        for array in (labelled(**attrs), labelled(VALUES.astype("int16"), **attrs).chunk()):
            np.testing.assert_array_equal(make().predict(array), VALUES)


def test_missing_values_are_not_made_numbers_by_a_scaling(make: Make) -> None:
    model = make([{"type": "processing", "format": "numpy", "expression": "where(x > 0, x, 0)"}])
    assert_refused(lambda: model.predict(labelled().where(VALUES != 3)), "1 of 60 values are missing, NaN")
    np.testing.assert_array_equal(
        model.predict(labelled().where(VALUES != 3).fillna(0)), np.where(VALUES == 3, 0, VALUES)
    )


def test_masks_are_seen_wherever_they_are(make: Make) -> None:
    model, masked = make(), np.ma.masked_equal(VALUES, 3)
    assert_refused(lambda: model.predict(masked[None]), "1 of 60 values masked")
    assert_refused(lambda: model.predict(masked[None], scaled=False), "1 of 60 values are missing")
    assert_refused(lambda: model.predict(labelled(masked)), "1 of 60 values are missing")
    blocks = labelled().copy(data=da.ma.masked_equal(da.from_array(VALUES, chunks=-1), 3))
    assert_refused(lambda: model.predict(blocks).compute(), "1 of 60 values are missing")


def test_what_the_item_calls_missing_is_missing(make: Make) -> None:
    model = make(bands=[{"name": name, "nodata": 0} for name in BANDS])
    assert_refused(lambda: model.predict(labelled()), "1 of 60 values are missing")
    np.testing.assert_array_equal(model.predict(labelled(VALUES + 1)), VALUES + 1)


def test_packed_values_are_unpacked(make: Make) -> None:
    stored = VALUES.astype("int16")
    np.testing.assert_array_equal(make().predict(labelled(stored, scale_factor=0.5, add_offset=1.0)), VALUES / 2 + 1)
    factors = np.array([0.5, 1.0, 2.0], np.float32)[:, None, None]
    turned = labelled(stored, scales=(0.5, 1.0, 2.0), offsets=(0.0, 0.0, 0.0)).isel(band=[2, 1, 0])
    turned.attrs["scales"] = (2.0, 1.0, 0.5)
    np.testing.assert_array_equal(make().predict(turned), VALUES * factors)
    unsigned = labelled((VALUES + 190).astype("u1").view("i1"), _Unsigned="true", _FillValue=np.int8(-1))
    np.testing.assert_array_equal(make().predict(unsigned), VALUES + 190)
    signed = labelled((VALUES - 30).astype("i1").view("u1"), _Unsigned="false", _FillValue=np.uint8(100))
    np.testing.assert_array_equal(make().predict(signed), VALUES - 30)
    assert_refused(lambda: make().predict(labelled(scale_factor=0.01)), "nobody can tell whether it is applied")
    assert_refused(lambda: make().predict(labelled(stored, scale_factor=0.0)), "scale_factor 0.0, which is no such")
    np.testing.assert_array_equal(make().predict(labelled(scale_factor=1.0, add_offset=0.0)), VALUES)


def test_a_valid_range_of_stored_values_goes_with_what_was_decoded(make: Make, tmp_path: Path) -> None:
    import_proj()  # of which xarray looks for all where it opens a file
    encoding = {"rain": {"dtype": "int16", "scale_factor": 0.01, "_FillValue": -9999}}
    array = labelled(VALUES.copy(), valid_range=np.array([0, 5900], "int16"))
    array.to_dataset(name="rain").to_netcdf(tmp_path / "rain.nc", encoding=encoding)
    for decoded in (True, False):
        with xr.open_dataset(tmp_path / "rain.nc", mask_and_scale=decoded) as stored:
            np.testing.assert_allclose(make().predict(stored["rain"].load()), VALUES, atol=1e-5)
    lost = labelled(VALUES.copy(), valid_range=np.array([1000, 5900], "int16"))  # as .fillna() leaves it
    assert_refused(lambda: make().predict(lost), r"of the numbers as they were stored, drop it \(\.drop_attrs\(\)\)")
    np.testing.assert_allclose(make().predict(lost.drop_attrs()), VALUES)


def test_a_file_that_was_opened_first_leaves_reference_systems_known() -> None:
    """Xarray imports ecCodes then, and a PROJ with it that pyproj would take for its own."""
    pytest.importorskip("eccodes")
    pytest.importorskip("pyproj")
    code = "import eccodes; from modelstac.registry.running.labels.systems import is_geographic as is_; "
    code += "print(is_('ESRI:102001'), is_('ESRI:104905'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "False True\n", "")


def test_without_the_database_of_proj_no_reference_system_is_taken_for_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    pyproj = pytest.importorskip("pyproj")

    def lost(system: object) -> None:
        raise pyproj.exceptions.CRSError(f"Invalid projection: {system}: (proj_create: no database context specified)")

    monkeypatch.setattr(pyproj.CRS, "from_user_input", lost)
    assert_refused(lambda: is_geographic("EPSG:32632"), "import pyproj before files are opened")


UNITS = [
    ("mm h-1", 1.0),
    ("mm/hr", 1.0),
    ("m s-1", 1 / 3.6e6),
    ("cm day-1", 2.4),
    ("1e-3 m h-1", 1.0),
    ("millimeter / hour", 1.0),
    ("", 1.0),
]


@pytest.mark.parametrize(("unit", "factor"), UNITS)
@pytest.mark.parametrize("blocks", [False, True])
def test_units_become_those_of_the_item(make: Make, unit: str, factor: float, blocks: bool) -> None:
    model = make(bands=[{"name": name, "unit": "mm h-1"} for name in BANDS])
    array = labelled(VALUES * np.float32(factor), units=unit)
    found = model.predict(array.chunk() if blocks else array)
    np.testing.assert_allclose(found, VALUES, rtol=1e-6)
    assert found.dtype == np.float32


def test_each_band_has_its_unit(make: Make) -> None:
    model = make(bands=[{"name": "B02", "unit": "mm"}, {"name": "B03", "unit": "K"}, {"name": "B04", "unit": "1"}])
    wanted = np.stack([VALUES[0] * 10, VALUES[1] + 273.15, VALUES[2] / 100])
    units = ["cm", "deg C", "%"]
    whole = labelled(units=units)
    variables = {name: (["y", "x"], VALUES[i], {"units": units[i]}) for i, name in enumerate(BANDS)}
    dataset = xr.Dataset(dict(reversed(variables.items())))
    for given in (whole, whole.chunk(band=1), dataset, dataset.chunk(y=4)):
        np.testing.assert_allclose(model.predict(given), wanted, rtol=1e-6)
    mixed = dataset.assign(B02=(["y", "x"], VALUES[0].astype("int16"), {"units": "cm", "scale_factor": 2.0}))
    np.testing.assert_allclose(model.predict(mixed)[0], 2 * wanted[0], rtol=1e-6)
    filled = dataset.assign(B02=(["y", "x"], VALUES[0], {"units": "cm", "_FillValue": 3.0}))
    assert_refused(lambda: model.predict(filled), "1 of 60 values are missing")


@pytest.mark.parametrize(
    "unit", ["kg m-2 s-1", "K", "foo", "dBZ", "9**9**9**9", "(9^9)^9", "__import__('os')", "m" * 200]
)
def test_units_that_are_none_or_others_are_refused(make: Make, unit: str) -> None:
    model = make(bands=[{"name": name, "unit": "mm h-1"} for name in BANDS])
    assert_refused(lambda: model.predict(labelled(units=unit)), r"the data are in .* and the item says 'mm h-1'")


def test_units_that_no_factor_makes_of_each_other(make: Make) -> None:
    array = xr.DataArray(np.array([0.0, 10.0, 20.0]), dims="x")
    for given in (array, array.chunk(x=1)):
        np.testing.assert_allclose(converted(given, "dB", "1", of="s1"), [1, 10, 100])
    assert converted(array, "dBZ", "dBZ", of="s1") is array
    assert converted(array, "reflectance", "1", of="s1") is array


@pytest.mark.parametrize(
    ("found", "wanted", "factor"),
    [
        ("kg m**-2 s**-1", "kg m-2 s-1", 1),  # ECMWF
        ("m**3 m**-3", "m3 m-3", 1),
        ("m2 s-2", "m^2/s^2", 1),
        ("1e-3", "1", 1e-3),
        ("0.01", "1", 0.01),
        ("Kelvin", "K", 1),
        ("degrees_kelvin", "K", 1),
    ],
)
def test_powers_scales_and_names_of_units(found: str, wanted: str, factor: float) -> None:
    array = xr.DataArray(np.arange(3.0), dims="x")
    np.testing.assert_allclose(converted(array, found, wanted, of="s1"), array * factor)


@pytest.mark.parametrize("unit", ["m^9^9", "m**2 ** 9", "m^s^9", "9^9", "0", "0.0"])
def test_towers_of_powers_and_nothing_are_no_units(unit: str) -> None:
    array = xr.DataArray(np.arange(3.0), dims="x")
    assert_refused(lambda: converted(array, unit, "1", of="s1"), "is no unit known")


def test_a_temperature_times_something_is_no_unit() -> None:
    array = xr.DataArray(np.arange(3.0), dims="x")
    assert_refused(lambda: converted(array, "degrees K", "K", of="s1"), "'degrees K' is no unit")
    np.testing.assert_allclose(converted(array, "degC km-1", "K m-1", of="s1"), array / 1000)  # a difference


def test_shares_are_not_taken_for_counts(make: Make) -> None:
    model, share = make([COUNTS]), labelled(VALUES / 100)
    for array in (share, share.chunk(y=4)):
        assert_refused(lambda array=array: np.asarray(model.predict(array)), "scaled=True.*scaled=False")
    np.testing.assert_allclose(model.predict(share, scaled=False), (VALUES / 100 - 1353) / 500, rtol=1e-6)
    np.testing.assert_array_equal(model.predict(share, scaled=True), VALUES / np.float32(100))
    for counts in (VALUES * 0, VALUES, (VALUES * 100).astype("uint16")):  # darkness is no share
        np.testing.assert_allclose(model.predict(labelled(counts)), (counts - 1353.0) / 500, rtol=1e-5)
    unitless = make([COUNTS], bands=[{"name": name, "unit": "1"} for name in BANDS])
    for unit in ("1", "reflectance"):  # as counts are, too
        assert_refused(lambda unit=unit: unitless.predict(labelled(VALUES / 100, units=unit)), "scaled=True")
    known = make([COUNTS], bands=[{"name": name, "unit": "K"} for name in BANDS])
    np.testing.assert_allclose(known.predict(labelled(VALUES / 100, units="K")), (VALUES / 100 - 1353) / 500, rtol=1e-5)


def test_arrays_are_scaled_already_unless_somebody_says_otherwise(make: Make) -> None:
    model = make([COUNTS])
    np.testing.assert_array_equal(model.predict(VALUES[None]), VALUES[None])
    np.testing.assert_array_equal(model.predict(VALUES[None], scaled=True), VALUES[None])
    for values in (VALUES[None], VALUES[None].astype("int16"), VALUES[None].tolist()):
        np.testing.assert_allclose(model.predict(values, scaled=False), (VALUES[None] - 1353) / 500, rtol=1e-5)
    assert_refused(lambda: model.predict(VALUES[None], scaled="no"), "scaled is True or False, not 'no'")
    assert_refused(lambda: model.predict(np.array(["a"]), scaled=False), "no numbers")


def test_a_null_entry_leaves_its_band_alone(document: dict[str, Any]) -> None:
    one = {"type": "z-score", "mean": 1, "stddev": 1}
    for null in (None, {"type": None}):
        model = modelstac.load(somebodys(document, [one, null, one]))
        np.testing.assert_array_equal(model.predict(labelled()), VALUES - np.array([1, 0, 1])[:, None, None])


def test_a_postprocessing_that_is_code_leaves_the_numbers_as_they_are_from_there_on(document: dict[str, Any]) -> None:
    """As a note of the loading says; what comes after it is of other numbers."""
    double, add, code = ({"format": form, "expression": text} for form, text in
                         (("numpy", "x * 2"), ("numpy", "x + 1"), ("python", "package:function")))  # fmt: skip
    for functions, factor in (([double, code, add], 2), (code, 1), ([code, double], 1), ([double, double], 4)):
        item, notes = somebodys(document, [{"type": "scale", "value": 10}]), []
        item.properties["mlm:output"][0]["post_processing_function"] = functions

        def note(message: Message, notes: list[str] = notes) -> None:
            if isinstance(message, Note):
                notes.append(message.text)

        model = modelstac.load(item, report=note)
        for values in (labelled(), labelled().chunk(y=4)):
            np.testing.assert_allclose(model.predict(values, overlap={"y": 0} if values.chunks else {}),
                                       VALUES / 10 * factor, rtol=1e-6)  # fmt: skip
        assert ("wants a postprocessing that is not run here" in " ".join(notes)) == (factor < 4)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_half_precision_is_scaled_and_made_physical_with_more_digits(document: dict[str, Any], dtype: str) -> None:
    """5,860 has no neighbours nearer than 4 in half precision, and nothing lies above 65,504."""
    item = somebodys(document, [{"type": "offset", "value": 5000.25}])
    item.properties["mlm:output"][0]["post_processing_function"] = {"format": "numpy", "expression": "x * 1000"}
    values = np.full((1, 3, 4, 5), 5860, dtype)
    found = modelstac.load(item).predict(values, scaled=False)
    np.testing.assert_allclose(found, 859_750, rtol=1e-6)


WRONG = [
    ([{"type": "offset", "value": 1}, {"type": "scale", "value": 2}], "2 entries for 3 bands"),
    ([{"type": "scale", "value": 0}], "divide by zero"),
    ([{"type": "min-max", "minimum": 1, "maximum": 1}], "divide by zero"),
    ([{"type": "z-score", "mean": 1}], "lacks stddev"),
    ([{"type": "z-score", "mean": "1", "stddev": 1}], "no number"),
    ([{"type": "z-score", "mean": 1, "stddev": -1}], "none is below zero"),
    ([{"type": "clip", "minimum": 2, "maximum": 1}], "minimum 2 above its maximum 1"),
    ([{"type": "blur"}], "'blur' is not known here"),
    (["z-score"], "no object"),
    ([{"type": "processing", "format": "python", "expression": "f"}], "only arithmetic"),
]


@pytest.mark.parametrize(("scaling", "text"), WRONG)
def test_a_scaling_that_cannot_be_computed_is_never_left_out(
    document: dict[str, Any], scaling: list[Any], text: str
) -> None:
    notes: list[str] = []

    def note(message: Message) -> None:
        if isinstance(message, Note):
            notes.append(message.text)

    model = modelstac.load(somebodys(document, scaling), report=note)
    assert any(text in found for found in notes)
    assert_refused(lambda: model.predict(labelled()), text, InvalidItemError)
    np.testing.assert_array_equal(model.predict(labelled(), scaled=True), VALUES)
    np.testing.assert_array_equal(model.predict(VALUES[None]), VALUES[None])


@pytest.mark.parametrize(
    "step",
    [
        {"type": "scale", "value": 0},
        {"type": "z-score", "mean": 1, "stddev": 0},
        {"type": "min-max", "minimum": 1, "maximum": 1},
        {"type": "clip", "minimum": 2, "maximum": 1},
    ],
    ids=str,
)
def test_a_step_that_can_never_be_computed_is_not_published(
    document: dict[str, Any], step: dict[str, Any], tmp_path: Path
) -> None:
    item = pystac.Item.from_dict(document, preserve_dict=True)
    item.properties["mlm:input"][0]["value_scaling"] = [{"type": "scale", "value": 2}] * 2 + [step]
    catalog = modelstac.open(tmp_path / "catalog.sqlite", create=True)
    assert_refused(lambda: catalog.publish(item), "a step of input 'x' cannot be computed", InvalidItemError)
    assert list(catalog.ids()) == []


def test_the_clip_of_the_first_mlm_divides_each_band(document: dict[str, Any]) -> None:
    item = somebodys(document, [])
    del item.properties["mlm:input"][0]["value_scaling"]
    statistics = [{"minimum": 3, "maximum": 4}] * 3  # which it does not read
    item.properties["mlm:input"][0] |= {"norm_type": "clip", "norm_clip": [10, 20, 50], "statistics": statistics}
    expected = (VALUES / np.array([10, 20, 50], np.float32)[:, None, None]).clip(0, 1)
    np.testing.assert_allclose(modelstac.load(item).predict(labelled()), expected, rtol=1e-6)
    item.properties["mlm:input"][0]["norm_clip"] = [10, 0, 50]
    assert_refused(lambda: modelstac.load(item).predict(labelled()), "cannot be computed", InvalidItemError)


def test_obstacles_of_scalings() -> None:
    assert obstacle(None) is None
    assert obstacle([None, {"type": "clip", "minimum": 0, "maximum": 1}], 2) is None
    assert obstacle([{"type": "offset", "value": 1}, {"type": "scale", "value": 2}], 1) is None  # one after the other
    assert obstacle([{"type": "offset", "value": 1}, {"type": "scale", "value": 2}]) is None  # nobody knows
    assert "2 entries for 10 bands" in str(
        obstacle([{"type": "offset", "value": 1}, {"type": "scale", "value": 2}], 10)
    )
    assert "no list" in str(obstacle("z-score"))
    blocking, noted = unmet({"resize_type": "crop", "bands": [{"name": "ndvi", "format": "python", "expression": "f"}]})
    assert (len(blocking), len(noted)) == (0, 2)
    blocking, _ = unmet({"norm_type": "l2"})
    assert "'l2' is not known" in blocking[0]
    blocking, _ = unmet({"pre_processing_function": {"format": "python", "expression": "m:f"}})
    assert "a preprocessing that is not run here: m:f" in blocking[0]


def test_a_preprocessing_of_arithmetic_is_computed(make: Make, document: dict[str, Any]) -> None:
    item = somebodys(document, [])
    item.properties["mlm:input"][0]["pre_processing_function"] = {"format": "numpy", "expression": "x / 2"}
    np.testing.assert_array_equal(modelstac.load(item).predict(labelled()), VALUES / 2)
    item.properties["mlm:input"][0]["pre_processing_function"] = {"format": "python", "expression": "m:f"}
    assert_refused(
        lambda: modelstac.load(item).predict(labelled()), "a preprocessing that is not run", InvalidItemError
    )


def test_what_is_done_to_images_elsewhere_is_named_at_load(make: Make, document: dict[str, Any]) -> None:
    item = pystac.Item.from_dict(document, preserve_dict=True)
    item.properties["mlm:input"][0]["resize_type"] = "interpolation-nearest"
    notes: list[str] = []
    modelstac.load(item, report=lambda message: notes.append(getattr(message, "text", "")))
    assert any("resized by 'interpolation-nearest'" in note for note in notes)
