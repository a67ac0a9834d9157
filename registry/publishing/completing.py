"""From the description of a file to one with all that its publisher says beside: classes, scaling, scores, people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelstac.catalog.errors import SpecError, at
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.digests import sha256
from modelstac.catalog.items.mlm import CLASSES_FIELD, ModelInput, ModelOutput, Structure, ValueScaling, band_axis
from modelstac.catalog.items.provenance import KeptLink, Source
from modelstac.registry.publishing import beside
from modelstac.registry.publishing.classes import Class, read_classes
from modelstac.registry.publishing.code import read_code
from modelstac.registry.publishing.fitting import CLASS
from modelstac.registry.publishing.saying import by_input, listed, unknown
from modelstac.registry.publishing.scaling import read_scaling
from modelstac.registry.publishing.seasons import read_months
from modelstac.registry.publishing.values import (
    check_resize,
    read_authors,
    read_doi,
    read_hyperparameters,
    read_origin,
    read_units,
)
from modelstac.registry.publishing.written import values_of


def completed(
    description: ModelDescription,
    said: Mapping[str, Any],
    folder: Path,
    into: Path,
    *,
    labels: Sequence[tuple[int, str]] | None = None,
) -> ModelDescription:
    """Say in a description all that is said beside what concerns the file.

    Parameters
    ----------
    description
        Of a file.
    said
        By the names of :class:`~modelstac.registry.publishing.saying.Said`.
    folder
        What paths are relative to.
    into
        Folder for files beside the model, which lives until the item is published.
    labels
        What labels the model gives and calls them, in the order of its scores, where it knows them.

    Raises
    ------
    SpecError
        If something makes no sense, or does not fit the model.
    """
    inputs = _inputs(description, said, folder)
    outputs, classes = _outputs(description, said, folder, labels)
    fields: dict[str, Any] = {"inputs": inputs, "outputs": outputs}
    with at("units"):
        fields["band_details"] = _units(description, said, folder)
    bands = [b if isinstance(b, str) else b.name for tensor in inputs for b in tensor.bands]
    latitude = (description.bbox[1] + description.bbox[len(description.bbox) // 2 + 1]) / 2
    if said.get("season") is not None:
        with at("season"):
            fields["months"] = read_months(said["season"], latitude=latitude)
    fields["region"] = said.get("region")
    # What people search for by a word is found by it.
    found = [*(str(c["description"]) for c in classes), *bands, *listed(said.get("region"))]
    fields["keywords"] = tuple(dict.fromkeys((*description.keywords, *found)))
    with at("code"):
        fields["code"] = read_code(said.get("code"))
    fields["origin"] = read_origin(said.get("origin"))
    fields |= _training(description, said, folder)
    fields |= _people(description, said)
    fields |= _shown(description, said, folder, into)
    return ModelDescription(**description.model_dump() | fields)


def _inputs(description: ModelDescription, said: Mapping[str, Any], folder: Path) -> tuple[ModelInput, ...]:
    names = [tensor.name for tensor in description.inputs]
    with at("resize"), values_of(said.get("resize"), folder, texts=True) as stated:
        resize = by_input(stated, names, "resize")
    scaled = _scalings(description, said, names, folder)
    made = []
    for tensor in description.inputs:
        fields: dict[str, Any] = {}
        if tensor.name in scaled:
            fields["value_scaling"] = scaled[tensor.name]
        if tensor.name in resize:
            check_resize(resize[tensor.name])
            fields["resize_type"] = resize[tensor.name]
        made.append(tensor.model_copy(update=fields))
    return tuple(made)


def _scalings(
    description: ModelDescription, said: Mapping[str, Any], names: Sequence[str], folder: Path
) -> dict[str, tuple[ValueScaling, ...]]:
    found = {}
    with at("scaling"), values_of(said.get("scaling"), folder, texts=True) as stated:
        scaling = by_input(stated, names, "scaling")
        for tensor in description.inputs:
            if tensor.name in scaling:
                bands = [band if isinstance(band, str) else band.name for band in tensor.bands]
                with at(*() if scaling[tensor.name] is stated else (tensor.name,)):
                    found[tensor.name] = read_scaling(scaling[tensor.name], bands, _count(tensor.input), of=tensor.name)
    return found


def _count(layout: Structure) -> int | None:
    axis = band_axis(layout.dim_order)
    length = 1 if axis is None else layout.shape[layout.dim_order.index(axis)]
    return length if length > 0 else None


def _outputs(
    description: ModelDescription, said: Mapping[str, Any], folder: Path, labels: Sequence[tuple[int, str]] | None
) -> tuple[tuple[ModelOutput, ...], list[Class]]:
    if said.get("classes") is None:
        return description.outputs, []
    with at("classes"), values_of(said["classes"], folder) as stated:
        return _with_classes(description.outputs, stated, labels)


def _with_classes(
    outputs: Sequence[ModelOutput], stated: Any, labels: Sequence[tuple[int, str]] | None
) -> tuple[tuple[ModelOutput, ...], list[Class]]:
    names = [output.name for output in outputs]
    if isinstance(stated, Mapping) and stated and all(str(name) in names for name in stated):
        found = {}
        for name, one in stated.items():
            with at(name):
                found[str(name)] = read_classes(one)
    else:
        classes = read_classes(stated)
        if labels is not None:
            classes = _as_labelled(classes, labels)
        with_axis = [o.name for o in outputs if CLASS in o.result.dim_order or (labels and _holds_labels(o))]
        found = dict.fromkeys(names if len(names) == 1 else with_axis or names, classes)
    made = []
    for output in outputs:
        if output.name not in found:
            made.append(output)
            continue
        _check_count(output, found[output.name])
        made.append(ModelOutput(**output.model_dump() | {CLASSES_FIELD: found[output.name]}))
    return tuple(made), [one for classes in found.values() for one in classes]


def _holds_labels(output: ModelOutput) -> bool:
    return "int" in output.result.data_type


def _as_labelled(classes: list[Class], labels: Sequence[tuple[int, str]]) -> list[Class]:
    """Give classes the values and the order of a model's own labels, in which its scores are.

    Raises
    ------
    SpecError
        If they are others, or one is called as another of the model's own.
    """
    by_value = {int(one["value"]): one for one in classes}
    wanted = [value for value, _ in labels]
    if list(by_value) == list(range(len(labels))):  # names alone, in the order of the labels
        by_value = dict(zip(wanted, classes, strict=True))
    if missing := sorted(set(wanted) - set(by_value)):
        shown = ", ".join(map(str, missing[:6]))
        raise SpecError(f"the model gives the labels {shown}, and no class has that value: give each class its value")
    own = {name.casefold(): value for value, name in labels}
    for value in wanted:
        said = {str(by_value[value][key]).casefold() for key in ("name", "description")}
        if other := [name for name in said if own.get(name, value) != value]:
            shown = ", ".join(f"{number} {name}" for number, name in labels[:6])
            raise SpecError(f"the class {value} is called {other[0]!r}, and the model itself has {shown}: name them so")
    return [by_value[value] | {"value": value} for value in wanted]


def _check_count(output: ModelOutput, classes: Sequence[Class]) -> None:
    lengths = dict(zip(output.result.dim_order, output.result.shape, strict=True))
    length = lengths.get(CLASS, -1)
    there = sum(not one.get("nodata") for one in classes)  # what is nothing has a score, or most often none
    if length not in {-1, 1, there, len(classes)} or (length == 1 and there > 2):
        shown = ", ".join(str(one["description"]) for one in classes[:6])
        found = f"the output {output.name!r} has {length} along its axis {CLASS!r}"
        raise SpecError(f"there are {len(classes)} classes ({shown}), and {found}: name one for each")


def _units(description: ModelDescription, said: Mapping[str, Any], folder: Path) -> dict[str, dict[str, Any]]:
    details = {name: dict(fields) for name, fields in description.band_details.items()}
    if said.get("units") is None:
        return details
    stated = read_units(said["units"], folder)
    inputs = [b if isinstance(b, str) else b.name for tensor in description.inputs for b in tensor.bands]
    known = [*inputs, *(b if isinstance(b, str) else b.name for tensor in description.outputs for b in tensor.bands)]
    if not known:
        raise SpecError("units are those of bands, which have no names yet: give bands, too")
    found = stated if isinstance(stated, Mapping) else dict.fromkeys(inputs, stated)
    for name, unit in found.items():
        if name not in known:
            with at(name):
                raise SpecError(f"units name {name!r}, which is no band: {unknown(str(name), known)}")
        details.setdefault(str(name), {})["unit"] = str(unit)
    return details


def _training(description: ModelDescription, said: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Give hyperparameters, and what the model is derived from."""
    hyperparameters = dict(description.hyperparameters)
    hyperparameters |= read_hyperparameters(said.get("hyperparameters") or {}, folder)
    sources, files = [], []
    for one in (*listed(said.get("derived_from")), *listed(said.get("training_data"))):
        path = folder / str(one)
        if "://" not in str(one) and path.exists():
            files.append({"name": path.name} | ({"sha256": sha256(path)} if path.is_file() else {}))
        else:
            sources.append(Source(href=str(one)) if "://" in str(one) else Source(item_id=str(one)))
    if files:
        hyperparameters["training_data"] = files
    return {"hyperparameters": hyperparameters, "sources": (*description.sources, *sources)}


