"""An item of ours into MLflow's registry of models, through its server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelstac.catalog.credentials import without_secrets
from modelstac.catalog.errors import NotFoundError, StorageError
from modelstac.catalog.messages import Note, Report
from modelstac.registry.exchange.mlflow.artifacts import Files
from modelstac.registry.exchange.mlflow.mlmodel import place, write
from modelstac.registry.exchange.mlflow.tracking import Tracking
from modelstac.registry.exchange.taken import as_key

if TYPE_CHECKING:
    import pystac

    from modelstac.catalog.items.description import ModelDescription

EXPERIMENT = "modelstac"
ITEM, DIGEST = "modelstac.item", "modelstac.sha256"
_LONGEST = 500  # characters of a parameter's value, by MLflow 2


def push(
    item: pystac.Item,
    description: ModelDescription,
    files: Mapping[str, Path],
    name: str,
    *,
    tracking_uri: str | None,
    folder: Path,
    report: Report,
) -> str:
    """Register an item as a version of a model, and return its URI, ``models:/NAME/VERSION``.

    The version is registered last: whatever breaks off before leaves a run that says it failed.

    Parameters
    ----------
    item, description
        The item.
    files
        Its model file, verified, by the key of the asset; then others that belong to it.
    name
        Of the model there.
    tracking_uri
        Address of the server; that in ``MLFLOW_TRACKING_URI`` by default.
    folder
        An empty one to prepare the files in.
    report
        Gets a note where the item was pushed before.

    Raises
    ------
    SpecError
        If MLflow has no flavour of its format.
    ModelStacError
        If the server does not answer, or does not take it.
    """
    main = place(description)
    tracking = Tracking(tracking_uri)
    tags = _tags(item, description)
    if (before := _before(tracking, name, tags)) is not None:
        report(Note(f"{item.id} is there already, as version {before} of {name}"))
        return f"models:/{name}/{before}"
    write(folder, description, without_secrets(item.to_dict(include_self_link=False, transform_hrefs=False)))
    experiment = _experiment(tracking)
    run = tracking.post("runs/create", experiment_id=experiment, run_name=item.id, start_time=_now())["run"]
    run_id, root = run["info"]["run_id"], f"{run['info']['artifact_uri']}/model"
    status = "FAILED"
    try:
        tracking.post(
            "runs/log-batch",
            run_id=run_id,
            metrics=_metrics(description),
            params=_params(description),
            tags=_listed(tags),
        )
        there = Files(tracking, root, 0)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                there.send(path.relative_to(folder).as_posix(), path)
        first = True
        for path in files.values():
            there.send(main if first else f"{main.rpartition('/')[0]}/{path.name}".lstrip("/"), path)
            first = False
        version = _register(tracking, name, description, source=root, run_id=run_id, tags=tags)
        status = "FINISHED"
    finally:
        tracking.post("runs/update", run_id=run_id, status=status, end_time=_now())
    return f"models:/{name}/{version}"


def _before(tracking: Tracking, name: str, tags: Mapping[str, str]) -> str | None:
    """Return the version as which the same item was pushed before."""
    found = tracking.get("model-versions/search", filter=f"name = '{name}'", max_results=1000)
    for one in found.get("model_versions", ()):
        known = {str(tag["key"]): str(tag.get("value", "")) for tag in one.get("tags", ())}
        if all(known.get(key) == tags[key] for key in (ITEM, DIGEST)):
            return str(one["version"])
    return None


def _experiment(tracking: Tracking) -> str:
    try:
        found = tracking.get("experiments/get-by-name", experiment_name=EXPERIMENT)
    except NotFoundError:
        return str(tracking.post("experiments/create", name=EXPERIMENT)["experiment_id"])
    return str(found["experiment"]["experiment_id"])


def _register(
    tracking: Tracking, name: str, description: ModelDescription, *, source: str, run_id: str, tags: Mapping[str, str]
) -> str:
    try:
        tracking.get("registered-models/get", name=name)
    except NotFoundError:
        tracking.post("registered-models/create", name=name, description=description.title)
    made = tracking.post(
        "model-versions/create",
        name=name,
        source=source,
        run_id=run_id,
        description=description.description[:5000],
        tags=_listed(tags),
    )["model_version"]
    if made.get("status") == "FAILED_REGISTRATION":
        raise StorageError(f"MLflow did not register {name}: {made.get('status_message') or 'it does not say why'}")
    return str(made["version"])


def _tags(item: pystac.Item, description: ModelDescription) -> dict[str, str]:
    from modelstac.catalog.items.digests import from_multihash
    from modelstac.catalog.items.reading import model_asset

    _, asset = model_asset(item)
    found = {
        ITEM: item.id,
        DIGEST: from_multihash(asset.extra_fields["file:checksum"]),
        "modelstac.version": description.version,
        "license": description.license,
        "tasks": ", ".join(description.tasks),
        "bbox": ", ".join(f"{edge:g}" for edge in description.bbox),
        "datetime": f"{description.start.isoformat()}/{description.end.isoformat()}",
    }
    if description.keywords:
        found["keywords"] = ", ".join(description.keywords)[:_LONGEST]
    return found


def _metrics(description: ModelDescription) -> list[dict[str, Any]]:
    scores = {} if description.scores is None else description.scores
    return [{"key": name, "value": value, "timestamp": _now(), "step": 0} for name, value in scores.items()]


def _params(description: ModelDescription) -> list[dict[str, str]]:
    found = dict(_flat(description.hyperparameters, ""))
    return [{"key": as_key(name), "value": value} for name, value in list(found.items())[:100]]


def _flat(values: Mapping[str, Any], before: str) -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            yield f"{before}{name}"[:250], text[:_LONGEST]


def _listed(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": name, "value": value} for name, value in tags.items()]


def _now() -> int:
    return int(time.time() * 1000)
