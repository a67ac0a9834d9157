"""What a conversion has of its source beside its numbers: the model card, the classes, the example before scaling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pystac

from modelstac.catalog.backends.storage import explained
from modelstac.catalog.errors import ModelStacError
from modelstac.catalog.items.description import ExtraAsset, ModelDescription
from modelstac.catalog.items.mlm import ModelOutput
from modelstac.catalog.messages import Note, Report, ignore
from modelstac.registry.files.fetch import fetch
from modelstac.registry.running.examples import Example, read_example, read_raw, write_example

CARD, CLASSES = "card", "classification:classes"
_LARGEST = 64 << 20


def inherited(
    item: pystac.Item,
    source: ModelDescription,
    converted: ModelDescription,
    example: Example,
    folder: Path,
    *,
    report: Report = ignore,
) -> ModelDescription:
    """Describe a conversion with what its source says of the model and no converter touches.

    Parameters
    ----------
    item, source
        The source.
    converted
        The conversion, with its evidence.
    example
        What was written of an example of it.
    folder
        Where files are written; it must live until the item is published.
    report
        Gets a note where a file of the source cannot be had.
    """
    outputs = tuple(_with_classes(one, converted, source) for one in converted.outputs)
    assets = dict(converted.assets)
    try:
        assets |= _card(item, folder) | _raw(item, example, folder)
    except ModelStacError as error:  # the conversion is as good without it
        report(Note(f"{converted.id} goes without what {item.id} has beside its model: {error}"))
    return converted.model_copy(update={"outputs": outputs, "assets": assets})


def _with_classes(output: ModelOutput, converted: ModelDescription, source: ModelDescription) -> ModelOutput:
    only = len(converted.outputs) == len(source.outputs) == 1
    known = [one for one in source.outputs if only or one.name == output.name]
    classes = known[0].model_extra.get(CLASSES) if known and known[0].model_extra else None
    if classes is None or CLASSES in (output.model_extra or {}):
        return output
    return output.model_copy(update={CLASSES: classes})


def _card(item: pystac.Item, folder: Path) -> dict[str, ExtraAsset]:
    if (asset := item.assets.get(CARD)) is None:
        return {}
    path = folder / "card.md"
    with explained(f"write {path}"):
        path.write_bytes(fetch(item, CARD, max_bytes=_LARGEST).data)
    found = ExtraAsset(path=path, media_type=asset.media_type, roles=tuple(asset.roles or ()), title=asset.title)
    return {CARD: found}


def _raw(item: pystac.Item, example: Example, folder: Path) -> dict[str, ExtraAsset]:
    """Give the raw inputs of the source's example, where the conversion has the very same one."""
    if not (raw := read_raw(item)):
        return {}
    theirs, (inputs, outputs) = read_example(item)[0], example
    same = theirs.keys() == inputs.keys() and all(np.array_equal(theirs[name], inputs[name]) for name in theirs)
    if not same:
        return {}
    return write_example(folder, inputs, outputs, raw=raw)
