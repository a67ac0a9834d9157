"""Model cards: Markdown after a header in YAML.

Source: https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.mlm import ModelInput, ModelOutput
from modelstac.registry.exchange.taken import read_yaml

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription

README, ITEM = "README.md", "item.json"
_HEADER = re.compile(r"\A---\s*\n(?P<yaml>.*?)\n---\s*\n", re.DOTALL)
# From MLM's tasks to the Hub's, where they are the same.
TASKS = {
    "semantic-segmentation": "image-segmentation",
    "instance-segmentation": "image-segmentation",
    "panoptic-segmentation": "image-segmentation",
    "segmentation": "image-segmentation",
    "scene-classification": "image-classification",
    "classification": "image-classification",
    "object-detection": "object-detection",
    "super-resolution": "image-to-image",
    "similarity-search": "image-feature-extraction",
}
LIBRARIES = {"keras": "keras", "onnx": "onnx", "torch-export": "pytorch", "torch": "pytorch", "litert": "tflite"}
LICENSES = {
    "apache-2.0": "Apache-2.0", "mit": "MIT", "cc-by-4.0": "CC-BY-4.0", "cc-by-sa-4.0": "CC-BY-SA-4.0",
    "cc-by-nc-4.0": "CC-BY-NC-4.0", "cc-by-nc-sa-4.0": "CC-BY-NC-SA-4.0", "cc0-1.0": "CC0-1.0", "bsd": "BSD-3-Clause",
    "bsd-3-clause": "BSD-3-Clause", "bsd-2-clause": "BSD-2-Clause", "gpl-3.0": "GPL-3.0-only",
    "lgpl-3.0": "LGPL-3.0-only",
    "agpl-3.0": "AGPL-3.0-only", "gpl-2.0": "GPL-2.0-only", "mpl-2.0": "MPL-2.0", "isc": "ISC", "wtfpl": "WTFPL",
    "unlicense": "Unlicense", "eupl-1.1": "EUPL-1.1", "eupl-1.2": "EUPL-1.2", "odbl": "ODbL-1.0", "osl-3.0": "OSL-3.0",
    "afl-3.0": "AFL-3.0", "artistic-2.0": "Artistic-2.0", "bsl-1.0": "BSL-1.0", "zlib": "Zlib", "ecl-2.0": "ECL-2.0",
}  # fmt: skip
"""From the Hub's names of licences to SPDX."""


def split(text: str) -> tuple[dict[str, Any], str]:
    """Return what the header of a card says, and the card without it; nothing where there is none that can be read."""
    match = _HEADER.match(text)
    if match is None:
        return {}, text
    try:
        header = read_yaml(match["yaml"], where=README)
    except InvalidItemError:
        header = None
    return (header if isinstance(header, dict) else {}), text[match.end() :].lstrip()


def spdx(license_name: object) -> str | None:
    """Return the SPDX name of a licence of the Hub's; ``other`` for one that is none of SPDX."""
    if not isinstance(license_name, str) or license_name == "unknown":
        return None
    return LICENSES.get(license_name.casefold(), "other")


def write(description: ModelDescription, repository: str, address: str) -> str:
    """Write the card of an item: what the model is, reads and gives, how good it is, and how it is loaded.

    Parameters
    ----------
    description
        Of the item.
    repository, address
        Name of the repository, and where its item is read from.
    """
    parts = [
        f"---\n{yaml.safe_dump(header(description), sort_keys=False, allow_unicode=True)}---",
        f"# {description.title}",
        description.description,
        "## Inputs",
        "\n".join(tensor_rows(description.inputs)),
        "## Outputs",
        "\n".join(tensor_rows(description.outputs)),
        "## Training data",
        f"Place (west, south, east, north): {', '.join(f'{edge:g}' for edge in description.bbox)}. "
        f"Time: {description.start.date()} to {description.end.date()}.",
        "## Use",
        f"`{repository}` holds a STAC item with the Machine Learning Model extension, `item.json`, and the file that "
        "it describes, with its SHA-256. Without modelstac the file is an ordinary one of its framework.",
        f"```python\nimport modelstac\n\nmodel = modelstac.load({address!r})\nprint(model.signature)\n```",
    ]
    return "\n\n".join(parts) + "\n"


def header(description: ModelDescription) -> dict[str, Any]:
    """Return the header of a card."""
    by_spdx = {name: ours for ours, name in LICENSES.items()}
    licence = by_spdx.get(description.license)
    found: dict[str, Any] = {"license": licence or "other"}
    if licence is None:
        found["license_name"] = re.sub(r"[^a-z0-9.-]+", "-", description.license.casefold()).strip("-") or "other"
    tasks = dict.fromkeys(TASKS[task] for task in description.tasks if task in TASKS)
    if tasks:
        found["pipeline_tag"] = next(iter(tasks))
    found["library_name"] = LIBRARIES.get(description.format, description.format)
    found["tags"] = list(dict.fromkeys(["earth-observation", "stac", "modelstac", *description.keywords]))
    if description.scores:
        task = found.get("pipeline_tag", "other")
        metrics = [{"type": name, "value": value, "name": name} for name, value in description.scores.items()]
        dataset = {"type": "held-out", "name": "held-out data"}
        result = {"task": {"type": task}, "dataset": dataset, "metrics": metrics}
        found["model-index"] = [{"name": description.name, "results": [result]}]
    return found


def tensor_rows(tensors: tuple[ModelInput, ...] | tuple[ModelOutput, ...]) -> list[str]:
    """Write inputs or outputs as rows of a table of Markdown."""
    rows = ["| Name | Type | Axes | Bands |", "| --- | --- | --- | --- |"]
    for tensor in tensors:
        layout = tensor.input if isinstance(tensor, ModelInput) else tensor.result
        axes = ", ".join(
            f"{axis} {'any' if size == -1 else size}" for axis, size in zip(layout.dim_order, layout.shape, strict=True)
        )
        bands = ", ".join(band if isinstance(band, str) else band.name for band in tensor.bands)
        rows.append(f"| `{tensor.name}` | {layout.data_type} | {axes} | {bands or '–'} |")
    return rows
