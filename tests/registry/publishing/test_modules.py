"""Modules in the middle of a training: what is published is what predicts, and nothing of the training changes."""

from __future__ import annotations

import json
import math
import random
import tempfile
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.registry.publishing.test_objects import IMAGE, published
from torch import nn

import modelstac
from modelstac.catalog.errors import DataError, InvalidItemError, SpecError
from modelstac.catalog.items.reading import read_item
from modelstac.registry.facts import read_facts

CLASSES = ["water", "land"]
OTHER = np.random.default_rng(1).uniform(0, 1, (3, 3, 20, 24)).astype(np.float32)


class Merging(nn.Module):
    """Low-rank adaptation as loralib writes it: ``eval()`` adds the product to the weight, ``train()`` takes it off."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 2, 1)
        self.left, self.right, self.merged = nn.Parameter(torch.ones(2, 1)), nn.Parameter(torch.ones(1, 3)), False

    def product(self) -> Any:
        return (self.left @ self.right)[:, :, None, None]

    def train(self, mode: bool = True) -> Any:
        super().train(mode)
        if mode == self.merged:
            self.convolution.weight.data += self.product().detach() * (-1 if mode else 1)
            self.merged = not mode
        return self

    def forward(self, image: Any) -> Any:
        found = self.convolution(image)
        return found if self.merged else found + nn.functional.conv2d(image, self.product())


class Locked(Merging):
    """Holds what nobody can copy."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = iter(range(9))
        self.source = (number for number in range(9))


class Itself(Merging):
    """Is its own copy."""

    def __deepcopy__(self, memo: Any) -> Any:
        return self


class Dropping(nn.Conv2d):
    """Drops values as in training, always."""

    def forward(self, input: Any) -> Any:  # noqa: A002 - as PyTorch calls it
        return nn.functional.dropout(super().forward(input), 0.5, training=True)


