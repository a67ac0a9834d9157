"""Halos that are not those of an ordinary network, and that a wrong one fails its proof."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
import torch
from tests.registry.probing.networks import (
    IMAGE,
    Attention,
    ConvLSTM,
    UNet,
    Windows,
    described,
    dilated,
    image_to_image,
    in_torch,
    strided,
    super_resolution,
    valid,
)
from tests.registry.probing.odd_networks import (
    Deep,
    Detector,
    Labels,
    MaskAndHeight,
    Moved,
    Normalised,
    OneSided,
    OnlySquares,
    Padding,
    TwoResolutions,
    Unused,
    Without,
    Wrapping,
)
from tests.registry.probing.reachable import farthest
from tests.registry.probing.test_table import film
from torch import nn
from torch.nn import functional

from modelstac.catalog.errors import DataError
from modelstac.catalog.items.sizes import Size
from modelstac.registry.probing.halo import SLOW, measure_halo, pixels
from modelstac.registry.probing.measure import Measured, measure
from modelstac.registry.probing.proof import prove_halo
from modelstac.registry.probing.relation import Follows
from modelstac.registry.probing.sizes import measure_sizes


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(3)


def images(channels: int = 1, side: int = -1, batch: int = -1) -> tuple[tuple[int, ...], tuple[str, ...]]:
    return (batch, channels, side, side), IMAGE


def measured(module: nn.Module, inputs: Any = None, outputs: Any = None, **said: Any) -> Measured:
    inputs, outputs = inputs or {"image": images()}, outputs or {"result": images()}
    return measure(in_torch(module, described(inputs, outputs, **said)))


def both(halo: Any) -> dict[str, Any]:
    return {"height": halo, "width": halo}


@pytest.mark.parametrize("function", [nn.ReLU, nn.ReLU6, nn.GELU, nn.Tanh, nn.Sigmoid])
def test_functions_that_cut_and_saturate_hide_nothing(function: type[nn.Module]) -> None:
    """Eight convolutions of 3 x 3: 8 pixels."""
    assert measured(Deep(function, 8)).halo == {"image": both(8)}


def test_the_far_edge_of_a_deep_network_is_seen() -> None:
    """Forty convolutions leave a 1e-25th part of what is 40 pixels away."""
    assert measured(Deep(nn.ReLU, 40)).halo == {"image": both(40)}


@pytest.mark.parametrize("module", [Attention(), Normalised()])
def test_what_looks_at_the_whole_grid_is_global(module: nn.Module) -> None:
    found = measured(module)
    assert found.halo == {"image": both("global")}
    assert found.notes == ()


@pytest.mark.parametrize("scale", [1.0, 1e-3], ids=["in pixels", "in thousandths of them"])
def test_what_is_moved_as_far_as_its_own_values_say_is_global(scale: float) -> None:
    """Random numbers from 0 to 1 move it by a pixel at most, and those of a fast storm by fifty."""
    found = measured(Moved(scale), {"field": images(), "flow": images(2)})
    assert found.halo is not None
    assert found.halo["field"] == both("global")


def test_pixels_without_a_number_agree_where_they_are_so_in_both() -> None:
    assert measured(Without(0.3)).halo == {"image": both(2)}
    nothing = measured(Without(2.0))  # of the numbers from 0 to 1 that are tried
    assert nothing.halo is None
    assert "'result' has no numbers by which tiles and the whole could be told apart" in nothing.notes[0]


def test_halos_of_two_resolutions_are_in_pixels_of_each() -> None:
    """Of 10 m: block 3, 3 x 3 at 10, 20 and 40 m 1 + 2 + 4. Of 20 m: block 1, twice 3 x 3 at 20 m, one at 40 m 2."""
    found = measured(TwoResolutions(), {"s10": images(2), "s20": images()})
    assert found.halo == {"s10": both(3 + 1 + 2 + 4), "s20": both(1 + 1 + 1 + 2)}


def test_the_output_that_looks_farthest_counts() -> None:
    found = measured(MaskAndHeight(), outputs={"mask": images(), "height": images()})
    assert found.halo == {"image": both(3)}


def test_the_side_that_looks_farthest_counts() -> None:
    assert measured(OneSided()).halo == {"image": {"height": 2, "width": 5}}


class Counted(nn.Module):
    """A convolution of 5 x 5 that counts its runs; in a batch, one sample may be added to those before or after it."""

    def __init__(self, other: str = "none") -> None:
        super().__init__()
        self.conv, self.other, self.runs = nn.Conv2d(1, 1, 5, padding=2), other, 0

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.runs += 1
        greatest = image.amax((1, 2, 3), keepdim=True)
        if self.other == "before":
            greatest = greatest.flip(0)
        summed = greatest.cumsum(0) - greatest
        if self.other == "before":
            summed = summed.flip(0)
        return self.conv(image) + (0 if self.other == "none" else summed)


@pytest.mark.parametrize("other", ["before", "after"])
def test_a_change_counts_for_its_own_sample_alone(other: str) -> None:
    """Of one sample nothing is added; several are not tried together once one is seen to change another."""
    model = in_torch(Counted(other), described({"image": images()}, {"result": images()}))
    assert measure_halo(model, measure_sizes(model)) == {"image": both(2)}


def test_changes_are_tried_together_where_samples_are_kept_apart() -> None:
    runs = []
    for batch in (-1, 1):
        module = Counted()
        model = in_torch(module, described({"image": images(batch=batch)}, {"result": images(batch=batch)}))
        sizes, module.runs = measure_sizes(model), 0
        assert measure_halo(model, sizes) == {"image": both(2)}
        runs.append(module.runs)
    assert runs[0] * 3 < runs[1]


class SlowOnLarge(nn.Module):
    """Looks at the whole grid; takes long on a large one, and keeps how many samples it got there at once."""

    def __init__(self) -> None:
        super().__init__()
        self.together: set[int] = set()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if max(image.shape) >= 256:
            self.together.add(len(image))
            end = time.process_time() + 2 * SLOW
            while time.process_time() < end:
                pass
        return image + image.mean((1, 2, 3), keepdim=True)


def test_changes_are_tried_one_by_one_where_a_run_takes_long() -> None:
    module = SlowOnLarge()
    model = in_torch(module, described({"image": images()}, {"result": images()}))
    assert measure_halo(model, measure_sizes(model)) == {"image": both("global")}
    assert module.together == {1}


class Resizing(nn.Module):
    """Halves the grid and brings it back to the size of the image, whichever that is."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.encoder, self.head = nn.Conv2d(1, 3, 3, 2, padding=1), nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        half = torch.tanh(self.encoder(image))
        return self.head(functional.interpolate(half, size=image.shape[-2:], mode=self.mode))


