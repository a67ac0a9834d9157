"""The file formats of models: what each is called in STAC, and which framework reads it.

The one table shared by the item builder, the registry's runtimes and the exporters' routes.

Sources: MLM 1.5.2, "Artifact Type Enum" and "Model Asset" (media types).
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Format:
    """A file format of models.

    Parameters
    ----------
    name
        Our short name, used in variants, on the command line and in ``interop:format``.
    framework
        Value of ``mlm:framework``: what the file is.
    artifact_type
        Value of ``mlm:artifact_type``.
    media_type
        Media type of the asset.
    suffix
        File suffix, with the dot.
    """

    name: str
    framework: str
    artifact_type: str
    media_type: str
    suffix: str


FORMATS = MappingProxyType(
    {
        f.name: f
        for f in (
            Format("keras", "Keras", "tf.keras.Model.save", "application/octet-stream; framework=keras", ".keras"),
            Format(
                "torch",
                "PyTorch",
                "safetensors.torch.save_file",
                "application/octet-stream; framework=pytorch",
                ".safetensors",
            ),
            Format("onnx", "ONNX", "onnx", "application/octet-stream; framework=onnx", ".onnx"),
            Format(
                "torch-export",
                "PyTorch",
                "torch.export.save",
                "application/octet-stream; framework=pytorch",
                ".pt2",
            ),
            # Two formats that are folders or pairs of files are one zip archive each (docs/decisions/0004).
            Format(
                "saved-model",
                "TensorFlow",
                "tf.keras.Model.export",
                "application/zip; framework=tensorflow",
                ".savedmodel.zip",
            ),
            Format("litert", "LiteRT", "litert", "application/octet-stream; framework=litert", ".tflite"),
            Format("openvino", "OpenVINO", "openvino", "application/zip; framework=openvino", ".openvino.zip"),
        )
    }
)
