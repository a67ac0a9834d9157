"""A program of ``torch.export``: the version of PyTorch that wrote it, what it takes and gives."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

from modelstac.registry.facts import Tensor
from modelstac.registry.facts.records.record import Record, Slot
from modelstac.registry.facts.torch_export import interface
from modelstac.registry.inspecting.torch_export import PROGRAM


def read(data: bytes) -> Record:
    """Read the record of a ``.pt2``."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(f"/{PROGRAM}")]
        program = json.loads(archive.read(name))
    inputs, outputs = interface(program, Path(name))
    written = program.get("schema_version")
    details = {"schema_version": "{major}.{minor}".format(**written)} if isinstance(written, dict) else {}
    return Record(
        "torch-export",
        str(program["torch_version"]),
        tuple(map(_slot, inputs)),
        tuple(map(_slot, outputs)),
        named=False,
        details=details,
    )


def _slot(tensor: Tensor) -> Slot:
    shape = tuple(size.at_least if size.is_fixed else None for size in tensor.sizes)
    return Slot(tensor.name, shape, tensor.dtype)
