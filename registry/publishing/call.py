"""The one call: a model, what is said of it, and a catalog."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import DataError, SpecError
from modelstac.catalog.messages import Note, Report, ignore
from modelstac.registry.publishing.saying import Said, by_input, check_names, statement, words
from modelstac.registry.trust.policy import DEFAULT_POLICY, PICKLE, TrustPolicy

if TYPE_CHECKING:
    import numpy as np
    import pystac

    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.facts import Facts, Tensor
    from modelstac.registry.publishing.fitting import Example
    from modelstac.registry.publishing.objects.saved import Kind, Saved

_FLAG = re.compile(r"--([a-z]+(?:-[a-z]+)*)(?![\w-])")


def publish(
    model: Any,
    *,
    catalog: Catalog | str | PathLike[str] | None = None,
    alias: str | None = None,
    policy: TrustPolicy = DEFAULT_POLICY,
    trust: str | Sequence[str] = (),
    report: Report = ignore,
    **said: Unpack[Said],
) -> pystac.Item:
    """Publish a model from where it was made.

    Parameters
    ----------
    model
        A ``keras.Model``, a ``torch.nn.Module`` (a LightningModule is one), an exported program, a fitted pipeline of
        scikit-learn, a model of XGBoost or LightGBM, an ``onnx.ModelProto``, or the path of a file. Or what another
        registry has: ``models:/NAME@ALIAS`` of MLflow, ``hf://ORG/REPO@REVISION`` of the Hugging Face Hub, the
        ``rdf.yaml``, folder, archive or URL of a package of bioimage.io.
    catalog
        Where to: a catalog, a folder, a file or a URL; made where there is none. By default ``MODELSTAC_CATALOG``.
    alias
        Name that is to point to the item, such as ``champion``.
    policy, trust
        What may be in the file, and what besides: ``pickle`` for scripts of TorchScript, pickles and checkpoints that
        hold more than weights, which are opened in a process of their own; see
        :meth:`modelstac.registry.trust.policy.TrustPolicy.trusting`.
    report
        Gets notes, such as which axes were taken for which; without it they are logged.
    **said
        What the file does not say; see :class:`~modelstac.registry.publishing.saying.Said`.

    Returns
    -------
    pystac.Item
        As published.

    Raises
    ------
    SpecError
        If something is missing that only a person can know (names all of it), makes no sense, or is no model.
    DataError
        If the example does not fit.
    ModelStacError
        As describing a file and publishing an item do.

    Examples
    --------
    >>> modelstac.publish(  # doctest: +SKIP
    ...     model, example=tile, catalog="models", name="land-cover", task="semantic-segmentation", license="CC-BY-4.0",
    ...     bbox=(5, 50, 10, 55), datetime="2020", bands=["B02", "B03"], classes=["water", "land"], scaling=10000)
    """
    from modelstac.catalog import open_catalog
    from modelstac.catalog.items.writing import write_item
    from modelstac.registry.choosing.default import default_catalog

    policy = policy.trusting(*([trust] if isinstance(trust, str) else trust))
    given = dict(said) | {"code": said.get("code", True)}
    with _in_words_of_python():
        with made(model, given, policy=policy, report=report) as description:
            into = (
                default_catalog(catalog)
                if catalog is None or isinstance(catalog, Catalog)
                else open_catalog(catalog, create=True)
            )
            item = into.publish(write_item(description), report=report)
        if alias is not None:
            into.set_alias(str(item.collection_id), alias, item.id)
    return item


@contextmanager
def made(
    model: Any,
    said: Mapping[str, Any],
    *,
    folder: Path = Path(),
    policy: TrustPolicy = DEFAULT_POLICY,
    report: Report = ignore,
) -> Iterator[ModelDescription]:
    """Give the description of a model that is ready to be published; its files live as long as the block.

    Parameters
    ----------
    model
        As :func:`publish` takes it.
    said
        By the names of :class:`~modelstac.registry.publishing.saying.Said`.
    folder
        What paths in it are relative to.
    policy, report
        As in :func:`publish`.

    Raises
    ------
    ModelStacError
        As :func:`publish` does.
    """
    from modelstac.registry.describing.describe import described
    from modelstac.registry.describing.measuring import measured
    from modelstac.registry.describing.range_and_example import with_example
    from modelstac.registry.exchange.places import take
    from modelstac.registry.facts import read_facts
    from modelstac.registry.isolated.pins import with_requirements
    from modelstac.registry.publishing.comparing import compare
    from modelstac.registry.publishing.completing import completed
    from modelstac.registry.publishing.objects.files import find_file, merged, with_files_beside
    from modelstac.registry.publishing.objects.finding import find
    from modelstac.registry.publishing.objects.opening import open_file

    check_names(said)
    said = {name: value for name, value in said.items() if value is not None}
    with tempfile.TemporaryDirectory(prefix="modelstac-") as name:
        into = Path(name)
        if (taken := take(model, folder, into / "taken", policy=policy, report=report)) is not None:
            model, said = taken.model, {**taken.said, **said}
            policy = policy if taken.pickles else policy.without(PICKLE)
        own = not isinstance(model, str | PathLike)
        kind, model = (find(model), model) if own else open_file(merged(folder / model, into), said, policy, into)
        if kind is None:
            saved = find_file(model, into)
        else:
            saved, said = _saved(kind, model, said, folder, into)
        for note in saved.notes:
            report(Note(note))
        said = dict(saved.known) | dict(said)
        facts = read_facts(saved.path, policy=policy)
        fed, said = _fed(said, facts.inputs, folder, first=True if kind is None else kind.BANDS_FIRST)
        said = _with_outputs(said, facts, folder, report)
        description = described(saved.path, statement(said, folder), facts)
        if saved.weights is not None:
            description = _of_weights(description, saved, said)
            policy = policy.allowing(str(said["entrypoint"]).partition(":")[0])
        description = with_files_beside(completed(description, said, folder, into, labels=saved.labels))
        fed = {tensor.name: fed[tensor.name] for tensor in description.inputs if tensor.name in fed}
        description = _with_statistics(description, fed)
        description = measured(description, policy=policy, report=report)
        if taken is not None and taken.finish is not None:
            description = taken.finish(description)
        scaled = {name: one.scaled for name, one in fed.items()}
        raw = {name: one.raw for name, one in fed.items() if one.raw is not None}
        description = with_example(description, scaled or None, policy=policy, report=report, raw=raw)
        if taken is not None and taken.check is not None:
            taken.check(description)
        if saved.run is not None and (scaled or saved.table):
            compare(saved, scaled, description, policy=policy, report=report)
        if said.get("requirements", own) is True:
            description = with_requirements(description, into, report=report)
        yield description


@dataclass(frozen=True)
class Fed:
    """An example of an input.

    Parameters
    ----------
    dims, bands
        Names of its axes and of its bands, as far as they are known.
    given
        As its publisher gave it.
    raw
        Physical values; None where they are the model's.
    scaled
        What the model reads.
    """

    dims: tuple[str, ...]
    bands: tuple[str, ...]
    given: Example
    raw: np.ndarray[Any, Any] | None
    scaled: np.ndarray[Any, Any]


@contextmanager
def _in_words_of_python() -> Iterator[None]:
    """Name arguments in messages, instead of the options of the command."""
    try:
        yield
    except (SpecError, DataError) as error:
        text = _FLAG.sub(lambda match: f"{match[1].replace('-', '_')}=", str(error)).replace("==", "=")
        if text == str(error):
            raise
        raise type(error)(text) from error


def _saved(
    kind: Kind, model: Any, said: Mapping[str, Any], folder: Path, into: Path
) -> tuple[Saved, Mapping[str, Any]]:
    """Save an object; where that takes an example, on what the model reads of it."""
    from modelstac.catalog.items.sizes import Size
    from modelstac.registry.facts import Tensor
    from modelstac.registry.publishing.fitting import first_batch, read_examples

    said = dict(said)
    if "example" in said:
        said["example"] = first_batch(said["example"])  # once, as a loader shuffles
    names = kind.input_names(model)
    arrays: dict[str, Any] = {}
    if names is not None and "example" in said:
        examples = read_examples(said["example"], names, folder=folder)
        tensors = [
            Tensor(name, tuple(map(Size.fixed, _rank(said, name, one).shape)), _float(one.array))
            for name, one in examples.items()
        ]
        fed, _ = _fed(said, tensors, folder, first=kind.BANDS_FIRST)
        arrays = {name: one.scaled for name, one in fed.items()}
    return kind.save(model, into, arrays, said), said


def _rank(said: Mapping[str, Any], name: str, example: Example) -> np.ndarray[Any, Any]:
    """Give an example as a batch, where its labels or names of axes say that it is none."""
    dims = said.get("input_dims")
    stated = dims.get(name) if isinstance(dims, Mapping) else dims
    count = len(words(stated, "input_dims")) if stated else len(example.dims) + ("batch" not in example.dims)
    alone = example.array.ndim == count - 1 and bool(stated or example.dims)
    return example.array[None] if alone else example.array


def _float(array: np.ndarray[Any, Any]) -> str:
    return "float32" if array.dtype.kind == "f" and array.dtype.itemsize == 8 else str(array.dtype)


def _fed(
    said: Mapping[str, Any], tensors: Sequence[Tensor], folder: Path, *, first: bool
) -> tuple[dict[str, Fed], dict[str, Any]]:
    """Read the example and scale it; give also what is said, with axes and bands that follow from it."""
    from modelstac.registry.publishing.fitting import input_axes, read_examples

    names = [tensor.name for tensor in tensors]
    examples = read_examples(said.get("example"), names, folder=folder)
    stated = {key: _by_name(said, key, names) for key in ("input_dims", "bands")}
    scalings = by_input(said.get("scaling"), names, "scaling")
    fed, dims_of, bands_of = {}, dict(stated["input_dims"]), dict(stated["bands"])
    for tensor in tensors:
        example = examples.get(tensor.name)
        if tensor.name not in bands_of and example is not None and example.bands:
            bands_of[tensor.name] = example.bands
        bands = bands_of.get(tensor.name, ())
        dims = dims_of.get(tensor.name) or input_axes(tensor, example, bands, first=first)
        if dims is not None:
            dims_of[tensor.name] = tuple(dims)
        if example is not None:
            example = replace(example, array=_batched(example, dims, tensor))
            steps, scaled = scalings.get(tensor.name), bool(said.get("example_scaled"))
            fed[tensor.name] = _scaled(example, dims, bands, tensor, None if scaled else steps)
    # What is said of no input in particular, and there are several, is refused in its own words later.
    more = {"input_dims": dims_of, "bands": bands_of}
    several = len(names) > 1
    return fed, dict(said) | {
        key: value
        for key, value in more.items()
        if value and not (several and said.get(key) and not isinstance(said[key], Mapping))
    }


def _by_name(said: Mapping[str, Any], key: str, names: Sequence[str]) -> dict[str, Any]:
    """Give words by name, also by such as the file does not have: whoever describes it says so."""
    found = words(said[key], key) if said.get(key) else {}
    if isinstance(found, Mapping):
        return dict(found)
    return {names[0]: found} if len(names) == 1 else {}


def _batched(example: Example, dims: Sequence[str] | None, tensor: Tensor) -> np.ndarray[Any, Any]:
    alone = example.array.ndim == len(tensor.sizes) - 1 and dims is not None and dims[0] == "batch"
    return example.array[None] if alone else example.array


def _scaled(example: Example, dims: Sequence[str] | None, bands: Sequence[str], tensor: Tensor, steps: Any) -> Fed:
    from modelstac.registry.publishing.scaling import read_scaling
    from modelstac.registry.running.values.scaling import looks_scaled, scale

    array, order = example.array, tuple(dims or ())
    if steps is None:
        return Fed(order, tuple(bands), example, None, _typed(array, tensor))
    if dims is None:
        raise SpecError(f"the axes of {tensor.name!r} are not known, so that it cannot be scaled: give --input-dims")
    axis = order.index("bands") if "bands" in order else None
    found = read_scaling(steps, bands, 1 if axis is None else array.shape[axis], of=tensor.name)
    plain = tuple(step.model_dump() for step in found)
    if (reason := looks_scaled(array, plain)) is not None:
        raise DataError(f"the example of {tensor.name!r}: {reason}: give physical values, or say example_scaled=True")
    scaled = scale(array, plain, order, of=f"input {tensor.name!r}")
    return Fed(order, tuple(bands), example, array, _typed(scaled, tensor))


def _typed(array: np.ndarray[Any, Any], tensor: Tensor) -> np.ndarray[Any, Any]:
    """Give numbers of the type that the file wants, where none is lost but digits."""
    import numpy as np

    wanted = np.dtype(tensor.dtype)
    whole = array.dtype.kind in "iub" and wanted.kind in "iu"
    if array.dtype != wanted and (wanted.kind == "f" or (whole and np.array_equal(array.astype(wanted), array))):
        return array.astype(wanted)
    return array


def _with_outputs(said: dict[str, Any], facts: Facts, folder: Path, report: Report) -> dict[str, Any]:
    """Name the axes of outputs that nobody named, where those of the inputs leave no choice; and tell."""
    from modelstac.registry.publishing.classes import read_classes
    from modelstac.registry.publishing.fitting import output_axes
    from modelstac.registry.publishing.written import read_yaml

    if "example" not in said and "classes" not in said:
        return said  # nothing shows what comes out: it is asked for
    names = [tensor.name for tensor in facts.outputs]
    stated, bands = _by_name(said, "output_dims", names), _by_name(said, "output_bands", names)
    if said.get("output_dims") and not stated:
        return said
    classes = said.get("classes")
    if isinstance(classes, str | Path):
        classes = read_yaml(folder / classes)
    inputs = list(said.get("input_dims", {}).values())
    taken = []
    for tensor in facts.outputs:
        if tensor.name in stated:
            continue
        own = classes.get(tensor.name, None) if isinstance(classes, Mapping) and set(classes) <= set(names) else classes
        count = len(read_classes(own)) if own is not None else None
        dims = output_axes(tensor, inputs, classes=count, bands=bands.get(tensor.name, ()))
        if dims is not None:
            stated[tensor.name] = dims
            taken.append(f"{tensor.name}: {', '.join(dims)}")
    if taken:
        report(Note(f"axes of the output are taken for {'; '.join(taken)}: say output_dims where they are others"))
    return said | ({"output_dims": stated} if stated else {})


def _of_weights(description: ModelDescription, saved: Saved, said: Mapping[str, Any]) -> ModelDescription:
    """Describe the weights instead of the program: built by an entry point from hyperparameters."""
    stated = said.get("hyperparameters") or {}
    rest = {} if "architecture" in stated else {"architecture": {str(k): v for k, v in stated.items()}}
    variant = "torch" if "variant" not in said else description.variant
    return description.model_copy(
        update={
            "format": "torch",
            "variant": variant,
            "artifact": saved.weights,
            "entrypoint": said["entrypoint"],
            "hyperparameters": rest,
        }
    )


def _with_statistics(description: ModelDescription, fed: Mapping[str, Fed]) -> ModelDescription:
    """Say of bands what the example shows: units, and statistics of physical values."""
    from modelstac.registry.publishing.fitting import statistics

    details = {name: dict(fields) for name, fields in description.band_details.items()}
    for tensor in description.inputs:
        if (one := fed.get(tensor.name)) is None:
            continue
        for name, unit in one.given.units.items():
            details.setdefault(name, {}).setdefault("unit", unit)
        values = one.scaled if one.raw is None else one.raw
        for name, found in statistics(values, one.dims, one.bands):
            details.setdefault(name, {}).setdefault("statistics", found)
    return description.model_copy(update={"band_details": details})
