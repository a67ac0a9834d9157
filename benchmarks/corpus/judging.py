"""A program: run a converted file in its public runtime and compare with what its source computed.

``python -m benchmarks.corpus.judging`` answers ``{"file": …, "format": …, "source": folder}`` by a verdict. It knows
nothing of what made the file, and imports nothing of this project.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpus.serving import said, serve

Array = np.ndarray[Any, Any]
Run = Callable[[list[Array]], list[Array]]

ABSOLUTE, RELATIVE = 1e-5, 1e-4
"""What outputs may differ by: so much, and this share of the largest of them in the same case."""
OTHER_RELATIVE = 1e-3
"""The share on inputs that are not the model's own."""
DIFFERING = 1e-3
"""Share of whole numbers (classes) that may differ; one of few always may."""


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Judge a file."""
    folder = Path(request["source"])
    spec = json.loads((folder / "spec.json").read_text())
    try:
        run = OPENERS[request["format"]](Path(request["file"]), spec)
    except Exception as error:  # noqa: BLE001 - whatever a runtime raises
        return {"verdict": "does not load", "reason": said(error)}
    found: dict[str, dict[str, Any]] = {}
    with np.load(folder / "cases.npz") as arrays:
        names = dict.fromkeys(key.split("|")[0] for key in arrays.files)
        for name in names:
            kind, number = name.rsplit("-", 1)
            ran = [other for other in found if other.startswith("own") and "error" not in found[other]]
            if kind != "own" and (kind in {n.rsplit("-", 1)[0] for n in found} or f"own-{number}" not in ran):
                continue  # in the first size that it takes
            inputs = [arrays[f"{name}|in|{n}"] for n in range(len(spec["inputs"]))]
            expected = [arrays[f"{name}|out|{n}"] for n in range(len(spec["outputs"]))]
            try:
                outputs = run(inputs)
            except Exception as error:  # noqa: BLE001 - as above
                found[name] = {"error": said(error)}
                continue
            found[name] = compare(expected, outputs, RELATIVE if kind == "own" else OTHER_RELATIVE)
    return verdict(found) | {"cases": found}


def verdict(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Sum up.

    ``right``, ``right but for NaN`` (which it does not pass on as the source does), ``right on its own range`` (and not
    on zeros, negatives or large values), ``wrong`` or ``does not run``.
    """
    mine = {name: case for name, case in found.items() if name.startswith("own")}
    ran = {name: case for name, case in mine.items() if "error" not in case}
    if not ran:
        return {"verdict": "does not run", "reason": next(iter(mine.values()))["error"]}
    if wrong := {name: case for name, case in ran.items() if not case["equal"]}:
        name, case = next(iter(wrong.items()))
        return {"verdict": "wrong", "reason": f"{name}: {case['told']}"}
    sizes = {} if len(ran) == len(mine) else {"not run": sorted({*mine} - {*ran})}
    others = {n: c for n, c in found.items() if n not in mine and not c.get("equal", False)}
    if others:
        told = "; ".join(f"{name}: {case.get('told') or case['error']}" for name, case in others.items())
        missing = all(name.startswith("nan") for name in others)
        return {"verdict": "right but for NaN" if missing else "right on its own range", "reason": told[:600]} | sizes
    return {"verdict": "right"} | sizes


def compare(expected: Sequence[Array], outputs: Sequence[Array], relative: float) -> dict[str, Any]:
    """Compare all outputs of one case."""
    if len(expected) != len(outputs):
        return {"equal": False, "told": f"{len(outputs)} outputs in place of {len(expected)}"}
    worst, told = 0.0, ""
    for number, (a, b) in enumerate(zip(expected, outputs, strict=True)):
        difference, problem = apart(a, np.asarray(b), relative)
        worst = max(worst, difference)
        told = told or (problem and f"output {number} {problem}")
    return {"equal": not told, "difference": worst, "told": told}


