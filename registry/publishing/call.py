"""The one call: a model, what is said of it, and a catalog."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from modelstac.catalog.base import Catalog
from modelstac.catalog.errors import DataError, ModelStacError, SpecError, UntrustedError, at
from modelstac.catalog.messages import Note, Report, ignore
from modelstac.catalog.rules import check_alias
from modelstac.registry.publishing.feeding import Fed, as_batch, feed, type_of, with_outputs, with_statistics
from modelstac.registry.publishing.saying import WORDS, Said, plain, statement
from modelstac.registry.trust.policy import DEFAULT_POLICY, PICKLE, TrustPolicy

if TYPE_CHECKING:
    import pystac

    from modelstac.catalog.items.description import ModelDescription
    from modelstac.registry.exchange.taken import Taken
    from modelstac.registry.facts import Facts
    from modelstac.registry.publishing.objects.saved import Kind, Saved

_FLAG = re.compile(r"--([a-z]+(?:-[a-z]+)*)(?![\w-])")


def publish(
    model: Any,
    *,
    catalog: Catalog | str | PathLike[str] | None = None,
    alias: str | None = None,
    policy: TrustPolicy = DEFAULT_POLICY,
    trust: str | Sequence[str] = (),
    unproved: bool = False,
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
    unproved
        Publish without running: what is said of it is read from its file, of which nothing is proved or compared, and
        the item says so (``interop:unproved``). Files that only their framework reads are refused.
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

    if alias is not None:
        check_alias(alias)
    policy = policy.trusting(*([trust] if isinstance(trust, str) else trust))
    given = dict(said) | {"code": said.get("code", True)}
    with _in_words_of_python():
        with made(model, given, policy=policy, unproved=unproved, report=report) as description:
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
    unproved: bool = False,
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
    policy, unproved, report
        As in :func:`publish`.

    Raises
    ------
    ModelStacError
        As :func:`publish` does.
    """
    from modelstac.registry.publishing.values import check_values
    from modelstac.registry.runtimes.sharing.settings import undrawn

    said = {name: plain(value) if name in WORDS else value for name, value in said.items()}
    check_values(said, folder)
    said = {name: value for name, value in said.items() if value is not None}
    with tempfile.TemporaryDirectory(prefix="modelstac-") as name, _without(f"{name}/taken/", f"{name}/"):
        with undrawn():  # Keras on PyTorch draws where it predicts
            begun = _begun(model, said, folder, Path(name), policy=policy, unproved=unproved, report=report)
            description, fed = _described(begun)
            description = _unproved(begun, description) if unproved else _proved(begun, description, fed)
        yield description


@dataclass(frozen=True)
class _Begun:
    """A model as a file, and how to go on.

    Parameters
    ----------
    saved
        The file.
    facts
        What it says.
    taken
        What another registry says of it; None where it is from none.
    own
        Whether it was an object of this program.
    said
        Of it, by its publisher, what it was taken from, and the file.
    alone
        Whether its file is read without its framework.
    first
        Whether bands stand before height and width.
    folder, into
        What paths are relative to, and where files are made.
    """

    saved: Saved
    facts: Facts
    taken: Taken | None
    own: bool
    said: Mapping[str, Any]
    alone: bool
    first: bool
    folder: Path
    into: Path
    policy: TrustPolicy
    report: Report


def _begun(
    model: Any,
    said: Mapping[str, Any],
    folder: Path,
    into: Path,
    *,
    policy: TrustPolicy,
    unproved: bool,
    report: Report,
) -> _Begun:
    """Take a model from where it is, and save it unless it is a file."""
    from modelstac.registry.exchange.places import take
    from modelstac.registry.publishing.objects.files import find_file
    from modelstac.registry.publishing.objects.finding import find

    if (taken := take(model, folder, into / "taken", policy=policy, report=report)) is not None:
        model, said = taken.model, {**taken.said, **said}
        policy = policy if taken.pickles else policy.without(PICKLE)
    own = not isinstance(model, str | PathLike)
    alone = unproved and not own
    kind, model = (
        (find(model), model) if own else _opened(folder / model, said, policy, into, alone=alone, report=report)
    )
    if kind is None:
        saved = find_file(model, into)
    else:
        saved, said = _saved(kind, model, said, folder, into)
    saved, facts = _facts(saved, policy, alone=alone)
    for note in (*saved.notes, *facts.notes):
        report(Note(note))
    first = True if kind is None else kind.BANDS_FIRST
    return _Begun(saved, facts, taken, own, dict(saved.known) | dict(said), alone, first, folder, into, policy, report)


def _opened(
    path: Path, said: Mapping[str, Any], policy: TrustPolicy, into: Path, *, alone: bool, report: Report
) -> Any:
    """Tell what saves a model file, and of what; None and its path where it is published as it is."""
    from modelstac.registry.publishing.objects.files import check_alone, merged

    if alone:
        check_alone(path)
        return None, path
    from modelstac.registry.publishing.objects.opening import open_file

    return open_file(merged(path, into), said, policy, into, report=report)


