"""A program: convert a model by the public converters that people would use instead.

``python -m benchmarks.corpus.peers`` answers ``{"tool": …, "source": folder, "out": folder}`` by the file that the tool
wrote. Imports nothing of this project; each tool is called as its own documentation says, with open sizes where it
offers them.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpus.serving import serve


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Convert by one tool."""
    source, out = Path(request["source"]), Path(request["out"])
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    spec = json.loads((source / "spec.json").read_text())
    began = time.perf_counter()
    file = TOOLS[request["tool"]](source / spec["file"], out, spec)
    return {"status": "published", "file": str(file), "seconds": round(time.perf_counter() - began, 2)}


def loaded(file: Path) -> Any:
    """Load a Keras model, and call it once, as its exporters ask for."""
    import keras

    model = keras.saving.load_model(file, compile=False)
    with np.load(file.with_name("cases.npz")) as arrays:
        given = [arrays[f"own-0|in|{n}"] for n in range(len(model.inputs))]
    model(given if len(given) > 1 else given[0], training=False)
    return model


def keras_export(form: str, suffix: str) -> Callable[..., Path]:
    """Call ``model.export(path, format=…)`` of Keras."""

    def convert(file: Path, out: Path, _: dict[str, Any]) -> Path:
        model = loaded(file)
        made = out / f"model{suffix}"
        model.export(str(made), format=form, verbose=False)
        return made

    return convert


def lite_converter(file: Path, out: Path, _: dict[str, Any]) -> Path:
    """Call TensorFlow Lite's converter."""
    import tensorflow as tf

    model = loaded(file)
    made = out / "model.tflite"
    made.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    return made


def openvino_of_keras(file: Path, out: Path, _: dict[str, Any]) -> Path:
    """Convert what Keras exports as a SavedModel."""
    model = loaded(file)
    model.export(str(out / "saved"), format="tf_saved_model", verbose=False)
    return openvino_of(out / "saved", out, {})


def openvino_of(file: Path, out: Path, _: dict[str, Any]) -> Path:
    """Call ``openvino.convert_model`` on a file."""
    import openvino as ov

    made = out / "model.xml"
    ov.save_model(ov.convert_model(str(file)), made, compress_to_fp16=False)
    return made


def openvino_of_program(file: Path, out: Path, _: dict[str, Any]) -> Path:
    """Call ``openvino.convert_model`` on an exported program."""
    import openvino as ov
    import torch

    made = out / "model.xml"
    ov.save_model(ov.convert_model(torch.export.load(file)), made, compress_to_fp16=False)
    return made


def torch_onnx(file: Path, out: Path, _: dict[str, Any]) -> Path:
    """Call ``torch.onnx.export`` on an exported program."""
    import torch

    made = out / "model.onnx"
    torch.onnx.export(torch.export.load(file), f=str(made), dynamo=True, external_data=False, verbose=False)
    return made


def litert_torch(file: Path, out: Path, spec: dict[str, Any]) -> Path:
    """Call ``litert_torch.convert`` on the module of an exported program."""
    import litert_torch
    import torch

    with np.load(file.with_name("cases.npz")) as arrays:
        given = tuple(torch.from_numpy(arrays[f"own-0|in|{n}"]) for n in range(len(spec["inputs"])))
    made = out / "model.tflite"
    litert_torch.convert(torch.export.load(file).module(), given, strict_export=False).export(str(made))
    return made


TOOLS: dict[str, Callable[..., Path]] = {
    "Keras export, onnx": keras_export("onnx", ".onnx"),
    "Keras export, tf_saved_model": keras_export("tf_saved_model", ""),
    "Keras export, litert": keras_export("litert", ".tflite"),
    "TFLiteConverter": lite_converter,
    "Keras export, openvino": keras_export("openvino", ".xml"),
    "openvino.convert_model of a SavedModel": openvino_of_keras,
    "Keras export, torch": keras_export("torch", ".pt2"),
    "torch.onnx.export": torch_onnx,
    "openvino.convert_model": openvino_of_program,
    "litert_torch.convert": litert_torch,
    "openvino.convert_model of a file": openvino_of,
}

if __name__ == "__main__":
    serve(answer)