class Remembering(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.calls, self.seen = nn.Conv2d(3, 2, 1), 0, []  # type: ignore[var-annotated]

    def forward(self, image: Any) -> Any:
        self.calls += 1
        found = self.last = self.convolution(image)
        self.seen.append(found)
        return found


class Hooked(nn.Module):
    """Reads what hooks collect, calls a part of itself through a function, and had its ``forward`` replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(8, 2, 1)
        found: dict[str, Any] = {}
        self.found, self.normed, plain = found, lambda image: self.norm(self.first(image)), self.forward
        self.first.register_forward_hook(lambda module, given, given_back: found.update(first=given_back))
        self.norm.register_forward_hook(lambda module, given, given_back: setattr(self, "seen", given_back))
        self.forward = lambda image: plain(2 * image)  # type: ignore[method-assign]

    def forward(self, image: Any) -> Any:
        self.normed(image)
        return self.last(torch.cat([self.found["first"], self.__dict__["seen"]], 1))


def trained(net: Any, between: Callable[[Any], Any]) -> list[float]:
    """Train a module for three steps of noise, with something in the middle of them."""
    torch.manual_seed(0)
    optimiser, losses = torch.optim.Adam(net.parameters(), 0.1), []
    for step in range(3):
        if step == 1:
            between(net)
        loss = (net(torch.rand(2, 3, 8, 8)) - 1).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("kind", [Merging, Locked, Itself, Remembering, Hooked])
def test_a_training_goes_on_as_without_it(kind: Any, tmp_path: Path) -> None:
    torch.manual_seed(1)
    net, other = kind(), kind()
    other.load_state_dict(net.state_dict())
    said: dict[str, Any] = {"example": IMAGE, "classes": CLASSES}
    found, expected = trained(net, lambda net: published(net, tmp_path, **said)), trained(other, lambda net: None)
    np.testing.assert_allclose(found, expected, rtol=1e-5)  # memory that lies otherwise rounds otherwise
    assert getattr(net, "calls", 3) == 3
    assert {type(one) for one in getattr(net, "seen", [])} <= {torch.Tensor}
    assert net.training


def test_what_hooks_and_functions_hold_is_the_modules_own(tmp_path: Path) -> None:
    net = Hooked()
    trained(net, lambda net: None)
    item = published(net, tmp_path, example=IMAGE, classes=CLASSES)
    for image in (OTHER, OTHER[:1, :, :12, :16]):
        found = modelstac.load(item.id, catalog=tmp_path / "catalog").predict(image)
        np.testing.assert_allclose(found, net.eval()(torch.tensor(image)).detach(), atol=1e-5)


def test_random_numbers_are_those_that_it_would_have_drawn(tmp_path: Path) -> None:
    net, before = Dropping(3, 2, 1), torch.get_rng_state()
    with pytest.raises(InvalidItemError, match="drops values at random"):
        published(net, tmp_path, example=IMAGE, classes=CLASSES)
    assert torch.equal(torch.get_rng_state(), before)


class Noisy(torch.utils.data.Dataset):  # type: ignore[type-arg,unused-ignore]
    """Draws from all that a training script may draw from."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, number: int) -> Any:
        return torch.rand(3, 16, 16) + random.random() + np.random.random()


def test_a_loader_as_example_gives_the_training_what_it_would_have_given(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(3)
    for own in (None, generator):
        loader, net = torch.utils.data.DataLoader(Noisy(), 4, shuffle=True, generator=own), nn.Conv2d(3, 2, 1)
        states = random.getstate(), str(np.random.get_state()), torch.get_rng_state(), generator.get_state()
        published(net, tmp_path / str(own is None), example=loader, classes=CLASSES)
        after = random.getstate(), str(np.random.get_state()), torch.get_rng_state(), generator.get_state()
        assert states[:2] == after[:2]
        assert all(torch.equal(before, now) for before, now in zip(states[2:], after[2:], strict=True))


def averaged(net: Any) -> Any:
    return torch.optim.swa_utils.AveragedModel(net, use_buffers=True)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # of what torch.compile imports
@pytest.mark.parametrize("wrapped", [averaged, lambda net: averaged(torch.compile(net))])
def test_averaged_weights_are_those_of_the_module_that_they_are_averages_of(wrapped: Any, tmp_path: Path) -> None:
    net = Remembering()
    item = published(wrapped(net), tmp_path, example=IMAGE, classes=CLASSES)
    assert item.properties["mlm:architecture"] == "Remembering"
    assert [tensor.name for tensor in read_item(item).inputs] == ["image"]
    found = modelstac.load(item.id, catalog=tmp_path / "catalog").predict(OTHER)
    np.testing.assert_allclose(found, net(torch.tensor(OTHER)).detach(), atol=1e-6)


def on_meta() -> Any:
    with torch.device("meta"):
        return nn.Conv2d(3, 2, 1)


@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
@pytest.mark.parametrize("make", [lambda: nn.LazyConv2d(2, 1), lambda: nn.Sequential(on_meta())])
def test_weights_without_values_are_refused_in_a_line(make: Any, tmp_path: Path) -> None:
    net = make()
    with pytest.raises(SpecError, match=r"has weights without values \((0\.)?weight, (0\.)?bias\): load them, or call"):
        published(net, tmp_path, example=IMAGE, classes=CLASSES)
    assert net.training


def test_weights_in_parts_are_refused_in_a_line(tmp_path: Path) -> None:
    from torch import distributed
    from torch.distributed.fsdp import fully_shard

    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        mesh = distributed.device_mesh.init_device_mesh("cpu", (1,))
        net = fully_shard(nn.Sequential(nn.Conv2d(3, 2, 1)), mesh=mesh)
        with pytest.raises(
            SpecError, match=r"weights in parts, one for each process \(0\.weight, 0\.bias\): put whole"
        ):
            published(net, tmp_path, example=IMAGE, classes=CLASSES)
    finally:
        distributed.destroy_process_group()


SETTINGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "device": lambda: torch.device("meta"),
    "inference": torch.inference_mode,
    "no_grad": torch.no_grad,
}


@pytest.mark.parametrize("name", SETTINGS)
def test_what_a_script_has_set_is_no_part_of_its_model(name: str, tmp_path: Path) -> None:
    """And a model that is loaded gives the same under any of it."""
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 2, 3), nn.Softmax(1))
    given = torch.tensor(OTHER)
    expected = net(given).detach()
    with SETTINGS[name]():
        item = published(net, tmp_path, example=IMAGE, classes=CLASSES, architecture="Net")
        found = modelstac.load(item.id, catalog=tmp_path / "catalog").predict(OTHER)
    assert read_item(item).outputs[0].result.data_type == "float32"
    np.testing.assert_allclose(found, expected, atol=1e-6)


