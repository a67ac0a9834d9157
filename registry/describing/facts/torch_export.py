"""What an exported PyTorch program says about itself: read from its JSON, without PyTorch."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.versions import semver
from modelstac.registry.describing.facts import Facts, Tensor
from modelstac.registry.inspecting.torch_export import PROGRAM, WEIGHTS, inspect_program
from modelstac.registry.trust.policy import TrustPolicy

# torch/_export/serde/schema.py, ScalarType
TYPES = MappingProxyType(
    {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64"}
    | {12: "bool", 28: "uint16", 34: "uint32", 35: "uint64"}
)


def read(data: bytes, path: Path, policy: TrustPolicy) -> Facts:
    """Read the facts of a ``.pt2``; see :func:`modelstac.registry.describing.facts.read_facts`."""
    archive, _ = inspect_program(data, path, max_bytes=policy.max_bytes)
    with zipfile.ZipFile(io.BytesIO(archive)) as members:
        program, weights = (json.loads(members.read(f"model/{name}")) for name in (PROGRAM, WEIGHTS))
    try:
        graph, signature = program["graph_module"]["graph"], program["graph_module"]["signature"]
        values = graph["tensor_values"]
        inputs = tuple(_tensor(name, values, path) for name in _names(signature["input_specs"], "user_input", path))
        outputs = tuple(_tensor(name, values, path) for name in _names(signature["output_specs"], "user_output", path))
        parameters = sum(_size(entry["tensor_meta"]) for entry in weights["config"].values())
        version = semver(str(program["torch_version"]))
    except (KeyError, TypeError, AttributeError, StopIteration) as error:
        raise InvalidItemError(f"{path} is no program of torch.export ({error!r}): export the model anew") from error
    details = {"nodes": len(graph["nodes"]), "schema_version": "{major}.{minor}".format(**program["schema_version"])}
    return Facts("torch-export", version, inputs, outputs, parameters, details)


def _names(specs: list[dict[str, Any]], kind: str, path: Path) -> Iterator[str]:
    for spec in specs:
        if kind in spec:
            argument = spec[kind]["arg"]
            if "as_tensor" not in argument:
                raise InvalidItemError(f"{path} takes or gives more than tensors ({next(iter(argument))}): export one")
            yield argument["as_tensor"]["name"]


def _tensor(name: str, values: dict[str, Any], path: Path) -> Tensor:
    meta = values[name]
    if meta["dtype"] not in TYPES:
        raise InvalidItemError(f"{path}: {name!r} is of PyTorch's type {meta['dtype']}, which NumPy does not have")
    return Tensor(name, tuple(size.get("as_int", -1) for size in meta["sizes"]), TYPES[meta["dtype"]])


def _size(meta: dict[str, Any]) -> int:
    """Count the numbers of a tensor; whole ones are counters and indices, not weights."""
    whole = not TYPES.get(meta["dtype"], "float").startswith("float")
    return 0 if whole else math.prod(size["as_int"] for size in meta["sizes"])
