"""Exported programs: names of several inputs and outputs, and lengths as the export found them."""

from __future__ import annotations

import json
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.registry.statements import PLAIN, statement
from tests.registry.test_describing import published

from modelstac.catalog.errors import InvalidItemError, UntrustedError
from modelstac.catalog.items.sizes import ANY, BY_DATA, Size
from modelstac.registry.describing.describe import describe_file
from modelstac.registry.facts import Facts, read_facts

torch = pytest.importorskip("torch")
nn, Dim, AUTO = torch.nn, torch.export.Dim, torch.export.Dim.AUTO


class Fused(nn.Module):
    """Radar and optical in, in whichever structure; a mask and a map out."""

    def __init__(self, structure: type | None) -> None:
        super().__init__()
        self.structure = structure

    def forward(self, s1: Any, s2: Any = None) -> Any:
        if s2 is None:
            s1, s2 = s1["s1"], s1["s2"]
        total = s1.sum(1) + s2.sum(1)
        found = {"mask": total > 1, "height": total}
        if self.structure is None:
            return found
        return tuple(found.values()) if self.structure is tuple else self.structure(found)


S1, S2 = torch.rand(2, 2, 8, 6), torch.rand(2, 3, 8, 6)
GRID = {0: AUTO, 2: AUTO, 3: AUTO}
CALLS: dict[str, tuple[Any, Any, Any, list[str], list[str]]] = {
    # arguments, keywords, dynamic shapes; names of inputs and outputs
    "arguments, a tuple": ((S1, S2), None, (GRID, GRID), ["s1", "s2"], ["output_0", "output_1"]),
    "keywords, a dictionary": ((S1,), {"s2": S2}, {"s1": GRID, "s2": GRID}, ["s1", "s2"], ["mask", "height"]),
    "a dictionary, ordered": (
        ({"s2": S2, "s1": S1},),
        None,
        ({"s2": GRID, "s1": GRID},),
        ["s2", "s1"],
        ["mask", "height"],
    ),
}
STRUCTURES = {"a tuple": tuple, "a dictionary": None, "ordered": OrderedDict}


def save(path: Path, module: Any, arguments: tuple[Any, ...], keywords: Any = None, shapes: Any = None) -> Path:
    torch.export.save(torch.export.export(module.eval(), arguments, keywords, dynamic_shapes=shapes), path)
    return path


@pytest.mark.parametrize("call", CALLS)
def test_several_inputs_and_outputs_have_the_names_of_their_call(tmp_path: Path, call: str) -> None:
    arguments, keywords, shapes, inputs, outputs = CALLS[call]
    path = save(tmp_path / "n.pt2", Fused(STRUCTURES[call.split(", ")[1]]), arguments, keywords, shapes)
    given = {
        "input_dims": dict.fromkeys(inputs, PLAIN),
        "output_dims": dict.fromkeys(outputs, ("batch", "height", "width")),
    }
    _, found, model = published(path, tmp_path, **given)
    assert [tensor.name for tensor in found.inputs] == inputs
    assert [tensor.name for tensor in found.outputs] == outputs
    assert [tensor.result.dtype for tensor in found.outputs] == ["bool", "float32"]
    rng = np.random.default_rng(1)
    s1, s2 = rng.random((1, 2, 5, 7), np.float32), rng.random((1, 3, 5, 7), np.float32)
    mask, height = model.predict(s1=s1, s2=s2).values()  # a batch of one, though the file says two at least
    np.testing.assert_allclose(height, s1.sum(1) + s2.sum(1), rtol=1e-6)
    np.testing.assert_array_equal(mask, height > 1)
    with pytest.raises(Exception, match="sizes along 'height' go together"):
        model.predict(s1=s1, s2=s2[:, :, :4])


def facts(tmp_path: Path, module: Any, shape: tuple[int, ...], dynamic: dict[int, Any]) -> Facts:
    return read_facts(save(tmp_path / "n.pt2", module, (torch.rand(shape),), None, (dynamic,)))