def apart(a: Array, b: Array, relative: float) -> tuple[float, str]:
    """Give the largest difference, and what is wrong about it."""
    if a.shape != b.shape:
        return 0.0, f"has shape {list(b.shape)} in place of {list(a.shape)}"
    if a.dtype.kind in "iub" or a.dtype.kind in "USO":
        share = float(np.mean(a != b)) if a.size else 0.0
        return share, "" if share <= max(DIFFERING, 1.5 / max(a.size, 1)) else f"differs in {share:.1%} of its labels"
    a, b = a.astype(np.float64), b.astype(np.float64)
    if np.any(odd := np.isnan(a) != np.isnan(b)):
        return 0.0, f"has NaN in {int(np.isnan(b).sum())} places in place of {int(np.isnan(a).sum())} of {odd.size}"
    if np.any(np.isinf(a) != np.isinf(b)):
        return 0.0, "has infinities elsewhere"
    finite = np.isfinite(a)
    if not finite.any():
        return 0.0, ""
    difference = float(np.abs(a[finite] - b[finite]).max())
    allowed = ABSOLUTE + relative * float(np.abs(a[finite]).max())
    return difference, "" if difference <= allowed else f"is {difference:.1e} away, {allowed:.1e} allowed"


def fitting(wanted: Sequence[str], found: Sequence[str], *, more: bool = False) -> list[int]:
    """Say at which place of ``found`` each of ``wanted`` is: by name where all are there, else by order.

    With ``more`` there may be others behind them, such as what a converter leaves as outputs of its own.
    """
    plain = [name.split(":")[0].removeprefix("serving_default_").split("/")[-1].lower() for name in found]
    names = [name.split("/")[-1].lower() for name in wanted]
    if sorted(plain) == sorted(names) and len({*names}) == len(names):
        return [plain.index(name) for name in names]
    if len(wanted) != len(found) and not (more and len(wanted) < len(found)):
        raise ValueError(f"has {', '.join(found)} in place of {', '.join(wanted)}")
    return list(range(len(wanted)))


def _wanted(spec: dict[str, Any]) -> tuple[list[str], list[str]]:
    return [tensor["name"] for tensor in spec["inputs"]], [tensor["name"] for tensor in spec["outputs"]]


