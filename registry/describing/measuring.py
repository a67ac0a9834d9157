"""Run a file before it is published: it is a function, what it says holds, what it does not say is measured."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from modelstac.catalog.errors import DataError, InvalidItemError, MissingPackageError, StorageError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.mlm import ModelInput, ModelOutput
from modelstac.catalog.items.sizes import Size
from modelstac.catalog.items.writing import write_item
from modelstac.catalog.messages import Message, Note, Report, ignore
from modelstac.catalog.terminal import harmless
from modelstac.registry.describing.impure import look_into, require_pure
from modelstac.registry.describing.repeating import require_function
from modelstac.registry.describing.unproved import as_unproved, not_run
from modelstac.registry.files.artifact import Artifact
from modelstac.registry.inspecting.external import read_beside
from modelstac.registry.inspecting.inspection import inspect
from modelstac.registry.inspecting.onnx import external_files
from modelstac.registry.probing.grids import grids
from modelstac.registry.probing.measure import measure
from modelstac.registry.probing.sizes import NONE_WANTED, SECONDS
from modelstac.registry.probing.trial import Axis, Trial
from modelstac.registry.running.batch import batch_difference
from modelstac.registry.running.model import Model
from modelstac.registry.running.signature import Signature
from modelstac.registry.runtimes import runtime
from modelstac.registry.runtimes.backends import import_keras
from modelstac.registry.runtimes.installed import require_packages
from modelstac.registry.runtimes.opened import Opened
from modelstac.registry.runtimes.options import Options
from modelstac.registry.runtimes.sharing.opening import opening
from modelstac.registry.trust.policy import TrustPolicy

logger = logging.getLogger("modelstac")

Sizes = Mapping[str, Mapping[str, Size]]
"""By tensor and axis."""
NO_EXAMPLE: Mapping[str, Any] = MappingProxyType({})


def measured(
    description: ModelDescription,
    *,
    policy: TrustPolicy,
    report: Report = ignore,
    example: Mapping[str, Any] = NO_EXAMPLE,
) -> ModelDescription:
    """Run a described file in its own runtime, and describe it with the sizes and the halo that were found.

    Parameters
    ----------
    description
        Of a file on this machine; its sizes are what the file says.
    policy
        What may be in it.
    report
        Gets notes, also that no runtime is installed here: then the description is one of an unproved model. Without
        it, notes are logged.
    example
        Arrays that it must take, by name of an input: of lengths of which only those of one kind, such as odd ones,
        have outputs that grow evenly, theirs are found.

    Raises
    ------
    InvalidItemError
        If its runtime cannot open it, calls its inputs and outputs otherwise than the description, or runs it on
        nothing that fits; or if it gives two outputs for one input.
    """
    say = _log if report is ignore else report
    artifact = _artifact(description, policy)
    look_into(artifact, description, say)
    again = _opening(description, artifact, policy)
    try:
        model = again(report=say)
    except MissingPackageError as error:
        say(Note(not_run(description.id, f"was not run here ({error})")))
        return as_unproved(description)
    return _ran(model, description, artifact, again, report=say, wanted=_lengths(description, example))


def ran(
    description: ModelDescription, artifact: Artifact, *, policy: TrustPolicy, report: Report = ignore
) -> ModelDescription:
    """Run a file whose bytes are at hand as :func:`measured` does.

    Raises
    ------
    MissingPackageError
        If no runtime of it is installed here.
    InvalidItemError
        As :func:`measured` does.
    """
    require_pure(artifact, description.format)
    again = _opening(description, artifact, policy)
    return _ran(again(report=report), description, artifact, again, report=report)


def _opening(description: ModelDescription, artifact: Artifact, policy: TrustPolicy) -> Callable[..., Model]:
    """Give what opens a file without the sizes that its description has: any may be tried."""
    return partial(_opened, artifact, description.model_copy(update={"sizes": {}}), policy=policy)


def _ran(
    model: Model,
    description: ModelDescription,
    artifact: Artifact,
    again: Callable[[], Model],
    *,
    report: Report,
    wanted: Mapping[Axis, int] = NONE_WANTED,
) -> ModelDescription:
    """Measure an opened file, hold its outputs against what it says of them, and run it several times; close it."""
    with model:
        found = measure(model, _stated(description), wanted)
        if not found.runs:
            reason = "; ".join(found.notes)
            raise InvalidItemError(
                f"{description.artifact} does not run in its own runtime, so nobody could use it: {reason}"
            )
        known = Signature.of(description.model_copy(update={"sizes": found.sizes}))
        if found.sizes or all(size.is_fixed for tensor in model.signature.inputs for size in tensor.sizes):
            _check_outputs(model, known)
        moved = _moved(model, known)
        if untried := require_function(model, again, artifact, description.format, known):
            report(Note(f"{description.id} was not run twice on one input: {untried}"))
    for note in found.notes:
        report(Note(note))
    if moved:
        report(Note(f"{description.id}: the result of a sample moves by {moved:.1e} with the others of its batch"))
    halo = None if found.halo is None else {name: dict(axes) for name, axes in found.halo.items()}
    update = {"sizes": found.all_sizes, "halo": halo, "batch_difference": moved}
    return _settled(description, found.all_sizes).model_copy(update=update)


def _moved(model: Model, signature: Signature) -> float | None:
    """Tell how far the result of a sample moves with the others of its batch; None where it does not, or runs alone."""
    try:
        return batch_difference(model, signature) or None
    except DataError:
        return None


def _settled(description: ModelDescription, sizes: Sizes) -> ModelDescription:
    """Write the only length that an axis has, where its file leaves it open: MLM's -1 is any length."""

    def settled(tensor: ModelInput | ModelOutput, field: str) -> Any:
        structure, known = getattr(tensor, field), sizes.get(tensor.name, {})
        lengths = zip(structure.dim_order, structure.shape, strict=True)
        shape = tuple(known.get(dim, Size.of(length)).mlm for dim, length in lengths)
        return tensor.model_copy(update={field: structure.model_copy(update={"shape": shape})})

    inputs = tuple(settled(tensor, "input") for tensor in description.inputs)
    outputs = tuple(settled(tensor, "result") for tensor in description.outputs)
    return description.model_copy(update={"inputs": inputs, "outputs": outputs})


