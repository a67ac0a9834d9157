"""A file that is published without running: what it says is looked at, and the item says that no more was done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from modelstac.catalog.errors import StorageError
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.messages import Note, Report
from modelstac.registry.describing.impure import look_into
from modelstac.registry.files.artifact import Artifact

UNASKED = (2, 1)
"""Least length and step."""


def unproved(description: ModelDescription, *, report: Report) -> ModelDescription:
    """Describe a file as one that was not run; what its graph itself says to be no function is refused as always.

    Raises
    ------
    StorageError
        If it cannot be read.
    InvalidItemError
        If its outputs depend on more than its inputs, as far as its graph says so.
    """
    path = Path(description.artifact)
    try:
        artifact = Artifact(description.id, path, path.read_bytes(), "")
    except OSError as error:
        raise StorageError.doing(f"read {path}", error) from error
    look_into(artifact, description, report)
    report(Note(not_run(description.id, "was not run")))
    return as_unproved(description)


def as_unproved(description: ModelDescription) -> ModelDescription:
    """Say of a described file that it was not run: its sizes are those that it states, and nobody knows its halo.

    PyTorch writes a least length of 2 of each open axis unasked, and programs run on 1: that is none of its publisher.
    """
    sizes = description.sizes
    if description.format in {"torch", "torch-export"}:  # of weights: a program was written to see their sizes
        asked = {s.symbol for axes in sizes.values() for s in axes.values() if (s.at_least, s.step) != UNASKED}
        sizes = {
            name: {
                axis: replace(size, at_least=1)
                if (size.at_least, size.step) == UNASKED and (size.symbol is None or size.symbol not in asked)
                else size
                for axis, size in axes.items()
            }
            for name, axes in sizes.items()
        }
    return description.model_copy(update={"sizes": sizes, "halo": None, "unproved": True})


def not_run(item_id: str, why: str) -> str:
    """Say what is not known of a model that was not run, and how it becomes known."""
    return (
        f"{item_id} {why}: its sizes are those that its file states, no halo is known, and nothing is proved; prove it "
        f"with modelstac probe {item_id} --record"
    )
