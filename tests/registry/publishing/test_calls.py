"""Modules as they are called: what they take by keyword or in a dictionary, and give by names of their own."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from tests.registry.publishing.test_objects import IMAGE, published

import modelstac
from modelstac.catalog.errors import InvalidItemError, SpecError
from modelstac.catalog.items.reading import read_item
from modelstac.registry.facts import read_facts

torch = pytest.importorskip("torch")
nn = torch.nn
OTHER = np.random.default_rng(1).uniform(0, 1, (3, 3, 20, 24)).astype(np.float32)
LAYOUT, CLASSES = ["batch", "class", "height", "width"], ["water", "land"]
WEIGHT = {"weight": np.ones((1, 1, 16, 16), np.float32), "image": IMAGE}
SEVERAL: dict[str, Any] = {
    "bands": {"image": ("B02", "B03", "B04")},
    "input_dims": {"image": ["batch", "bands", "height", "width"], "weight": ["batch", "channel", "height", "width"]},
    "classes": CLASSES,
}


class Named(NamedTuple):
    logits: Any
    shares: Any


@dataclass
class Fields:
    logits: Any
    shares: Any
    loss: Any = None


class Giving(nn.Module):
    """Gives scores in a structure of somebody's own."""

    def __init__(self, structure: Any) -> None:
        super().__init__()
        self.structure, self.convolution = structure, nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, image: Any) -> Any:
        found = self.convolution(image)
        return self.structure(logits=found, shares=found.softmax(1))


@pytest.mark.parametrize("structure", [Named, Fields, OrderedDict, lambda **found: {"loss": None, **found}])
def test_outputs_have_the_names_of_the_structure_that_they_are_given_in(structure: Any, tmp_path: Path) -> None:
    net = Giving(structure)
    classes = {"logits": CLASSES, "shares": CLASSES}
    item = published(net, tmp_path, example=IMAGE, classes=classes)
    assert [output.name for output in read_item(item).outputs] == ["logits", "shares"]
    found = modelstac.load(item.id, catalog=tmp_path / "catalog").predict(OTHER)
    expected = net.convolution(torch.tensor(OTHER)).detach()
    np.testing.assert_allclose(found["logits"], expected, atol=1e-6)
    np.testing.assert_allclose(found["shares"], expected.softmax(1), atol=1e-6)
    assert type(net(torch.tensor(IMAGE))) is type(structure(logits=1, shares=2)), "it gives what it gave before"


@pytest.mark.parametrize(
    ("structure", "names"),
    [
        (lambda a, b: (a, (b, a)), ["output_0", "output_1_0", "output_1_1"]),
        (lambda a, b: {"main": a, "deep": [b, {"x": a}]}, ["main", "deep_0", "deep_1_x"]),
        (lambda a, b: Fields(a, Named(b, a)), ["logits", "shares_logits", "shares_shares"]),
        (lambda a, b: [a, (None, b)], ["output_0", "output_1_1"]),
    ],
    ids=["tuple", "dictionary", "fields", "list"],
)
def test_outputs_within_one_another_have_the_names_of_where_they_lie(
    structure: Any, names: list[str], tmp_path: Path
) -> None:
    net = Giving(lambda **found: structure(*found.values()))
    item = published(net, tmp_path, example=IMAGE, classes=dict.fromkeys(names, CLASSES))
    assert [output.name for output in read_item(item).outputs] == names
    found = modelstac.load(item.id, catalog=tmp_path / "catalog").predict(OTHER)
    leaves = [one for one in torch.utils._pytree.tree_leaves(net(torch.tensor(OTHER))) if one is not None]
    if isinstance(net(torch.tensor(OTHER)), Fields):
        leaves = [net.convolution(torch.tensor(OTHER)), *net(torch.tensor(OTHER)).shares]
    for name, expected in zip(names, leaves, strict=True):
        np.testing.assert_allclose(found[name], expected.detach(), atol=1e-6)


def test_a_list_with_a_dictionary_for_each_sample_is_refused(tmp_path: Path) -> None:
    """As of a detector: how many outputs there are would be how many samples there were."""

    class Boxes(Giving):
        def forward(self, image: Any) -> Any:
            return [{"boxes": one} for one in self.convolution(image)]

    with pytest.raises(InvalidItemError, match="lists or dictionaries within one another"):
        published(Boxes(dict), tmp_path, example=IMAGE)


class Weighing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 2, 3, padding=1)

    def weighed(self, image: Any, weight: Any) -> Any:
        return self.convolution(image) * weight


