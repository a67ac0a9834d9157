"""Objects of frameworks: what is saved of them, what an example says, and what is no model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pystac
import pytest
import torch
from tests.registry.statements import graph
from torch import nn

import modelstac
from modelstac.catalog.errors import InvalidItemError, UntrustedError
from modelstac.catalog.items.reading import read_item
from modelstac.catalog.messages import Message, Note

IMAGE = np.random.default_rng(0).uniform(0, 1, (1, 3, 16, 16)).astype(np.float32)
SAID: dict[str, Any] = {
    "name": "net",
    "task": "semantic-segmentation",
    "license": "MIT",
    "bbox": (5, 50, 10, 55),
    "datetime": "2020",
    "bands": ("B02", "B03", "B04"),
}


class Net(nn.Module):
    """What Lightning's module is to us: a module with hooks, and a dropout to switch off."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.drop = nn.Conv2d(3, 2, 3, padding=1), nn.Dropout(0.5)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"mask": self.drop(self.convolution(image)).softmax(1)}

    def training_step(self, batch: Any) -> torch.Tensor:
        raise AssertionError("nothing is trained here")


def diverged() -> Net:
    net = Net()
    torch.nn.init.constant_(net.convolution.bias, float("nan"))  # type: ignore[arg-type]
    return net


def published(model: Any, folder: Path, notes: list[str] | None = None, **said: Any) -> pystac.Item:
    def listen(message: Message) -> None:
        if isinstance(message, Note) and notes is not None:
            notes.append(message.text)

    return modelstac.publish(model, catalog=folder / "catalog", report=listen, **SAID | said)


def test_a_module_is_exported_as_it_predicts_and_stays_as_it_was(tmp_path: Path) -> None:
    net, notes = Net().train(), []  # type: ignore[var-annotated]
    item = published(net, tmp_path, notes, example=(torch.tensor(IMAGE), 1), classes=["water", "land"])
    assert net.training
    assert net.drop.training
    assert item.properties["mlm:architecture"] == "Net"
    assert any("mask: batch, class, height, width" in note for note in notes)
    [found] = read_item(item).inputs
    assert (found.name, found.input.shape) == ("image", (-1, 3, -1, -1))
    model = modelstac.load(item.id, catalog=tmp_path / "catalog")
    net.eval()
    larger = np.random.default_rng(1).uniform(0, 1, (3, 3, 20, 24)).astype(np.float32)
    expected = net(torch.tensor(larger))["mask"].detach().numpy()
    np.testing.assert_allclose(model.predict(larger), expected, atol=1e-6)


class OfOtherResolution(nn.Module):
    """Takes a second image of half the height and width."""

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        return fine + coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)


def test_lengths_that_hang_together_by_their_product_have_one_length_and_others_stay_open(tmp_path: Path) -> None:
    """The exporter leaves time and bands of a flattened series open, as if one might grow where the other shrinks."""
    series = np.zeros((5, 2, 3), np.float32)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(6, 2))
    said: dict[str, Any] = {"architecture": "MLP", "input_dims": ["batch", "time", "bands"], "task": "classification"}
    [found] = read_item(published(flat, tmp_path, example=series, **said)).inputs
    assert found.input.shape == (-1, 2, 3)
    coarse = np.zeros((1, 3, 8, 8), np.float32)
    image = ["batch", "bands", "height", "width"]
    said = {
        "name": "two",
        "input_dims": {"fine": image, "coarse": image},
        "output_dims": ["batch", "channel", "height", "width"],
    }
    said["bands"] = {"fine": SAID["bands"], "coarse": SAID["bands"]}
    item = published(OfOtherResolution(), tmp_path, example={"fine": IMAGE, "coarse": coarse}, **said)
    assert [one.input.shape[2:] for one in read_item(item).inputs] == [(-1, -1), (-1, -1)]


