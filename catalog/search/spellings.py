"""How people spell frameworks: MLM leaves ``mlm:framework`` open, and its versions and examples differ.

Sources: MLM 1.0 to 1.5, "Framework" and examples (``pytorch``, ``PyTorch``, ``tensorflow``); what published items say.
"""

from __future__ import annotations

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
