"""What an MLflow server says of models, versions and runs (its REST API, 2.0, as of MLflow 2.10 to 3.17).

Source: https://mlflow.org/docs/latest/api_reference/rest-api.html
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelstac.catalog.errors import NotFoundError, SpecError
from modelstac.registry.exchange.rest import Server

VARIABLE = "MLFLOW_TRACKING_URI"
_MODEL = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/]+)|/(?P<version>[^/]+))?")
_RUN = re.compile(r"runs:/(?P<run>[^/]+)(?:/(?P<path>.+))?")
_LOGGED = re.compile(r"m-[0-9a-f]{32}")


@dataclass(frozen=True)
class Logged:
    """A model that MLflow keeps.

    Parameters
    ----------
    uri
        What it was asked by.
    artifacts
        Address of its files.
    name, version
        In the registry of models; None where it is not there.
    run
        The run that logged it.
    description
        Of the version, or of the model.
    tags, params, metrics
        Of the run and of the version.
    """

    uri: str
    artifacts: str
    name: str | None = None
    version: str | None = None
    run: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


class Tracking:
    """An MLflow server.

    Parameters
    ----------
    uri
        Its address; that in ``MLFLOW_TRACKING_URI`` by default.

    Raises
    ------
    SpecError
        If there is none, or it is no address of a server.
    """

    def __init__(self, uri: str | None = None) -> None:
        uri = uri or os.environ.get(VARIABLE)
        if not uri:
            raise SpecError(f"which MLflow? give --tracking-uri http://HOST:PORT, or set {VARIABLE}")
        if not uri.startswith(("http://", "https://")):
            raise SpecError(
                f"MLflow at {uri.partition(':')[0]}:… is no server: start one over it, mlflow server "
                "--backend-store-uri URI, and give --tracking-uri http://127.0.0.1:5000"
            )
        self.server = Server(uri, "MLflow", _header())

    @property
    def href(self) -> str:
        """Its address, without user and password."""
        return self.server.href

    def get(self, what: str, /, **params: Any) -> dict[str, Any]:
        """Ask for something."""
        return dict(self.server.ask("GET", f"api/2.0/mlflow/{what}", params=params))

    def post(self, what: str, /, **content: Any) -> dict[str, Any]:
        """Make something."""
        return dict(self.server.ask("POST", f"api/2.0/mlflow/{what}", json=content))

    def find(self, uri: str) -> Logged:
        """Find a model by ``models:/NAME@ALIAS``, ``models:/NAME/VERSION``, ``models:/NAME``, or ``runs:/ID/PATH``.

        Raises
        ------
        SpecError
            If it is no such text.
        NotFoundError
            If there is no such model, or the run logged none.
        """
        if (match := _RUN.fullmatch(uri)) is not None:
            return self._of_run(uri, match["run"], match["path"])
        match = _MODEL.fullmatch(uri)
        if match is None:
            raise SpecError(
                f"{uri!r} is no model of MLflow: write models:/NAME@ALIAS, models:/NAME/VERSION or runs:/ID"
            )
        if _LOGGED.fullmatch(match["name"]):
            return self._logged(uri, match["name"])
        return self._registered(uri, match["name"], match["alias"], match["version"])

    def _registered(self, uri: str, name: str, alias: str | None, version: str | None) -> Logged:
        if alias is not None:
            found = self.get("registered-models/alias", name=name, alias=alias)["model_version"]
        elif version is not None and version.isdigit():
            found = self.get("model-versions/get", name=name, version=version)["model_version"]
        elif version in {None, "latest"}:
            query = f"name = '{name}'"
            listed = self.get("model-versions/search", filter=query, max_results=1000).get("model_versions", [])
            if not listed:
                raise NotFoundError(f"MLflow at {self.href} has no model {name!r}: look at its page of models")
            found = max(listed, key=lambda one: int(one["version"]))
        else:
            raise SpecError(f"{uri!r}: a version is a number; stages are gone from MLflow, use an alias: @{version}")
        number = str(found["version"])
        artifacts = self.get("model-versions/get-download-uri", name=name, version=number)["artifact_uri"]
        fields: dict[str, Any] = {"tags": _pairs(found.get("tags"))}
        if found.get("run_id"):
            fields = self._run_fields(found["run_id"], fields["tags"])
        inner = _MODEL.fullmatch(artifacts)
        if inner is not None and _LOGGED.fullmatch(inner["name"]):
            artifacts = self._info(inner["name"])["artifact_uri"]
        fields["description"] = found.get("description") or None
        return Logged(uri, artifacts, name=name, version=number, **fields)

    def _of_run(self, uri: str, run_id: str, path: str | None) -> Logged:
        run = self.get("runs/get", run_id=run_id)["run"]
        fields = self._run_fields(run_id, {}, run)
        if (logged := self._logged_by(run, path)) is not None:
            return Logged(uri, logged["info"]["artifact_uri"], **fields)
        listed = self.get("artifacts/list", run_id=run_id, **({"path": path} if path else {})).get("files", [])
        paths = [path] if path else [one["path"] for one in listed if one.get("is_dir")]
        for one in paths:
            inside = self.get("artifacts/list", run_id=run_id, path=one).get("files", [])
            if any(file["path"].rpartition("/")[2] == "MLmodel" for file in inside):
                return Logged(uri, f"{run['info']['artifact_uri']}/{one}", **fields)
        raise NotFoundError(
            f"the run {run_id} of MLflow at {self.href} logged no model{f' {path!r}' if path else ''}: log one, "
            "mlflow.keras.log_model(model, …)"
        )

    def _logged_by(self, run: Mapping[str, Any], path: str | None) -> dict[str, Any] | None:
        """Return the model that a run logged as MLflow 3 keeps it, the last one; None where there is none."""
        query = {
            "experiment_ids": [run["info"]["experiment_id"]],
            "filter": f"source_run_id = '{run['info']['run_id']}'",
        }
        try:
            found = self.post("logged-models/search", **query).get("models", [])
        except NotFoundError:  # MLflow 2
            return None
        found = [one for one in found if path is None or one["info"].get("name") == path]
        return max(found, key=lambda one: int(one["info"].get("creation_timestamp_ms", 0)), default=None)

    def _logged(self, uri: str, model_id: str) -> Logged:
        info = self._info(model_id)
        tags = _pairs(info.get("tags"))
        fields = self._run_fields(info["source_run_id"], tags) if info.get("source_run_id") else {"tags": tags}
        return Logged(uri, info["artifact_uri"], **fields)

    def _info(self, model_id: str) -> dict[str, Any]:
        return dict(self.get(f"logged-models/{model_id}")["model"]["info"])

    def _run_fields(self, run_id: str, tags: Mapping[str, str], run: Mapping[str, Any] | None = None) -> dict[str, Any]:
        data = (run or self.get("runs/get", run_id=run_id)["run"]).get("data", {})
        return {
            "run": run_id,
            "tags": {**_pairs(data.get("tags")), **tags},
            "params": _pairs(data.get("params")),
            "metrics": {str(one["key"]): float(one["value"]) for one in data.get("metrics", ())},
        }


def _pairs(listed: Any) -> dict[str, str]:
    """Read tags or parameters, without those that MLflow writes for itself."""
    found = {str(one["key"]): str(one.get("value", "")) for one in listed or ()}
    return {name: value for name, value in found.items() if not name.startswith("mlflow.")}


def _header() -> str | None:
    """Return what MLflow's own variables say of who one is."""
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return f"Bearer {token}"
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if not user:
        return None
    pair = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