def _lengths(description: ModelDescription, arrays: Mapping[str, Any]) -> dict[Axis, int]:
    """Give the lengths of the axes of arrays that have as many as their input."""
    return {
        (one.name, dim): length
        for one in description.inputs
        if one.name in arrays and np.ndim(arrays[one.name]) == len(one.input.dim_order)
        for dim, length in zip(one.input.dim_order, np.shape(arrays[one.name]), strict=True)
    }


def _check_outputs(model: Model, signature: Signature) -> None:
    """Hold outputs against what the file says of them, at the least lengths and a step above: no runtime does.

    Raises
    ------
    InvalidItemError
        If one has another number of axes, another length or another type.
    """
    trial = Trial(model, SECONDS)
    for grid in grids(signature):
        if grid.name.endswith("far"):
            continue
        given = trial.run(trial.inputs(grid.shapes, "uniform"))
        for tensor in signature.outputs:
            array = given[tensor.name]
            fits = array.ndim == len(tensor.sizes) and all(
                not size.is_fixed or size.at_least == length
                for size, length in zip(tensor.sizes, array.shape, strict=True)
            )
            if not fits or array.dtype != np.dtype(tensor.dtype):
                raise InvalidItemError(
                    f"the file says that the output {tensor.name!r} is {tensor}, and it gives {array.dtype} "
                    f"{list(array.shape)}: write the file anew with the shapes that it gives"
                )


def _log(message: Message) -> None:
    if isinstance(message, Note):
        logger.warning(harmless(message.text))


def opened(description: ModelDescription, *, policy: TrustPolicy, report: Report = ignore) -> Model:
    """Open the file of a description in this process, as loading does.

    Raises
    ------
    MissingPackageError
        If a package of its runtime is not installed.
    InvalidItemError
        If it cannot be opened, or does not have the inputs and outputs of the description.
    """
    return _opened(_artifact(description, policy), description, policy=policy, report=report)


def _artifact(description: ModelDescription, policy: TrustPolicy) -> Artifact:
    path = Path(description.artifact)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StorageError.doing(f"read {path}", error) from error
    beside: dict[str, bytes] = {}
    if description.format == "onnx":
        beside = read_beside(path, external_files(data), policy.max_bytes)
    return Artifact(description.id, path, data, hashlib.sha256(data).hexdigest(), beside=beside)


def _opened(
    artifact: Artifact, description: ModelDescription, *, policy: TrustPolicy, report: Report = ignore
) -> Model:
    item = write_item(description)
    return Model(item, description, open_artifact(artifact, description, policy=policy, report=report))


def open_artifact(
    artifact: Artifact, description: ModelDescription, *, policy: TrustPolicy, report: Report = ignore
) -> Opened:
    """Look into a file and open it in its runtime, in this process.

    Raises
    ------
    MissingPackageError
        If a package of its runtime is not installed.
    ModelStacError
        As loading does.
    """
    kind, item_id, policy = description.file_format.artifact_type, artifact.item_id, policy.without_code()
    require_packages(kind, item_id=item_id)
    inspect(artifact, kind, policy)
    with opening(item_id):
        if description.format == "keras":
            import_keras(description.backend, item_id=item_id, report=report)
        return runtime(kind, item_id=item_id).load(artifact, description, policy, Options.of())


def _stated(description: ModelDescription) -> Sizes:
    """Give what the file says, without what PyTorch writes unasked: that is found out by running it.

    Of an axis exported with ``Dim.AUTO`` a program says from which length on, and its guards alone that it must be a
    multiple of 4; what it runs on shows both. Axes of one symbol are counted in steps from their least lengths, so
    these are left as they stand unless all are left out.
    """
    if description.format not in {"torch", "torch-export"}:  # of weights: a program was written to see their sizes
        return description.sizes
    bound = {s.symbol for axes in description.sizes.values() for s in axes.values() if s.symbol and s.step != 1}
    return {
        name: {axis: size if size.symbol in bound else _unbound(size) for axis, size in axes.items()}
        for name, axes in description.sizes.items()
    }


def _unbound(size: Size) -> Size:
    return replace(size, at_least=1) if size.step == 1 and size.at_least > 0 else size
