"""LiteRT: a flat buffer of built-in operators, run by the plain interpreter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from modelstac.catalog.errors import DataError, InvalidItemError
from modelstac.registry.inspecting.budgets.growth import SMALL, Growth
from modelstac.registry.inspecting.budgets.trial import LITERT, MEMORY, attempt
from modelstac.registry.runtimes.opened import Opened
from modelstac.registry.runtimes.sharing.pool import Pool

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.files.fetch import Artifact
    from modelstac.registry.runtimes.options import Options
    from modelstac.registry.trust.policy import TrustPolicy

_LACKS = ("not supported by this interpreter", "unresolved custom op")
"""What the interpreter says of an operator that it does not have."""
_GROWING = frozenset({"BROADCAST_TO", "FILL", "RANGE", "TILE"})
"""Operators that make much of little, as soon as memory is laid out where what they take is constant."""
_TRIED = f"litert laid out within {MEMORY} bytes"


def load(
    artifact: Artifact,
    description: ModelDescription,  # noqa: ARG001 - every runtime has this verb
    policy: TrustPolicy,  # noqa: ARG001 - the plain interpreter knows no operator that runs code or reads files
    options: Options,
) -> Opened:
    """Make an interpreter over the verified bytes.

    Raises
    ------
    InvalidItemError
        If they are no LiteRT model, or need operators that are not built in.
    UntrustedError
        If they ask for more memory than a model of their size does.
    """
    try:
        interpreter = Interpreter(model_content=artifact.data, num_threads=options.threads)
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        _try_once(artifact, _growth(interpreter))
        _require_operators(artifact, inputs)
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InvalidItemError(f"{artifact.path} cannot be opened by LiteRT: {reason}") from error
    into, back = _signature(interpreter) or [
        {detail["name"]: int(detail["index"]) for detail in side} for side in (inputs, outputs)
    ]

    make = partial(Interpreter, model_content=artifact.data, num_threads=options.threads)
    plain = partial(make, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    return Opened(
        interpreter,
        partial(_run, Pool(make, interpreter), into, back),
        tuple(into),
        tuple(back),
        exactly=partial(_run, Pool(plain), into, back),
        ways=("LiteRT with XNNPACK", "LiteRT with its own kernels"),
        parallel=True,
    )


def _run(
    interpreters: Pool[Interpreter],
    into: Mapping[str, int],
    back: Mapping[str, int],
    arrays: Mapping[str, np.ndarray[Any, Any]],
) -> Mapping[str, np.ndarray[Any, Any]]:
    try:
        with interpreters.lent() as interpreter:
            known = {detail["index"]: detail["shape"] for detail in interpreter.get_input_details()}
            other = [name for name, array in arrays.items() if tuple(known[into[name]]) != array.shape]
            for name in other:
                interpreter.resize_tensor_input(into[name], arrays[name].shape, strict=True)
            interpreter.allocate_tensors()  # does nothing where nothing changed
            for name, array in arrays.items():
                interpreter.set_tensor(into[name], array)
            interpreter.invoke()
            return {name: interpreter.get_tensor(index) for name, index in back.items()}  # copies
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        found = ", ".join(str(list(array.shape)) for array in arrays.values())
        raise DataError(f"LiteRT refuses an array of shape {found}: {reason}") from error


def _try_once(artifact: Artifact, growth: Growth) -> None:
    """Lay a file out in a process of limits where it may ask for much; what passed is noted beside a cached file."""
    stamp = artifact.stamp
    if growth.found is None or (stamp is not None and _TRIED in stamp.passed):
        return
    attempt(LITERT, artifact.data, artifact.path, growth)
    if stamp is not None:
        stamp.remember(_TRIED)


def _growth(interpreter: Interpreter) -> Growth:
    """Say what of a model may ask for much memory; nothing is laid out yet."""
    growth = Growth({}, ())
    for tensor in interpreter.get_tensor_details():
        if math.prod(int(length) for length in tensor["shape"]) > SMALL:
            growth.found = f"a tensor of the shape {[int(length) for length in tensor['shape']]}"
            return growth
    for operator in interpreter._get_ops_details():
        if operator["op_name"] in _GROWING:
            growth.found = f"its operator {operator['op_name']}"
    return growth


def _require_operators(artifact: Artifact, inputs: list[dict[str, Any]]) -> None:
    """Lay a second interpreter out, which says whether there is an operator that is not built in.

    Any other refusal is final only where the sizes are: open ones are 1 in the file.

    Raises
    ------
    RuntimeError, ValueError
        As the interpreter does.
    """
    trial = Interpreter(model_content=artifact.data)
    try:
        trial.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        is_open = any(-1 in detail.get("shape_signature", ()) for detail in inputs)
        if not is_open or any(said in str(error) for said in _LACKS):
            raise


def _signature(interpreter: Interpreter) -> list[dict[str, int]] | None:
    """Give the tensors of inputs and outputs as the signature calls them: their own names are the converter's.

    One tensor may be several outputs.
    """
    signatures = interpreter.get_signature_list()
    if len(signatures) != 1:
        return None
    [key] = signatures
    runner = interpreter.get_signature_runner(key)
    return [
        {name: int(detail["index"]) for name, detail in details.items()}
        for details in (runner.get_input_details(), runner.get_output_details())
    ]
