"""From an exported PyTorch program to LiteRT by Google's litert-torch, in an environment of its own.

litert-torch cannot be installed beside the versions that are tested here. Its packages (about 2 GB with PyTorch for the
CPU) are downloaded when somebody asks for this conversion, and kept. It has several ways to write one program, of which
some fail and some are wrong, so that each is tried, run here, and left where it is not near the source.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter

import modelstac.exporters.converters.programs.litert_tool as tool
from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import ConversionError, ModelStacError
from modelstac.catalog.items.description import Step
from modelstac.catalog.items.sizes import OPEN
from modelstac.catalog.items.versions import semver
from modelstac.exporters.closing import asked
from modelstac.exporters.conversion import EXPORTED, FIXED, Conversion, no_options
from modelstac.exporters.converters.programs.program import ready
from modelstac.exporters.layouts import Found, measured
from modelstac.exporters.sizes import sized
from modelstac.exporters.tracing import WISHES, Shapes, shapes_near
from modelstac.registry import telemetry
from modelstac.registry.files.artifact import Artifact
from modelstac.registry.isolated.environments import Environments
from modelstac.registry.isolated.model import PASSED
from modelstac.registry.isolated.processes import WorkerProcess
from modelstac.registry.isolated.requirements import Pin, Requirements
from modelstac.registry.running.signature import BATCH
from modelstac.registry.runtimes import litert as runtime
from modelstac.registry.runtimes.names import identifiers, paired
from modelstac.registry.runtimes.opened import numbered
from modelstac.registry.runtimes.options import Options
from modelstac.registry.runtimes.torch_export import named_inputs, named_outputs
from modelstac.registry.trust.policy import DEFAULT_POLICY

if TYPE_CHECKING:
    from modelstac.registry.running.model import Model
    from modelstac.registry.running.signature import Signature

VERSION = "0.10.0"
"""Of litert-torch; what it needs beside it is pinned to what was tried with it."""
PACKAGES = {
    "litert-torch": VERSION,
    "litert-converter": "0.5.0",
    "ai-edge-litert": "2.3.0",
    "ai-edge-quantizer": "0.10.0",
    "jax": "0.10.2",
    "jaxlib": "0.10.2",
    "torchao": "0.18.0",
    "transformers": "5.24.0",
}
PATIENCE = 1200.0  # seconds
NEAR = 1e-2
"""Of the largest value: what is farther from the source is another function, and the next way is tried."""
_ELSEWHERE = (WISHES | {BATCH: 1}, {BATCH: 3, "time": 7, "height": 40, "width": 48})
"""Lengths near which an open file must run, too."""
_QUIET = {"HF_HUB_OFFLINE": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "TRANSFORMERS_OFFLINE": "1"}
_RESIZING = ("upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d")
_WIDE = (torch.int64, torch.float64)

Way = dict[str, Any]


def requirements() -> Requirements:
    """Name what the environment holds: litert-torch, and PyTorch in the version that is here."""
    here = str(torch.__version__).partition("+")[0]
    pins = [*(Pin(name, version) for name, version in PACKAGES.items()), Pin("numpy"), Pin("torch", here)]
    return Requirements(f"{sys.version_info.major}.{sys.version_info.minor}", tuple(sorted(pins)))


def convert(model: Model, folder: Path, options: Mapping[str, Any]) -> Conversion:
    """Write ``model.tflite`` into a folder, with the open axes that litert-torch leaves open, if it may close others.

    Raises
    ------
    ConversionError
        When no way makes a file that runs here and is near the source; says what each does.
    DownloadError, MissingPackageError
        When the environment cannot be made.
    SpecError
        On an option.
    """
    no_options(options, "LiteRT")
    signature, fixed = sized(model), asked(model.description, options)
    shapes = shapes_near(signature, fixed)
    names = _named(model)
    ways = list(_ways(model, signature, fixed, may_close=options.get(FIXED) is True))
    program = folder / "program.pt2"
    with explained(f"write {program}"):
        torch.export.save(ready(model.native), program)
    request = {**names, "program": str(program)}
    request |= {"dtypes": {names["known"][t.name]: t.dtype for t in signature.inputs}}
    request |= {"shapes": {names["known"][t.name]: shapes[t.name] for t in signature.inputs}}
    reasons: list[str] = []
    with _Tool(folder) as made_by:
        for way in ways:
            try:
                content = made_by.ask(request | {"way": way})
            except ConversionError as error:
                reasons.append(str(error))
                continue
            reason = _unlike(model, signature, content, way, shapes)
            if not reason:
                return _written(model, content, folder, way)
            reasons.append(reason)
    told = "; ".join(dict.fromkeys(reason[:200] for reason in reasons))
    close = "" if options.get(FIXED) else " (with all sizes open; --fixed lets it close those that it must)"
    raise ConversionError(f"litert-torch cannot convert {model.description.id!r}{close}: {told}")


def _named(model: Model) -> dict[str, Any]:
    """Say what inputs and outputs are called in the file, and in which order the program takes and gives them."""
    program, where = model.native, f"the file of {model.description.id!r}"
    sides = [[tensor.name for tensor in side] for side in (model.signature.inputs, model.signature.outputs)]
    count = len(program.graph_signature.user_outputs)
    given, known = named_inputs(program, where), named_outputs(program) or numbered(count)
    into = {other: name for name, other in paired(sides[0], given, "input", named=False, where=where).items()}
    back = {other: name for name, other in paired(sides[1], known, "output", named=False, where=where).items()}
    inputs, outputs = identifiers(sides[0]), identifiers(sides[1])
    order, results = [inputs[into[name]] for name in given], [outputs[back[name]] for name in known]
    return {"known": inputs, "order": order, "outputs": results}


def _ways(
    model: Model, signature: Signature, fixed: Mapping[str, Mapping[str, int]], *, may_close: bool
) -> Iterator[Way]:
    """Yield what to try: as much open as may be, resizing by LiteRT's operators or written out, wide numbers or not."""
    program, known = model.native, identifiers(tensor.name for tensor in signature.inputs)
    axes = {
        known[tensor.name]: {
            place: dim
            for place, (dim, size) in enumerate(tensor.axes.items())
            if not size.is_fixed and dim not in fixed.get(tensor.name, {})
        }
        for tensor in signature.inputs
    }
    every = {name: sorted(found) for name, found in axes.items()}
    batch = {name: [place for place, dim in found.items() if dim == BATCH] for name, found in axes.items()}
    tried = [every, *([batch, {name: [] for name in axes}] if may_close else [])]
    values = [node.meta.get("val") for node in program.graph.nodes]
    wide = any(getattr(value, "dtype", None) in _WIDE for value in values)
    resizing = any(name in str(node.target) for node in program.graph.nodes for name in _RESIZING)
    for number, open_axes in enumerate(tried):
        if open_axes in tried[:number]:
            continue
        for written_out in (False, True) if resizing else (False,):
            for keep in (True, False) if wide else (True,):
                yield {"open": open_axes, "written_out": written_out, "wide": keep}


