"""A model that MLflow keeps, with what its run says of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import InvalidItemError, NotFoundError
from modelstac.registry.exchange.mlflow import flavours
from modelstac.registry.exchange.mlflow.artifacts import Files
from modelstac.registry.exchange.mlflow.tracking import Logged, Tracking
from modelstac.registry.exchange.taken import Taken, as_key, as_name, as_version, read_yaml
from modelstac.registry.trust.policy import TrustPolicy

MLMODEL = "MLmodel"
PREFIXES = ("models:/", "runs:/")


def take(uri: str, into: Path, *, tracking_uri: str | None, policy: TrustPolicy) -> Taken:
    """Take a model from an MLflow server.

    Parameters
    ----------
    uri
        ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, ``models:/NAME``, ``runs:/ID`` or ``runs:/ID/PATH``.
    into
        Folder for its files, which live until the model is published.
    tracking_uri
        Address of the server; that in ``MLFLOW_TRACKING_URI`` by default.
    policy
        Whether pickles may be read.

    Raises
    ------
    SpecError
        If no server is named, or it is no such text.
    NotFoundError
        If there is no such model, or it has no flavour that is known here.
    UntrustedError
        If its file is a pickle, and the policy does not allow these.
    UnauthorizedError, StorageError, DownloadError
        If the server does not answer.
    """
    tracking = Tracking(tracking_uri)
    logged = tracking.find(uri)
    files = Files(tracking, logged.artifacts, policy.max_bytes)
    names = files.names()
    if MLMODEL not in names:
        raise NotFoundError(f"{uri} of MLflow at {tracking.href} has no file {MLMODEL}, so that it is no model")
    digests: dict[str, str] = {}

    def fetch(name: str) -> Path:
        path, digests[name] = files.fetch(name, into)
        return path

    mlmodel = _read(fetch(MLMODEL), uri)
    flavour, fields = flavours.flavour_of(mlmodel, f"{uri} of MLflow")
    model, known = flavours.read(flavour, fields, names, fetch, policy)
    said = known | _said(logged, mlmodel)
    if flavour in {"sklearn", "xgboost", "lightgbm"} and (bands := flavours.columns(mlmodel)):
        said["bands"] = bands
    if (example := flavours.example(mlmodel, names, fetch)) is not None:
        said |= {"example": example, "example_scaled": True}  # as the model reads it
    said["origin"] = _origin(tracking, logged, mlmodel, flavour, digests)
    return Taken(model, said)


def _read(path: Path, uri: str) -> Mapping[str, Any]:
    found = read_yaml(path.read_bytes(), where=f"{MLMODEL} of {uri}")
    if not isinstance(found, Mapping):
        raise InvalidItemError(f"{MLMODEL} of {uri} is no mapping: log the model again")
    return found


def _said(logged: Logged, mlmodel: Mapping[str, Any]) -> dict[str, Any]:
    metadata = mlmodel.get("metadata")
    said: dict[str, Any] = {
        "name": as_name(logged.name) if logged.name else None,
        "version": as_version(logged.version) if logged.version else None,
        "description": logged.description,
        "license": logged.tags.get("license") or (metadata.get("license") if isinstance(metadata, Mapping) else None),
    }
    if logged.params:
        said["hyperparameters"] = {as_key(name): value for name, value in logged.params.items()}
    if scores := {name: value for name, value in logged.metrics.items() if math.isfinite(value)}:
        said["metrics"] = scores
    return {name: value for name, value in said.items() if value}


def _origin(
    tracking: Tracking, logged: Logged, mlmodel: Mapping[str, Any], flavour: str, digests: Mapping[str, str]
) -> dict[str, Any]:
    """Say where the model was taken from, by what it can be found there again."""
    found: dict[str, Any] = {
        "registry": "mlflow",
        "address": tracking.href,
        "name": logged.name,
        "version": logged.version,
        "run": logged.run,
        "flavour": flavour,
        "tags": dict(logged.tags),
        "signature": flavours.signature(mlmodel),
        "files": dict(sorted(digests.items())),
    }
    return {name: value for name, value in found.items() if value}