def _facts(saved: Saved, policy: TrustPolicy, *, alone: bool) -> tuple[Saved, Facts]:
    """Read what a file says; of one with code that nobody trusts, what stands in its place does."""
    from modelstac.registry.facts import read_facts

    try:
        return saved, read_facts(saved.path, policy=policy, alone=alone)
    except UntrustedError:
        other = None if saved.instead is None else saved.instead()
        if other is None:
            raise
    return other, read_facts(other.path, policy=policy, alone=alone)


def _described(begun: _Begun) -> tuple[ModelDescription, dict[str, Fed]]:
    """Describe a model by its file and by what is said of it; give also the example, by input."""
    from modelstac.registry.describing.describe import described
    from modelstac.registry.publishing.completing import completed
    from modelstac.registry.publishing.objects.files import with_files_beside

    saved, facts, folder, into = begun.saved, begun.facts, begun.folder, begun.into
    given, said = feed(begun.said, facts.inputs, folder, first=begun.first)
    said = with_outputs(said, facts, folder, begun.report)
    description = described(saved.path, statement(said, folder), facts)
    if saved.weights is not None:
        description = _of_weights(description, saved, said)
    description = with_files_beside(completed(description, said, folder, into, labels=saved.labels))
    given = {tensor.name: given[tensor.name] for tensor in description.inputs if tensor.name in given}
    return with_statistics(description, given), given


def _unproved(begun: _Begun, description: ModelDescription) -> ModelDescription:
    """Leave a model as its file and its publisher describe it, and say that it was not run."""
    from modelstac.registry.describing.unproved import unproved

    taken = begun.taken
    if "example" in begun.said:
        begun.report(Note("the example is not published, as nothing runs on it: it is read for names and statistics"))
    if taken is not None and taken.finish is not None:
        description = taken.finish(description)
    if begun.said.get("gaps"):
        raise SpecError("gaps are shown by running the model on an example: leave out unproved, or gaps")
    description = unproved(description, report=begun.report)
    if begun.said.get("requirements", begun.own) is True:
        from modelstac.registry.isolated.pins import with_requirements

        description = with_requirements(description, begun.into, report=begun.report)
    return description


def _proved(begun: _Begun, description: ModelDescription, given: Mapping[str, Fed]) -> ModelDescription:
    """Measure a model, run it on its example, compare it with what it was saved from, and pin what it needs."""
    from modelstac.registry.describing.example import with_example
    from modelstac.registry.describing.measuring import measured
    from modelstac.registry.isolated.pins import with_requirements
    from modelstac.registry.publishing.comparing import compare

    saved, taken, policy, report = begun.saved, begun.taken, begun.policy, begun.report
    if saved.weights is not None:
        policy = policy.allowing(str(begun.said["entrypoint"]).partition(":")[0])
    scaled = {name: one.scaled for name, one in given.items()}
    description = measured(description, policy=policy, report=report, example=scaled)
    if taken is not None and taken.finish is not None:
        description = taken.finish(description)
    raw = {name: one.raw for name, one in given.items() if one.raw is not None}
    with at("example"):
        # Libraries of tables refuse gaps themselves where a model was not made for them; networks make anything of NaN.
        gaps = begun.said.get("gaps", None if saved.table else False)
        description = with_example(
            description, scaled or None, policy=policy, report=report, raw=raw, folder=begun.into, gaps=gaps
        )
    if taken is not None and taken.check is not None:
        taken.check(description)
    if saved.run is not None and (scaled or saved.table):
        compare(saved, scaled, description, policy=policy, report=report)
    if begun.said.get("requirements", begun.own) is True:
        description = with_requirements(description, begun.into, report=report)
    return description


@contextmanager
def _without(*folders: str) -> Iterator[None]:
    """Leave out of messages the folder in which files lie for so long."""
    try:
        yield
    except ModelStacError as error:
        text = str(error)
        for folder in folders:
            text = text.replace(folder, "")
        if text == str(error):
            raise
        shorter = type(error)(text)
        shorter.place = error.place
        raise shorter from error


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
    from modelstac.registry.publishing.fitting import first_batch, named, read_examples

    said = dict(said)
    if "example" in said:
        said["example"] = first_batch(said["example"])  # once, as a loader shuffles
    names = kind.input_names(model, named(said.get("example")))
    arrays: dict[str, Any] = {}
    if names is not None and "example" in said:
        with at("example"):
            examples = read_examples(said["example"], names, folder=folder)
        tensors = [
            Tensor(name, tuple(map(Size.fixed, as_batch(said, name, one).shape)), type_of(one.array))
            for name, one in examples.items()
        ]
        given, _ = feed(said, tensors, folder, first=kind.BANDS_FIRST)
        arrays = {name: one.scaled for name, one in given.items()}
    return kind.save(model, into, arrays, said), said


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
