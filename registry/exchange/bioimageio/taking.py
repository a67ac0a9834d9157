"""A package of bioimage.io as a model that is published: its axes, sizes, halo and processing, tested by its arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modelstac.catalog.errors import InvalidItemError, NotFoundError, UntrustedError
from modelstac.catalog.messages import Note, Report
from modelstac.registry.exchange.bioimageio.package import Package, open_package, unpack
from modelstac.registry.exchange.bioimageio.tensors import PackageTensor, read_tensors
from modelstac.registry.exchange.taken import Taken, as_name, as_version
from modelstac.registry.facts import read_facts
from modelstac.registry.trust.policy import TrustPolicy

if TYPE_CHECKING:
    from modelstac.catalog.items.description import ModelDescription

    Arrays = Mapping[str, np.ndarray[Any, Any]]

_WEIGHTS = ("onnx", "keras_v3", "tensorflow_saved_model_bundle")
_CODE = ("pytorch_state_dict", "torchscript", "keras_hdf5")
_RELATIVE, _ABSOLUTE, _PER_MILLION = 1e-3, 1e-4, 40
"""What the format allows a test to differ by, where the package says nothing else."""


def take(text: str, folder: Path, into: Path, *, policy: TrustPolicy, report: Report) -> Taken:
    """Take a model out of a package.

    Parameters
    ----------
    text
        Path or URL of its ``rdf.yaml``, its folder or its archive.
    folder
        What a path is relative to.
    into
        Folder for its files, which live until the model is published.
    policy
        Largest file.
    report
        Gets notes.

    Raises
    ------
    SpecError
        If it is of a newer format, or processes values by what is not known here.
    UntrustedError
        If its weights run code when they are read.
    IntegrityError
        If a file is not the one whose SHA-256 it states.
    ModelStacError
        As opening it does.
    """
    package = open_package(text, folder, into, max_bytes=policy.max_bytes)
    inputs = read_tensors(package.rdf, "inputs", package.where)
    outputs = read_tensors(package.rdf, "outputs", package.where)
    path, kind = _weights(package)
    facts = read_facts(path, policy=policy)
    if (len(facts.inputs), len(facts.outputs)) != (len(inputs), len(outputs)):
        raise InvalidItemError(
            f"{package.where} describes {len(inputs)} inputs and {len(outputs)} outputs, its file has "
            f"{len(facts.inputs)} and {len(facts.outputs)}: ask its publisher"
        )
    into_file = {ours.name: theirs.name for ours, theirs in zip(inputs, facts.inputs, strict=True)}
    out_of_file = {theirs.name: ours.name for ours, theirs in zip(outputs, facts.outputs, strict=True)}
    raw = {one.name: package.array(one.test) for one in inputs if one.test is not None}
    read = _computed(inputs, raw, {})
    said = _said(package, kind)
    said["input_dims"] = {into_file[one.name]: one.dims for one in inputs}
    said["output_dims"] = {theirs: _named(outputs, ours).dims for theirs, ours in out_of_file.items()}
    if bands := {into_file[one.name]: one.channels for one in inputs if one.channels}:
        said["bands"] = bands
    said |= _scaling(inputs, into_file, raw, read, facts)
    said["origin"]["files"] = dict(sorted(package.digests.items()))
    expected = {one.name: package.array(one.test) for one in outputs if one.test is not None}
    said["origin"]["files"] = dict(sorted(package.digests.items()))
    finish = partial(
        _finished, inputs=inputs, outputs=outputs, names=(into_file, out_of_file), report=report, where=package.where
    )
    check = partial(
        _checked, outputs=outputs, names=out_of_file, expected=expected, read=read, rdf=package.rdf, report=report
    )
    return Taken(path, said, finish=finish, check=check if len(raw) == len(inputs) and expected else None)


def _named(tensors: Sequence[PackageTensor], name: str) -> PackageTensor:
    return next(one for one in tensors if one.name == name)


def _weights(package: Package) -> tuple[Path, str]:
    """Return the file of the weights that is read, and its kind."""
    listed = package.rdf.get("weights")
    listed = listed if isinstance(listed, Mapping) else {}
    for kind in _WEIGHTS:
        if isinstance(found := listed.get(kind), Mapping):
            path = package.file(found)
            if isinstance(more := found.get("external_data"), Mapping):
                package.file(more)
            if kind == "tensorflow_saved_model_bundle":
                return _bundle(path, package), kind
            return path, kind
    if code := [kind for kind in _CODE if kind in listed]:
        raise UntrustedError(
            f"{package.where} has its weights as {', '.join(code)}, which run code when they are read, or cannot be "
            "looked into: ask its publisher for ONNX"
        )
    raise NotFoundError(f"{package.where} has no weights that are known here: they are {', '.join(listed) or 'none'}")


def _bundle(path: Path, package: Package) -> Path:
    """Unpack a SavedModel, and return its folder."""
    folder = package.into / "saved"
    unpack(path, folder, package.max_bytes)
    found = next(folder.rglob("saved_model.pb"), None)
    if found is None:
        raise InvalidItemError(f"{path.name} of {package.where} holds no saved_model.pb: ask its publisher")
    return found.parent


def _computed(tensors: Sequence[PackageTensor], arrays: Arrays, others: Arrays) -> dict[str, np.ndarray[Any, Any]]:
    """Do to arrays what their tensors say, in floating point."""
    found = {}
    for tensor in tensors:
        if tensor.name not in arrays:
            continue
        values = np.asarray(arrays[tensor.name])
        for step in tensor.steps:
            values = step.compute(values if step.is_nothing else values.astype(np.float64), {**others, **arrays})
        found[tensor.name] = values
    return found


def _said(package: Package, kind: str) -> dict[str, Any]:
    rdf = package.rdf
    name, version = str(rdf.get("name") or ""), as_version(rdf.get("version") or "")
    found: dict[str, Any] = {
        "name": as_name(name),
        "title": name,
        "version": version,
        "license": rdf.get("license"),
        "description": rdf.get("description"),
        "keywords": [str(tag) for tag in rdf.get("tags") or ()],
        "author": [_person(one) for one in rdf.get("authors") or () if isinstance(one, Mapping) and one.get("name")],
    }
    cites = [one for one in rdf.get("cite") or () if isinstance(one, Mapping)]
    if cites:
        found["citation"] = str(cites[0].get("text") or "")
        found["doi"] = next((str(one["doi"]) for one in cites if str(one.get("doi", "")).startswith("10.")), None)
    documentation = rdf.get("documentation")
    if isinstance(documentation, Mapping):
        documentation = documentation.get("source")
    if isinstance(documentation, str) and documentation.endswith(".md") and "://" not in documentation:
        found["card"] = package.file(documentation)
    found = {key: value for key, value in found.items() if value}
    found["origin"] = {
        "registry": "bioimage.io",
        "name": str(rdf.get("id") or name or package.where),
        "version": str(rdf.get("version") or rdf.get("format_version")),
        "format_version": str(rdf["format_version"]),
        "weights": kind,
    } | ({"address": package.base} if package.base is not None else {})
    return found


def _person(one: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"name": str(one["name"]), "roles": ["producer"]}
    if one.get("orcid"):
        found["url"] = f"https://orcid.org/{one['orcid']}"
    if one.get("affiliation"):
        found["description"] = str(one["affiliation"])
    return found


def _scaling(
    inputs: Sequence[PackageTensor], names: Mapping[str, str], raw: Arrays, read: Arrays, facts: Any
) -> dict[str, Any]:
    """Say how values are scaled, and the example: as it is where that can be computed, else as the model reads it."""
    found: dict[str, Any] = {}
    scalings: dict[str, Any] = {}
    for one in inputs:
        bands = next((_fixed(s) for s, dim in zip(one.sizes, one.dims, strict=True) if dim == "channel"), None) or 1
        chain = [step.scaling(bands) for step in one.steps if not step.is_nothing]
        if chain and all(step is not None for step in chain):
            scalings[names[one.name]] = _chained([step for step in chain if step is not None], bands)
        elif chain:
            scalings.clear()
            break
    undone = not scalings and any(not step.is_nothing for one in inputs for step in one.steps)
    if scalings:
        found["scaling"] = scalings
    if len(raw) == len(inputs):
        types = {tensor.name: tensor.dtype for tensor in facts.inputs}
        given = read if undone else raw
        found["example"] = {
            names[name]: array.astype(types[names[name]]) if undone else array for name, array in given.items()
        }
        found["example_scaled"] = undone
    return found


def _fixed(size: Any) -> int | None:
    return size.at_least if size is not None and size.is_fixed else None


def _chained(steps: list[list[dict[str, Any]]], bands: int) -> Any:
    """Write steps one after the other, for all bands or for each."""
    if all(len(step) == 1 for step in steps):
        return steps[0][0] if len(steps) == 1 else [[step[0] for step in steps]]
    each = [[step[band if len(step) > 1 else 0] for step in steps] for band in range(bands)]
    return [chain[0] if len(chain) == 1 else chain for chain in each]


def _finished(
    description: ModelDescription,
    *,
    inputs: Sequence[PackageTensor],
    outputs: Sequence[PackageTensor],
    names: tuple[Mapping[str, str], Mapping[str, str]],
    report: Report,
    where: str,
) -> ModelDescription:
    """Say in a description what the package says of sizes, halo and processing."""
    into_file, out_of_file = names
    sizes = {name: dict(axes) for name, axes in description.sizes.items()}
    for one in inputs:
        name = into_file[one.name]
        layout = next(tensor.input for tensor in description.inputs if tensor.name == name)
        for dim, length, size in zip(one.dims, layout.shape, one.sizes, strict=True):
            if size is not None and length == -1 and dim != "batch":
                sizes.setdefault(name, {})[dim] = size
    halo = _halo(description, outputs)
    made_inputs = []
    for tensor in description.inputs:
        mine = next(one for one in inputs if into_file[one.name] == tensor.name)
        wanted = [step for step in mine.steps if not step.is_nothing]
        undone = wanted and not tensor.value_scaling
        functions = [step.written() for step in wanted]
        made_inputs.append(tensor.model_copy(update={"pre_processing_function": functions}) if undone else tensor)
    made_outputs = []
    for output in description.outputs:
        theirs = _named(outputs, out_of_file[output.name])
        functions = [step.written() for step in theirs.steps if not step.is_nothing]
        made_outputs.append(output.model_copy(update={"post_processing_function": functions}) if functions else output)
    if left := {step.id for one in (*inputs, *outputs) for step in one.steps if step.written()["format"] != "numpy"}:
        report(Note(f"{where}: {', '.join(sorted(left))} depends on the image itself, and is left to whoever runs it"))
    update = {"inputs": tuple(made_inputs), "outputs": tuple(made_outputs), "sizes": sizes, "halo": halo}
    return description.model_copy(update=update)


def _halo(description: ModelDescription, outputs: Sequence[PackageTensor]) -> dict[str, dict[str, Any]] | None:
    """Return the halo that was measured, where the package states none that is more."""
    stated: dict[str, int] = {}
    for output in outputs:
        for dim, pixels in output.halo.items():
            stated[dim] = max(pixels, stated.get(dim, 0))
    if not stated:
        return description.halo
    found = {name: dict(axes) for name, axes in (description.halo or {}).items()}
    for tensor in description.inputs:
        for dim in tensor.input.dim_order:
            if dim not in stated:
                continue
            measured = found.get(tensor.name, {}).get(dim)
            pixels = max(stated[dim], measured) if isinstance(measured, int) else stated[dim]
            found.setdefault(tensor.name, {})[dim] = pixels
    return found


def _checked(
    description: ModelDescription,
    *,
    outputs: Sequence[PackageTensor],
    names: Mapping[str, str],
    expected: Arrays,
    read: Arrays,
    rdf: Mapping[str, Any],
    report: Report,
) -> None:
    """Hold what the model makes of the test arrays against those that the package expects.

    Raises
    ------
    InvalidItemError
        If they differ by more than the format allows.
    """
    from modelstac.registry.running.examples import OUTPUT, example_keys

    keys = example_keys(OUTPUT, [output.name for output in description.outputs])
    given = {names[name]: np.load(str(description.assets[key].path)) for name, key in keys.items()}
    found = _computed(outputs, given, read)
    relative, absolute, share = _tolerance(rdf)
    for name, wanted in expected.items():
        array = found[name].astype(np.float64)
        if array.shape != wanted.shape:
            raise InvalidItemError(
                f"the model makes {name!r} of the test as {list(array.shape)}, the package expects {list(wanted.shape)}"
            )
        away = np.abs(array - wanted) > absolute + relative * np.abs(wanted)
        if (parts := 1e6 * float(np.mean(away))) > share:
            most = float(np.max(np.abs(array - wanted)))
            raise InvalidItemError(
                f"the model gives other numbers for {name!r} than its package expects of the test, by {most:.2g} at "
                f"most, in {parts:.0f} of a million: it is not the model that was tested, and was not published"
            )
    report(Note(f"the test of the package passed: {', '.join(sorted(expected))}"))


def _tolerance(rdf: Mapping[str, Any]) -> tuple[float, float, float]:
    """Return what a test may differ by, as far as the package says so itself."""
    config = rdf.get("config")
    stated = config.get("bioimageio") if isinstance(config, Mapping) else None
    listed = stated.get("reproducibility_tolerance") if isinstance(stated, Mapping) else None
    one = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], Mapping) else {}
    return (
        float(one.get("relative_tolerance", _RELATIVE)),
        float(one.get("absolute_tolerance", _ABSOLUTE)),
        float(one.get("mismatched_elements_per_million", _PER_MILLION)),
    )
