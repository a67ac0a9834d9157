"""One step of a route: load the source, run the converter, and write down what was said on the way."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pystac

from modelstac.catalog.errors import InvalidItemError, MissingPackageError
from modelstac.catalog.messages import Message, Note, Report
from modelstac.exporters.architecture import named, take_apart
from modelstac.exporters.closing import settle
from modelstac.exporters.conversion import REBUILT, Conversion, Converter
from modelstac.exporters.routes import Edge, extra_of
from modelstac.exporters.tracing import example_shapes, shapes_near, unmeasured
from modelstac.registry.loading import load
from modelstac.registry.running.model import Model
from modelstac.registry.runtimes.backends import require_keras
from modelstac.training.architecture import ARCHITECTURES

APART = 1e-4
"""Allowed between two models of the same layers and weights in one framework, absolute and as a share of the value."""


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
    InvalidItemError
        If its item states another network than the file is; as far as it is one of ours.
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
        if edge.method != REBUILT:  # that is found by the proof
            _require_stated(model)
            caught.clear()
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


def _require_stated(model: Model) -> None:
    """Refuse a Keras file that computes another network than that of our architectures which its item states.

    What is rebuilt from the statement is compared with the file by the proof. A tool that exports the file itself never
    looks at the statement, and a wrong one would be published again with every result.
    A file of PyTorch weights is no network without the statement, and an ONNX graph of ours is read by its own.

    Raises
    ------
    ConversionError
        When the weights in the file are not those of the network.
    InvalidItemError
        When they are, and the network with them gives something else than the file.
    """
    description = model.description
    stated = "architecture" in description.hyperparameters and description.architecture in ARCHITECTURES
    if description.format != "keras" or not stated:
        return
    spec, weights = take_apart(model)
    adapter = named(description).module("keras")
    network = adapter.build(spec)
    adapter.set_weights(network, weights)
    shapes = example_shapes(model) if unmeasured(model) else shapes_near(model.signature, {})
    x = [np.random.default_rng(0).random(shape, np.float32) for shape in shapes.values()]
    if not _answer_alike(model.native, network, x):
        raise InvalidItemError(
            f"item {description.id!r} states a {description.architecture} that its file is not: built as stated, with"
            " the weights of the file, it gives other values: correct mlm:hyperparameters: nothing was published"
        )


def _answer_alike(ours: Any, stated: Any, x: list[np.ndarray[Any, Any]]) -> bool:
    ops = importlib.import_module("keras").ops
    expected = np.array(ops.convert_to_numpy(ours(*x, training=False)))
    try:
        found = np.array(ops.convert_to_numpy(stated(*x, training=False)))
    except (TypeError, ValueError):  # other inputs
        return False
    return expected.shape == found.shape and np.allclose(expected, found, rtol=APART, atol=APART, equal_nan=True)