class Numbering(nn.Module):
    """Takes lengths as numbers of Python, as much code does."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.query = nn.Conv2d(3, 2, 3, padding=1), nn.Parameter(torch.ones(1, 2, 1, 1))

    def forward(self, image: Any) -> Any:
        size = (int(image.shape[2]), int(image.shape[3]))
        found = nn.functional.interpolate(self.convolution(nn.functional.avg_pool2d(image, 2)), size=size)
        return found + self.query.expand(len(image), -1, -1, -1)


def test_lengths_that_code_takes_as_numbers_stay_open(tmp_path: Path) -> None:
    net = Numbering()
    item = published(net, tmp_path, example=IMAGE, classes=CLASSES)
    assert read_item(item).inputs[0].input.shape == (-1, 3, -1, -1)
    found = modelstac.load(item.id, catalog=tmp_path / "catalog").predict(OTHER)
    np.testing.assert_allclose(found, net(torch.tensor(OTHER)).detach(), atol=1e-6)


class Branching(nn.Module):
    """Goes other ways for other sizes: what was traced is right for those of the example's way alone."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, image: Any) -> Any:
        found = self.convolution(image)
        if image.shape[2] % 2:
            found = found * 2
        return found + 1 if image.shape[2] > image.shape[3] else found


@pytest.mark.parametrize("batch", [{}, {"image": IMAGE}], ids=["tensor", "named"])
def test_other_branches_for_other_sizes_are_refused_and_never_left_out(batch: Any, tmp_path: Path) -> None:
    net = Branching()
    item = published(net, tmp_path, example=batch or IMAGE, classes=CLASSES)
    model, ran = modelstac.load(item.id, catalog=tmp_path / "catalog"), 0
    for height, width in [(16, 16), (16, 24), (18, 20), (17, 20), (20, 16), (21, 9)]:
        given = np.random.default_rng(height).random((3, 3, height, width), np.float32)
        try:
            found = model.predict(given)
        except DataError:
            continue
        np.testing.assert_allclose(found, net(torch.tensor(given)).detach(), atol=1e-6)
        ran += 1
    assert ran >= 1


class Padding(Branching):
    """Pads images to multiples of eight where they are none, and takes none of less than eight rows."""

    def forward(self, image: Any) -> Any:
        height, width = image.shape[2:]
        if height < 8:
            raise ValueError("at least eight rows")
        if height % 8 or width % 8:
            image = nn.functional.pad(image, (0, 8 - width % 8, 0, 8 - height % 8), value=1.0)
        return self.convolution(image)[:, :, :height, :width]