def _people(description: ModelDescription, said: Mapping[str, Any]) -> dict[str, Any]:
    common, links = dict(description.common), list(description.links)
    if said.get("citation") is not None:
        common["sci:citation"] = said["citation"]
    if said.get("doi") is not None:
        common["sci:doi"] = read_doi(said["doi"])
        links.append(KeptLink(rel="cite-as", href=f"https://doi.org/{common['sci:doi']}"))
    providers = (*description.providers, *read_authors(said.get("author")))
    return {"providers": providers, "common": common, "links": tuple(links)}


def _shown(description: ModelDescription, said: Mapping[str, Any], folder: Path, into: Path) -> dict[str, Any]:
    """Give scores and files beside the model, and a description that shows card and scores."""
    assets, text = (
        dict(description.assets),
        [] if said.get("card") and not said.get("description") else [description.description],
    )
    fields: dict[str, Any] = {}
    if said.get("card") is not None:
        card = beside.read_card(said["card"], folder)
        assets["card"] = beside.card_asset(card, into)
        text.append(card.strip())
    if said.get("metrics") is not None:
        fields["scores"] = beside.read_scores(said["metrics"], folder)
        text.append(beside.scores_table(fields["scores"], said.get("main_metric")))
    if (main := said.get("main_metric")) is not None:
        known = tuple(fields.get("scores") or description.scores or ())
        if main not in known:
            with at("main_metric"):
                advice = unknown(main, known) if known else "there are none yet, give metrics"
                raise SpecError(f"main_metric {main!r} is none of the metrics: {advice}")
        fields["main_metric"] = main
    if said.get("metrics_table") is not None:
        assets["metrics"] = beside.table_asset(said["metrics_table"], folder, into)
    for key, title, role in (
        ("metrics_picture", "Scores on held-out data", "overview"),
        ("thumbnail", "What the model gives", "thumbnail"),
    ):
        if said.get(key) is not None:
            name = key.replace("_", "-")
            assets[name] = beside.picture_asset(said[key], folder, into, name=name, title=title, role=role)
    if isinstance(said.get("requirements"), str | Path):
        title = "Packages that it was trained with"
        name = "training-requirements.txt"
        assets["training-requirements"] = beside.text_asset(said["requirements"], folder, into, name=name, title=title)
    return fields | {"assets": assets, "description": "\n\n".join(text)}