def test_ranges_and_derived_lengths_are_those_of_the_export(tmp_path: Path) -> None:
    h, w = Dim("h", min=2, max=512), Dim("w", min=3, max=100)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ConvTranspose2d(4, 1, 2, stride=2))
    found = facts(tmp_path, net, (2, 3, 16, 16), {0: Dim("b"), 2: 2 * h, 3: 2 * w})
    batch, bands, height, width = found.inputs[0].sizes
    assert (bands, batch.at_least, batch.step, batch.at_most) == (Size.fixed(3), 1, 1, None)
    assert (height.at_least, height.step, height.at_most) == (4, 2, 1024)
    assert (width.at_least, width.step, width.at_most) == (6, 2, 200)
    assert found.outputs[0].sizes == (batch, Size.fixed(1), height, width)
    assert len({batch.symbol, height.symbol, width.symbol}) == 3


def test_a_program_of_derived_lengths_is_published_and_holds_to_them(tmp_path: Path) -> None:
    """Of multiples of 8 from 16 on: three poolings."""
    net = nn.Sequential(nn.MaxPool2d(8), nn.Upsample(scale_factor=8), nn.Conv2d(1, 1, 1))
    h = Dim("h", min=2, max=64)
    path = save(tmp_path / "n.pt2", net, (torch.rand(2, 1, 32, 32),), None, ({2: 8 * h, 3: 8 * h},))
    _, found, model = published(path, tmp_path, input_dims=PLAIN, output_dims=PLAIN)
    assert found.sizes["input"] == dict.fromkeys(("height", "width"), found.sizes["input"]["height"])
    assert str(found.sizes["input"]["height"]) == "from 16 in steps of 8 to 512"
    assert model.predict(np.zeros((2, 1, 24, 24), np.float32)).shape == (2, 1, 24, 24)
    with pytest.raises(Exception, match="height 30 does not fit, the nearest that does is 24 or 32"):
        model.predict(np.zeros((2, 1, 30, 30), np.float32))


class Shapes(nn.Module):
    def forward(self, x: Any) -> Any:
        even = nn.functional.pixel_shuffle(x, 2)
        return {
            "double": even,
            "half": x[..., ::2, ::2],
            "flat": x.flatten(1),
            "one": x.mean((2, 3)),
            "more": x[..., 1:, :],
        }


def test_lengths_of_outputs_follow_those_of_the_input(tmp_path: Path) -> None:
    found = {tensor.name: tensor.sizes for tensor in facts(tmp_path, Shapes(), (2, 4, 8, 6), GRID).outputs}
    _, _, height, width = facts(tmp_path, Shapes(), (2, 4, 8, 6), GRID).inputs[0].sizes
    assert [size.step for size in found["double"]] == [1, 0, 2, 2]
    assert [size.symbol for size in found["double"]][2:] == [height.symbol, width.symbol]
    assert found["double"][2].at_least == 2 * height.at_least
    assert found["more"][2].at_least == height.at_least - 1
    assert found["half"][2:] == (ANY, ANY), "rounded"
    assert found["flat"][1] == ANY, "a product"
    assert found["one"][1] == Size.fixed(4)


class Detector(nn.Module):
    def forward(self, x: Any) -> Any:
        places = torch.nonzero(x[0, 0] > 0.5)
        return {"places": places, "values": x[0, 0][places[:, 0], places[:, 1]], "image": x}


def test_what_depends_on_the_data_has_any_length_from_none(tmp_path: Path) -> None:
    path = save(tmp_path / "n.pt2", Detector(), (torch.rand(1, 1, 8, 8),), None, ({2: AUTO, 3: AUTO},))
    dims = {"places": ("found", "axis"), "values": ("found",), "image": PLAIN}
    item, found, model = published(path, tmp_path, input_dims=PLAIN, output_dims=dims, tasks=("object-detection",))
    assert found.sizes["places"] == {"found": BY_DATA}
    assert found.sizes["values"] == {"found": BY_DATA}
    assert item.properties["mlm:output"][0]["result"]["shape"] == [-1, 2]
    image = np.zeros((1, 1, 5, 4), np.float32)
    assert model.predict(image)["places"].shape == (0, 2)
    image[0, 0, 2, 3] = 1
    outputs = model.predict(image)
    assert outputs["places"].tolist() == [[2, 3]]
    assert outputs["values"].tolist() == [1]


