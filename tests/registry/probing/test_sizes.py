"""Sizes that are not those of an ordinary network, and what a file states of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.registry.probing.networks import IMAGE, UNet, Windows, described, dilated, image_to_image, in_torch, valid
from tests.registry.probing.odd_networks import (
    Anchors,
    Cropping,
    Detector,
    OnePixelFails,
    OneSize,
    Padding,
    Reflecting,
    Rounding,
    Squares,
    Tokens,
    TwoResolutions,
    TwoSensors,
)
from torch import nn

from modelstac.catalog.errors import DataError, InvalidItemError
from modelstac.catalog.items.sizes import ANY, BY_DATA, Size
from modelstac.registry.probing.grids import grids
from modelstac.registry.probing.joining import Sizes
from modelstac.registry.probing.measure import measure
from modelstac.registry.probing.sizes import measure_sizes
from modelstac.registry.running.model import Model


def images(channels: int = 1) -> tuple[tuple[int, ...], tuple[str, ...]]:
    return (-1, channels, -1, -1), IMAGE


def of(module: nn.Module, **stated: Size) -> Sizes:
    said = {"image": stated} if stated else {}
    return measure_sizes(in_torch(module, image_to_image()), stated=said)


def height_and_width(module: nn.Module, **stated: Size) -> tuple[Size, Size]:
    sizes = of(module, **stated).sizes["image"]
    return sizes["height"], sizes["width"]


def both(size: Size) -> dict[str, Size]:
    return {"height": size, "width": size}


@pytest.mark.parametrize(
    ("module", "size"),
    [
        pytest.param(Cropping(), Size(4, 4), id="a network that crops what does not fit"),
        pytest.param(Rounding(), Size(16, 16), id="poolings that round down"),
        pytest.param(Padding(), ANY, id="a network that pads and crops back"),
        pytest.param(Reflecting(), Size(4), id="reflected padding of three pixels"),
        # one row is well, one column is well, and one pixel is not
        pytest.param(OnePixelFails(), Size(2), id="normalisation over the grid"),
    ],
)
def test_sizes_of_odd_networks(module: nn.Module, size: Size) -> None:
    assert height_and_width(module) == (size, size)


def test_inputs_of_two_resolutions_grow_together() -> None:
    description = described({"s10": images(2), "s20": images()}, {"result": images()})
    found = measure_sizes(in_torch(TwoResolutions(), description))
    assert found.sizes["s10"] == {
        "batch": ANY,
        "height": Size(4, 4, None, "height"),
        "width": Size(4, 4, None, "width"),
    }
    assert found.sizes["s20"] == {
        "batch": ANY,
        "height": Size(2, 2, None, "height"),
        "width": Size(2, 2, None, "width"),
    }
    scales = {(f.input, f.source): f.scale for f in found.follows if f.axis == f.source != "batch"}
    assert scales == {("s10", "height"): 1, ("s10", "width"): 1, ("s20", "height"): 2, ("s20", "width"): 2}


def test_inputs_of_one_grid_grow_together() -> None:
    description = described({"s1": images(2), "s2": images()}, {"result": images()})
    found = measure_sizes(in_torch(TwoSensors(), description)).sizes
    assert found["s1"] == found["s2"]
    assert found["s1"]["height"] == Size(1, 1, None, "height")
    assert found["s1"]["width"] == Size(1, 1, None, "width")


class OneOfTwo(nn.Module):
    """Two inputs of one batch as the file says, and a third of which nothing is used."""

    def forward(self, s1, s2, s3):
        return s1 + s2


def test_samples_of_an_input_that_is_not_used_are_as_many() -> None:
    description = described({name: images() for name in ("s1", "s2", "s3")}, {"result": images()})
    stated = {name: {"batch": Size(1, symbol="batch")} for name in ("s1", "s2")}
    found = measure_sizes(in_torch(OneOfTwo(), description), stated=stated).sizes
    assert found["s1"]["batch"] == found["s2"]["batch"] == found["s3"]["batch"] == ANY


def test_height_and_width_of_squares_grow_together() -> None:
    height, width = height_and_width(Squares())
    assert height == width == Size(2, 2, None, "height and width")


def test_an_axis_of_one_length_is_fixed() -> None:
    found = of(OneSize()).sizes["image"]
    assert found == {"batch": Size.fixed(1), "height": Size.fixed(8), "width": Size.fixed(8)}


def test_lengths_that_the_data_decide_are_told_from_those_that_follow_the_grid() -> None:
    description = described({"image": images()}, {"boxes": ((-1, 4), ("box", "coordinate")), "scores": images()})
    found = measure_sizes(in_torch(Detector(), description))
    assert found.sizes["boxes"] == {"box": BY_DATA}
    assert "scores" not in found.sizes
    assert [f.scale for f in found.of_output("scores", "height")] == [1]
    assert found.of_output("boxes", "box") == ()


def test_a_length_that_follows_two_axes_follows_neither() -> None:
    description = described({"image": images()}, {"boxes": ((-1, -1, 1), ("batch", "box", "channel"))})
    found = measure_sizes(in_torch(Anchors(), description))
    assert found.sizes == {"image": {"batch": ANY, **both(Size(8, 8))}}
    assert found.of_output("boxes", "box") == ()
    assert found.free == {("boxes", "box")}
    assert found.notes == ("length of box of 'boxes': follows several axes",)


def test_tokens_have_no_place_and_no_halo() -> None:
    description = described(
        {"tokens": ((-1, -1), ("batch", "token"))},
        {"result": ((-1, -1, 4), ("batch", "token", "channel"))},
        dtype="int64",
    )
    found = measure(in_torch(Tokens(), description))
    assert (found.sizes, found.halo, found.notes) == ({"tokens": {"batch": ANY, "token": ANY}}, None, ())


@pytest.mark.parametrize("dims", [("batch", "channel", "y", "x"), ("batch", "channel", "first", "second")])
def test_names_of_axes_do_not_matter(dims: tuple[str, ...]) -> None:
    description = described({"image": ((-1, 1, -1, -1), dims)}, {"result": ((-1, 1, -1, -1), dims)})
    sizes = measure_sizes(in_torch(UNet(2), description)).sizes["image"]
    assert [sizes[dim] for dim in dims[2:]] == [Size(4, 4), Size(4, 4)]


def test_what_is_measured_runs_wherever_it_says() -> None:
    model = in_torch(Windows(7), image_to_image())
    signature = measure_sizes(model).signature(model.signature)
    shapes = [grid.shapes["image"] for grid in grids(signature)]
    assert (1, 1, 7, 7) in shapes
    for shape in shapes:
        assert model.run({"image": torch.zeros(shape)})["result"].shape == shape


@pytest.mark.parametrize(
    ("module", "stated", "size"),
    [
        (UNet(2), Size(8, 4), Size(8, 4)),  # the file begins higher than need be
        (UNet(2), Size(8, 8), Size(8, 8)),  # and takes larger steps
        (UNet(2), Size(8, 4, 200), Size(8, 4, 200)),
        (dilated(), Size(2, 1, 40), Size(2, 1, 40)),
        (dilated(), Size(2), ANY),  # what torch.export writes of every axis, and 1 runs
        (valid(), Size(2), Size(9)),
        (UNet(2), Size(symbol="n"), Size(4, 4, None, "n")),
        (OneSize(), Size.fixed(8), Size.fixed(8)),
    ],
)
def test_what_a_file_states_bounds_the_search(module: nn.Module, stated: Size, size: Size) -> None:
    assert height_and_width(module, **both(stated)) == (size, size)


@pytest.mark.parametrize(
    ("module", "stated"),
    [
        (UNet(3), Size(4, 4)),
        (UNet(2), Size(4, 1, 100)),
        (valid(), Size(8, 2)),
        (OneSize(), Size(4, 4)),
        (Windows(7), Size(8, 8, 64)),
        (UNet(2), Size.fixed(10)),
    ],
)
def test_a_file_that_states_what_does_not_run_is_refused_in_a_line(module: nn.Module, stated: Size) -> None:
    model = in_torch(module, image_to_image())
    with pytest.raises(InvalidItemError, match="the file says height of 'image'") as caught:
        measure(model, {"image": both(stated)})
    assert "\n" not in str(caught.value)


def test_axes_of_one_symbol_that_do_not_go_together_are_refused() -> None:
    description = described({"s10": images(2), "s20": images()}, {"result": images()})
    stated: dict[str, Any] = {name: {"height": Size(symbol="h")} for name in ("s10", "s20")}
    with pytest.raises((DataError, InvalidItemError)):
        measure_sizes(in_torch(TwoResolutions(), description), stated=stated)


class Largest(nn.Module):
    """The largest values of every fourth pixel: one row will do where it is long enough."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image[..., ::4, ::4].flatten(1).topk(self.count).values