class ByKeyword(Weighing):
    def forward(self, image: Any, nothing: Any = None, *, weight: Any = None) -> Any:
        return self.weighed(image, 1 if weight is None else weight)


class ByPlace(Weighing):
    def forward(self, image: Any, /, weight: Any) -> Any:
        return self.weighed(image, weight)


class Batch(Weighing):
    def forward(self, batch: Any) -> Any:
        return self.weighed(batch["image"], batch["weight"])


@pytest.mark.parametrize("kind", [ByKeyword, ByPlace, Batch])
def test_inputs_are_given_as_the_module_takes_them(kind: Any, tmp_path: Path) -> None:
    net = kind()
    item = published(net, tmp_path, example=WEIGHT, **SEVERAL)
    assert {tensor.name for tensor in read_item(item).inputs} == {"image", "weight"}
    weight = np.random.default_rng(2).uniform(0, 1, (3, 1, 20, 24)).astype(np.float32)
    found = modelstac.load(item.id, catalog=tmp_path / "catalog").predict(image=OTHER, weight=weight)
    expected = net.weighed(torch.tensor(OTHER), torch.tensor(weight)).detach()
    np.testing.assert_allclose(found, expected, atol=1e-6)


class Alone(nn.Conv2d):  # type: ignore[misc,unused-ignore]
    def forward(self, *, image: Any) -> Any:
        return super().forward(image)


class OfAny(nn.Conv2d):  # type: ignore[misc,unused-ignore]
    def forward(self, *images: Any) -> Any:
        return super().forward(images[0])


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # of what torch.compile imports
@pytest.mark.parametrize(
    "wrapped", [lambda net: net, torch.compile, nn.DataParallel], ids=["alone", "compiled", "parallel"]
)
@pytest.mark.parametrize("kind", [nn.Conv2d, Alone, OfAny])
def test_wrappers_and_ways_of_calling_cost_no_size(kind: Any, wrapped: Any, tmp_path: Path) -> None:
    net = kind(3, 2, 3, padding=1)
    item = published(wrapped(net), tmp_path, example=IMAGE, classes=CLASSES)
    assert read_item(item).inputs[0].input.shape == (-1, 3, -1, -1)
    expected = nn.Conv2d.forward(net, torch.tensor(OTHER)).detach()
    found = modelstac.load(item.id, catalog=tmp_path / "catalog").predict(OTHER)
    np.testing.assert_allclose(found, expected, atol=1e-6)


class Differing(nn.Conv2d):  # type: ignore[misc,unused-ignore]
    """Two images of one place: that their halves are as large does not tell an exporter that they are."""

    def forward(self, before: Any, after: Any) -> Any:
        return nn.functional.interpolate(super().forward(before) - super().forward(after), scale_factor=2.0)


def test_two_images_of_one_size_take_any_size(tmp_path: Path) -> None:
    torch.manual_seed(1)
    net, axes = Differing(3, 2, 3, stride=2, padding=1), ["batch", "bands", "height", "width"]
    item = published(
        net,
        tmp_path,
        example={"before": IMAGE, "after": 2 * IMAGE},
        bands=dict.fromkeys(("before", "after"), ("B02", "B03", "B04")),
        input_dims=dict.fromkeys(("before", "after"), axes),
        classes=CLASSES,
    )
    model = modelstac.load(item.id, catalog=tmp_path / "catalog")
    other = OTHER[:, :, :18, :]
    found = model.predict({"before": other, "after": other[:, :, ::-1].copy()})
    before = torch.tensor(other)
    np.testing.assert_allclose(found, net(before, before.flip(2)).detach().numpy(), atol=1e-5)


class Sized(nn.Conv2d):  # type: ignore[misc,unused-ignore]
    """Takes the size of a pixel beside the image, one for all samples."""

    def forward(self, image: Any, gsd: Any) -> Any:
        return super().forward(image).flatten(2).mean(2) * gsd


class Single(nn.Conv2d):  # type: ignore[misc,unused-ignore]
    """Takes one image at a time."""

    def forward(self, image: Any) -> Any:
        return super().forward(image).reshape(2, -1).mean(1)[None]


