"""The one vocabulary of publishing: arguments of the call, options of the command and fields of a file have it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from modelstac.catalog.errors import SpecError, at
from modelstac.catalog.items.description import NAME_PATTERN
from modelstac.catalog.items.mlm import SEMVER, TASKS
from modelstac.registry.describing.describe import Statement
from modelstac.registry.publishing.places import read_box, read_geometry, read_period


class Said(TypedDict, total=False):
    """What can be said of a model; of several inputs or outputs as a mapping by name.

    Parameters
    ----------
    name, version, title, description, keywords, license
        As in :class:`~modelstac.registry.describing.describe.Statement`; the version is 1.0.0 by default.
    task, architecture
        What it is for in MLM's terms, and its kind of network; of trees and linear models both are known.
    bbox, geometry, region
        Place of the training data: west, south, east, north in degrees, or GeoJSON (or its file); and its name.
    datetime, season
        Time of the training data (``2020-01-01/2021-12-31``), and months of the year (``Jun-Aug``).
    input_dims, output_dims, bands, output_bands, range
        As in ``Statement``; axes follow from labels of the example, or from its bands and the classes.
    example, example_scaled
        What the model is fed: array, tensor, xarray, batch, loader, table or a ``.npy`` file. Its values are physical
        where a scaling is stated, unless ``example_scaled`` is true.
    gaps
        Whether NaN in the example stands for what is missing, and the model is fed it; by default of models of tables.
    classes
        Names, values and colours; see :func:`modelstac.registry.publishing.classes.read_classes`.
    scaling
        From physical values to those that the model reads; see
        :func:`modelstac.registry.publishing.scaling.read_scaling`.
    units, resize
        Unit of the bands, one or by name; how images are brought to the model's size (MLM's ``resize_type``).
    metrics, metrics_table, metrics_picture, thumbnail
        Scores on held-out data, flat or nested, or a file (JSON, YAML); a table (CSV, rows or a DataFrame) and a
        picture (PNG, or a figure of matplotlib) of them; a small picture of what the model does.
    main_metric
        Name of the score that matters most, which pages show first.
    hyperparameters, entrypoint
        Of the training; the function that builds the architecture, for weights.
    requirements
        True: the packages installed here that run it; or a file of those that it was trained with.
    code
        True: the commit of the script that runs; or a path, a commit, or a mapping.
    training_data, derived_from
        Ids of items, URLs of items or collections, files; what else the model is derived from.
    author, citation, doi
        Names, or mappings with name, url and roles; how to cite it.
    card
        Model card in Markdown, or its file.
    variant, backend, backend_version, pretrained, pretrained_source
        As in ``Statement``.
    origin
        Where the model was taken from, by ``registry``, ``name``, ``version`` and ``files``: said by what takes it.
    """

    name: str
    version: str
    title: str
    description: str
    keywords: Sequence[str]
    license: str
    task: Any
    architecture: str
    bbox: Any
    geometry: Any
    region: str
    datetime: Any
    season: Any
    input_dims: Any
    output_dims: Any
    bands: Any
    output_bands: Any
    range: Any
    example: Any
    example_scaled: bool
    gaps: bool
    classes: Any
    scaling: Any
    units: Any
    resize: Any
    metrics: Any
    main_metric: str
    metrics_table: Any
    metrics_picture: Any
    thumbnail: Any
    hyperparameters: Mapping[str, Any]
    entrypoint: str
    requirements: Any
    code: Any
    training_data: Any
    derived_from: Any
    author: Any
    citation: str
    doi: str
    card: Any
    variant: str
    backend: str
    backend_version: str
    pretrained: bool
    pretrained_source: str
    origin: Mapping[str, Any]


FIELDS: tuple[str, ...] = tuple(Said.__annotations__)
_LICENSE = re.compile(r"[\w.+-]+", re.ASCII)  # of STAC's schema
_TEXTS = (
    *("name", "version", "title", "description", "license", "architecture", "variant"),
    *("backend", "backend_version", "pretrained_source", "region", "entrypoint", "citation", "doi"),
    "main_metric",
)
_WORDS = {"task": "tasks", "input_dims": "input_dims", "output_dims": "output_dims"} | {
    "bands": "bands",
    "output_bands": "output_bands",
}


WORDS = frozenset({"bands", "output_bands", "input_dims", "output_dims", "keywords", "task"})
"""Fields of words, which may lie in an array."""


def unknown(name: str, known: Sequence[str] = FIELDS) -> str:
    """Say which field is meant, in half a line."""
    near = difflib.get_close_matches(name, known, 1, 0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def plain(value: Any) -> Any:
    """Give arrays, tensors and single numbers of frameworks as lists and numbers of Python, also inside of others."""
    if isinstance(value, Mapping):
        return {plain(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    if not hasattr(value, "tolist") and hasattr(value, "numpy"):  # a tensor of TensorFlow
        value = value.numpy()
    return value.tolist() if hasattr(value, "tolist") else value


def check_names(said: Mapping[str, Any]) -> None:
    """Refuse what is no field, with the nearest one.

    Raises
    ------
    SpecError
        If there is such a field, or a text is none.
    """
    for name, value in said.items():
        if name not in FIELDS:
            raise SpecError(f"{name!r} is nothing that can be said of a model: {unknown(name)}")
        if name in _TEXTS and value is not None and not isinstance(value, str):
            hint = f": write '{value}' in quotes" if isinstance(value, int | float) else ""
            raise SpecError(f"{name} is a text, not {value!r:.60}{hint}")


def statement(said: Mapping[str, Any], folder: Path) -> Statement:
    """Return what is said of the file itself, typed.

    Parameters
    ----------
    said
        By the names of :class:`Said`.
    folder
        What paths are relative to.

    Raises
    ------
    SpecError
        If something makes no sense; what is missing is asked for when the file is described.
    """
    check_names(said)
    check_name(said.get("name"))
    check_version(said.get("version"))
    if "bbox" in said and "geometry" in said:
        raise SpecError("bbox and geometry both say where: give one of them")
    if said.get("backend") is not None and said.get("backend_version") is None:
        raise SpecError("backend needs backend_version, the version of what Keras ran on")
    fields: dict[str, Any] = {
        name: said[name] for name in _TEXTS if said.get(name) is not None and name in Statement.__dataclass_fields__
    }
    fields.setdefault("version", "1.0.0")
    for name, called in _WORDS.items():
        if said.get(name) is not None:
            fields[called] = words(said[name], name)
    check_tasks(fields.get("tasks", ()))
    if said.get("bbox") is not None:
        fields["geometry"] = read_box(said["bbox"])
    if said.get("geometry") is not None:
        fields["geometry"] = read_geometry(said["geometry"], folder)
    if said.get("datetime") is not None:
        fields["start"], fields["end"] = read_period(said["datetime"])
    if said.get("range") is not None:
        fields["ranges"] = said["range"]
    if said.get("keywords") is not None:
        fields["keywords"] = words(said["keywords"], "keywords")
    if said.get("pretrained") is not None:
        fields["pretrained"] = bool(said["pretrained"])
    return Statement(**fields)


def check_name(name: str | None) -> None:
    """Refuse a name that cannot be a folder and a part of a URL."""
    if name is not None and (len(name) < 3 or not re.fullmatch(NAME_PATTERN, name)):
        raise SpecError(
            f"name {name!r} is none: 3 to 100 letters, digits, '.', '-' and '_', a letter first, are needed"
        )


def check_license(said: str) -> None:
    """Refuse what STAC has not for a license: an expression of several, or words."""
    if not _LICENSE.fullmatch(said):
        raise SpecError(
            f"license {said!r} is none that STAC knows: write one of SPDX, such as CC-BY-4.0, else 'other' and say "
            "which in the description"
        )


def check_version(version: str | None) -> None:
    """Refuse what is no semantic version, or has build metadata."""
    if version is not None and (not SEMVER.fullmatch(version) or "+" in version):
        raise SpecError(f"version {version!r} is no semantic version, such as 1.0.0")


def listed(said: Any) -> list[Any]:
    """Return one or several as a list."""
    if said is None:
        return []
    return list(said) if isinstance(said, list | tuple) else [said]


def words(said: Any, name: str) -> Any:
    """Return words of the only tensor, or of each by its name.

    Raises
    ------
    SpecError
        If they are no texts.
    """
    if isinstance(said, Mapping):
        found = {}
        for key, value in said.items():
            with at(key):
                found[str(key)] = words(value, f"{name} of {key!r}")
        return found
    each = [part.strip() for part in said.split(",")] if isinstance(said, str) else listed(plain(said))
    for number, word in enumerate(each):
        if not isinstance(word, str):
            with at(*(number,) if isinstance(said, list | tuple) else ()):
                raise SpecError(f"{name} are words, such as {name}: [a, b], not {word!r:.60}")
    return tuple(each)


def check_tasks(tasks: Any) -> None:
    """Refuse what is none of MLM's tasks."""
    for name, some in tasks.items() if isinstance(tasks, Mapping) else ((None, tasks),):
        for number, task in enumerate(some):
            if task not in TASKS:
                with at(*(name,) if name is not None else (), number):
                    raise SpecError(f"task {task!r} is none of MLM's tasks: {unknown(task, TASKS)}")


def by_input(said: Any, names: Sequence[str], what: str) -> dict[str, Any]:
    """Give what is said of each input, or output, by its name; it may be said of the only one without.

    Raises
    ------
    SpecError
        If it is said of several at once.
    """
    if said is None:
        return {}
    if isinstance(said, Mapping) and said and all(name in names for name in said):
        return dict(said)
    if len(names) == 1:
        return {names[0]: said}
    raise SpecError(f"{what}: the model has {', '.join(names)}; say of which, {what}: {{{names[0]}: …}}")