class Smoothing(Branching):
    """Goes another way from a number of pixels on."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, image: Any) -> Any:
        found = self.convolution(image)
        return nn.functional.avg_pool2d(found, 3, 1, 1) if image[0, 0].numel() > self.most else found


@pytest.mark.parametrize(
    ("net", "size", "step"),
    [
        (Padding(), 20, None),
        (Padding(), 24, 8),
        (Padding(), 256, 8),
        (Smoothing(2000), 20, None),
        (Smoothing(100_000), 256, None),
    ],
    ids=["padded", "whole", "large", "below", "far below"],
)
def test_ways_of_sizes_far_from_the_examples_are_found_by_what_the_program_took_for_granted(
    net: Branching, size: int, step: int | None, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    item = published(net, tmp_path, example=rng.random((1, 3, size, size), np.float32), classes=CLASSES)
    if step is not None:
        least = {"at_least": 16, "step": step}
        assert item.properties["interop:sizes"]["image"] == {
            "batch": {"at_least": 1, "step": 1}, "height": least, "width": least
        }  # fmt: skip
    model = modelstac.load(item.id, catalog=tmp_path / "catalog")
    for length in (size, 16, 21, 40, 64):
        given = rng.random((1, 3, length, length), np.float32)
        if length == size or (step is not None and not length % step):
            np.testing.assert_allclose(model.predict(given), net(torch.tensor(given)).detach(), atol=1e-5)
        else:
            with pytest.raises(DataError):
                model.predict(given)


class Asking(Branching):
    """Takes images of whole multiples of eight alone, which it asks for where no tracer looks."""

    def forward(self, image: Any) -> Any:
        if not torch.compiler.is_compiling() and any(length % 8 for length in image.shape[2:]):
            raise ValueError("a multiple of eight")
        return self.convolution(image)


def test_steps_that_a_module_alone_asks_for_are_kept_open(tmp_path: Path) -> None:
    net, rng = Asking(), np.random.default_rng(0)
    item = published(net, tmp_path, example=rng.random((1, 3, 24, 32), np.float32), classes=CLASSES)
    sizes = item.properties["interop:sizes"]["image"]
    assert (sizes["height"]["step"], sizes["width"]["step"]) == (8, 8)
    model = modelstac.load(item.id, catalog=tmp_path / "catalog")
    given = rng.random((2, 3, 40, 16), np.float32)
    np.testing.assert_allclose(model.predict(given), net(torch.tensor(given)).detach(), atol=1e-5)
    with pytest.raises(DataError):
        model.predict(rng.random((1, 3, 28, 32), np.float32))


class Windowed(Branching):
    """Takes means over windows of nine pixels, or of as many as there are."""

    def forward(self, image: Any) -> Any:
        reach = (min(image.shape[3], image.shape[2], 9) - 1) // 2
        return nn.functional.avg_pool2d(self.convolution(image), 2 * reach + 1, 1, reach)


def test_a_way_behind_another_way_is_found(tmp_path: Path) -> None:
    net = Windowed()
    item = published(
        net, tmp_path, example=np.random.default_rng(0).random((1, 3, 20, 20), np.float32), classes=CLASSES
    )
    model = modelstac.load(item.id, catalog=tmp_path / "catalog")
    with pytest.raises(DataError, match="height"):
        model.predict(np.zeros((1, 3, 7, 20), np.float32))


class Rounding(Branching):
    """Pads as TensorFlow does, by a function of Python that a program's file has no name for."""

    def forward(self, image: Any) -> Any:
        missing = math.ceil(image.shape[3] / 4) * 4 - image.shape[3]
        return self.convolution(nn.functional.pad(image, (0, missing)))[..., : image.shape[3]]


def test_sizes_that_no_file_can_compute_are_those_of_the_example(tmp_path: Path) -> None:
    net, notes = Rounding(), list[str]()
    item = published(net, tmp_path, notes, example=IMAGE[:, :, :, :15], classes=CLASSES)
    assert read_item(item).inputs[0].input.shape == (-1, 3, 16, 15)
    assert any("torch.export.save has no math.ceil of sizes" in note for note in notes)
    given = np.random.default_rng(0).random((3, 3, 16, 15), np.float32)
    found = modelstac.load(item.id, catalog=tmp_path / "catalog").predict(given)
    np.testing.assert_allclose(found, net(torch.tensor(given)).detach(), atol=1e-6)


class Finer(nn.Module):
    """Takes a second image of twice as many pixels each way."""

    def __init__(self) -> None:
        super().__init__()
        self.optical, self.radar = nn.Conv2d(3, 2, 3, padding=1), nn.Conv2d(1, 2, 3, stride=2, padding=1)

    def forward(self, optical: Any, radar: Any) -> Any:
        return self.optical(optical) + self.radar(radar)


def test_axes_of_inputs_that_are_multiples_of_one_another_stay_open(tmp_path: Path) -> None:
    net, rng = Finer(), np.random.default_rng(0)
    dims = {"optical": ["batch", "bands", "height", "width"], "radar": ["batch", "channel", "height", "width"]}

    def images(height: int, width: int) -> dict[str, Any]:
        return {
            "optical": rng.random((2, 3, height, width), np.float32),
            "radar": rng.random((2, 1, 2 * height, 2 * width), np.float32),
        }

    said = {"input_dims": dims, "bands": {"optical": ["B02", "B03", "B04"]}}
    item = published(net, tmp_path, example=images(16, 16), classes=CLASSES, **said)
    model, given = modelstac.load(item.id, catalog=tmp_path / "catalog"), images(9, 20)
    expected = net(*map(torch.tensor, given.values())).detach()
    np.testing.assert_allclose(model.predict(given), expected, atol=1e-5)