class OfItsExample(nn.Module):
    """Counts samples in Python, which settles their number."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + len(list(range(x.shape[0])))


def test_an_alias_that_is_none_is_said_before_anything_is_published(tmp_path: Path) -> None:
    with pytest.raises(InvalidItemError, match="alias 'best model' is none"):
        modelstac.publish(Net(), catalog=tmp_path / "catalog", example=IMAGE, alias="best model", **SAID)
    assert not (tmp_path / "catalog").exists()


@pytest.mark.parametrize("count", [1, 2])
def test_a_number_of_samples_that_a_module_settles_is_the_examples(count: int, tmp_path: Path) -> None:
    image = IMAGE.repeat(count, 0)
    dims = {"input_dims": ["batch", "bands", "height", "width"], "output_dims": ["batch", "channel", "height", "width"]}
    [found] = read_item(item := published(OfItsExample(), tmp_path, example=image, **dims)).inputs
    assert found.input.shape[0] == count
    model = modelstac.load(item.id, catalog=tmp_path / "catalog")
    np.testing.assert_array_equal(model.predict(image), image + count)


def test_nothing_of_the_example_that_it_was_traced_on_lies_in_the_program(tmp_path: Path) -> None:
    secret = np.full((1, 3, 16, 16), 0.123456789, np.float32)
    item = published(Net(), tmp_path, example=secret, classes=["water", "land"])
    data = (tmp_path / "catalog" / "net" / item.id / "model.pt2").read_bytes()
    assert secret[0, 0, 0].tobytes() not in data


def test_whole_numbers_of_a_sensor_are_an_example_of_a_module_of_fractions(tmp_path: Path) -> None:
    """And names of bands and values of classes may be those of an array."""
    counts = (IMAGE * 100).astype(np.uint16)
    classes = {np.int64(3): {"name": "land"}, np.int64(7): {"name": "water"}}
    item = published(Net(), tmp_path, example=counts, bands=np.array(["B02", "B03", "B04"]), classes=classes)
    assert item.properties["mlm:input"][0]["input"]["data_type"] == "float32"
    assert item.properties["mlm:input"][0]["bands"] == ["B02", "B03", "B04"]
    assert [one["value"] for one in item.properties["mlm:output"][0]["classification:classes"]] == [3, 7]
    assert modelstac.load(item.id, catalog=tmp_path / "catalog").self_test().passed


def test_weights_are_published_where_an_entry_point_builds_the_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab_models.py").write_text(
        "from torch import nn\n\ndef build(spec):\n    return nn.Sequential(nn.Conv2d(3, spec['classes'], 1))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import lab_models  # type: ignore[import-not-found]

    net = lab_models.build({"classes": 2})
    said = {"entrypoint": "lab_models:build", "hyperparameters": {"classes": 2}, "architecture": "CNN"}
    item = published(net, tmp_path, example=IMAGE, classes=["water", "land"], **said)
    assert item.id == "net-1.0.0-torch"
    assert item.assets["model"].extra_fields["mlm:entrypoint"] == "lab_models:build"
    assert item.properties["mlm:hyperparameters"]["architecture"] == {"classes": 2}
    with pytest.raises(UntrustedError, match="entrypoint:lab_models"):
        modelstac.load(item.id, catalog=tmp_path / "catalog")
    model = modelstac.load(item.id, catalog=tmp_path / "catalog", trust="entrypoint:lab_models")
    np.testing.assert_allclose(model.predict(IMAGE), net(torch.tensor(IMAGE)).detach().numpy(), atol=1e-6)


def test_what_is_said_without_a_name_is_of_the_input_that_has_no_default(tmp_path: Path) -> None:
    """Many exporters list weights among the inputs, too."""
    weights = [onnx.numpy_helper.from_array(np.full((1, 3, 1, 1), 2, np.float32), "w")]
    inputs = [("x", ["n", 3, "h", "w"]), ("w", [1, 3, 1, 1])]
    path = graph(
        tmp_path / "g.onnx", [("Mul", ["x", "w"], ["y"])], inputs, [("y", ["n", 3, "h", "w"])], weights=weights
    )
    example = np.arange(48, dtype=np.float32).reshape(1, 3, 4, 4) * 100
    plain = {"bands": ("r", "g", "b"), "output_dims": ("batch", "class", "height", "width")}
    item = published(path, tmp_path, architecture="none", example=example, scaling=1000, **plain)
    [tensor] = item.properties["mlm:input"]
    assert (tensor["name"], tensor["bands"]) == ("x", ["r", "g", "b"])
    found = modelstac.load(item.id, catalog=tmp_path / "catalog").predict(example, scaled=False)
    np.testing.assert_allclose(found, example / 1000 * 2, rtol=1e-6)


def test_an_onnx_model_and_an_exported_program_are_published_as_they_are(tmp_path: Path) -> None:
    path = graph(tmp_path / "g.onnx", [("Neg", ["x"], ["y"])], [("x", ["n", 3, "h", "w"])], [("y", ["n", 3, "h", "w"])])
    plain = {"output_dims": ("batch", "channel", "height", "width"), "architecture": "None", "version": "1.0.0"}
    item = published(onnx.load(path), tmp_path, input_dims=("batch", "bands", "height", "width"), **plain)
    assert item.id == "net-1.0.0-onnx"
    program = torch.export.export(nn.Conv2d(3, 2, 1), (torch.tensor(IMAGE),))
    item = published(program, tmp_path, example=IMAGE, classes=["a", "b"], architecture="CNN")
    assert item.id == "net-1.0.0-torch-export"
    assert modelstac.load(item.id, catalog=tmp_path / "catalog").self_test().passed


class Odd(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image if image.sum() > 0 else -image


class Faked(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.fake_quantize_per_tensor_affine(image, 0.1, 0, -128, 127)


class Labelled(nn.Module):
    """Gives its loss where it is given labels, as the models of transformers do."""

    def forward(self, image: Any = None, labels: Any = None) -> dict[str, Any]:
        return {"logits": image, "loss": None if labels is None else (image - labels).square().mean()}


@pytest.mark.parametrize(
    ("model", "said", "reason"),
    [
        (lambda x: x, {}, "a function of Python"),
        (Net, {}, "Net is a class: give a model of it"),
        (None, {}, "NoneType is no model"),
        (b"", {}, "bytes are no model"),
        ({"weight": IMAGE}, {}, "a dictionary of 1 weights"),
        (Net(), {}, "give example="),
        (SimpleNamespace(model=Net()), {}, r"SimpleNamespace holds the model that it trains: give that, \.model"),
        (Labelled(), {"example": {"image": IMAGE, "labels": IMAGE}}, "gives a loss, too, on .* labels: leave out what"),
        (Net(), {"example": IMAGE[:, :2]}, "bands are B02, B03, B04, and no axis of 'image' .* has that length"),
        (Net(), {"example": IMAGE[:, :, 0]}, r"fails on the example, of shape \[1, 3, \d+\]: "),
        (
            Odd(),
            {"example": IMAGE},
            r"cannot be exported \(Could not guard on .* at 'return image if image.sum\(\) > 0",
        ),
        (Faked(), {"example": IMAGE}, r"\(PyTorch cannot trace aten.fake_quantize_per_tensor_affine\S+\): write"),
        (diverged(), {"example": IMAGE}, r"the weights 'convolution.bias' are no numbers \(2 of 2 are NaN\)"),
        (Net(), {"example": IMAGE, "classes": ["a"]}, "there are 1 classes"),
        (Net(), {"example": IMAGE, "classes": ["a", "b"], "bbox": None, "license": None}, "give license=.*, bbox="),
        (Net(), {"example": IMAGE, "scaling": {"type": "scale", "value": 10000}}, "say example_scaled=True"),
        (Net(), {"example": IMAGE, "clases": ["a"]}, "did you mean 'classes'"),
        (Net(), {"example": IMAGE, "classes": ["a", "b"], "resize": "stretch"}, "none of MLM's"),
        (Net(), {"example": IMAGE, "classes": ["a", "b"], "units": {"B2": "1"}}, "no band: did you mean 'B02'"),
        (Net(), {"example": IMAGE, "classes": ["a", "b"], "doi": "10"}, "doi '10' is none"),
        (Net(), {"example": IMAGE, "classes": ["a", "b"], "task": "segmenting"}, "did you mean 'segmentation'"),
    ],
)
def test_what_cannot_be_published_is_said_in_a_line(
    tmp_path: Path, model: Any, said: Any, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(modelstac.ModelStacError, match=reason) as raised:
        published(model, tmp_path, **said)
    assert "\n" not in str(raised.value)
    assert "def forward" not in capsys.readouterr().err  # graphs as far as they were traced
    assert not list(tmp_path.glob("catalog/*/*.json"))
