"""The file formats of models: what each is called in STAC, and which framework reads it.

The one table shared by the item builder, the registry's runtimes and the exporters' routes.

Sources: MLM 1.5.2, "Artifact Type Enum" and "Model Asset" (media types).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


GROUP = "modelstac.formats"
"""Entry points of other packages that add a format: its name, and ``package.module:FORMAT``, a :class:`Format`."""

_OURS = MappingProxyType(
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


_BY_ARTIFACT_TYPE = {found.artifact_type: found for found in reversed(list(_OURS.values()))}


class Formats(Mapping[str, Format]):
    """Formats by name: ours, and those of installed packages, which are looked for when a name is none of ours.

    Iterating gives ours alone: what can be searched for and converted to should not depend on who else is installed.
    """

    def __getitem__(self, name: str) -> Format:
        return _OURS[name] if name in _OURS else _others()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_OURS)

    def __len__(self) -> int:
        return len(_OURS)

    def of_artifact_type(self, artifact_type: object) -> Format | None:
        """Return the format of a value of ``mlm:artifact_type``, None if nobody here knows it."""
        if isinstance(artifact_type, str) and artifact_type in _BY_ARTIFACT_TYPE:
            return _BY_ARTIFACT_TYPE[artifact_type]
        return next((f for f in _others().values() if f.artifact_type == artifact_type), None)


def _others() -> dict[str, Format]:
    from importlib.metadata import entry_points  # not at the top: few need it, and it is slow to import

    found = {}
    for point in entry_points(group=GROUP):
        if point.name not in _OURS and isinstance(form := point.load(), Format):
            found[point.name] = form
    return found


FORMATS = Formats()