@pytest.mark.parametrize(("count", "side"), [(2, 5), (10, 13), (100, 37)])
def test_lengths_of_which_the_product_counts_are_large_enough_together(count: int, side: int) -> None:
    description = described({"image": images()}, {"result": ((-1, count), ("batch", "rank"))})
    found = measure(in_torch(Largest(count), description))
    assert found.notes == ()
    assert {found.sizes["image"][dim].step for dim in ("height", "width")} == {1}
    height, width = (found.sizes["image"][dim].at_least for dim in ("height", "width"))
    assert -(-height // 4) * -(-width // 4) >= count
    assert max(height, width) <= 2 * side  # of the least square


class Refusing(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("not today")


def test_a_model_that_runs_on_nothing_is_a_note_and_no_error() -> None:
    found = measure(in_torch(Refusing(), image_to_image()))
    assert (found.sizes, found.halo, found.runs) == ({}, None, False)
    [note] = found.notes
    assert note.startswith("sizes were not measured: lengths of batch, height, width are open")
    assert "not today" in note


def test_no_more_time_is_taken_than_may_be() -> None:
    with pytest.raises(DataError, match="took longer than 0 s"):
        measure_sizes(in_torch(UNet(2), image_to_image()), seconds=0)


def test_a_measured_item_is_measured_again_as_it_says() -> None:
    description = image_to_image().model_copy(update={"sizes": {"image": both(Size(8, 8))}})
    model: Model = in_torch(UNet(3), description)
    assert measure_sizes(model).sizes["image"] == {"batch": ANY, **both(Size(8, 8))}


class Halved(nn.Module):
    """Every other column, from the first: 7 give 4, as 8 do."""

    def forward(self, image):
        return image[..., ::2]


@pytest.mark.parametrize(("wanted", "size"), [(7, Size(1, 2)), (8, Size(2, 2)), (None, Size(2, 2))])
def test_the_length_of_an_example_settles_which_lengths_are_taken(wanted, size):
    lengths = {} if wanted is None else {("image", "width"): wanted, ("image", "height"): 5}
    found = measure_sizes(in_torch(Halved(), image_to_image()), wanted=lengths).sizes["image"]
    assert (found["width"], found["height"]) == (size, ANY)
