"""What a text means that is no path of a model file: a model of another registry."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import SpecError
from modelstac.catalog.messages import Note, Report, ignore
from modelstac.registry.exchange.taken import Taken
from modelstac.registry.trust.policy import TrustPolicy

_OF_MLFLOW = ("models:/", "runs:/")
HUB = "hf://"


@dataclass(frozen=True)
class Elsewhere:
    """A model of another registry.

    Parameters
    ----------
    text
        As :func:`take` understands it.
    tracking_uri
        Address of the MLflow server, where it is one of MLflow.
    """

    text: str
    tracking_uri: str | None = None


def take(model: Any, folder: Path, into: Path, *, policy: TrustPolicy, report: Report = ignore) -> Taken | None:
    """Take a model of another registry; None for whatever is none.

    Parameters
    ----------
    model
        A text, a path, or anything else.
    folder
        What paths are relative to.
    into
        Folder for the files, made where it is needed.
    policy
        Whether pickles may be read.
    report
        Gets notes.

    Raises
    ------
    ModelStacError
        As taking from the registry does.
    """
    place = Elsewhere(str(model)) if isinstance(model, str | PathLike) else model
    if not isinstance(place, Elsewhere):
        return None
    found = _taken(place, folder, into, policy, report)
    if found is None and place is model:
        raise SpecError(
            f"{place.text!r} is no model of another registry: write models:/NAME@ALIAS or runs:/ID of MLflow, "
            f"{HUB}ORG/REPO, or the URL of an rdf.yaml"
        )
    for note in () if found is None else found.notes:
        report(Note(note))
    return found


def _taken(place: Elsewhere, folder: Path, into: Path, policy: TrustPolicy, report: Report) -> Taken | None:
    text = place.text
    if text.startswith(_OF_MLFLOW):
        from modelstac.registry.exchange.mlflow.taking import take as from_mlflow

        into.mkdir(parents=True, exist_ok=True)
        return from_mlflow(text, into, tracking_uri=place.tracking_uri, policy=policy)
    if text.startswith(HUB):
        from modelstac.registry.exchange.hub.taking import take as from_hub

        into.mkdir(parents=True, exist_ok=True)
        return from_hub(text.removeprefix(HUB), into, policy=policy)
    from modelstac.registry.exchange.bioimageio.naming import is_package

    if not is_package(text, folder):
        return None
    from modelstac.registry.exchange.bioimageio.taking import take as from_package

    into.mkdir(parents=True, exist_ok=True)
    return from_package(text, folder, into, policy=policy, report=report)
