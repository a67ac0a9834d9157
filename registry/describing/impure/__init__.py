"""What makes the outputs of a file depend on more than its inputs, read from the file without running it.

One module a format whose graph says by itself what reaches an output: random numbers, a state that each call changes,
the statistics of a batch. Other formats name operators that may do so, and only running tells whether they do.

Order, each importing only from those before it: keras, onnx, others, torch_export.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, cast

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.messages import Note, Report
from modelstac.registry.files.artifact import Artifact

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription

CERTAIN = MappingProxyType({"keras": None, "onnx": "onnx", "torch-export": None})
"""Formats of which it is certain, and the package that reads them."""
ADVICE = "a model gives the same for the same input, whatever ran before: export it in inference mode, without these"


class Reader(Protocol):
    """What a module of this package offers."""

    def read(self, data: bytes) -> list[str]:  # pragma: no cover - a shape, not code
        """Name what there is, each in half a line."""
        ...


def require_pure(artifact: Artifact, form: str) -> None:
    """Refuse a file whose graph says by itself that its outputs depend on more than its inputs.

    Raises
    ------
    InvalidItemError
        If it does; names the operators or layers.
    """
    if found := certain(artifact, form):
        raise InvalidItemError(f"{artifact.path}: {listed(found)}: {ADVICE}")


def training_layers(artifact: Artifact, form: str) -> list[str]:
    """Name layers of a Keras model that were called with ``training=True``: no prediction heeds it."""
    if form != "keras":
        return []
    from modelstac.registry.describing.impure.keras import overridden

    return overridden(artifact.data)


def look_into(artifact: Artifact, description: ModelDescription, report: Report) -> None:
    """Refuse a file as :func:`require_pure` does, and say of which layers ``training=True`` is not heeded.

    Raises
    ------
    InvalidItemError
        As there.
    """
    require_pure(artifact, description.format)
    if unheeded := ", ".join(training_layers(artifact, description.format)):
        report(Note(f"{description.id} is what predict computes: training=True of {unheeded} is not heeded there"))


def certain(artifact: Artifact, form: str) -> list[str]:
    """Name what certainly makes an output depend on more than the inputs, each operator or layer in half a line.

    Parameters
    ----------
    artifact
        A file that was looked into.
    form
        Its format; of one whose graph does not say, or which nothing here reads, there is nothing.
    """
    if form not in CERTAIN:
        return []
    try:
        return _reader(form).read(artifact.data)
    except ModuleNotFoundError as error:
        if error.name != CERTAIN[form]:
            raise
        return []  # running it tells, too


def possible(artifact: Artifact, form: str) -> list[str]:
    """Name what may make outputs depend on more than the inputs, in a file that gave one input two outputs."""
    if form in CERTAIN:
        return certain(artifact, form)
    from modelstac.registry.describing.impure import others

    return others.read(artifact.data, form)


def listed(found: Sequence[str]) -> str:
    """Name the first three of several, and count the others."""
    more = f", and {len(found) - 3} more" if len(found) > 3 else ""
    return "; ".join(found[:3]) + more


def _reader(form: str) -> Reader:
    return cast(Reader, importlib.import_module(f"{__name__}.{form.replace('-', '_')}"))