@pytest.mark.parametrize("kind", [Sized, Single])
def test_what_is_one_in_the_example_may_be_no_batch(kind: Any, tmp_path: Path) -> None:
    net, sized = kind(3, 2, 1), kind is Sized
    given = {"image": IMAGE, "gsd": np.array([10], np.float32)} if sized else {"image": IMAGE}
    axes = {"image": ["batch", "bands", "height", "width"], "gsd": ["value"]}
    item = published(
        net,
        tmp_path,
        example=given,
        task="classification",
        bands={"image": ("B02", "B03", "B04")},
        input_dims={name: axes[name] for name in given},
        classes=CLASSES,
    )
    of_image, *others = (tensor["input"]["shape"] for tensor in item.properties["mlm:input"])
    assert of_image[0] == (-1 if sized else 1)
    assert others == ([[1]] if sized else [])


def test_a_dictionary_for_what_takes_a_tensor_is_said(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="fails on the example, a dictionary of weight, image as its 'input'"):
        published(nn.Conv2d(3, 2, 3), tmp_path, example=WEIGHT, classes=CLASSES)


def test_an_example_that_lacks_an_input_is_said(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"the example has image, and the module ByPlace takes more: .*'weight'"):
        published(ByPlace(), tmp_path, example={"image": IMAGE}, **SEVERAL)


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_a_module_is_fed_in_the_type_of_its_weights_where_it_takes_no_other(dtype: str, tmp_path: Path) -> None:
    net = nn.Conv2d(3, 2, 3, padding=1).to(getattr(torch, dtype))
    item = published(net, tmp_path, example=IMAGE.astype("float64"), classes=CLASSES)
    assert read_item(item).inputs[0].input.data_type == dtype
    found = modelstac.load(item.id, catalog=tmp_path / "catalog").predict(OTHER.astype(dtype))
    np.testing.assert_array_equal(found, net(torch.tensor(OTHER.astype(dtype))).detach())


class Dated(nn.Conv2d):  # type: ignore[misc,unused-ignore]
    """Reads what it is given in full precision, and its dates are more than bfloat16 tells apart."""

    def forward(self, image: Any, day: Any) -> Any:
        return super().forward(image.bfloat16()) + (day - 20000)[:, None, None, None]


@pytest.mark.parametrize("example", [IMAGE, torch.tensor(IMAGE).bfloat16()], ids=["float32", "bfloat16"])
def test_bfloat16_is_published_as_it_computes_with_arrays_of_float32(example: Any, tmp_path: Path) -> None:
    net = nn.Conv2d(3, 2, 3, padding=1).bfloat16()
    item = published(net, tmp_path, example=example, classes=CLASSES)
    assert item.properties["interop:precision"] == "bf16"
    assert read_item(item).inputs[0].input.data_type == read_item(item).outputs[0].result.data_type == "float32"
    found = modelstac.load(item.id, catalog=tmp_path / "catalog").predict(OTHER)
    np.testing.assert_array_equal(found, net(torch.tensor(OTHER).bfloat16()).float().detach())
    dated = Dated(3, 2, 3, padding=1).bfloat16()
    said = {"bands": {"image": ("B02", "B03", "B04")}, "input_dims": {"day": ["batch"]}, "version": "2.0.0"}
    item = published(dated, tmp_path, example={"image": IMAGE, "day": np.float32([20001])}, classes=CLASSES, **said)
    day = np.float32([20000, 20001, 20003])
    found = modelstac.load(item.id, catalog=tmp_path / "catalog").predict(image=OTHER, day=day)
    np.testing.assert_array_equal(found, dated(torch.tensor(OTHER), torch.tensor(day)).float().detach())


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 2, 3)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, image: Any) -> Any:
        self.calls += 1
        return self.convolution(image)


def test_what_a_module_counts_is_as_before(tmp_path: Path) -> None:
    net = Counting()
    net(torch.tensor(IMAGE))
    published(net, tmp_path, example=IMAGE, classes=CLASSES)
    assert float(net.calls) == 1


def test_a_module_that_gives_nothing_is_refused_in_a_line(tmp_path: Path) -> None:
    class Empty(nn.Module):
        def forward(self, image: Any) -> Any:
            return []

    with pytest.raises(SpecError, match=r"cannot be saved .*: return a tensor") as raised:
        published(Empty(), tmp_path, example=IMAGE)
    assert "\n" not in str(raised.value)


def test_weights_that_layers_share_are_counted_once(tmp_path: Path) -> None:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    program = torch.export.export(nn.Sequential(first, second), (torch.zeros(2, 3),))
    torch.export.save(program, tmp_path / "model.pt2")
    assert read_facts(tmp_path / "model.pt2").parameters == 9 + 3 + 3