def test_places_in_a_short_list_are_taken_as_such(tmp_path: Path) -> None:
    net, labels = nn.Embedding(5, 2), np.random.default_rng(0).integers(0, 5, (2, 6, 6))
    said = {"input_dims": ["batch", "height", "width"], "output_dims": ["batch", "height", "width", "class"]}
    item = published(net, tmp_path, example=labels, classes=CLASSES, bands=None, **said)
    found = modelstac.load(item.id, catalog=tmp_path / "catalog").predict(labels)
    np.testing.assert_array_equal(found, net(torch.tensor(labels)).detach())


class Positioned(nn.Module):
    """Adds what it learned of each place, and of other places what lies between: a transformer as DINOv2 is."""

    def __init__(self) -> None:
        super().__init__()
        self.cut, self.places = nn.Conv2d(3, 2, 4, stride=4), nn.Parameter(torch.rand(1, 2, 4, 4))

    def forward(self, image: Any) -> Any:
        found = self.cut(image)
        if found[0, 0].numel() == self.places[0, 0].numel() and image.shape[2] == image.shape[3]:
            return found + self.places
        return found + nn.functional.interpolate(self.places, found.shape[2:])


def test_what_goes_another_way_for_larger_images_takes_those_of_the_example(tmp_path: Path) -> None:
    item = published(Positioned(), tmp_path, example=IMAGE, classes=CLASSES)
    assert read_item(item).inputs[0].input.shape == (-1, 3, 16, 16)


class Centring(nn.Conv2d):  # type: ignore[misc,unused-ignore]
    """Writes into what it is given."""

    def forward(self, image: Any) -> Any:
        return super().forward(image.sub_(0.5))


def test_a_module_that_writes_into_what_it_is_given_takes_any_size(tmp_path: Path) -> None:
    net = Centring(3, 2, 3, padding=1)
    item = published(net, tmp_path, example=IMAGE.copy(), classes=CLASSES)
    assert read_item(item).inputs[0].input.shape == (-1, 3, -1, -1)
    found = modelstac.load(item.id, catalog=tmp_path / "catalog").predict(OTHER)
    np.testing.assert_allclose(found, net(torch.tensor(OTHER)).detach(), atol=1e-6)


class Taught(nn.Module):
    """Has a teacher, and a loss with weights of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))
        self.teacher, self.loss = nn.Conv2d(3, 99, 3), nn.CrossEntropyLoss(weight=torch.ones(2))

    def forward(self, image: Any) -> Any:
        return self.net(image)


def test_what_nothing_reads_is_not_published(tmp_path: Path) -> None:
    net = Taught()
    item = published(net, tmp_path, example=IMAGE, classes=CLASSES)
    path = tmp_path / "catalog" / "net" / item.id / "model.pt2"
    assert item.properties["mlm:total_parameters"] == read_facts(path).parameters == 3 * 2 + 2 + 4 * 2
    with zipfile.ZipFile(path) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("model_weights_config.json")]
        names = set(json.loads(archive.read(name))["config"])
    assert names == {f"net.0.{one}" for one in ("weight", "bias")} | {
        f"net.1.{one}" for one in ("weight", "bias", "running_mean", "running_var")
    }
    found = modelstac.load(item.id, catalog=tmp_path / "catalog").predict(OTHER)
    np.testing.assert_allclose(found, net.eval()(torch.tensor(OTHER)).detach(), atol=1e-6)
    assert len(net.state_dict()) == 10


def test_weights_that_an_entry_point_builds_are_all_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from tests.registry.publishing.test_modules import Taught\n\ndef build(spec):\n    return Taught()\n"
    (tmp_path / "lab_taught.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    said: dict[str, Any] = {
        "entrypoint": "lab_taught:build",
        "hyperparameters": {"a": 1},
        "trust": "entrypoint:lab_taught",
    }
    net = Taught()
    item = published(net, tmp_path, example=IMAGE, classes=CLASSES, **said)
    numbers = [tensor for tensor in net.state_dict().values() if tensor.is_floating_point()]
    assert item.properties["mlm:total_parameters"] == sum(tensor.numel() for tensor in numbers)
    found = modelstac.load(item.id, catalog=tmp_path / "catalog", trust="entrypoint:lab_taught").predict(OTHER)
    np.testing.assert_allclose(found, net.eval()(torch.tensor(OTHER)).detach(), atol=1e-6)


class Attending(nn.Module):
    """A classifier of patches: its places are as many as those of one size of image."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.places = nn.Conv2d(3, 8, 8, 8), nn.Parameter(torch.randn(1, 4, 8))
        self.encoder, self.head = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.Linear(8, 2)

    def forward(self, image: Any) -> Any:
        return self.head(self.encoder(self.patches(image).flatten(2).transpose(1, 2) + self.places).mean(1))


