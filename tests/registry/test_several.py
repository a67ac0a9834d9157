"""Several inputs and outputs with labels: by name, in memory and in blocks, here and in other processes."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dask
import distributed
import numpy as np
import onnx
import pystac
import pytest
import xarray as xr
from onnx import TensorProto, helper, numpy_helper
from tests.registry import pairs

import modelstac
from modelstac.catalog.errors import DataError, InvalidItemError
from modelstac.catalog.items.mlm import InputStructure, ModelInput, ModelOutput, ResultStructure
from modelstac.catalog.items.sizes import Size
from modelstac.registry import Model

MakeItem = Callable[..., pystac.Item]
NAMES = ("batch", "y", "x", "band")
PLACE = {"y": np.arange(6) * -10.0, "x": np.arange(5) * 10.0}


@pytest.fixture
def item(tmp_path: Path, make_item: MakeItem) -> pystac.Item:
    return make_item(pairs.write_onnx(tmp_path), "onnx", **pairs.fields())


@pytest.fixture
def model(item: pystac.Item) -> Model:
    return modelstac.load(item, threads=1)


def labelled(batch: int = 2) -> tuple[dict[str, xr.DataArray], dict[str, np.ndarray]]:
    inputs, outputs = pairs.example(batch)
    bands = {"s1": pairs.S1, "s2": pairs.S2}
    given = {
        name: xr.DataArray(array, {**PLACE, "band": list(bands[name])}, NAMES, name) for name, array in inputs.items()
    }
    return given, outputs


def assert_right(found: Mapping[str, xr.DataArray], outputs: Mapping[str, np.ndarray]) -> None:
    assert list(found) == ["mask", "height"]
    for name, array in outputs.items():
        values = found[name].values.reshape(array.shape)  # one band is left out where the input left it out
        np.testing.assert_allclose(values, array, atol=1e-5, err_msg=name)


def test_outputs_have_the_places_of_the_inputs_whose_axes_they_share(model: Model) -> None:
    given, outputs = labelled()
    found = model.predict(given)
    assert_right(found, outputs)
    assert found["mask"].dims == NAMES
    assert found["mask"]["band"].values.tolist() == ["a", "b"]
    for dim, values in PLACE.items():
        np.testing.assert_array_equal(found["height"][dim], values)
    assert_right(model.predict(**given), outputs)


def test_inputs_may_come_in_any_order_of_dimensions_and_bands(model: Model) -> None:
    given, outputs = labelled()
    turned = {
        "s2": given["s2"].isel(band=[2, 0, 1]).transpose("band", "x", "batch", "y"),
        "s1": given["s1"].rename(y="lat", x="lon").isel(band=0),  # the band that it is stays as a label
    }
    found = model.predict(turned)
    assert found["height"].dims == ("batch", "lat", "lon")  # as the first input has them
    assert_right(found, outputs)
    with pytest.raises(DataError, match="'s1' needs the bands vv; found vh"):
        model.predict(given | {"s1": turned["s1"].assign_coords(band="vh")})


def test_a_dataset_gives_its_variables_by_name(model: Model) -> None:
    given, outputs = labelled()
    by_input = xr.Dataset({"s1": given["s1"].isel(band=0, drop=True), "s2": given["s2"], "unused": xr.DataArray(1)})
    assert_right(model.predict(by_input), outputs)
    by_band = xr.Dataset({"vv": given["s1"].isel(band=0, drop=True), **_bands(given["s2"])})
    assert_right(model.predict(by_band), outputs)
    assert_right(model.predict({"s1": by_band[["vv"]], "s2": by_band[["nir", "red", "green"]]}), outputs)
    with pytest.raises(DataError, match=r"'s2' needs the variables red, green, nir; found vv, red, green: nir missing"):
        model.predict(by_band.drop_vars("nir"))
    with pytest.raises(DataError, match=r"'s2' needs the variables red, green, nir; found s1"):
        model.predict(xr.Dataset({"s1": given["s1"].isel(band=0, drop=True)}))


def test_two_dates_are_not_one_set_of_variables(tmp_path: Path, make_item: MakeItem) -> None:
    fields = pairs.fields()
    first, second = fields["inputs"]
    same = ModelInput(**{**first.model_dump(), "bands": ("red",)})
    model = modelstac.load(make_item(pairs.write_onnx(tmp_path), "onnx", **fields | {"inputs": (same, second)}))
    given, outputs = labelled()
    with pytest.raises(DataError, match="'s1' and 's2' both have the band red: give each by its name"):
        model.predict(xr.Dataset(_bands(given["s2"])))
    by_name = {"s1": given["s1"].assign_coords(band=["red"]), "s2": xr.Dataset(_bands(given["s2"]))}
    assert_right(model.predict(by_name), outputs)


def _bands(array: xr.DataArray) -> dict[str, xr.DataArray]:
    return {str(band): array.sel(band=band, drop=True) for band in array["band"].values}


def test_one_that_lies_the_other_way_round_is_turned(model: Model) -> None:
    given, outputs = labelled()
    found = model.predict({"s1": given["s1"], "s2": given["s2"][:, ::-1]})
    assert_right(found, outputs)
    both = model.predict({name: array[:, ::-1] for name, array in given.items()})
    assert_right({name: array[:, ::-1] for name, array in both.items()}, outputs)
    xr.testing.assert_equal(both["mask"]["y"], given["s1"]["y"][::-1])


def test_a_plain_array_among_them_is_taken_as_it_is(model: Model) -> None:
    given, outputs = labelled()
    found = model.predict({"s1": given["s1"].values, "s2": given["s2"]})
    assert_right(found, outputs)
    np.testing.assert_array_equal(found["height"]["y"], PLACE["y"])
    with pytest.raises(DataError, match=r"'s1' is float32 .* found shape \[6, 5, 1\]"):
        model.predict({"s1": given["s1"].values[0], "s2": given["s2"]})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda s1, s2: {"s1": s1}, "needs the input s2; found s1"),
        (lambda s1, s2: {"s1": s1, "s2": s2, "s3": s2}, r"no input 's3'.* did you mean 's[12]'"),
        (lambda s1, s2: {"s1": s1, "s2": s2[:1]}, "'batch' go together; found batch 2 of 's1', batch 1 of 's2'"),
        (lambda s1, s2: {"s1": s1, "s2": s2.assign_coords(y=s2.y + 5)}, "'s1' and 's2' have other coordinates along"),
        (lambda s1, s2: {"s1": s1, "s2": s2[:, :4]}, "fails on an array of shape"),
    ],
)
def test_what_does_not_go_together_is_one_line(model: Model, change: Callable[..., Any], text: str) -> None:
    with pytest.raises(DataError, match=text) as raised:
        model.predict(change(**labelled()[0]))
    assert "\n" not in str(raised.value)


def test_an_input_that_may_be_left_out(tmp_path: Path, make_item: MakeItem) -> None:
    fields = pairs.fields()
    s1, s2 = fields["inputs"]
    optional = ModelInput(**{**s2.model_dump(), "optional": True})
    item = make_item(pairs.write_onnx(tmp_path), "onnx", **fields | {"inputs": (s1, optional)})
    model = modelstac.load(item)
    assert [tensor.optional for tensor in model.signature.inputs] == [False, True]
    model.signature.check_names(["s1"])
    given, outputs = labelled()
    assert_right(model.predict(given), outputs)
    with pytest.raises(DataError, match="fails"):  # this file does need it, and says so itself
        model.predict(xr.Dataset({"s1": given["s1"].isel(band=0, drop=True)}))


def test_an_input_called_overlap(tmp_path: Path, make_item: MakeItem, model: Model) -> None:
    """``predict`` has an argument of that name for blocks, which is a mapping."""
    dims = ("batch", "y")
    value = helper.make_tensor_value_info
    nodes = [helper.make_node("Sub", ["self", "overlap"], ["out"])]
    graph = helper.make_graph(
        nodes,
        "g",
        [value(name, TensorProto.FLOAT, [None, 4]) for name in ("self", "overlap")],
        [value("out", TensorProto.FLOAT, [None, 4])],
    )
    path = tmp_path / "named.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    layout = {"shape": (-1, 4), "dim_order": dims, "data_type": "float32"}
    fields: dict[str, Any] = {
        "inputs": tuple(
            ModelInput(name=name, bands=(), input=InputStructure(**layout)) for name in ("self", "overlap")
        ),
        "outputs": (ModelOutput(name="out", bands=(), tasks=("regression",), result=ResultStructure(**layout)),),
    }
    named = modelstac.load(make_item(path, "onnx", **fields), threads=1)
    one = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(named.predict(self=3 * one, overlap=one), 2 * one)
    with pytest.raises(DataError, match="overlap is a mapping by dimension"):
        model.predict(pairs.example(1)[0], overlap=16)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda array: np.ma.masked_greater(array, 0.5), "values masked: fill them"),
        (lambda _: [[1.0], [2.0, 3.0]], "lists of unequal lengths"),
    ],
)
def test_gaps_and_lists_that_are_no_array_are_refused(model: Model, change: Callable[..., Any], text: str) -> None:
    inputs = dict(pairs.example(1)[0])
    inputs["s1"] = change(inputs["s1"])
    with pytest.raises(DataError, match=text):
        model.predict(inputs)


def test_a_name_that_is_no_text(model: Model) -> None:
    with pytest.raises(DataError, match="no input 1"):
        model.predict({1: np.ones(3)})


def test_two_outputs_of_one_name_are_refused(tmp_path: Path, make_item: MakeItem) -> None:
    fields = pairs.fields()
    item = make_item(pairs.write_onnx(tmp_path), "onnx", **fields)
    item.properties["mlm:output"][1]["name"] = "mask"
    with pytest.raises(InvalidItemError, match="two outputs of the model are called 'mask': name each once"):
        modelstac.load(item)


def test_names_that_are_not_those_of_the_file_are_refused(tmp_path: Path, make_item: MakeItem) -> None:
    fields = pairs.fields()
    first, second = fields["inputs"]
    other = ModelInput(**{**second.model_dump(), "name": "optical"})
    item = make_item(pairs.write_onnx(tmp_path), "onnx", **fields | {"inputs": (first, other)})
    with pytest.raises(InvalidItemError, match="calls its inputs s2, s1, its item s1, optical"):
        modelstac.load(item)


# In blocks.


def blocks_of(given: Mapping[str, xr.DataArray], **chunks: int) -> dict[str, xr.DataArray]:
    return {name: array.chunk(chunks) for name, array in given.items()}


def test_blocks_of_two_inputs_give_what_memory_gives_and_are_computed_once(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, outputs = labelled(batch=5)
    calls: list[int] = []
    run = model.run

    def counted(inputs: Any, /) -> Any:
        calls.append(inputs["s1"].shape[0])
        return run(inputs)

    monkeypatch.setattr(model, "run", counted)
    found = model.predict(blocks_of(given, batch=2))
    assert not calls  # nothing is computed until it is asked for
    assert found["mask"].chunks == ((2, 2, 1), (6,), (5,), (2,))
    with dask.config.set(scheduler="threads"):
        mask, height = dask.compute(found["mask"], found["height"])
    assert sorted(calls) == [1, 2, 2]  # both outputs of each block by one call
    assert_right({"mask": mask, "height": height}, outputs)
    np.testing.assert_array_equal(mask["y"], PLACE["y"])
    calls.clear()
    dask.compute(found["height"])
    assert sorted(calls) == [1, 2, 2]


def test_one_input_in_blocks_cuts_the_others_alike(model: Model) -> None:
    given, outputs = labelled(batch=4)
    found = model.predict({"s1": given["s1"].chunk(batch=1), "s2": given["s2"]})
    assert found["height"].chunks[0] == (1, 1, 1, 1)
    assert_right({n: a.compute() for n, a in found.items()}, outputs)
    plain = model.predict({"s1": given["s1"].values, "s2": given["s2"].chunk(batch=2, band=1)})  # bands are one block
    assert_right({n: a.compute() for n, a in plain.items()}, outputs)
    with pytest.raises(DataError, match=r"'s2' .*blocks of 1, 1, 1, 1 along 'batch': those of 's1' are 2, 2: .chunk"):
        model.predict({"s1": given["s1"].chunk(batch=2), "s2": given["s2"].chunk(batch=1)})


def test_blocks_go_to_workers(model: Model, tmp_path: Path) -> None:
    given, outputs = labelled(batch=4)
    assert_right(pickle.loads(pickle.dumps(model)).predict(given), outputs)
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0", local_directory=str(tmp_path)
    )
    with cluster, distributed.Client(cluster):
        mask, height = dask.compute(*model.predict(blocks_of(given, batch=1)).values())
    assert_right({"mask": mask, "height": height}, outputs)


class Scene:
    """One scene of height and width, and a network whose layers say what a halo and sizes are."""

    def __init__(self, folder: Path, make_item: MakeItem) -> None:
        self._folder, self._make = folder, make_item
        self.values = np.random.default_rng(2).random((1, 1, 48, 40), np.float32)

    def model(self, kind: str, *, sizes: dict[str, Any] | None = None, halo: dict[str, Any] | None = None) -> Model:
        def layout(of: type[Any]) -> Any:
            return of(shape=(-1, 1, -1, -1), dim_order=("batch", "bands", "height", "width"), data_type="float32")

        item = self._make(
            write_network(self._folder / f"{kind}.onnx", kind),
            "onnx",
            inputs=(ModelInput(name="x", bands=("b",), input=layout(InputStructure)),),
            outputs=(
                ModelOutput(name="y", bands=("b",), tasks=("regression",), result=layout(ResultStructure)),
                ModelOutput(name="z", bands=("b",), tasks=("regression",), result=layout(ResultStructure)),
            ),
            sizes=sizes or {},
            halo=halo,
        )
        return modelstac.load(pystac.Item.from_dict(item.to_dict()), threads=1)

    def array(self, **chunks: int) -> xr.DataArray:
        place = {"y": np.arange(48) * -10.0, "x": np.arange(40) * 10.0}
        array = xr.DataArray(self.values[0, 0], place, ("y", "x"))
        return array.chunk(chunks) if chunks else array


def write_network(path: Path, kind: str) -> Path:
    """Write ``y``, of a network, and ``z``, the input itself or one pixel in four of it."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, "h", "w"])
    y, z = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 1, f"h{n}", f"w{n}"]) for n in ("y", "z"))
    random = np.random.default_rng(0)
    weights = {
        "k3": random.random((1, 1, 3, 3), np.float32),
        "up": random.random((1, 1, 2, 2), np.float32),
        "k4": random.random((4, 1, 3, 3), np.float32),
    }
    twice = [
        helper.make_node("Conv", ["x", "k3"], ["a"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["a", "k3"], ["y"], pads=[1, 1, 1, 1]),
    ]
    pooled = [
        helper.make_node("MaxPool", ["x"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["p", "k3"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("ConvTranspose", ["c", "up"], ["y"], strides=[2, 2]),
    ]
    valid = [helper.make_node("Conv", ["x", "k3"], ["y"])]
    odd = [helper.make_node("Conv", ["x", "up"], ["y"])]
    shuffle = [
        helper.make_node("Conv", ["x", "k4"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("DepthToSpace", ["c"], ["y"], blocksize=2),
    ]
    same = [helper.make_node("Identity", ["x"], ["z"])]
    half = [helper.make_node("AveragePool", ["x"], ["z"], kernel_shape=[2, 2], strides=[2, 2])]
    nodes = {
        "twice": twice + same,
        "pooled": pooled + half,
        "valid": valid + same,
        "odd": odd + same,
        "shuffle": shuffle + half,
    }[kind]
    graph = helper.make_graph(nodes, "g", [x], [y, z], [numpy_helper.from_array(w, n) for n, w in weights.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


@pytest.fixture
def scene(tmp_path: Path, make_item: MakeItem) -> Scene:
    return Scene(tmp_path, make_item)


# By hand: two 3 x 3 convolutions see 2 pixels beside their own. Pooled by two, a 3 x 3 convolution sees 1 pixel of the
# pooled image, so 2 of the image beside the two that lie below the pixel, and 3 beside the one. A 3 x 3 convolution
# without padding sees 1, and one of 2 x 2, whose output lies over two pixels, no other.
HALO = {"twice": 2, "pooled": 3, "valid": 1, "odd": 0, "shuffle": 1}
SIZES: dict[str, dict[str, Size]] = {
    "twice": {},
    "pooled": {"x": Size(2, 2), "y": Size(2, 2), "z": Size(1, 1)},
    "valid": {"x": Size(3, 1), "y": Size(1, 1), "z": Size(3, 1)},
    "odd": {"x": Size(2, 1), "y": Size(1, 1), "z": Size(2, 1)},
    "shuffle": {"x": Size(2, 2), "y": Size(4, 4), "z": Size(1, 1)},
}


def sizes_of(kind: str) -> dict[str, dict[str, Size]]:
    return {name: {"height": size, "width": size} for name, size in SIZES[kind].items()}


def halo_of(kind: str) -> dict[str, dict[str, int]]:
    return {"x": {"height": HALO[kind], "width": HALO[kind]}}


@pytest.mark.parametrize("kind", list(SIZES))
def test_the_halo_of_the_item_joins_blocks_without_a_seam(scene: Scene, kind: str) -> None:
    model = scene.model(kind, sizes=sizes_of(kind), halo=halo_of(kind))
    whole = model.predict(scene.array())
    found = model.predict(scene.array(y=16, x=12))
    for name in ("y", "z"):
        assert found[name].shape == whole[name].shape
        np.testing.assert_allclose(found[name].compute(), whole[name], atol=1e-4, err_msg=name)
        assert len(found[name].chunks[0]) == 3
    uneven = model.predict(scene.array(y=14, x=40))  # blocks of 14, 14, 14 and 6
    np.testing.assert_allclose(uneven["y"].compute(), whole["y"], atol=1e-4)
    if kind == "twice":
        small = model.predict(scene.array(y=47))  # the last block is smaller than what it would share
        np.testing.assert_allclose(small["y"].compute(), whole["y"], atol=1e-4)


def test_what_is_said_is_taken_before_what_was_measured(scene: Scene) -> None:
    model = scene.model("twice", halo=halo_of("twice"))
    whole = model.predict(scene.array())["y"]
    seams = model.predict(scene.array(y=16), overlap={"y": 0})["y"].compute()
    assert abs(seams - whole)[14:18].max() > 1e-2
    assert abs(seams - whole)[:14].max() < 1e-4


def test_a_halo_that_grows_with_another_axis(tmp_path: Path, make_item: MakeItem) -> None:
    """A recurrent network sees a pixel further with each time step: here four, of three pixels and none beside."""
    from modelstac.registry.running.aligning import Aligned
    from modelstac.registry.running.cuts import cuts
    from modelstac.registry.running.signature import TensorSignature

    dims = ("time", "height")
    layout = TensorSignature("x", (Size.fixed(4), Size(8, 8)), dims, "float32")
    array = xr.DataArray(np.zeros((4, 96), np.float32), dims=dims).chunk(height=32)
    one = Aligned(layout, array, {dim: dim for dim in dims})
    halo = {"x": {"height": {"pixels": 1, "per": {"time": 3}}}}  # 13, and so 16
    cut = cuts([one], halo=halo, overlap={})["height"]["x"]
    assert (cut.before, cut.after, cut.lengths) == (16, 16, (48, 64, 48))


def test_inputs_of_two_resolutions_are_cut_at_the_same_places() -> None:
    from modelstac.registry.running.aligning import Aligned
    from modelstac.registry.running.cuts import cuts
    from modelstac.registry.running.signature import TensorSignature

    def given(name: str, size: Size, length: int, **chunks: int) -> Aligned:
        layout = TensorSignature(name, (size,), ("height",), "float32")
        array = xr.DataArray(np.zeros(length, np.float32), dims="y")
        return Aligned(layout, array.chunk(chunks) if chunks else array, {"height": "y"})

    fine = given("fine", Size(4, 4, symbol="h"), 128, y=32)
    coarse = given("coarse", Size(2, 2, symbol="h"), 64)
    halo = {"fine": {"height": 5}, "coarse": {"height": 7}}
    found = cuts([fine, coarse], halo=halo, overlap={})["height"]
    assert (found["coarse"].chunks, found["coarse"].before) == ((16, 16, 16, 16), 8)  # 7 and even
    assert (found["fine"].chunks, found["fine"].before) == ((32, 32, 32, 32), 16)  # the same place
    with pytest.raises(DataError, match=r"those of 'fine' are 10, 10, 10, 10, …: .chunk both"):
        cuts([given("fine", Size(), 128, y=10), given("coarse", Size(), 63)], halo=halo, overlap={})


@pytest.mark.parametrize(
    ("halo", "chunks", "text"),
    [
        (None, {"y": 16}, r"say how many values blocks share: overlap=\{'y': 16\}"),
        ({"x": {"height": 3}}, {"x": 10}, r"say how many values blocks share: overlap=\{'x': 16\}"),
        (
            {"x": {"height": "global", "width": 3}},
            {"y": 16},
            r"every pixel depends on all of it .*\.chunk\(\{'y': -1\}",
        ),
        ({"x": {"height": 3, "width": 3}}, {"y": 15}, "multiples of 2, the nearest to 15 are 14 or 16"),
        ({"x": {"height": 30, "width": 3}}, {"y": 12}, r"share 30 with their neighbours: .*\.chunk\(\{'y': 30\}\)"),
    ],
)
def test_blocks_that_do_not_fit_are_one_line(scene: Scene, halo: Any, chunks: dict[str, int], text: str) -> None:
    model = scene.model("pooled", sizes=sizes_of("pooled"), halo=halo)
    with pytest.raises(DataError, match=text) as raised:
        model.predict(scene.array(**chunks))
    assert "\n" not in str(raised.value)


def test_a_scene_whose_size_the_step_forbids(scene: Scene) -> None:
    model = scene.model("pooled", sizes=sizes_of("pooled"), halo=halo_of("pooled"))
    odd = scene.array()[:47]
    for given in (odd, odd.chunk(y=16)):
        with pytest.raises(DataError, match=r"47 .*does not fit, the nearest that does is 46 or 48") as raised:
            model.predict(given)
        assert "\n" not in str(raised.value)


def test_an_output_whose_size_the_item_does_not_say(scene: Scene) -> None:
    model = scene.model("pooled", sizes={"x": sizes_of("pooled")["x"]}, halo=halo_of("pooled"))
    found = model.predict(scene.array(y=16))
    with pytest.raises(DataError, match=r"output 'z' of a block has the shape .* load the values, \.compute\(\)"):
        found["z"].compute()
