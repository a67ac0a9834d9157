"""What somebody can do with a model that nobody may open: its publisher's one line, or what he does with its file."""

from __future__ import annotations

import json
from types import MappingProxyType

import pystac

from modelstac.registry.choosing.model_assets import ModelAsset

_LINES = MappingProxyType(
    {
        "torch.save": 'torch.export.save(torch.export.export(model, (batch,)), "model.pt2")',
        "torch.jit.save": 'torch.export.save(torch.export.export(module, (batch,)), "model.pt2")',
        "pickle": 'open("model.onnx", "wb").write(skl2onnx.to_onnx(model, X[:1]).SerializeToString())',
        "joblib": 'open("model.onnx", "wb").write(skl2onnx.to_onnx(model, X[:1]).SerializeToString())',
        "HDF5": 'model.save("model.keras")',
        "tf.keras.Model.save_weights": 'model.save("model.keras")',
    }
)
"""By artifact type: what its publisher runs."""
_BUILDERS = MappingProxyType(
    {
        "torchgeo": "{name: resnet18, in_chans: 13, num_classes: 10}",
        "segmentation_models_pytorch": "{arch: unet, encoder_name: resnet34, in_channels: 3, classes: 2}",
        "timm": "{model_name: resnet18, in_chans: 3, num_classes: 10}",
        "ultralytics": "{cfg: yolov8n, ch: 3, nc: 80}",
    }
)
"""By library, for which ``modelstac.training.builders`` has an entry point: what it is told, for example."""
_NAMES = MappingProxyType(
    {
        "torchgeo": "torchgeo",
        "segmentation_models": "segmentation_models_pytorch",
        "smp.": "segmentation_models_pytorch",
    }
    | {"segmentation-models": "segmentation_models_pytorch", "timm": "timm", "ultralytics": "ultralytics"}
    | {"yolov": "ultralytics"}
)
"""What an item says of a library that builds its architecture."""


def way_on(item: pystac.Item, asset: ModelAsset) -> str:
    """Say what its publisher runs, and what its reader can do with the file; empty where nothing is known.

    Parameters
    ----------
    item, asset
        The item, and which of its files.
    """
    line = _LINES.get(asset.artifact_type)
    if line is None:
        return ""
    said = f" (his line: {line})"
    file = item.assets[asset.key].href.rpartition("/")[2].partition("?")[0] or "FILE"
    if asset.artifact_type == "HDF5":
        return f"{said}; a whole model of Keras' own layers is published from its file: modelstac publish {file} …"
    builder = _builder(item)
    if asset.artifact_type == "torch.save" and builder is not None:
        return (
            f"{said}; weights of {builder} are published from their file, with what {builder} calls their network: "
            f"modelstac publish {file} --example batch.npy --entrypoint modelstac.training.builders:{builder} "
            f"--hyperparameters network.yaml (such as {_BUILDERS[builder]})"
        )
    if asset.artifact_type == "tf.keras.Model.save_weights":
        return f"{said}; or publish its file with what builds its model: modelstac publish {file} --entrypoint …"
    return f"{said}; or publish its file, if you trust him: modelstac publish {file} --trust pickle …"


def _builder(item: pystac.Item) -> str | None:
    """Return the library that an item names anywhere; None where it names none."""
    properties = {name: value for name, value in item.properties.items() if name != "description"}
    text = json.dumps([item.id, properties, [a.to_dict() for a in item.assets.values()]], default=str).casefold()
    return next((library for word, library in _NAMES.items() if word in text), None)