class _Tool:
    """litert-torch in its process; one that it ends is named, and the next request begins another."""

    def __init__(self, folder: Path) -> None:
        purpose = "the conversion from torch-export to litert"
        self._environment = Environments().provide(requirements(), purpose=purpose)
        self._folder, self._stack = folder, ExitStack()
        self._process: WorkerProcess | None = None

    def ask(self, request: dict[str, Any]) -> bytes:
        """Convert a program in one way.

        Raises
        ------
        ConversionError
            When the tool fails, or ends its process, or does not end.
        """
        if self._process is None or not self._process.alive:
            self._process = self._start()
        path = self._folder / "way.tflite"
        self._process.ask("convert", request | {"file": str(path)}, timeout=PATIENCE)
        with explained(f"read {path}"):
            return path.read_bytes()

    def _start(self) -> WorkerProcess:
        seen = {name: os.environ[name] for name in PASSED if name in os.environ}
        seen |= telemetry.said() | _QUIET | {"HOME": str(self._folder)}
        process = WorkerProcess(
            [str(self._environment.interpreter), "-I", tool.__file__],
            environment=seen,
            log=self._folder / "litert-torch.log",
            what="the process of litert-torch",
            failure=ConversionError,
            folder=self._folder,
        )
        self._stack.callback(process.close)
        return process

    def __enter__(self) -> Self:
        self._stack.enter_context(self._environment.in_use())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def _unlike(model: Model, signature: Signature, content: bytes, way: Way, shapes: Shapes) -> str:
    """Say why a file is none to go on with: it does not run here, or is another function; empty if it is one.

    Runs it on what it was written from, on one sample, and on another grid, as far as these are open. It is no proof,
    which follows.
    """
    digest = hashlib.sha256(content).hexdigest()
    artifact = Artifact(model.item.id, Path("model.tflite"), content, digest)
    try:
        opened = runtime.load(artifact, model.description, DEFAULT_POLICY, Options(threads=1))
    except ModelStacError as error:
        return str(error)
    known, rng = identifiers(tensor.name for tensor in signature.inputs), np.random.default_rng(0)
    back = identifiers(tensor.name for tensor in signature.outputs)
    others = [shapes_near(signature, {}, wishes) for wishes in _ELSEWHERE]
    for wanted in (shapes, *others):
        inputs = {}
        for tensor in signature.inputs:
            open_axes = way["open"].get(known[tensor.name], ())
            both = zip(shapes[tensor.name], wanted[tensor.name], strict=True)
            shape = tuple(there if place in open_axes else here for place, (here, there) in enumerate(both))
            kind = np.dtype(tensor.dtype)
            values = rng.integers(0, 2, shape) if kind.kind in "iub" else rng.random(shape)
            inputs[tensor.name] = values.astype(kind)
        expected = model.run(inputs)
        try:
            found = opened.run({known[name]: _as_taken(array, way) for name, array in inputs.items()})
        except (ModelStacError, ValueError, RuntimeError) as error:  # the last two: outputs that cannot be read
            return str(error)
        for name, array in expected.items():
            other = found[back[name]]
            if other.shape != array.shape:
                return f"its {name!r} is {list(other.shape)} and not {list(array.shape)}"
            most = np.nanmax(np.abs(array), initial=0.0, where=np.isfinite(array))
            with np.errstate(all="ignore"):
                apart = np.abs(other.astype(np.float64) - array.astype(np.float64))
            if array.dtype.kind == "f" and float(np.nanmax(apart, initial=0.0)) > NEAR * max(1.0, float(most)):
                return f"its {name!r} is {float(np.nanmax(apart)):.1e} from that of the source"
    return ""


