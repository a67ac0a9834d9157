"""The program that runs litert-torch in an environment of its own; see `exporters/converters/programs/litert.py`.

It runs by that environment's Python and imports nothing of ours. It is asked and answers in lines of JSON, as
:class:`modelstac.registry.isolated.processes.WorkerProcess` does it: each line is a way to convert a program.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any


def main() -> None:
    """Answer until there are no more requests."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # the tool prints
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    import torch

    for line in sys.stdin:
        request = json.loads(line)
        try:
            program = torch.export.load(request["program"])
            Path(request["file"]).write_bytes(_convert(program, request, request["way"]))
            answer: dict[str, Any] = {"result": None}
        except Exception as error:  # noqa: BLE001 - the tool raises whatever is at hand
            answer = {"error": type(error).__name__, "message": " ".join(str(error).split())}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _convert(program: Any, request: dict[str, Any], way: dict[str, Any]) -> bytes:
    import litert_torch  # type: ignore[import-not-found]
    import torch

    if way["written_out"]:
        aten = torch.ops.aten
        operators = (aten.upsample_nearest2d.vec, aten.upsample_bilinear2d.vec, aten.upsample_bicubic2d.vec)
        program = program.run_decompositions(torch._decomp.get_decompositions(operators))
    caller = _Caller(program, request)
    examples = {
        name: torch.zeros(shape, dtype=getattr(torch, request["dtypes"][name]))
        for name, shape in request["shapes"].items()
    }
    open_axes = {name: {int(place): torch.export.Dim.AUTO for place in way["open"].get(name, ())} for name in examples}
    made = litert_torch.convert(
        _module(caller, list(examples)),
        sample_kwargs=examples,
        dynamic_shapes=open_axes if any(open_axes.values()) else None,
        enable_x64=way["wide"],
    )
    return bytes(made.model_content())


class _Caller:
    """Calls a program with tensors by the names of an item's inputs, and gives a dictionary of its outputs."""

    def __init__(self, program: Any, request: dict[str, Any]) -> None:
        self.module, self.tree = program.module(), program.call_spec.in_spec
        self.order: list[str] = request["order"]
        self.outputs: list[str] = request["outputs"]

    def __call__(self, given: dict[str, Any]) -> dict[str, Any]:
        from torch.utils import _pytree as pytree

        arguments, keywords = pytree.tree_unflatten([given[name] for name in self.order], self.tree)
        return dict(zip(self.outputs, pytree.tree_leaves(self.module(*arguments, **keywords)), strict=True))


def _module(caller: _Caller, names: list[str]) -> Any:
    """Give a module whose arguments have these names: the tool calls inputs of the file by them."""
    import torch

    module = torch.nn.Module()
    module.program = caller.module
    module.training = False  # of itself alone: an exported program refuses to be switched

    def forward(*tensors: Any, **named: Any) -> dict[str, Any]:
        return caller({**dict(zip(names, tensors, strict=False)), **named})

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    forward.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])  # type: ignore[attr-defined]
    module.__dict__["forward"] = forward
    return module


if __name__ == "__main__":
    main()
