"""Rules of the properties: names, versions, tasks, accelerator, and fields that MLM does not have."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

from modelstac.catalog.errors import InvalidItemError
from modelstac.catalog.items.mlm import MLM_SCHEMA_URI, SEMVER, TASKS, Accelerator
from modelstac.catalog.items.schemas import find_schema
from modelstac.catalog.items.versions import semver
from modelstac.registry.checking.fault import MLM, Document, Fault, shown

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]")
_ODD = re.compile(r"[^a-zA-Z0-9_.\-\s]+")
# What people write for what the list has.
_ACCELERATORS = {
    **dict.fromkeys(("gpu", "nvidia", "cuda gpu", "nvidia gpu", "gpu-cuda"), "cuda"),
    **dict.fromkeys(("x86_64", "x86-64", "x64", "intel", "amd"), "amd64"),
    **dict.fromkeys(("tpu", "google-tpu"), "xla"),
    **dict.fromkeys(("rocm", "amd gpu"), "amd-rocm"),
    **dict.fromkeys(("mps", "metal", "apple", "arm64", "m1"), "macos-arm"),
}
_OLD = {"mlm:accelerator_constraint": "mlm:accelerator_constrained", "mlm:pretrained_sources": "mlm:pretrained_source"}


def names(document: Document) -> Iterator[Fault]:
    """The name has letters, digits, spaces, dots and dashes alone."""
    found = document["properties"].get("mlm:name")
    if not isinstance(found, str) or _NAME.fullmatch(found):
        return
    made = _ODD.sub("-", found).strip("-_. ")
    made = made if made[:1].isalpha() else f"model-{made}"
    made = made if len(made) > 2 else f"{made}-model"
    yield Fault(
        "name",
        "properties.mlm:name",
        f"is {shown(found)}, and takes three and more letters, digits, '.', '-' and '_'",
        MLM,
        made,
    )
    document["properties"]["mlm:name"] = made


def version(document: Document) -> Iterator[Fault]:
    """The version of the framework is a semantic one."""
    found = document["properties"].get("mlm:framework_version")
    if found is None or (isinstance(found, str) and SEMVER.fullmatch(found)):
        return
    try:
        made: str | None = semver(str(found))
    except InvalidItemError:
        made = None
    yield Fault("semver", "properties.mlm:framework_version", f"is {shown(found)}, no semantic version", MLM, made)
    if made is not None:
        document["properties"]["mlm:framework_version"] = made


def accelerator(document: Document) -> Iterator[Fault]:
    """The accelerator is one of a list; a model that needs none names none."""
    properties, key = document["properties"], "mlm:accelerator"
    found = properties.get(key)
    if found is None or found in get_args(Accelerator):
        return
    listed = ", ".join(get_args(Accelerator))
    text = f"is {shown(found)}, and MLM has {listed}"
    word = str(found).strip().casefold()
    made = _ACCELERATORS.get(word) or next((a for a in get_args(Accelerator) if a == word), None)
    if made is not None:
        properties[key] = made
    elif word == "cpu":
        del properties[key]
    yield Fault("accelerator", f"properties.{key}", text, MLM, made or ("left out" if word == "cpu" else None))


def tasks(document: Document) -> Iterator[Fault]:
    """Tasks are of a list, of the model and of each output."""
    places: list[tuple[str, Any]] = [("properties", document["properties"])]
    outputs = document["properties"].get("mlm:output")
    places += [
        (f"properties.mlm:output[{i}]", one)
        for i, one in enumerate(outputs if isinstance(outputs, list) else ())
        if isinstance(one, dict)
    ]
    for place, holder in places:
        key = "mlm:tasks" if place == "properties" else "tasks"
        found = holder.get(key)
        listed = [found] if isinstance(found, str) else found
        if not isinstance(listed, list) or (found is listed and all(task in TASKS for task in listed)):
            continue
        made = [_task(task) for task in listed]
        known = None if None in made else list(dict.fromkeys(made))
        yield Fault(
            "tasks",
            f"{place}.{key}",
            f"is {shown(found)}, and MLM has a list of tasks",
            MLM,
            None if known is None else shown(known),
        )
        if known is not None:
            holder[key] = known


def _task(found: Any) -> str | None:
    word = re.sub(r"[\s_]+", "-", str(found).strip().casefold())
    near = difflib.get_close_matches(word, TASKS, 1, 0.85)
    return word if word in TASKS else near[0] if near else None


def fields(document: Document) -> Iterator[Fault]:
    """There are no fields of MLM's that it does not have; hyperparameters are not empty."""
    properties = document["properties"]
    known = _known()
    for name in [name for name in properties if name.startswith("mlm:") and name not in known]:
        near = [_OLD[name]] if name in _OLD else difflib.get_close_matches(name.replace("-", "_"), known, 1, 0.85)
        made = near[0] if near and near[0] not in properties else None
        yield Fault("field", f"properties.{name}", "is no field of MLM", MLM, made)
        if made is not None:
            properties[made] = properties.pop(name)
    if properties.get("mlm:hyperparameters") == {}:
        yield Fault(
            "hyperparameters", "properties.mlm:hyperparameters", "is empty, which MLM does not take", MLM, "left out"
        )
        del properties["mlm:hyperparameters"]


@cache
def _known() -> tuple[str, ...]:
    """Return the fields of an item that the schema has."""
    found = find_schema(MLM_SCHEMA_URI)["$defs"]["fields"]["properties"]
    return tuple(found)