def test_a_transformer_has_operators_that_other_formats_have_and_the_size_that_it_runs_on(tmp_path: Path) -> None:
    net = Attending()
    item = published(net, tmp_path, example=IMAGE, classes=CLASSES, task="classification")
    assert read_item(item).inputs[0].input.shape == (-1, 3, 16, 16)
    path = tmp_path / "catalog" / "net" / item.id / "model.pt2"
    assert not any("_transformer_encoder" in str(node.target) for node in torch.export.load(path).graph.nodes)
    several = np.concatenate([IMAGE, 1 - IMAGE, IMAGE / 2])
    found = modelstac.load(item.id, catalog=tmp_path / "catalog").predict(several)
    np.testing.assert_allclose(found, net.eval()(torch.tensor(several)).detach(), atol=1e-5)


def test_no_file_is_left_beside_the_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    published(nn.Conv2d(3, 2, 1), tmp_path, example=IMAGE, classes=CLASSES)
    assert list((tmp_path / "temporary").glob("modelstac-*")) == []


def test_several_threads_publish_while_another_trains(tmp_path: Path) -> None:
    """PyTorch's tracer is one for all threads, and numbers that are drawn meanwhile are those of the training."""

    def go(threads: ThreadPoolExecutor | None) -> tuple[list[float], list[Any]]:
        torch.manual_seed(0)
        net, losses, begun = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.Dropout(0.5)), [], []
        optimiser = torch.optim.SGD(net.parameters(), 0.1)
        while len(losses) < 30 or not all(one.done() for one in begun):
            if threads is not None and len(losses) in {3, 4, 5}:
                said = {"example": IMAGE, "classes": CLASSES, "architecture": "Net", "version": f"{len(losses)}.0.0"}
                begun.append(threads.submit(published, net, tmp_path, **said))
            loss = net(torch.rand(2, 3, 8, 8)).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        return losses[:30], [one.result() for one in begun]

    with ThreadPoolExecutor(3) as threads:
        losses, items = go(threads)
    np.testing.assert_allclose(losses, go(None)[0], rtol=1e-4)  # memory that lies otherwise rounds otherwise
    assert {item.properties["version"] for item in items} == {"3.0.0", "4.0.0", "5.0.0"}


def test_a_sample_whose_result_moves_with_its_batch_is_said_to(tmp_path: Path) -> None:
    notes: list[str] = []
    net = nn.Sequential(
        nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2, track_running_stats=False), nn.AdaptiveAvgPool2d(2), nn.Flatten()
    )
    item = published(net, tmp_path, notes, example=OTHER, architecture="CNN")
    assert item.properties["interop:batch_difference"] > 0.1
    assert read_item(item).moves_with_batch == item.properties["interop:batch_difference"]
    assert sum("the result of a sample moves by" in note for note in notes) == 1
    apart = published(
        nn.Sequential(*net[:1], nn.InstanceNorm2d(2), *net[2:]),
        tmp_path,
        version="2.0.0",
        example=OTHER,
        architecture="CNN",
    )
    assert "interop:batch_difference" not in apart.properties
