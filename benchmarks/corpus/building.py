"""A program: build architectures, save each as its framework does, and keep what it computes, eagerly, of many inputs.

``python -m benchmarks.corpus.building`` answers ``{"key": …, "folder": …}`` by a folder with the model's file,
``spec.json`` (what it takes and gives) and ``cases.npz`` (inputs and outputs). Imports nothing of this project but the
architectures, and runs in any environment that has what builds them.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpus.entries import BATCHES, Entry, Given
from benchmarks.corpus.families import FORMATS, entries
from benchmarks.corpus.serving import serve

Array = np.ndarray[Any, Any]
SUFFIXES = {"keras": ".keras", "torch-export": ".pt2", "onnx": ".onnx"}
NAN_SHARE = 0.02


def cases(inputs: Sequence[Given]) -> Iterator[tuple[str, list[Array]]]:
    """Give inputs by the name of their kind: in the model's own range in every size, and others in two."""
    rng = np.random.default_rng(0)
    for number, batch in enumerate(BATCHES):
        yield f"own-{number}", [own(given, (batch, *given.sizes[number]), rng) for given in inputs]
    for number in (0, 1):  # some files take a batch of one only
        arrays = [own(given, (BATCHES[number], *given.sizes[number]), rng) for given in inputs]
        yield f"zeros-{number}", [np.zeros_like(array) for array in arrays]
        if all(array.dtype.kind == "f" for array in arrays):
            yield f"negative-{number}", [-array for array in arrays]
            yield f"large-{number}", [100 * array for array in arrays]
            yield f"nan-{number}", [with_nan(array, rng) for array in arrays]


def own(given: Given, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Give random values in the range of an input."""
    if np.dtype(given.dtype).kind in "iu":
        return rng.integers(int(given.low), int(given.high), shape).astype(given.dtype)
    return rng.uniform(given.low, given.high, shape).astype(given.dtype)


def with_nan(array: Array, rng: np.random.Generator) -> Array:
    """Give an array in which some pixels (or rows, or steps) of the first sample are missing in every band."""
    found = array.copy()
    place = rng.random(array.shape[1:]) < NAN_SHARE
    place.flat[0] = True
    found[0][place] = np.nan
    return found


class Built:
    """A model that runs, and how it is saved."""

    def __init__(
        self,
        run: Callable[[list[Array]], list[Array]],
        save: Callable[[Path], None],
        inputs: Sequence[str],
        outputs: Sequence[str],
    ) -> None:
        self.run, self.save, self.inputs, self.outputs = run, save, list(inputs), list(outputs)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Build one architecture into a folder."""
    entry, folder = entries()[request["key"]], Path(request["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    seed = zlib.crc32(entry.name.encode())
    built = {"keras": _keras, "torch": _torch, "zoo": _torch, "onnx": _onnx, "tools": _onnx}[entry.kind](entry, seed)
    arrays, told = {}, []
    for name, inputs in cases(entry.inputs):
        outputs = built.run(inputs)
        again = built.run(inputs)
        if not all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(outputs, again, strict=True)):
            told.append(f"{name}: two runs differ")
        arrays |= {f"{name}|in|{n}": array for n, array in enumerate(inputs)}
        arrays |= {f"{name}|out|{n}": array for n, array in enumerate(outputs)}
    file = folder / f"model{SUFFIXES[FORMATS[entry.kind]]}"
    built.save(file)
    np.savez(folder / "cases.npz", **arrays)
    first = [arrays[f"own-0|out|{n}"] for n in range(len(built.outputs))]
    spec = {
        "key": request["key"],
        "name": entry.name,
        "format": FORMATS[entry.kind],
        "file": file.name,
        "inputs": [asdict(given) | {"name": name} for given, name in zip(entry.inputs, built.inputs, strict=True)],
        "outputs": [
            {"name": name, "shape": list(array.shape), "dtype": str(array.dtype)}
            for name, array in zip(built.outputs, first, strict=True)
        ],
        "unstable": told,
        "bytes": file.stat().st_size,
    }
    (folder / "spec.json").write_text(json.dumps(spec, indent=1))
    return {"built": request["key"], "unstable": told}


def _keras(entry: Entry, seed: int) -> Built:
    import keras

    keras.utils.set_random_seed(seed % 10000)
    keras.backend.clear_session()
    tensors = [keras.Input(given.shape, name=given.name, dtype=given.dtype) for given in entry.inputs]
    outputs = entry.build(*tensors)
    model = keras.Model(tensors, outputs)
    rng = np.random.default_rng(seed)
    for variable in model.weights:  # statistics of normalisations that are neither zero nor one, as after training
        if "moving" in variable.path or "beta" in variable.path or "bias" in variable.path:
            value = np.asarray(variable)
            variable.assign(value + np.abs(rng.normal(0, 0.05, value.shape)).astype(value.dtype))
    names = [*outputs] if isinstance(outputs, dict) else list(model.output_names)

    def run(inputs: list[Array]) -> list[Array]:
        found = model(inputs if len(inputs) > 1 else inputs[0], training=False)
        flat = [found[name] for name in names] if isinstance(found, dict) else found
        return [np.asarray(y) for y in (flat if isinstance(flat, list | tuple) else [flat])]

    return Built(run, model.save, [given.name for given in entry.inputs], names)


def _torch(entry: Entry, seed: int) -> Built:
    import torch

    torch.manual_seed(seed % 10000)
    module = entry.build().eval()
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            if "running" in name:
                buffer.add_(torch.rand_like(buffer) * 0.1)
    given = [own(g, (BATCHES[0], *g.sizes[0]), np.random.default_rng(1)) for g in entry.inputs]
    lengths: list[dict[int, Any]] = []
    for one in entry.inputs:
        opened = {axis + 1: torch.export.Dim.AUTO for axis, size in enumerate(one.shape) if size is None}
        lengths.append({0: torch.export.Dim.AUTO} | opened)
    names: list[str] = []

    def run(inputs: list[Array]) -> list[Array]:
        with torch.no_grad():
            found = module(*map(torch.from_numpy, inputs))
        if isinstance(found, dict):
            names[:] = [*found]
            found = [*found.values()]
        flat = list(found) if isinstance(found, list | tuple) else [found]
        names[:] = names or [f"output_{n}" for n in range(len(flat))]
        return [tensor.numpy().copy() for tensor in flat]

    def save(path: Path) -> None:
        with torch.no_grad():
            program = torch.export.export(
                module, tuple(map(torch.from_numpy, given)), dynamic_shapes=tuple(lengths), strict=False
            )
        torch.export.save(program, path)

    run(given)
    import inspect

    called = [*inspect.signature(module.forward).parameters][: len(given)]
    return Built(run, save, called, names)


def _onnx(entry: Entry, seed: int) -> Built:
    import onnxruntime

    data = entry.build(seed).SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    inputs, outputs = ([node.name for node in nodes] for nodes in (session.get_inputs(), session.get_outputs()))

    def run(arrays: list[Array]) -> list[Array]:
        return [np.asarray(y) for y in session.run(None, dict(zip(inputs, arrays, strict=True)))]

    return Built(run, lambda path: path.write_bytes(data) and None, inputs, outputs)


if __name__ == "__main__":
    serve(answer)
