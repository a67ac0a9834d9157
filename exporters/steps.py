"""One step of a route: load the source, run the converter, and write down what was said on the way."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pystac

from modelstac.catalog.errors import MissingPackageError
from modelstac.catalog.messages import Message, Note, Report
from modelstac.exporters.closing import settle
from modelstac.exporters.conversion import Conversion, Converter
from modelstac.exporters.routes import Edge, extra_of
from modelstac.registry.load import load
from modelstac.registry.running.model import Model
from modelstac.registry.runtimes.backends import require_keras


class Opener(Protocol):
    """What loads a model for the time of a ``with`` block."""

    def __call__(self, item: pystac.Item, *, report: Report) -> AbstractContextManager[Model]: ...  # noqa: D102


def run_step(
    edge: Edge,
    item: pystac.Item,
    folder: Path,
    options: Mapping[str, Any],
    *,
    report: Report,
    opener: Opener = load,
) -> Conversion:
    """Convert a model along one edge, in this process; ``opener`` loads the model (a worker keeps those it has).

    Raises
    ------
    BackendError
        If the edge needs Keras on a backend other than the one that this process runs.
    MissingPackageError
        If a package is not installed; names the extra.
    ConversionError
        If the converter cannot convert the model, or closes an axis that it leaves open; see `exporters/closing.py`.
    """
    if edge.backend is not None:
        require_keras(edge.backend, purpose=f"the conversion from {edge.source} to {edge.target}")
    notes: list[str] = []

    def heard(message: Message) -> None:
        if isinstance(message, Note):  # such as a Keras backend that is not the item's: part of the record
            notes.append(message.text)
        report(message)

    with opener(item, report=heard) as model, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        conversion = settle(_converter(edge)(model, folder, options), model.description, options)
    said = [*notes, *(f"{entry.category.__name__}: {entry.message}" for entry in caught)]
    first, *rest = conversion.steps
    *before, last = (first.model_copy(update={"source_format": edge.source}), *rest)
    last = last.model_copy(update={"target_format": edge.target, "warnings": (*last.warnings, *dict.fromkeys(said))})
    return replace(conversion, steps=(*before, last))


def _converter(edge: Edge) -> Converter:
    if not isinstance(edge.convert, str):
        return edge.convert
    module, _, function = edge.convert.partition(":")
    try:
        found: Converter = getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as error:
        if error.name not in edge.needs:  # a broken installation is not a missing extra
            raise
        purpose = f"the conversion from {edge.source} to {edge.target}"
        raise MissingPackageError.extra(error.name, extra_of(error.name), purpose) from error
    return found