@pytest.mark.parametrize("module", [Padding(), Resizing("nearest"), Resizing("bilinear")])
def test_what_takes_every_length_and_does_not_begin_anew_at_each_pixel_has_no_halo(module: nn.Module) -> None:
    """Tiles may begin at any multiple of the step, which is 1: from the next pixel on, other pixels are pooled."""
    found = measured(module)
    assert found.sizes["image"] == {"batch": Size(), **both(Size())}
    assert found.halo is None
    assert "differ" in found.notes[0]


def strided_and_back() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 3, 3, 2, padding=1), nn.Tanh(), nn.ConvTranspose2d(3, 1, 3, 2, 1, 1))


@pytest.mark.parametrize("most", [20, 36])
def test_a_halo_is_proved_within_the_greatest_length(most: int) -> None:
    """Of two pixels the second sees the 3 x 3 of its own two and of the next: 2 further."""
    model = in_torch(strided_and_back(), image_to_image())
    found = measure(model, {"image": both(Size(4, 2, most))})
    assert found.sizes["image"]["height"] == Size(4, 2, most)
    assert found.halo == measure(model).halo == {"image": both(2)}


def test_bytes_in_and_labels_out() -> None:
    description = described({"image": images()}, {"labels": images()}, dtype="uint8")
    assert measure(in_torch(Labels(), description)).halo == {"image": both(2)}


def test_half_precision() -> None:
    description = described({"image": images()}, {"result": images()}, dtype="float16")
    assert measure(in_torch(dilated().half(), description)).halo == {"image": both(7)}


def test_squares_are_probed_and_cut_as_squares() -> None:
    found = measured(OnlySquares())
    assert found.sizes["image"]["height"] == Size(1, 1, None, "height and width")
    assert found.halo == {"image": both(2)}


@pytest.mark.parametrize(("poolings", "side", "halo"), [(2, 96, 23), (3, 128, 51)])
def test_a_tile_of_one_size_has_a_halo_too(poolings: int, side: int, halo: int) -> None:
    tile = images(side=side, batch=1)
    found = measured(UNet(poolings), {"image": tile}, {"result": tile})
    assert (found.sizes, found.halo) == ({}, {"image": both(halo)})


def test_a_tile_of_which_the_halo_leaves_nothing_has_none() -> None:
    side = images(side=64, batch=1)
    found = measured(dilated().append(nn.Conv2d(1, 1, 55, padding=27)), {"image": side}, {"result": side})
    assert found.halo is None
    assert found.notes == (
        "the item gets no halo: an output depends on 34 pixels around it or more, and the model takes 64 alone: "
        "nothing in such a tile is free of its edges",
    )


