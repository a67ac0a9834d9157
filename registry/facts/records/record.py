"""The shape of a record: a format, a version, and slots for arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Slot:
    """One input or output, as far as the file says.

    Parameters
    ----------
    name
        As its runtime calls it.
    shape
        Length of each axis, None where it is open; None altogether where not even the number of axes is said.
    dtype
        NumPy name of the data type; None where it is not said.
    optional
        Whether the model runs without it.
    """

    name: str
    shape: tuple[int | None, ...] | None = None
    dtype: str | None = None
    optional: bool = False

    def __str__(self) -> str:
        shape = "" if self.shape is None else f" [{', '.join('?' if n is None else str(n) for n in self.shape)}]"
        return f"{self.dtype or 'an array'}{shape}"


@dataclass(frozen=True)
class Record:
    """What a file says of itself.

    Parameters
    ----------
    format
        A key of :data:`modelstac.catalog.items.formats.FORMATS`.
    version
        Of the framework that wrote it; None where the file does not say.
    inputs, outputs
        In the order of the file; None where nobody can tell without the framework.
    named
        Whether their names are its publisher's; else their order says which is which.
    details
        Facts of this format alone, by the names of :attr:`modelstac.registry.facts.Facts.details`.
    """

    format: str
    version: str | None = None
    inputs: tuple[Slot, ...] | None = None
    outputs: tuple[Slot, ...] | None = None
    named: bool = True
    details: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
