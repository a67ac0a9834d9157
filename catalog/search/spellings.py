"""How people spell frameworks and architectures: MLM leaves both open, and its versions and examples differ.

Sources: MLM 1.0 to 1.5, "Framework" and examples (``pytorch``, ``PyTorch``, ``tensorflow``); what published items say.
"""

from __future__ import annotations

import re
from types import MappingProxyType

from modelstac.catalog.search.ranges import fold

# Our name, and other spellings than that in other case.
SPELLINGS = MappingProxyType(
    {
        "PyTorch": ("torch",),
        "TensorFlow": ("tf", "tensorflow-cpu"),
        "Keras": ("tf.keras", "tensorflow.keras", "tf-keras"),
        "ONNX": ("onnxruntime", "onnx-runtime", "onnx runtime"),
        "LiteRT": ("tflite", "tensorflow lite", "tensorflow-lite"),
        "OpenVINO": (),
        "scikit-learn": ("sklearn",),
        "Hugging Face": ("huggingface", "transformers"),
        "JAX": (),
    }
)
_CANONICAL = {fold(other): name for name, others in SPELLINGS.items() for other in (name, *others)}


def canonical(framework: str) -> str:
    """Return a framework as it is called here; a name that nobody knows as it is."""
    return _CANONICAL.get(fold(framework), framework)


def spellings(framework: str) -> tuple[str, ...]:
    """Return every spelling of a framework, ours first; case is left to the one who compares."""
    name = canonical(framework)
    return (name, *SPELLINGS.get(name, ()))


_APART = re.compile(r"[-_ ]+")
_ENDS = re.compile(r"(?<=[a-z])(?=[0-9])")
_HYPHENS = (
    *(
        "u-net",
        "u-net++",
        "v-net",
        "res-unet",
        "lr-aspp",
        "mask r-cnn",
        "faster r-cnn",
        "fast r-cnn",
        "r-cnn",
        "x-gboost",
    ),
    *("random forest", "random-forest", "deep lab v3", "deep lab v3+", "pix2pix", "swin-transformer", "conv-lstm"),
)
"""Names that others write without what parts them."""


def same_architecture(one: str, other: str) -> bool:
    """Tell whether two names are of one architecture: ``U-Net``, ``UNet`` and ``unet`` are."""
    return _APART.sub("", fold(one)) == _APART.sub("", fold(other))


def architectures(wanted: str) -> tuple[str, ...]:
    """Return usual spellings of an architecture, the one that is wanted first; case is left to the one who compares."""
    plain = _APART.sub("", fold(wanted))
    parted = [plain, *(name for name in _HYPHENS if _APART.sub("", name) == plain), _ENDS.sub("-", plain), fold(wanted)]
    found = [wanted, *(_APART.sub(sign, name) for name in parted for sign in ("-", "_", " ", ""))]
    return tuple(dict.fromkeys(found))
