"""What a model takes: arrays, tensors of other frameworks, and xarray, in memory and in blocks."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import dask
import dask.array as da
import ml_dtypes
import numpy as np
import onnx
import pandas as pd
import pystac
import pytest
import torch
import xarray as xr
from onnx import TensorProto, helper, numpy_helper

import modelstac
from modelstac.catalog.errors import DataError, InvalidItemError
from modelstac.catalog.items.mlm import InputStructure, MinMax, ModelInput, ModelOutput, ResultStructure
from modelstac.catalog.items.sizes import Size
from modelstac.registry import Model, TensorSignature

DIMS = ("batch", "time", "variables", "height", "width")
TIMES = pd.date_range("2010-08-26T06:00", periods=4, freq="5min")
Make = Callable[..., Model]


def write_average(path: Path, sizes: dict[str, int]) -> Path:
    """Write y = x averaged over 3 x 3 pixels, with zeros around the image."""
    shape = [name if (size := sizes.get(name, -1)) == -1 else size for name in ("batch", "time", "height", "width")]
    shape.insert(2, 1)
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("frames", "forecast"))
    weights = [numpy_helper.from_array(np.full((1, 1, 1, 3, 3), 1 / 9, np.float32), "w")]
    nodes = [
        helper.make_node("Transpose", ["frames"], ["a"], perm=[0, 2, 1, 3, 4]),
        helper.make_node("Conv", ["a", "w"], ["b"], pads=[0, 1, 1, 0, 1, 1]),
        helper.make_node("Transpose", ["b"], ["forecast"], perm=[0, 2, 1, 3, 4]),
    ]
    graph = helper.make_graph(nodes, "g", [x], [y], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


@pytest.fixture
def make(tmp_path: Path, make_item: Callable[..., pystac.Item]) -> Make:
    """Return a function that loads a model of rain in mm/h, scaled to 0..1 by 50, forecasting after its frames."""

    def load(*, newest_first: bool = False, step: str = "PT5M", **sizes: int) -> Model:
        sizes = {"batch": -1, "time": 4, "variables": 1, "height": -1, "width": -1} | sizes
        layout = {"shape": tuple(sizes[name] for name in DIMS), "dim_order": DIMS, "data_type": "float32"}
        rain = ("rainfall_rate",)
        scaling = (MinMax(minimum=0, maximum=50),)
        output = ModelOutput(
            name="forecast",
            variables=rain,
            tasks=("regression",),
            result=ResultStructure(**layout),
            post_processing_function={"format": "numpy", "expression": "x * 50"},
            **{"interop:lead_time": step},
        )
        item = make_item(
            write_average(tmp_path / "model.onnx", sizes),
            "onnx",
            inputs=(ModelInput(name="frames", variables=rain, value_scaling=scaling, input=InputStructure(**layout)),),
            outputs=(output,),
            hyperparameters={"preparation": {"newest_first": newest_first}},
            cube_dimensions={"time": {"type": "temporal", "extent": ["2010-08-26T00:00:00Z", None], "step": step}},
        )
        return modelstac.load(pystac.Item.from_dict(item.to_dict()))

    return load


@pytest.fixture
def rain() -> xr.DataArray:
    """Rain in mm/h over four times."""
    values = np.random.default_rng(1).random((4, 6, 5), np.float32) * 50
    place = {"y": np.arange(6) * -1000.0, "x": np.arange(5) * 1000.0}
    return xr.DataArray(values, {"time": TIMES, **place, "crs": 0}, ("time", "y", "x"), "rainfall_rate")


def average(values: np.ndarray) -> np.ndarray:
    padded = np.pad(values, [(0, 0)] * (values.ndim - 2) + [(1, 1), (1, 1)])
    return np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (-2, -1)).mean((-2, -1))


@pytest.fixture(params=["torch", "torch with gradient", "torch.bfloat16", "tensorflow", "tensorflow variable"])
def tensor(request: pytest.FixtureRequest) -> Callable[[np.ndarray], object]:
    """Return a function that makes a tensor of a framework."""
    if request.param.startswith("torch"):
        return {
            "torch": torch.from_numpy,
            "torch with gradient": lambda x: torch.from_numpy(x).requires_grad_() * 1,
            "torch.bfloat16": lambda x: torch.from_numpy(x).bfloat16(),
        }[request.param]
    tf = pytest.importorskip("tensorflow")
    return tf.Variable if request.param.endswith("variable") else tf.constant


def test_tensors_are_taken(make: Make, tensor: Callable[[np.ndarray], object]) -> None:
    frames = (np.arange(4 * 6 * 5, dtype=np.float32).reshape(1, 4, 1, 6, 5) % 7) / 8  # exact in eight bits, too
    found = make().predict(tensor(frames))
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, make().predict(frames))


LAYOUTS: dict[str, Callable[[np.ndarray], object]] = {
    "another byte order": lambda x: x.astype(">f4"),
    "64 bits of another byte order": lambda x: x.astype(">f8"),
    "16 bits": lambda x: x.astype(np.float16),
    "Fortran's order": np.asfortranarray,
    "reversed rows": lambda x: x[..., ::-1, :].copy()[..., ::-1, :],
    "every other": lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
    "a transpose": lambda x: np.ascontiguousarray(x.swapaxes(-1, -2)).swapaxes(-1, -2),
    "not aligned": lambda x: np.frombuffer(b"1" + x.tobytes(), x.dtype, offset=1).reshape(x.shape),
    "read only": lambda x: np.broadcast_to(x, x.shape),
    "a mask of nothing": lambda x: np.ma.array(x, mask=False),
    "lists": lambda x: x.tolist(),
    "blocks": da.from_array,
    "bfloat16": lambda x: x.astype(ml_dtypes.bfloat16),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_may_lie_in_any_order(make: Make, layout: str) -> None:
    frames = (np.arange(4 * 6 * 5, dtype=np.float32).reshape(1, 4, 1, 6, 5) % 7) / 8  # exact in eight bits, too
    model = make()
    np.testing.assert_array_equal(model.predict(LAYOUTS[layout](frames)), model.predict(frames))


def test_a_variable_of_xarray_has_names_and_physical_values(make: Make, rain: xr.DataArray) -> None:
    model = make()
    np.testing.assert_array_equal(
        model.predict(rain.drop_vars("time").variable.transpose("x", "time", "y")),
        model.predict(rain.drop_vars("time")),
    )


@pytest.mark.parametrize("dtype", ["int32", "uint8", "int8"])
def test_whole_numbers_that_do_not_fit_are_refused(dtype: str) -> None:
    signature = TensorSignature("classes", (Size(),), ("batch",), dtype)
    np.testing.assert_array_equal(signature.check(np.array([3, 100], ">i8")), np.array([3, 100], dtype))
    with pytest.raises(DataError, match=f"do not fit into it, as they go from 300 to {2**40}: clip them"):
        signature.check(np.array([300, 2**40]))
    for bad in ([3.0, 3.7], [np.nan, 3.0], [300, 2**40], [True], ["3"]):
        with pytest.raises(DataError, match="'classes' is"):
            signature.check(np.array(bad))


def test_tensors_without_values_are_refused(make: Make) -> None:
    for bad in (torch.zeros(1, 4, 1, 6, 5, device="meta"), torch.zeros(1, 4, 1, 6, 5).to_sparse()):
        with pytest.raises(DataError, match="dense one with values"):
            make().predict(bad)
    with pytest.raises(DataError, match="int64"):
        make().predict(torch.zeros(1, 4, 1, 6, 5, dtype=torch.int64))


def test_no_framework_is_imported_for_an_array(make: Make, python: Callable[..., dict[str, object]]) -> None:
    answer = python(
        """
        import numpy as np
        from modelstac.registry.running.arrays import as_array, is_labelled
        values = np.zeros(3)
        assert as_array(values) is values and not is_labelled(values)
        answer(loaded=sorted({"torch", "tensorflow", "xarray", "keras"} & set(sys.modules)))
        """
    )
    assert answer["loaded"] == []


def test_xarray_has_names_scaling_times_and_coordinates(make: Make, rain: xr.DataArray) -> None:
    found = make().predict(rain)
    np.testing.assert_allclose(found.values, average(rain.values), rtol=1e-5)
    assert found.dims == ("time", "y", "x")
    assert found.name == "rainfall_rate"
    assert found.attrs["units"] == "mm h-1"
    np.testing.assert_array_equal(found["time"], pd.date_range("2010-08-26T06:20", periods=4, freq="5min"))
    xr.testing.assert_equal(found["y"], rain["y"])
    xr.testing.assert_equal(found["x"], rain["x"])
    assert "crs" in found.coords


def test_order_and_names_of_dimensions_do_not_matter(make: Make, rain: xr.DataArray) -> None:
    model = make()
    expected = model.predict(rain)
    turned = rain.transpose("x", "time", "y").rename(x="width", y="latitude")
    xr.testing.assert_allclose(
        model.predict(turned).rename(width="x", latitude="y").transpose("time", "y", "x"), expected
    )
    shouted = model.predict(rain.rename(x="X", y="Lat"))  # as GDAL writes them
    xr.testing.assert_allclose(shouted.rename(X="x", Lat="y"), expected)
    batch = xr.concat([rain, rain / 2], dim="batch").assign_coords(batch=["a", "b"])
    found = model.predict(batch)
    assert found.dims == ("batch", "time", "y", "x")
    xr.testing.assert_allclose(found.sel(batch="a", drop=True), expected)
    assert found.batch.values.tolist() == ["a", "b"]
    xr.testing.assert_identical(model.predict(rain.to_dataset()), expected)


def test_frames_are_put_in_the_order_of_the_model(make: Make, rain: xr.DataArray) -> None:
    expected = make().predict(rain)
    xr.testing.assert_allclose(make().predict(rain[::-1]), expected)  # times say which frame is the first
    found = make(newest_first=True).predict(rain)
    np.testing.assert_allclose(found.values, expected.values[::-1])
    np.testing.assert_array_equal(found["time"], expected["time"])
    with pytest.raises(DataError, match="newest frame first"):
        make(newest_first=True).predict(rain.drop_vars("time"))
    assert "time" not in make().predict(rain.drop_vars("time")).coords


def test_times_that_were_not_decoded_are_times(make: Make, rain: xr.DataArray) -> None:
    expected = make(newest_first=True).predict(rain)
    minutes = ("time", np.arange(0, 20, 5), {"units": "minutes since 2010-08-26 06:00"})
    turned = rain.assign_coords(time=minutes)[::-1]
    xr.testing.assert_allclose(make(newest_first=True).predict(turned), expected)
    calendar = rain[::-1].convert_calendar("standard", use_cftime=True)
    xr.testing.assert_allclose(make(newest_first=True).predict(calendar), expected)
    with pytest.raises(DataError, match="apart"):
        make().predict(rain.assign_coords(time=("time", np.arange(4), minutes[2])))
    texts = rain.assign_coords(time=[f"{time}Z" for time in rain["time"].values.astype("datetime64[s]")])[::-1]
    xr.testing.assert_allclose(make(newest_first=True).predict(texts), expected)
    for there in ("nothing", "numbers"):  # and times beside these
        beside = rain.assign_coords(valid_time=("time", rain["time"].values)).drop_vars("time")
        beside = beside.assign_coords(time=np.arange(4)) if there == "numbers" else beside
        found = make(newest_first=True).predict(beside[::-1])
        np.testing.assert_array_equal(found.values, expected.values)
    with pytest.raises(DataError, match="the times 'time' are texts such as 'first': read them as times"):
        make().predict(rain.assign_coords(time=["first", "second", "third", "fourth"]))


def test_times_since_a_start_are_in_order(make: Make, rain: xr.DataArray) -> None:
    since = rain.assign_coords(time=rain["time"] - rain["time"][0])
    np.testing.assert_array_equal(make().predict(since[::-1]).values, make().predict(rain).values)
    with pytest.raises(DataError, match="same time twice"):
        make().predict(since[[0, 1, 1, 2]])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda x: x.rename(y="along").drop_vars("along"), "no dimension 'height'"),
        (lambda x: x.isel(time=0), "no dimension 'time'"),
        (lambda x: x.expand_dims("member"), "'member' is none of them"),
        (lambda x: x.isel(time=[0, 1, 2]), r"time 4.*found shape \[1, 3, 1, 6, 5\]"),
        (lambda x: x.isel(time=[0, 1, 3, 3]), "same time twice"),
        (lambda x: x.assign_coords(time=TIMES.shift(1, "5min").insert(0, TIMES[0])[[0, 1, 2, 4]]), "apart"),
        (lambda x: x.where(x > 1), "NaN"),
        (lambda x: x.to_dataset(name="other"), "variables rainfall_rate; found other"),
        (lambda x: x.expand_dims(variables=["snow"]), "rainfall_rate; found snow"),
    ],
)
def test_what_does_not_fit_is_named(make: Make, rain: xr.DataArray, change: Callable[..., object], text: str) -> None:
    with pytest.raises(DataError, match=text) as raised:
        make().predict(change(rain))
    assert "\n" not in str(raised.value)


def test_blocks_of_the_batch_give_what_memory_gives(make: Make, rain: xr.DataArray) -> None:
    model = make()
    batch = xr.concat([rain * share for share in (1, 0.5, 0.25, 0.1, 0)], dim="batch")
    found = model.predict(batch.chunk(batch=2))
    assert found.chunks is not None
    assert found.chunks[0] == (2, 2, 1)
    xr.testing.assert_allclose(found.compute(), model.predict(batch))
    np.testing.assert_array_equal(found["time"], model.predict(rain)["time"])


def test_samples_that_are_not_apart_are_not_cut_apart(make: Make, rain: xr.DataArray) -> None:
    model = make()
    model.description = model.description.model_copy(update={"batch_difference": 0.5})
    batch = xr.concat([rain, rain * 0.5], dim="batch")
    with pytest.raises(DataError, match=r"sample moves with the others of its batch: load it whole, .chunk\("):
        model.predict(batch.chunk(batch=1))
    xr.testing.assert_allclose(model.predict(batch.chunk(batch=2)).compute(), make().predict(batch))


def test_blocks_of_an_area_need_tiles_or_an_overlap(make: Make, rain: xr.DataArray) -> None:
    tiles = make(height=3, width=5).predict(rain.chunk(y=3))
    np.testing.assert_allclose(tiles[:, :3].values, average(rain.values[:, :3]), rtol=1e-5)
    with pytest.raises(DataError, match=r"make blocks of 3"):
        make(height=3, width=5).predict(rain.chunk(y=2))
    model = make()
    with pytest.raises(DataError, match=r"overlap=\{'y': 16\}"):
        model.predict(rain.chunk(y=2))
    unknown = rain.chunk(y=2)
    unknown = xr.DataArray(unknown.data[:, da.from_array(np.ones(6, bool), 2)], dims=rain.dims)
    with pytest.raises(DataError, match="nobody knows yet how long its blocks are along 'y'"):
        model.predict(unknown)
    found = model.predict(rain.chunk(y=2, x=3), overlap={"height": 1, "x": 1})
    assert found.chunks == ((4,), (2, 2, 2), (3, 2))
    xr.testing.assert_allclose(found.compute(), model.predict(rain))
    with pytest.raises(DataError, match="no dimension 'z'"):
        model.predict(rain.chunk(y=2), overlap={"y": 1, "z": 1})
    with pytest.raises(DataError, match="no array of Dask"):
        model.predict(rain, overlap={"y": 1})


def peak(model: Model, count: int, store: np.ndarray) -> int:
    """Return the largest number of bytes in use while so many blocks of 2 MB are forecast and written away."""

    def block(block_info: dict | None = None) -> np.ndarray:
        return np.full((1, 4, 360, 360), block_info[None]["chunk-location"][0] % 40, np.float32)

    values = da.map_blocks(block, chunks=((1,) * count, (4,), (360,), (360,)), dtype=np.float32)
    rain = xr.DataArray(values, dims=("batch", "time", "y", "x"))
    tracemalloc.start()
    try:
        with dask.config.set(scheduler="threads", num_workers=2):
            model.predict(rain).mean(("time", "y", "x")).data.store(store[:count], lock=False)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_is_that_of_blocks_however_many_there_are(make: Make) -> None:
    model, store = make(), np.zeros(64, np.float32)
    few, many = peak(model, 8, store), peak(model, 64, store)  # 16 and 133 MB in all, and as much for the output
    assert many < 2 * few  # eight times as many blocks
    assert many < 64 * 4 * 360 * 360 * 4 / 5
    assert store[39] > store[1] > 0


def test_bad_values_in_one_block_are_named_when_it_is_computed(make: Make, rain: xr.DataArray) -> None:
    batch = xr.concat([rain, rain.where(rain > 1)], dim="batch").chunk(batch=1)
    found = make().predict(batch)
    found[0].compute()
    with pytest.raises(DataError, match="NaN"):
        found.compute()


@pytest.mark.parametrize(
    ("step", "given", "expected"),
    [
        ("P1M", ["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"], ["2024-05-01", "2024-06-01"]),
        ("P0.5D", ["2024-01-01", "2024-01-01T12", "2024-01-02", "2024-01-02T12"], ["2024-01-03T00", "2024-01-03T12"]),
    ],
)
def test_months_and_halves_of_days_are_what_the_item_says(
    make: Make, rain: xr.DataArray, step: str, given: list[str], expected: list[str]
) -> None:
    frames = rain.assign_coords(time=np.array(given, dtype="datetime64[ns]"))
    found = make(step=step).predict(frames)
    assert [str(time)[: len(expected[0])] for time in found["time"].values[:2]] == expected
    uneven = frames.assign_coords(time=frames["time"].values + np.array([0, 0, 0, 1], dtype="timedelta64[D]"))
    with pytest.raises(DataError, match=r"the model reads frames .* apart"):
        make(step=step).predict(uneven)


def test_half_a_month_is_no_duration(make: Make, rain: xr.DataArray) -> None:
    with pytest.raises(InvalidItemError, match=r"'P0\.5M' is no duration, such as PT5M, P0.5D or P1M"):
        make(step="P0.5M").predict(rain)
