"""From the files of a model as MLflow's flavours write them to the model, and what they say of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modelstac.catalog.errors import InvalidItemError, NotFoundError
from modelstac.catalog.items.versions import is_version
from modelstac.registry.exchange.skops import read_skops
from modelstac.registry.inspecting.onnx import external_files
from modelstac.registry.trust.policy import TrustPolicy

FLAVOURS = ("onnx", "keras", "tensorflow", "pytorch", "xgboost", "lightgbm", "sklearn")
"""Those that are taken; of a model that has several, the first."""
_BACKENDS = {"tensorflow": ("tensorflow", "tensorflow-cpu"), "torch": ("torch",), "jax": ("jax",)}
Fetch = Callable[[str], Path]


def flavour_of(mlmodel: Mapping[str, Any], where: str) -> tuple[str, dict[str, Any]]:
    """Choose the flavour by which a model is read.

    Raises
    ------
    NotFoundError
        If it has none that is known here.
    """
    flavours = mlmodel.get("flavors")
    flavours = flavours if isinstance(flavours, Mapping) else {}
    for name in FLAVOURS:
        if isinstance(found := flavours.get(name), Mapping):
            return name, dict(found)
    has = ", ".join(map(str, flavours)) or "none"
    raise NotFoundError(f"{where} has the flavours {has}, and none of {', '.join(FLAVOURS)}")


def read(
    flavour: str, fields: Mapping[str, Any], names: Sequence[str], fetch: Fetch, policy: TrustPolicy
) -> tuple[Any, dict[str, Any]]:
    """Fetch the files of a model, and return its path or the object, and what its flavour says of it.

    Trees and pickles are left to what publishes such files, which opens pickles in a process of their own.

    Parameters
    ----------
    flavour, fields
        Name of the flavour, and what ``MLmodel`` says of it.
    names
        All files of the model.
    fetch
        Fetches one.
    policy
        What may run code.

    Raises
    ------
    UntrustedError
        If it holds types that skops does not know, and the policy does not allow that.
    InvalidItemError, NotFoundError
        If its file is none of its flavour, or is not there.
    """
    if flavour in {"keras", "tensorflow"}:
        return _keras(fields, names, fetch), _backend(fields, flavour, names, fetch)
    if flavour == "sklearn":
        wanted: tuple[str, ...] = (str(fields.get("pickled_model", "model.skops")),)
    elif flavour == "pytorch":
        folder = str(fields.get("model_data", "data"))
        wanted = (f"{folder}/model.pt2", f"{folder}/model.pth")
    else:
        wanted = (str(fields.get("data", "model.onnx")),)
    name = _one(names, wanted, flavour)
    path = fetch(name)
    if path.suffix == ".skops":
        return read_skops(path, policy), {}
    if flavour == "onnx":
        for own in external_files(path.read_bytes()):
            beside = f"{name.rpartition('/')[0]}/{own}".lstrip("/")
            if beside in names:
                fetch(beside)
    return path, {}


def _one(names: Sequence[str], wanted: Sequence[str], flavour: str) -> str:
    for name in wanted:
        if name in names:
            return name
    raise NotFoundError(f"the model of MLflow has no file {wanted[0]}, as its flavour {flavour} says: log it again")


def _keras(fields: Mapping[str, Any], names: Sequence[str], fetch: Fetch) -> Path:
    folder = str(fields.get("data", fields.get("saved_model_dir", "data")))
    for name in (f"{folder}/model.keras", folder):
        if name in names and name.endswith(".keras"):
            return fetch(name)
    graphs = [name for name in names if name.startswith(f"{folder}/") and name.endswith("/saved_model.pb")]
    if graphs:
        root = graphs[0].rpartition("/")[0]
        paths = [fetch(name) for name in names if name.startswith(f"{root}/")]
        return next(path.parent for path in paths if path.name == "saved_model.pb")
    found = [name for name in names if name.startswith(f"{folder}/")]
    raise InvalidItemError(
        f"the Keras model of MLflow is neither .keras nor a SavedModel ({', '.join(found[:3])}): log it with Keras 3"
    )


def _backend(fields: Mapping[str, Any], flavour: str, names: Sequence[str], fetch: Fetch) -> dict[str, Any]:
    """Give what Keras ran on, where the model says which and its requirements say of which version."""
    backend = str(fields.get("keras_backend") or ("tensorflow" if flavour == "tensorflow" else ""))
    if backend not in _BACKENDS or "requirements.txt" not in names:
        return {}
    text = fetch("requirements.txt").read_text("utf-8", "replace")
    for package in _BACKENDS[backend]:
        match = re.search(rf"^{package}==(?P<version>[\w.]+)", text, re.M)
        if match is not None and is_version(match["version"]):
            return {"backend": backend, "backend_version": match["version"]}
    return {}


def columns(mlmodel: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the columns that a model of tables takes, by its signature."""
    listed = _side(mlmodel, "inputs")
    names = [str(one.get("name", "")) for one in listed if "tensor-spec" not in one]
    return tuple(names) if names and all(names) and len(names) == len(listed) else ()


def example(mlmodel: Mapping[str, Any], names: Sequence[str], fetch: Fetch) -> Any:
    """Return the example that was logged with a model, of the types of its signature; None where there is none.

    Raises
    ------
    InvalidItemError
        If it is none that can be read.
    """
    info = mlmodel.get("saved_input_example_info")
    if not isinstance(info, Mapping) or (name := str(info.get("artifact_path"))) not in names:
        return None
    try:
        content = json.loads(fetch(name).read_text("utf-8"))
        types = {str(one.get("name", "")): one["tensor-spec"]["dtype"] for one in _side(mlmodel, "inputs")
                 if "tensor-spec" in one}  # fmt: skip
        if isinstance(content, Mapping) and "columns" in content and "data" in content:
            return np.asarray(content["data"], np.float64)
        content = content.get("inputs", content) if isinstance(content, Mapping) else content
        if isinstance(content, Mapping):
            return {str(key): np.asarray(value, types.get(str(key))) for key, value in content.items()}
        return np.asarray(content, next(iter(types.values()), None))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InvalidItemError(f"the example of MLflow, {name}, cannot be read ({error}): give --example") from error


def signature(mlmodel: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the signature says of inputs and outputs."""
    return {side: found for side in ("inputs", "outputs") if (found := _side(mlmodel, side))}


def _side(mlmodel: Mapping[str, Any], side: str) -> list[dict[str, Any]]:
    found = mlmodel.get("signature")
    text = found.get(side) if isinstance(found, Mapping) else None
    try:
        listed = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return []
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
