"""A model run over a scene: edges, holes, blending, pixels, resolutions, and what comes after the model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from tests.registry.scenes.scenes_in_memory import Memory, run
from tests.registry.scenes.small_models import (
    average,
    classifier,
    described,
    in_onnx,
    of_images,
    of_pixels,
    onnx_graph,
    pooled,
    sharing,
    two_resolutions,
)

from modelstac.catalog.errors import DataError
from modelstac.catalog.items.mlm import ModelInput, Processing, ZScore
from modelstac.catalog.messages import Note
from modelstac.registry.running.memory import give_free_back
from modelstac.registry.running.values.scaling import scale
from modelstac.registry.scenes.predicting import predict_scene
from modelstac.registry.scenes.running.options import Cost, Options
from modelstac.registry.scenes.running.planning import make_plan
from modelstac.registry.scenes.running.trial import measured, resident

ALL = (slice(0, None), slice(0, None))
RNG = np.random.default_rng(0)
CLASSES = [
    {"value": 10, "name": "water", "color_hint": "0000ff"},
    {"value": 20, "name": "trees"},
    {"value": 30, "name": "crops"},
]


def scores_of(model: Any, values: np.ndarray) -> np.ndarray:
    return next(iter(model.run({model.signature.inputs[0].name: values[None]}).values()))[0]


def test_scores_keep_their_bands_and_lie_where_the_scene_does(tmp_path: Path) -> None:
    model, values = classifier(), RNG.random((2, 70, 90), np.float32)
    scene = Memory({"image": values})
    found = run(model, scene, tmp_path, tile=32)
    layer = found["plan"].layers["scores"]
    assert found["plan"].tiles > 4
    np.testing.assert_array_equal(found["scores"], scores_of(model, values))
    assert layer.grid == scene.grids["image"]
    assert (layer.dtype, len(layer.bands), layer.classes) == ("float32", 3, ())


def test_classes_of_the_item_make_a_map_of_labels(tmp_path: Path) -> None:
    model = classifier(extra={"classification:classes": CLASSES})
    values = RNG.random((2, 40, 50), np.float32)
    found = run(model, Memory({"image": values}), tmp_path, tile=32)
    layer = found["plan"].layers["scores"]
    expected = np.array([10, 20, 30])[scores_of(model, values).argmax(0)]
    np.testing.assert_array_equal(found["scores"][0], expected)
    assert (layer.dtype, layer.nodata, layer.bands) == ("uint8", 255, ("scores",))
    assert next((c.value, c.name, c.color) for c in layer.classes) == (10, "water", "#0000ff")


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ({"format": "python", "expression": "torch.argmax(x, dim=1)"}, lambda s: s.argmax(0)[None]),
        ({"format": "python", "expression": "torch.nn.functional.softmax"}, lambda s: np.exp(s) / np.exp(s).sum(0)),
        ({"format": "python", "expression": "sigmoid"}, lambda s: 1 / (1 + np.exp(-s))),
        ({"format": "numpy", "expression": "clip(x, 0, 1)"}, lambda s: s.clip(0, 1)),
        ({"format": "numpy", "expression": "clip(-x, 0, 1)"}, lambda s: (-s).clip(0, 1)),
        ({"format": "python", "expression": "x.clamp(max=1, min=0)"}, lambda s: s.clip(0, 1)),
        ({"format": "numpy", "expression": "x * 2"}, lambda s: s * 2),
    ],
)
def test_what_the_item_says_comes_after_the_model(tmp_path: Path, function: Any, expected: Any) -> None:
    model, values = classifier(post=function), RNG.random((2, 20, 20), np.float32)
    found = run(model, Memory({"image": values}), tmp_path)
    np.testing.assert_allclose(found["scores"], expected(scores_of(model, values)), rtol=1e-5)


@pytest.mark.parametrize("text", ["mine:polygons", "softmax(x / 2.5)", "argmax(-x)", "softmax(x, temperature=2.5)"])
def test_code_of_the_item_is_left_out_and_said(tmp_path: Path, text: str) -> None:
    model = classifier(post={"format": "python", "expression": text})
    found = run(model, Memory({"image": RNG.random((2, 20, 20), np.float32)}), tmp_path)
    assert any(text in note for note in found["plan"].notes)
    assert found["scores"].shape == (3, 20, 20)


@pytest.mark.parametrize(
    ("post", "expected"),
    [
        ("sigmoid,threshold:0.5", lambda s: (s >= 0).astype(np.uint8)),
        ("scale:100:1", lambda s: s * 100 + 1),
        ("clip:0:0.5", lambda s: s.clip(0, 0.5)),
        ("none", lambda s: s),
    ],
)
def test_a_user_says_what_comes_after(tmp_path: Path, post: str, expected: Any) -> None:
    model, values = classifier(extra={"classification:classes": CLASSES}), RNG.random((2, 20, 20), np.float32)
    if "threshold" in post:
        model = classifier()
    found = run(model, Memory({"image": values}), tmp_path, post=post)
    np.testing.assert_allclose(found["scores"], expected(scores_of(model, values)), rtol=1e-5, atol=1e-6)


def test_bands_of_several_labels_at_once_are_called_as_the_classes(tmp_path: Path) -> None:
    model = classifier(extra={"classification:classes": CLASSES})
    found = run(model, Memory({"image": RNG.random((2, 20, 20), np.float32)}), tmp_path, post="sigmoid,threshold:0.5")
    layer = found["plan"].layers["scores"]
    assert layer.bands == ("water", "trees", "crops")
    assert [one.name for one in layer.classes] == ["below", "above"]


def test_percentiles_are_of_the_whole_scene(tmp_path: Path) -> None:
    model, values = average(), np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(1, 64, 64)
    made = run(model, Memory({"image": values}), tmp_path, tile=16, post="stretch:10:90")["mean"][0]
    expected = scores_of(model, values)[0]
    low, high = np.percentile(expected, (10, 90))
    np.testing.assert_array_equal(made, np.rint(np.clip((expected - low) / (high - low), 0, 1) * 254) + 1)


@pytest.mark.parametrize("shape", [(7, 3), (1, 1), (31, 64), (65, 33)])
def test_a_model_of_one_size_runs_on_scenes_of_any(tmp_path: Path, shape: tuple[int, int]) -> None:
    model, values = classifier(side=32, halo={"image": {"height": 1, "width": 1}}), RNG.random((2, *shape), np.float32)
    found = run(model, Memory({"image": values}), tmp_path)
    assert found["scores"].shape == (3, *shape)
    inner = classifier().run({"image": values[None]})["scores"][0]
    np.testing.assert_allclose(found["scores"][:, 1:-1, 1:-1], inner[:, 1:-1, 1:-1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 3000), (2500, 2), (3, 1500), (40, 3000)])
def test_a_narrow_strip_is_not_reflected(tmp_path: Path, shape: tuple[int, int]) -> None:
    """It is cut along its length alone, however little of it lies between the margins of a halo."""
    halo = 30 if shape[0] == 40 else 1
    scene = np.random.default_rng(2).random((1, *shape), np.float32)
    model = average(halo)
    found = run(model, Memory({"image": scene}), tmp_path)
    whole = model.run({"image": scene[None]})["mean"][0]
    np.testing.assert_allclose(found["mean"], whole, rtol=1e-6)
    assert found["plan"].tiles > 1


def test_a_batch_of_one_size_is_filled_up(tmp_path: Path) -> None:
    model, values = classifier(batch=4), RNG.random((2, 30, 100), np.float32)
    found = run(model, Memory({"image": values}), tmp_path, tile=32)
    assert found["plan"].batch == 4
    single = classifier().run({"image": values[None]})["scores"][0]
    np.testing.assert_allclose(found["scores"], single, rtol=1e-5, atol=1e-6)


def test_holes_are_masked_and_filled_and_empty_tiles_are_not_run(tmp_path: Path) -> None:
    values, missing = RNG.random((1, 64, 64), np.float32), np.zeros((1, 64, 64), bool)
    missing[:, :, :40], missing[0, 50, 50] = True, True
    model, ran = average(), []
    run_before = model.run
    model.run = lambda arrays, **more: ran.append(len(arrays["image"])) or run_before(arrays, **more)
    found = run(model, Memory({"image": values}, missing={"image": missing}), tmp_path, tile=16, batch=1)
    assert np.isnan(found["mean"][missing]).all()
    assert np.isfinite(found["mean"][~missing]).all()
    assert sum(ran) < found["plan"].tiles
    filled = np.where(missing, 0, values)
    expected = run_before({"image": filled[None]})["mean"][0]
    np.testing.assert_array_equal(found["mean"][~missing], expected[~missing])
    again = run(model, Memory({"image": values}, missing={"image": missing}), tmp_path, tile=16, fill=7.0)
    other = run_before({"image": np.where(missing, 7, values)[None].astype(np.float32)})["mean"][0]
    np.testing.assert_array_equal(again["mean"][~missing], other[~missing])


def test_nan_is_missing(tmp_path: Path) -> None:
    values = RNG.random((1, 20, 20), np.float32)
    values[0, 3, 4] = np.nan
    found = run(average(), Memory({"image": values}), tmp_path)["mean"]
    assert np.argwhere(np.isnan(found)).tolist() == [[0, 3, 4]]


def test_a_score_that_is_none_has_no_class_and_large_ones_have(tmp_path: Path) -> None:
    plan = make_plan(classifier(), Memory({"image": RNG.random((2, 8, 8), np.float32)}), Options(post="argmax"))
    values = np.full((3, 8, 8), 3e38, np.float32)  # the sum of two is infinite
    values[0] = 0
    values[1, 2, 3], values[2, 4, 5] = np.nan, -np.inf
    found = plan.recipes["scores"].finished(values, None, layer := plan.layers["scores"])
    assert np.argwhere(found == layer.nodata).tolist() == [[0, 2, 3], [0, 4, 5]]
    assert found[0, 0, 0] == 1


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32", "float64"])
def test_values_are_scaled_as_the_item_says_to_the_bit(tmp_path: Path, dtype: str) -> None:
    steps = (ZScore(mean=1200.5, stddev=333.3), ZScore(mean=900.25, stddev=123.4))
    model = classifier(scaling=steps)
    values = RNG.integers(0, 10000, (2, 40, 40)).astype(dtype)
    plain = [step.model_dump() for step in steps]
    scaled = scale(values, plain, ("channel", "height", "width"), of="x").astype(np.float32)
    found = run(model, Memory({"image": values}), tmp_path, tile=16)
    np.testing.assert_array_equal(found["scores"], scores_of(model, scaled))


@pytest.mark.parametrize("halo", ["global", None, 1])
def test_scores_are_blended_where_no_halo_is_proved_or_it_is_asked_for(tmp_path: Path, halo: Any) -> None:
    model, values = average(halo), RNG.random((1, 100, 130), np.float32)
    found = run(model, Memory({"image": values}), tmp_path, tile=32, blend=True if halo == 1 else None)
    assert found["plan"].overlap
    assert found["plan"].tiles > 9
    expected = scores_of(model, values)
    apart = np.abs(found["mean"] - expected)
    assert apart.max() < 0.05  # edges of tiles weigh next to nothing
    assert np.median(apart) < 1e-6
    assert any("blended" in note for note in found["plan"].notes) == (halo != 1)


def test_a_scene_in_one_tile_is_never_blended(tmp_path: Path) -> None:
    model, values = average("global"), RNG.random((1, 100, 130), np.float32)
    found = run(model, Memory({"image": values}), tmp_path)
    np.testing.assert_array_equal(found["mean"], scores_of(model, values))


def test_blending_masks_holes(tmp_path: Path) -> None:
    values, missing = RNG.random((1, 90, 90), np.float32), np.zeros((1, 90, 90), bool)
    missing[0, :50, :60] = True
    found = run(average(None), Memory({"image": values}, missing={"image": missing}), tmp_path, tile=16)["mean"]
    np.testing.assert_array_equal(np.isnan(found), missing)


@pytest.mark.parametrize("batch", [-1, 1, 50])
def test_a_model_of_pixels_runs_on_every_pixel(tmp_path: Path, batch: int) -> None:
    model, weights = of_pixels(batch=batch)
    values = RNG.random((4, 11, 13), np.float32)
    found = run(model, Memory({"pixels": values}), tmp_path, post="argmax")["scores"]
    expected = np.tensordot(weights, values, (0, 0)).argmax(0)
    np.testing.assert_array_equal(found[0], expected)


def test_inputs_of_two_resolutions_are_cut_in_proportion(tmp_path: Path) -> None:
    fine, coarse = RNG.random((1, 60, 90), np.float32), RNG.random((1, 30, 45), np.float32)
    found = run(two_resolutions(), Memory({"image": fine, "coarse": coarse}), tmp_path, tile=32)
    assert found["plan"].tiles > 4
    np.testing.assert_array_equal(found["sum"], fine + coarse.repeat(2, 1).repeat(2, 2))


def test_a_model_that_gives_no_image_is_refused_in_one_line_or_run_per_tile(tmp_path: Path) -> None:
    model, values = pooled(), RNG.random((3, 64, 96), np.float32)
    with pytest.raises(DataError, match=r"no image.*per_tile") as error:
        run(model, Memory({"image": values}), tmp_path)
    assert "\n" not in str(error.value)
    found = run(model, Memory({"image": values}), tmp_path, tile=32, per_tile=True, post="none")
    expected = values.reshape(3, 2, 32, 3, 32).mean((2, 4))
    np.testing.assert_allclose(found["scores"], expected, rtol=1e-5)
    assert found["plan"].layers["scores"].grid.affine.a == 320


def test_tiles_that_are_not_apart_in_a_batch_run_one_at_a_time() -> None:
    values, layers, notes = RNG.random((1, 64, 96), np.float32), [], []
    values[:, :32] *= np.float32(0.1)
    model = sharing(("batch", "channel", "height", "width"))
    said: dict[str, Any] = {"tile": 32, "per_tile": True, "post": "none", "report": notes.append}
    found = predict_scene(model, Memory({"x": values}), lambda made: layers.extend(r.read(ALL) for r in made), **said)
    tiles = values.reshape(2, 32, 3, 32)
    np.testing.assert_allclose(layers[0][0], tiles.mean((1, 3)) / tiles.max((1, 3)), rtol=1e-5)
    assert found.plan.batch == 1
    assert any("tiles are run one at a time: the result of one moves by" in note for note in found.notes)
    with pytest.raises(DataError, match=r"takes pixels, and the result of one moves by .*; run it on arrays") as error:
        predict_scene(sharing(("batch", "feature"), 3), Memory({"x": RNG.random((3, 8, 9), np.float32)}), print)
    assert "\n" not in str(error.value)


def test_a_pixel_without_a_number_does_not_move_with_its_batch() -> None:
    nodes = [helper.make_node("Floor", ["x"], ["whole"]), helper.make_node("Log", ["whole"], ["y"])]
    graph = onnx_graph(nodes, {"x": ["batch", 3]}, {"y": ["batch", 3]})
    shape = ((-1, 3), ("batch", "feature"))
    model, layers = in_onnx(graph, described({"x": shape}, {"y": ((-1, 3), ("batch", "class"))})), []
    values = np.full((3, 4, 5), np.e, np.float32)
    values[:, 1, 2] = 0.5  # which is -inf, in any batch
    predict_scene(model, Memory({"x": values}), lambda made: layers.extend(r.read(ALL) for r in made), post="none")
    expected = np.full((4, 5), np.log(2.0))
    expected[1, 2] = -np.inf
    np.testing.assert_allclose(layers[0][0], expected, rtol=1e-6)


def test_tiles_that_give_one_answer_each_are_as_long_as_was_asked(tmp_path: Path) -> None:
    """A classifier of patches of 32 pixels is not fed such of 24 x 30, of which three are as many."""
    values = RNG.random((3, 70, 90), np.float32)
    found = run(pooled(), Memory({"image": values}), tmp_path, tile=32, per_tile=True, post="none")
    expected = values[:, :64, :64].reshape(3, 2, 32, 2, 32).mean((2, 4))
    np.testing.assert_allclose(found["scores"][:, :2, :2], expected, rtol=1e-5)
    affine = found["plan"].layers["scores"].grid.affine
    assert (found["scores"].shape, affine.a, affine.e) == ((3, 3, 3), 320, -320)


def test_a_detector_is_not_said_to_make_a_map_of_tiles(tmp_path: Path) -> None:
    model = pooled()
    outputs = [one.model_copy(update={"tasks": ("object-detection",)}) for one in model.description.outputs]
    model.description = model.description.model_copy(update={"outputs": tuple(outputs)})
    with pytest.raises(DataError, match="it finds objects; run it on images, as arrays"):
        run(model, Memory({"image": RNG.random((3, 64, 96), np.float32)}), tmp_path)


def test_a_tile_that_cannot_be_read_is_named_or_masked(tmp_path: Path) -> None:
    def broken(_name: str, window: tuple[slice, slice]) -> None:
        if window[0].start <= 20 < window[0].stop and window[1].start <= 20 < window[1].stop:
            raise DataError("cannot read rows 20 of image.tif: it is cut off")

    values = RNG.random((1, 64, 64), np.float32)
    with pytest.raises(DataError, match=r"image\.tif"):
        run(average(), Memory({"image": values}, broken=broken), tmp_path, tile=16)
    found = run(average(), Memory({"image": values}, broken=broken), tmp_path, tile=16, skip_errors=True)["mean"]
    assert np.isnan(found[0, 20, 20])
    assert np.isfinite(found[0, 40:, :]).all()


def test_all_nodata_is_a_map_of_nothing(tmp_path: Path) -> None:
    values = np.full((1, 40, 40), np.nan, np.float32)
    assert np.isnan(run(average(), Memory({"image": values}), tmp_path, tile=16)["mean"]).all()


def test_of_a_tile_that_cannot_be_read_no_more_is_masked_than_a_part(tmp_path: Path) -> None:
    def broken(_name: str, window: tuple[slice, slice]) -> None:
        if window[0].start <= 300 < window[0].stop and window[1].start <= 20 < window[1].stop:
            raise DataError("cannot read rows 300 of image.tif: it is cut off")

    values = RNG.random((1, 600, 400), np.float32)
    scene = Memory({"image": values}, broken=broken)
    found = run(average(), scene, tmp_path, tile=600, skip_errors=True)["mean"]
    gone = np.zeros(values.shape, bool)
    gone[:, 256:512, :256] = True
    np.testing.assert_array_equal(np.isnan(found), gone)
    beside = gone.copy()
    beside[:, 255:513, :257] = True  # what the halo of the hole reaches
    whole = scores_of(average(), values)
    np.testing.assert_array_equal(found[~beside], whole[~beside])


def test_a_part_ends_at_its_edge_along_the_shorter_side_of_a_window_too(tmp_path: Path) -> None:
    def broken(_name: str, window: tuple[slice, slice]) -> None:
        if window[0].start <= 20 < window[0].stop and window[1].start <= 290 < window[1].stop:
            raise DataError("cannot read columns 290 of image.tif: it is cut off")

    values = RNG.random((1, 200, 300), np.float32)
    found = run(average(), Memory({"image": values}, broken=broken), tmp_path, tile=200, skip_errors=True)["mean"]
    gone = np.zeros(values.shape, bool)
    gone[:, :, 256:] = True
    np.testing.assert_array_equal(np.isnan(found), gone)


def test_a_number_of_bands_that_the_item_leaves_open_is_found_by_a_run(tmp_path: Path) -> None:
    values, made = RNG.random((2, 70, 90), np.float32), {}
    scene = Memory({"image": values})

    def sink(rasters: Any) -> None:
        made.update({one.layer.name: one.read((slice(0, None), slice(0, None))) for one in rasters})

    found = predict_scene(classifier(open_bands=True), scene, sink, tile=32)
    assert found.plan.layers["scores"].bands == ("1", "2", "3")
    np.testing.assert_array_equal(made["scores"], scores_of(classifier(), values))
    found = predict_scene(classifier(open_bands=True), scene, sink, tile=32, post="argmax")
    np.testing.assert_array_equal(made["scores"][0], scores_of(classifier(), values).argmax(0))


def test_tiles_that_memory_does_not_hold_become_narrower_first(tmp_path: Path) -> None:
    model, values = average(), RNG.random((1, 300, 300), np.float32)
    scene = Memory({"image": values})
    plan = make_plan(model, scene, Options(memory=300 * 160 * 1000), cost=Cost(1000.0))
    assert (plan.tile, plan.tiles) == ((300, 151), 2)
    plan = make_plan(model, scene, Options(memory=160 * 160 * 1000), cost=Cost(1000.0))
    assert (plan.tile, plan.tiles) == ((151, 151), 4)
    found = run(model, scene, tmp_path, memory=300 * 160 * 4096)
    assert found["plan"].tile == (300, 151)
    np.testing.assert_array_equal(found["mean"], scores_of(model, values))


def test_a_model_is_tried_once_and_its_next_scenes_are_cut_alike() -> None:
    model = average()
    tried: list[tuple[int, ...]] = []
    given = model.run

    def counted(arrays: Any, **how: Any) -> Any:
        tried.append(arrays["image"].shape)
        return given(arrays, **how)

    model.run = counted
    first, second = (
        measured(model, Memory({"image": np.zeros((1, side, side), np.float32)}), Options(), times=False)
        for side in (700, 900)
    )
    assert first == second
    assert len(tried) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="memory of a process is seen on Linux")
def test_what_is_free_in_the_process_does_not_hide_what_a_model_takes() -> None:
    held = [np.ones(1 << 13) for _ in range(1000)]
    last = np.ones(1 << 13)  # or the end of the heap would go by itself
    before = resident()
    del held
    give_free_back()
    assert resident() < before - (32 << 20)
    assert last.all()


def test_nothing_is_read_to_try_a_model_whose_bands_the_item_fixes() -> None:
    scene = Memory({"image": np.zeros((2, 300, 300), np.float32)})
    measured(classifier(), scene, Options(), times=False)
    assert scene.reads == 0


def test_time_is_taken_where_it_is_asked_for() -> None:
    model = average()
    assert measured(model, Memory({"image": np.zeros((1, 700, 700), np.float32)}), Options()).seconds is not None


@pytest.mark.parametrize(("fill", "said"), [(None, "0 after scaling"), (7.0, "7")])
def test_pixels_that_are_there_at_some_times_are_in_the_map_and_said(fill: float | None, said: str) -> None:
    mean = helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=0)
    graph = onnx_graph([mean], {"image": ["b", "t", 1, "h", "w"]}, {"mean": ["b", 1, "h", "w"]})
    model = in_onnx(graph, described(
        {"image": ((-1, -1, 1, -1, -1), ("batch", "time", "channel", "height", "width"))},
        {"mean": ((-1, 1, -1, -1), ("batch", "channel", "height", "width"))},
        halo={"image": {"height": 0, "width": 0}},
    ))  # fmt: skip
    values = RNG.random((2, 1, 6, 5), np.float32)
    missing = np.zeros(values.shape, bool)
    missing[0, 0, 1], missing[:, 0, 2] = True, True  # a row at one time, another at both
    found: list[Any] = []
    told: list[Any] = []
    made = predict_scene(
        model, Memory({"image": values}, missing={"image": missing}),
        lambda rasters: found.append(rasters[0].read((slice(0, 6), slice(0, 5)))[0]), fill=fill, report=told.append,
    )  # fmt: skip
    expected = np.where(missing, fill or 0.0, values).mean(axis=0)[0]
    expected[2] = np.nan
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)
    (note,) = made.notes
    assert f"some pixels have nothing at some of its times, and are read as {said} at these" in note
    assert [one.text for one in told if isinstance(one, Note)] == [note]


def counting_gaps(**more: Any) -> Any:
    """Give how many of two bands are missing (NaN) around a pixel of 3 x 3."""
    graph = onnx_graph(
        [
            helper.make_node("IsNaN", ["image"], ["gone"]),
            helper.make_node("Cast", ["gone"], ["ones"], to=1),
            helper.make_node("Conv", ["ones", "w"], ["count"], pads=[1, 1, 1, 1]),
        ],
        {"image": ["batch", 2, "h", "w"]},
        {"count": ["batch", 1, "h", "w"]},
        {"w": np.ones((1, 2, 3, 3), np.float32)},
    )
    described = of_images({"image": 2}, {"count": 1}, halo={"image": {"height": 1, "width": 1}}, **more)
    inputs = tuple(ModelInput(**one.model_dump() | {"interop:gaps": True}) for one in described.inputs)
    return in_onnx(graph, described.model_copy(update={"inputs": inputs}))


@pytest.mark.parametrize("scaling", [None, (Processing(format="numpy", expression="abs(x) / 10"),)])
def test_a_model_that_is_fed_gaps_gets_them_and_is_masked_where_all_bands_are_missing(
    tmp_path: Path, scaling: Any
) -> None:
    values, missing = RNG.random((2, 40, 50), np.float32), RNG.random((2, 40, 50)) < 0.2
    model = counting_gaps(scaling=scaling)
    found = run(model, Memory({"image": values}, missing={"image": missing}), tmp_path, tile=32)
    padded = np.pad(missing.sum(axis=0), 1)
    expected = sum(padded[y : y + 40, x : x + 50] for y in range(3) for x in range(3)).astype(np.float32)
    expected[missing.all(axis=0)] = np.nan
    np.testing.assert_array_equal(found["count"][0], expected)


def test_a_number_that_fills_gaps_is_masked_as_of_any_model(tmp_path: Path) -> None:
    values, missing = RNG.random((2, 20, 30), np.float32), RNG.random((2, 20, 30)) < 0.2
    found = run(counting_gaps(), Memory({"image": values}, missing={"image": missing}), tmp_path, fill=7.0)
    np.testing.assert_array_equal(found["count"][0], np.where(missing.any(axis=0), np.nan, 0))


def test_an_output_of_other_axes_than_its_item_says_is_a_line(tmp_path: Path) -> None:
    graph = onnx_graph(
        [helper.make_node("GlobalAveragePool", ["image"], ["p"]), helper.make_node("Flatten", ["p"], ["boxes"])],
        {"image": ["batch", 3, "h", "w"]},
        {"boxes": ["batch", "n"]},
    )
    layouts = {"image": ((-1, 3, -1, -1), ("batch", "channel", "height", "width"))}
    model = in_onnx(graph, described(layouts, {"boxes": ((-1, -1, 6), ("batch", "box", "value"))}))
    scene = Memory({"image": RNG.random((3, 40, 40), np.float32)})
    with pytest.raises(DataError, match=r"'boxes' has the shape \[1, 3\], and its item says batch, box, value"):
        predict_scene(model, scene, tmp_path / "map.tif", per_tile=True)
