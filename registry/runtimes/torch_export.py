"""PyTorch's exported program (``.pt2``): a graph of ATen operators; no pickle and no code of the publisher's.

It needs PyTorch and nothing else, as in an environment of its own nothing else is there.
"""

from __future__ import annotations

import io
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch._export.serde import serialize

from modelstac.catalog.errors import DataError, InvalidItemError, UntrustedError
from modelstac.registry.inspecting.torch_export import inspect_program
from modelstac.registry.runtimes.opened import Opened, numbered

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.files.fetch import Artifact
    from modelstac.registry.runtimes.options import Options
    from modelstac.registry.trust.policy import TrustPolicy


def _keep_hints() -> None:
    """Let PyTorch's reader of programs work out the types of a class of its schema once, not for each part of a file.

    A third of the time of ``torch.export.load`` is :func:`typing.get_type_hints` of some thirty classes. The names of
    that one module of PyTorch's are another object then, and :mod:`typing` stays as it is; where a later version does
    without, nothing changes.
    """
    known: dict[type, dict[str, Any]] = {}

    def get_type_hints(kind: type, **how: Any) -> dict[str, Any]:
        if kind not in known:
            known[kind] = typing.get_type_hints(kind, **how)
        return known[kind]

    reader: Any = serialize
    if getattr(reader, "typing", None) is typing:
        reader.typing = SimpleNamespace(**vars(typing) | {"get_type_hints": get_type_hints})


_keep_hints()


def load(
    artifact: Artifact,
    description: ModelDescription,  # noqa: ARG001 - every runtime has this verb
    policy: TrustPolicy,
    options: Options,  # noqa: ARG001 - its threads and device are the process's own
) -> Opened:
    """Load the program from a copy that holds only what was looked at.

    Raises
    ------
    UntrustedError
        If it holds pickles or calls more than ATen operators.
    InvalidItemError
        If PyTorch cannot load it.
    """
    archive, samples = inspect_program(artifact.data, artifact.path, max_bytes=policy.max_bytes)
    try:
        torch.load(io.BytesIO(samples), weights_only=True)
    except Exception as error:
        raise UntrustedError(
            f"{artifact.path} has sample inputs that are more than tensors, in a pickle: export it with plain ones"
        ) from error
    try:
        program = torch.export.load(io.BytesIO(archive))
        module = program.module()
    except Exception as error:  # torch.export has no root class of its own errors
        reason = " ".join(str(error).split())
        raise InvalidItemError(f"{artifact.path} cannot be loaded by PyTorch {torch.__version__}: {reason}") from error

    inputs = named_inputs(program, artifact.path)
    given = torch.tensor if writes_inputs(program) else tensor

    def run(arrays: Mapping[str, np.ndarray[Any, Any]]) -> Mapping[str, np.ndarray[Any, Any]]:
        arguments, keywords = torch.utils._pytree.tree_unflatten(
            [given(arrays[name]) for name in inputs], program.call_spec.in_spec
        )
        try:
            with torch.inference_mode():
                return outputs_of(module(*arguments, **keywords))
        except (RuntimeError, AssertionError) as error:
            reason = " ".join(str(error).split())
            shapes = ", ".join(str(list(array.shape)) for array in arrays.values())
            raise DataError(f"the program refuses an array of shape {shapes}: {reason}") from error

    outputs = named_outputs(program)
    return Opened(program, run, inputs, outputs, named=False, parallel=not keeps_state(program))


def named_inputs(program: torch.export.ExportedProgram, path: Any) -> tuple[str, ...]:
    """Name the tensors that a program is called with, in the order of its call.

    Raises
    ------
    InvalidItemError
        If one is no tensor.
    """
    specs = [spec for spec in program.graph_signature.input_specs if spec.kind.name == "USER_INPUT"]
    if odd := [spec.arg.name for spec in specs if type(spec.arg).__name__ != "TensorArgument"]:
        raise InvalidItemError(f"{path} takes more than tensors ({odd[0]}): export it with tensors alone")
    return tuple(spec.arg.name for spec in specs)


def named_outputs(program: torch.export.ExportedProgram) -> tuple[str, ...] | None:
    """Name the outputs where the program returns a dictionary; else only their order is known."""
    spec = program.call_spec.out_spec
    if spec is None or not isinstance(spec.type, type) or not issubclass(spec.type, dict):  # an OrderedDict, too
        return None
    return tuple(map(str, spec.context))


def writes_inputs(program: torch.export.ExportedProgram) -> bool:
    """Tell whether a program may write into what it is given: by an operator in place, as ``ReLU(inplace=True)``."""
    in_place = (str(node.target).split(".")[1:2] for node in nodes(program) if node.op == "call_function")
    return any(name[0].endswith("_") for name in in_place if name) or any(
        spec.kind.name == "USER_INPUT_MUTATION" for spec in program.graph_signature.output_specs
    )


def nodes(program: torch.export.ExportedProgram) -> Iterator[torch.fx.Node]:
    """Yield the nodes of a program's graph, and of those that its nodes run, as under ``torch.autocast``."""
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            yield from module.graph.nodes


@contextmanager
def usual_operators() -> Iterator[None]:
    """Have PyTorch compute transformers by the operators that others have, too: one of its own does a layer at once."""
    mha = torch.backends.mha
    before = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        mha.set_fastpath_enabled(before)


def keeps_state(program: torch.export.ExportedProgram) -> bool:
    """Tell whether a program writes into its own buffers when it runs."""
    return any(spec.kind.name == "BUFFER_MUTATION" for spec in program.graph_signature.output_specs)


def tensor(array: np.ndarray[Any, Any]) -> torch.Tensor:
    """Give an array as a tensor; PyTorch has no read-only ones, and warns."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def outputs_of(found: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Give what a module returns by name: a tensor, several in an order, or a dictionary of them.

    Raises
    ------
    InvalidItemError
        If it is more than tensors.
    """
    if isinstance(found, torch.Tensor):
        found = (found,)
    named = found if isinstance(found, Mapping) else None
    if named is None and isinstance(found, tuple | list):
        named = dict(zip(numbered(len(found)), found, strict=True))
    if named is None or not all(isinstance(value, torch.Tensor) for value in named.values()):
        kind = type(found).__name__ if named is None else "more than tensors"
        raise InvalidItemError(f"the model returns {kind}, not tensors, several of them, or a dictionary of them")
    return {str(name): value.numpy() for name, value in named.items()}