class Odd(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Any) -> Any:
        return {
            "nested": {"a": [x + 1, x + 2]},
            "scalar": x.sum(),
            "complex": torch.complex(x, x),
            "bfloat16": x.to(torch.bfloat16),
            "nothing": (x + 1, None),
            "number": (x + 1, x.shape[0]),
        }[self.kind]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("nested", "returns lists or dictionaries within one another"),
        ("scalar", "a single number without axes"),
        ("complex", "is of complex64"),
        ("bfloat16", "is of bfloat16"),
        ("nothing", "gives more than tensors: number 2 is of the kind 'none'"),
        ("number", "gives more than tensors: number 2 is of the kind 'int'"),
    ],
)
def test_what_is_no_array_is_refused_by_name(tmp_path: Path, kind: str, said: str) -> None:
    path = save(tmp_path / "n.pt2", Odd(kind), (torch.rand(2, 3),))
    with pytest.raises(InvalidItemError, match=said) as caught:
        describe_file(path, statement(input_dims=("a", "b"), output_dims=("a", "b")))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["__import__('os').system('true')", "2*s0; print(1)", "9**9**9", "h*2", "s0\n*2"])
def test_a_range_of_anything_but_arithmetic_is_refused(tmp_path: Path, key: str) -> None:
    path = save(tmp_path / "n.pt2", nn.ReLU(), (torch.rand(2, 3),), None, ({0: Dim("b")},))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in members if name.endswith("models/model.json"))
    program = json.loads(members[name])
    program["range_constraints"][key] = {"min_val": 2, "max_val": 4}
    members[name] = json.dumps(program).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    with pytest.raises(UntrustedError, match="where a name or a size belongs"):
        read_facts(path)


class TwoGrids(nn.Module):
    """10 m and 20 m."""

    def forward(self, s10: Any, s20: Any) -> Any:
        return torch.cat([s10, torch.nn.functional.interpolate(s20, scale_factor=2.0)], 1)


def test_grids_of_two_resolutions_keep_their_proportion(tmp_path: Path) -> None:
    path = save(tmp_path / "n.pt2", TwoGrids(), (torch.rand(2, 2, 16, 16), torch.rand(2, 1, 8, 8)), None, (GRID, GRID))
    found = describe_file(path, statement(input_dims={"s10": PLAIN, "s20": PLAIN}, output_dims=PLAIN))
    fine, coarse = (found.sizes[name]["height"] for name in ("s10", "s20"))
    assert (fine.step, coarse.step, fine.at_least) == (2, 1, 2 * coarse.at_least)
    assert fine.symbol == coarse.symbol is not None


class Unshuffled(nn.Module):
    def forward(self, image: Any) -> Any:
        shuffle = torch.nn.functional
        return shuffle.pixel_shuffle(torch.tanh(shuffle.pixel_unshuffle(image, 4)), 4)


def test_a_multiple_that_stands_in_the_guards_alone_is_found(tmp_path: Path) -> None:
    """``Dim.AUTO`` writes a least length of 8, and no expression such as ``4*height``."""
    path = save(tmp_path / "n.pt2", Unshuffled(), (torch.rand(2, 2, 16, 16),), None, (GRID,))
    found = describe_file(path, statement(input_dims=PLAIN, output_dims=PLAIN)).sizes["image"]["height"]
    assert (found.step, found.at_least % 4) == (4, 0)


@pytest.mark.parametrize(("least", "most"), [(4, 20), (1, 9), (40, 300)])
def test_ranges_that_the_usual_lengths_exceed(tmp_path: Path, least: int, most: int) -> None:
    shapes = ({0: AUTO, 2: Dim("h", min=least, max=most), 3: Dim("w", min=least, max=most)},)
    side = (least + most) // 2
    path = save(tmp_path / "n.pt2", nn.Conv2d(2, 1, 3, padding=1), (torch.rand(2, 2, side, side + 1),), None, shapes)
    found = describe_file(path, statement(input_dims=PLAIN, output_dims=PLAIN))
    assert found.sizes["input"]["height"] == Size(least, 1, most)
    assert found.halo == {"input": {"height": 1, "width": 1}}