def onnx(path: Path, spec: dict[str, Any]) -> Run:
    """Open in ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    taken, given = ([node.name for node in nodes] for nodes in (session.get_inputs(), session.get_outputs()))
    inputs, outputs = _wanted(spec)
    places, order = fitting(inputs, taken), fitting(outputs, given)
    types = {
        "tensor(double)": "float64",
        "tensor(int64)": "int64",
        "tensor(int32)": "int32",
        "tensor(float)": "float32",
    }
    kinds = [types.get(node.type) for node in session.get_inputs()]

    def run(arrays: list[Array]) -> list[Array]:
        cast = {taken[p]: a.astype(kinds[p]) if kinds[p] else a for p, a in zip(places, arrays, strict=True)}
        found = session.run(None, cast)
        return [found[place] for place in order]

    return run


def openvino(path: Path, spec: dict[str, Any]) -> Run:
    """Open in OpenVINO, in the precision of the file."""
    import openvino as ov

    core = ov.Core()
    network = core.read_model(path if path.suffix == ".xml" else _unpacked(path, "*.xml"))
    compiled = core.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    inputs, outputs = _wanted(spec)

    def called(ports: Sequence[Any], wanted: list[str]) -> list[str]:
        known = [
            [*port.get_names()] or [port.get_any_name() if port.get_names() else f"port_{n}"]
            for n, port in enumerate(ports)
        ]
        low = {name.split("/")[-1].split(":")[0].lower() for name in wanted}
        return [
            next((n for n in sorted(ns) if n.split("/")[-1].split(":")[0].lower() in low), sorted(ns)[0])
            for ns in known
        ]

    places = fitting(inputs, called(compiled.inputs, inputs))
    order = fitting(outputs, called(compiled.outputs, outputs), more=True)

    def run(arrays: list[Array]) -> list[Array]:
        kinds = [port.get_element_type().to_dtype() for port in compiled.inputs]
        found = compiled({place: a.astype(kinds[place]) for place, a in zip(places, arrays, strict=True)})
        return [np.array(found[place]) for place in order]

    return run


def saved_model(path: Path, spec: dict[str, Any]) -> Run:
    """Open in TensorFlow by its serving signature."""
    import tensorflow as tf

    if path.is_file():
        path = _unpacked(path, "saved_model.pb").parent
    loaded = tf.saved_model.load(str(path))
    function = loaded.signatures["serving_default"]
    taken = [*function.structured_input_signature[1]]
    inputs, outputs = _wanted(spec)
    places, order = fitting(inputs, taken), None
    kinds = [function.structured_input_signature[1][name].dtype.as_numpy_dtype for name in taken]

    def run(arrays: list[Array]) -> list[Array]:
        given = {taken[p]: tf.constant(a.astype(kinds[p])) for p, a in zip(places, arrays, strict=True)}
        found = {name: tensor.numpy() for name, tensor in function(**given).items()}
        names = sorted(found, key=lambda n: (len(n), n))
        return [found[names[place]] for place in (order or fitting(outputs, names))]

    run.__dict__["loaded"] = loaded
    return run


def litert(path: Path, spec: dict[str, Any]) -> Run:
    """Open in LiteRT, allocated anew for each size."""
    from ai_edge_litert.interpreter import Interpreter

    inputs, outputs = _wanted(spec)

    def run(arrays: list[Array]) -> list[Array]:
        interpreter = Interpreter(model_path=str(path))  # a new one each time: an earlier size leaves nothing behind
        signatures = interpreter.get_signature_list()
        if signatures:
            runner = interpreter.get_signature_runner(next(iter(signatures)))
            details, given = runner.get_input_details(), [*runner.get_output_details()]
            taken = [*next(iter(signatures.values()))["inputs"]]
            places = fitting(inputs, taken)
            cast = {}
            for place, array in zip(places, arrays, strict=True):
                _require_taken(details[taken[place]], array)
                cast[taken[place]] = np.ascontiguousarray(array, details[taken[place]]["dtype"])
            found = runner(**cast)
            given = sorted(given, key=lambda n: (len(n), n))
            return [found[given[place]] for place in fitting(outputs, given)]
        details = interpreter.get_input_details()
        places = fitting(inputs, [detail["name"] for detail in details])
        for place, array in zip(places, arrays, strict=True):
            _require_taken(details[place], array)
            if tuple(details[place]["shape"]) != array.shape:
                interpreter.resize_tensor_input(details[place]["index"], array.shape, strict=True)
        interpreter.allocate_tensors()
        for place, array in zip(places, arrays, strict=True):
            interpreter.set_tensor(details[place]["index"], array.astype(details[place]["dtype"]))
        interpreter.invoke()
        ends = interpreter.get_output_details()
        order = fitting(outputs, [end["name"] for end in ends])
        return [interpreter.get_tensor(ends[place]["index"]) for place in order]

    return run


def _require_taken(detail: dict[str, Any], array: Array) -> None:
    """Refuse a size that the file does not say it takes: LiteRT resizes any, and computes what it does."""
    said = [*detail.get("shape_signature", ())]
    if len(said) == array.ndim and any(n not in {-1, m} for n, m in zip(said, array.shape, strict=True)):
        raise ValueError(f"takes {said} only")


def torch_export(path: Path, spec: dict[str, Any]) -> Run:
    """Open in PyTorch."""
    import torch

    program = torch.export.load(path)
    module = program.module()
    inputs, outputs = _wanted(spec)
    taken = [*program.graph_signature.user_inputs]
    places = fitting(inputs, taken)

    def run(arrays: list[Array]) -> list[Array]:
        given = [torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]
        ordered = [given[places.index(n)] for n in range(len(taken))]
        with torch.no_grad():
            try:
                found = module(*ordered)
            except (TypeError, ValueError):
                found = module(ordered)  # Keras' own export takes a list
        if isinstance(found, dict):
            return (
                [found[n].numpy() for n in outputs] if {*outputs} == {*found} else [t.numpy() for t in found.values()]
            )
        return [t.numpy() for t in (found if isinstance(found, list | tuple) else [found])]

    return run


def _unpacked(path: Path, wanted: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="corpus-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # runtimes read from it as long as they run
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return next(folder.rglob(wanted))


OPENERS: dict[str, Callable[[Path, dict[str, Any]], Run]] = {
    "onnx": onnx,
    "openvino": openvino,
    "saved-model": saved_model,
    "litert": litert,
    "torch-export": torch_export,
}

if __name__ == "__main__":
    serve(answer)