def _as_taken(array: np.ndarray[Any, Any], way: Way) -> np.ndarray[Any, Any]:
    narrow = {np.dtype(np.int64): np.int32, np.dtype(np.float64): np.float32}
    return array if way["wide"] else array.astype(narrow.get(array.dtype, array.dtype))


def _written(model: Model, content: bytes, folder: Path, way: Way) -> Conversion:
    path = folder / "model.tflite"
    with explained(f"write {path}"):
        path.write_bytes(content)
    version = semver(VERSION)
    spelled = " with resizing written out" if way["written_out"] else ""
    step = Step(
        source_format=model.description.format,
        target_format="litert",
        tool=f"litert-torch{spelled}",
        version=version,
        method=EXPORTED,
    )
    inputs, outputs = measured(model.description, *_tensors(model, content, way))
    return Conversion(artifact=path, framework_version=version, inputs=inputs, outputs=outputs, steps=(step,))


def _tensors(model: Model, content: bytes, way: Way) -> list[list[Found]]:
    """Say what the file takes and gives: of outputs it states the lengths of the trace, whatever may vary in them."""
    runner = Interpreter(model_content=content).get_signature_runner()
    sides = [
        [
            Found(name, tuple(map(int, detail["shape_signature"])), np.dtype(detail["dtype"]).name)
            for name, detail in details.items()
        ]
        for details in (runner.get_input_details(), runner.get_output_details())
    ]
    signature = model.signature
    known = [identifiers(tensor.name for tensor in side) for side in (signature.inputs, signature.outputs)]
    vary = {t.dim_order[place] for t in signature.inputs for place in way["open"].get(known[0][t.name], ())}
    given = {dim for tensor in signature.inputs for dim in tensor.dim_order}
    outputs = {known[1][tensor.name]: tensor for tensor in signature.outputs}
    sides[1] = [
        replace(
            found,
            shape=tuple(
                OPEN if not size.is_fixed and (dim in vary or (dim not in given and vary)) else length
                for (dim, size), length in zip(outputs[found.name].axes.items(), found.shape, strict=True)
            ),
        )
        for found in sides[1]
    ]
    return sides
