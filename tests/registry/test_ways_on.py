"""A model that nobody may open says what its publisher runs, and what its reader can do with its file."""

from __future__ import annotations

from typing import Any

import pystac
import pytest
from tests.registry.foreign_items import item as document
from tests.registry.foreign_items import weights

from modelstac.catalog.errors import UntrustedError
from modelstac.catalog.search.query import Query
from modelstac.catalog.search.spellings import architectures, same_architecture
from modelstac.registry.choosing.model_assets import model_assets
from modelstac.registry.choosing.resolve import resolve


def item(stated: str, file: str, **properties: Any) -> pystac.Item:
    asset = weights(href=f"https://example.org/{file}", type=None) | {"mlm:artifact_type": stated}
    made = document("others-model", "1.4.0", {"model": asset})
    made["properties"] |= properties
    return pystac.Item.from_dict(made)


@pytest.mark.parametrize(
    ("stated", "file", "properties", "said"),
    [
        ("torch.save", "net.pt", {}, r"torch\.export\.save.*modelstac publish net\.pt --trust pickle"),
        ("torch.jit.script", "net.pt", {}, r"holds torch\.jit\.save.*--trust pickle"),
        ("sklearn", "trees.joblib", {}, r"skl2onnx\.to_onnx.*modelstac publish trees\.joblib"),
        ("h5", "net.h5", {}, r"no runtime here knows.*model\.keras.*modelstac publish net\.h5"),
        ("torch.save", "w.pth", {"mlm:name": "torchgeo-resnet"}, r"--entrypoint \S+\.builders:torchgeo .*in_chans"),
        (
            "torch.save",
            "yolov8n.pt",
            {"mlm:architecture": "YOLOv8"},
            r"weights of ultralytics .*--entrypoint \S+\.builders:ultralytics .*cfg: yolov8n",
        ),
    ],
)
def test_the_way_on_is_said(stated: str, file: str, properties: dict[str, Any], said: str) -> None:
    with pytest.raises(UntrustedError, match=said):
        resolve(item(stated, file, **properties))


@pytest.mark.parametrize("stated", ["skl2onnx", "skl2onnx.to_onnx", "tf2onnx.convert"])
def test_converters_to_onnx_are_known_by_name(stated: str) -> None:
    [asset] = model_assets(item(stated, "model.onnx"))
    assert (asset.artifact_type, asset.remarks) == ("onnx", ())


@pytest.mark.parametrize("wanted", ["U-Net", "UNet", "unet", "u_net", "U Net"])
def test_an_architecture_is_found_however_it_is_spelled(wanted: str) -> None:
    assert all(same_architecture(wanted, other) for other in ("U-Net", "UNet", "UNET"))
    assert {"u-net", "unet"} <= {one.lower() for one in architectures(wanted)}
    assert not same_architecture(wanted, "V-Net")


def test_it_is_found_in_a_catalog(tmp_path: Any) -> None:
    from modelstac.catalog import open_catalog
    from modelstac.catalog.testing.examples import Examples

    catalog = open_catalog(tmp_path / "catalog.sqlite", create=True)
    examples = Examples(tmp_path)
    catalog.publish_many([examples.item(variant=v, architecture=a) for v, a in (("a", "U-Net"), ("b", "ResNet50"))])
    for spelled, variant in (("unet", "a"), ("resnet-50", "b")):
        [found] = catalog.page(Query(architecture=spelled)).documents
        assert found["id"].endswith(f"-{variant}")
