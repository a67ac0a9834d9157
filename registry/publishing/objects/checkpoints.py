"""Files of PyTorch beside programs: scripts of TorchScript, modules and checkpoints.

Weights are read as weights alone, which runs no code. Whatever else is in such a file is a pickle: it is opened in a
process of its own, and only for one who trusts its publisher.
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modelstac.catalog.errors import InvalidItemError, MissingPackageError, NotFoundError, SpecError, UntrustedError
from modelstac.catalog.messages import Note, Report, ignore
from modelstac.registry.publishing.objects.apart.running import ask
from modelstac.registry.publishing.objects.saved import Arrays, Saved
from modelstac.registry.publishing.objects.states import find_state, states_of
from modelstac.registry.trust.policy import PICKLE, TrustPolicy

BANDS_FIRST = True
SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".tar", ".torchscript", ".jit")
_TRUST = f"if you trust its publisher, publish it with --trust {PICKLE}: it is opened in a process of its own"


@dataclass(frozen=True)
class Trusted:
    """A file whose code may run, and what it is: ``script`` or ``module``."""

    path: Path
    kind: str


def is_script(path: Path) -> bool:
    """Tell whether a file is a script of TorchScript."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def is_torch(path: Path) -> bool:
    """Tell whether a file is one that ``torch.save`` or ``torch.jit.save`` wrote, today or long ago."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(("data.pkl", "constants.pkl")) for name in archive.namelist())
    except zipfile.BadZipFile:
        with path.open("rb") as file:
            return file.read(14).endswith(bytes.fromhex("6cfc9c46f9206aa85019"))  # its first number, pickled
    except OSError:
        return False


def trusted(path: Path, policy: TrustPolicy) -> Trusted:
    """Give a script, or what is to be opened as a module.

    Raises
    ------
    UntrustedError
        If nobody says that its publisher is trusted; says the way on.
    """
    kind = "script" if is_script(path) else "module"
    if PICKLE not in policy.code:
        is_one = "a script of TorchScript" if kind == "script" else "a pickle of PyTorch"
        weights = "" if kind == "script" else ", with --entrypoint PACKAGE.MODULE:FUNCTION if it holds weights,"
        raise UntrustedError(
            f"{path} is {is_one}, which may run code when it is read: ask its publisher{weights} for torch.export.save "
            f"(.pt2), safetensors or ONNX; {_TRUST}"
        )
    return Trusted(path, kind)


def read_state(path: Path, policy: TrustPolicy, into: Path, *, report: Report = ignore) -> dict[str, Any]:
    """Read the weights in a checkpoint: weights alone, and else, for one who trusts it, in a process of its own.

    Raises
    ------
    UntrustedError
        If it holds more than weights, and nobody trusts it.
    InvalidItemError
        If there are no weights in it.
    """
    try:
        import torch
        from safetensors.torch import load_file
    except ModuleNotFoundError as error:
        raise MissingPackageError.extra(str(error.name), "torch", f"publishing {path.name}") from error
    import pickle

    try:
        return _state_in(torch.load(path, "cpu", weights_only=True), path, report)
    except FileNotFoundError as error:
        raise NotFoundError(f"no model file {path}: check the path") from error
    except InvalidItemError as error:
        raise InvalidItemError(f"{path}: {error}") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = " ".join(str(error).split())
        if PICKLE not in policy.code:
            found = reason.partition("WeightsUnpickler error: ")[2].partition(". ")[0][:120] or reason[:120]
            raise UntrustedError(f"{path} holds more than weights ({found}), which may run code; {_TRUST}") from error
    written = into / "weights.safetensors"
    ask("torch_program", {"kind": "weights", "path": str(path), "weights": str(written)}, what=str(path))
    return dict(load_file(written))


def _state_in(read: Any, path: Path, report: Report) -> dict[str, Any]:
    state = find_state(read)
    if len(keys := states_of(read)) > 1:
        others = ", ".join(keys[1:])
        report(Note(f"{path.name} holds several sets of weights: those of {keys[0]} are taken, not of {others}"))
    return state


def input_names(model: Trusted, given: Collection[str] = ()) -> Sequence[str] | None:
    """Name what a file that is not opened yet takes: a script by its source, a module as the example does."""
    if model.kind != "script":
        return list(given) or ["input"]
    names = _arguments(model.path)
    return names or ["input"]


def _arguments(path: Path) -> list[str]:
    """Read the names of what a script's ``forward`` takes from its source, which lies in the file as text."""
    import re

    with zipfile.ZipFile(path) as archive:
        sources = [name for name in archive.namelist() if "/code/" in name and name.endswith(".py")]
        data = {name: archive.read(name).decode("utf-8", "replace") for name in sources}
        pickled = next((archive.read(n) for n in archive.namelist() if n.endswith("/data.pkl")), b"")
    # The module itself is the class that the pickle names first.
    named = re.search(rb"c(__torch__[\w.]*)\n(\w+)\n", pickled) or re.search(rb"(__torch__[\w.]*?)\n(\w+)\n", pickled)
    wanted = named[2].decode() if named else ""
    for text in data.values():
        match = re.search(rf"class {re.escape(wanted)}\(Module\):.*?def forward\(\w+: .*?,\n(.*?)\) ->", text, re.S)
        if wanted and match is not None:
            return re.findall(r"^\s*(\w+):", match[1], re.M)
    return []


def save(model: Trusted, folder: Path, example: Arrays, said: Mapping[str, Any]) -> Saved:  # noqa: ARG001
    """Open the file in a process of its own, and give a program or a graph that computes what it does.

    Raises
    ------
    SpecError
        If there is no example.
    InvalidItemError
        If it cannot be read or translated; with PyTorch's words.
    """
    if not example:
        raise SpecError(f"{model.path.name} does not say what it is fed: give --example, one batch")
    graph, program = folder / "model.onnx", folder / "model.pt2"
    request = {"kind": model.kind, "path": str(model.path), "inputs": list(example)}
    request |= {"onnx": str(graph), "program": str(program)}
    answer = ask("torch_program", request, what=str(model.path), arrays=example)
    known = {"architecture": answer.said["architecture"]} if "architecture" in answer.said else {}
    note = f"{model.path.name} was opened in a process of its own, as its publisher is trusted, and translated"

    def run(arrays: Arrays) -> Sequence[Any]:
        same = len(arrays) == len(example) and all(
            np.array_equal(a, b) for a, b in zip(arrays.values(), example.values(), strict=True)
        )
        return answer.outputs if same else ask("torch_program", request, what=str(model.path), arrays=arrays).outputs

    notes = (note, *answer.said.get("notes", ()))
    return Saved(graph if answer.said["written"] == "onnx" else program, known, run, None, notes)
