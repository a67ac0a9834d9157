"""A model of ours as the folder that MLflow reads: ``MLmodel`` and what its flavour wants beside it.

Source: https://mlflow.org/docs/latest/ml/model/ (storage format), and what MLflow 3.17 writes itself.
"""

from __future__ import annotations

import json
import platform
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from modelstac.catalog.errors import SpecError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.mlm import ModelInput, ModelOutput
from modelstac.catalog.items.versions import semver

_PLACES = {"onnx": "model.onnx", "keras": "data/model.keras", "torch-export": "data/model.pt2"}
"""Where each format lies in the folder."""


def place(description: ModelDescription) -> str:
    """Return where the model file lies in the folder.

    Raises
    ------
    SpecError
        If MLflow has no flavour of its format.
    """
    found = _PLACES.get(description.format)
    if found is None:
        raise SpecError(
            f"MLflow has no flavour for {description.format}: export it first, modelstac export {description.id} "
            "--to onnx, and push that"
        )
    return found


def write(folder: Path, description: ModelDescription, item: dict[str, Any]) -> None:
    """Write all files of the folder but the model's own.

    Parameters
    ----------
    folder
        Where to.
    description, item
        Of the model; the item as JSON is written beside it.
    """
    version, packages = description.framework_version.partition("+")[0], ["mlflow"]
    loader, data = "mlflow.onnx", "model.onnx"
    flavour: dict[str, Any] = {"code": None}
    if description.format == "onnx":
        name = "onnx"
        flavour |= {"onnx_version": version, "data": data, "onnx_session_options": None}
        flavour |= {"providers": ["CPUExecutionProvider"]}
        packages += ["onnx", "onnxruntime"]
    elif description.format == "keras":
        name, loader, data = "keras", "mlflow.keras", ""
        backend = description.backend or "tensorflow"
        flavour = {"data": "data", "keras_version": version, "keras_backend": backend, "save_exported_model": False}
        packages += [f"keras=={version}", _pinned(backend, description.backend_version)]
    else:
        name, loader, data = "pytorch", "mlflow.pytorch", "data"
        flavour |= {"model_data": data, "pytorch_version": version}
        packages += [f"torch=={version}"]
    function = {
        "loader_module": loader,
        "python_version": platform.python_version(),
        "env": {"virtualenv": "python_env.yaml"},
    }
    document = {
        "flavors": {name: flavour, "python_function": function | ({"data": data} if data else {})},
        "model_uuid": uuid.uuid4().hex,
        "utc_time_created": datetime.now(UTC).replace(tzinfo=None).isoformat(sep=" "),
        "signature": {
            "inputs": _side(description.inputs),
            "outputs": _side(description.outputs),
            "params": None,
        },
        "metadata": {"modelstac": {"item": description.id, "version": description.version}},
    }
    environment = {
        "python": platform.python_version(),
        "dependencies": ["-r requirements.txt"],
    }
    _dump(folder / "MLmodel", document)
    _dump(folder / "python_env.yaml", environment)
    (folder / "requirements.txt").write_text("\n".join(packages) + "\n")
    (folder / "item.json").write_text(json.dumps(item, indent=2) + "\n")


def _dump(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def _pinned(package: str, version: str | None) -> str:
    return package if version is None else f"{package}=={semver(version).partition('+')[0]}"


def _side(tensors: Sequence[ModelInput] | Sequence[ModelOutput]) -> str:
    """Write what MLflow calls a schema: of one tensor without its name, so that an array alone fits it."""
    found = []
    for tensor in tensors:
        layout = tensor.input if isinstance(tensor, ModelInput) else tensor.result
        spec = {"type": "tensor", "tensor-spec": {"dtype": layout.data_type, "shape": list(layout.shape)}}
        found.append(({"name": tensor.name} if len(tensors) > 1 else {}) | spec)
    return json.dumps(found)
