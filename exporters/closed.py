"""Conversions that nobody should look for: why a format does not lead to another for a model of any architecture."""

from __future__ import annotations

from types import MappingProxyType

_GRAPH = "a graph of operators holds no layers to rebuild: convert its source"
_ONNX_TO_TENSORFLOW = (
    "no public converter is sound: onnx-tf is no longer kept, onnx2tf needs the retired tf_keras and changes the "
    "layout of inputs and outputs"
)
_ONNX_TO_TORCH = "no public converter is sound: onnx2torch fails on loops and is no longer kept"
_COMPILED = "compiled for one runtime, it does not give its layers back: convert its source"

CLOSED = MappingProxyType(
    {
        ("onnx", "saved-model"): _ONNX_TO_TENSORFLOW,
        ("onnx", "litert"): _ONNX_TO_TENSORFLOW,
        ("onnx", "torch-export"): _ONNX_TO_TORCH,
        ("torch-export", "saved-model"): f"PyTorch has no exporter to TensorFlow, and from ONNX {_ONNX_TO_TENSORFLOW}",
        **{
            (source, target): _GRAPH
            for source in ("onnx", "torch-export", "saved-model")
            for target in ("keras-tensorflow", "keras-torch", "torch")
        },
        ("saved-model", "torch-export"): _GRAPH,
        **{
            (source, target): _COMPILED
            for source in ("litert", "openvino")
            for target in ("keras-tensorflow", "keras-torch", "torch", "torch-export", "onnx", "saved-model")
        },
    }
)
"""By source and target the reason; a model of a known architecture may still be rebuilt from its weights."""