def test_boxes_have_no_halo_and_publish() -> None:
    found = measured(Detector(), outputs={"boxes": ((-1, 4), ("box", "coordinate")), "scores": images()})
    assert found.halo is None
    assert found.notes == (
        "the item gets no halo: the length of box of 'boxes' follows the data or several axes: no halo can be given",
    )


def test_an_input_that_nothing_depends_on_has_none() -> None:
    found = measured(Unused(), {"s1": images(2), "s2": images()})
    assert found.halo is None
    assert found.notes == ("the item gets no halo: no change of 's2' changes an output: its halo cannot be measured",)


def test_a_globe_that_wraps_around_cannot_be_cut() -> None:
    """A pixel sees 1 to each side, and one at the edge the other edge of the map, which a tile does not have."""
    assert measured(Wrapping()).halo == {"image": both("global")}


# By how much each is made too small: tiles begin at multiples of the step, so that a little less may do; and what comes
# from the far edge of a deep network is less than a millionth, even of one whose weights are twice what is usual.
PROVED = [
    (lambda: UNet(2), 23, 8),
    (lambda: UNet(3, transposed=True), 51, 24),
    (dilated, 7, 1),
    (strided, 4, 2),
    (lambda: Windows(4), 5, 1),
    (super_resolution, 3, 1),
    (valid, 4, 1),
    (lambda: Deep(nn.ReLU, 5), 5, 1),
]


@pytest.mark.parametrize(("build", "halo", "less"), PROVED)
def test_a_halo_that_is_too_small_fails_its_proof(build: Callable[[], nn.Module], halo: int, less: int) -> None:
    module = build()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(2)
    model = in_torch(module, image_to_image())
    sizes = measure_sizes(model)
    prove_halo(model, {"image": both(halo)}, sizes)
    prove_halo(model, {"image": both(halo + 3)}, sizes)
    for axis in ("height", "width"):
        with pytest.raises(DataError, match="tiles that overlap by the halo"):
            prove_halo(model, {"image": both(halo) | {axis: halo - less}}, sizes)


def test_a_halo_that_grows_with_time_is_proved_for_another_time() -> None:
    model = in_torch(ConvLSTM(filters=6), film(-1))
    sizes = measure_sizes(model)
    right = {"pixels": 1, "per": {"time": 1}}
    assert measure_halo(model, sizes) == {"frames": both(right)}
    with pytest.raises(DataError, match="differ"):
        prove_halo(model, {"frames": both(1)}, sizes)


def test_what_is_measured_is_the_same_each_time() -> None:
    model = in_torch(UNet(3), image_to_image())
    assert measure(model) == measure(model)


def test_no_more_time_is_taken_than_may_be() -> None:
    model = in_torch(UNet(2), image_to_image())
    sizes = measure_sizes(model)
    with pytest.raises(DataError, match=r"takes .* s more, and may take 0\.01 s in all|took longer than 0\.01 s"):
        measure_halo(model, sizes, seconds=0.01)


def test_pixels_of_a_halo() -> None:
    assert pixels(23) == 23
    assert pixels({"pixels": 2, "per": {"time": 2}}, {"time": 18}) == 38
    with pytest.raises(DataError, match="cannot be run in tiles"):
        pixels("global")


@pytest.mark.parametrize(
    ("scale", "offset", "pixel", "footprint"),
    [
        (1, 0, 5, (5, 5)),
        (2, 0, 5, (2, 2)),
        (Fraction(1, 2), 0, 5, (10, 11)),
        (1, -8, 5, (9, 9)),  # convolutions without padding: 4 pixels are cut on each side
        (1, -1, 5, (5, 6)),  # one of 2 x 2: the output lies between two pixels
        (Fraction(1, 2), -2, 0, (2, 3)),
    ],
)
def test_footprints(scale: Fraction, offset: int, pixel: int, footprint: tuple[int, int]) -> None:
    follows = Follows("result", "height", "image", "height", Fraction(scale), Fraction(offset))
    assert follows.footprint(pixel) == footprint
    assert follows.length(64) == scale * 64 + offset


def test_reachability_agrees_for_the_odd_ones() -> None:
    assert farthest(Deep(nn.ReLU, 6), (1, 1, 40, 3), range(18, 22), lambda i: (i, i)) == 6
    assert farthest(OneSided(), (1, 1, 40, 9), range(18, 22), lambda i: (i, i)) == 2
