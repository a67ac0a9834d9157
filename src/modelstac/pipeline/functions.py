"""A training of one's own as a job: a function from a configuration and data to a model and its scores."""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelstac.catalog.errors import (
    DataError,
    ItemExistsError,
    ModelStacError,
    NotFoundError,
    SpecError,
    TrainingError,
    at,
)
from modelstac.catalog.messages import Note, Report, ignore

if TYPE_CHECKING:
    import pystac

    from modelstac.catalog.base import Catalog
    from modelstac.catalog.written import Document

MARK = "_modelstac_training_job"
_CHUNK = 1 << 20
_FIELDS = ("config", "data", "publish")


@dataclass(frozen=True)
class Settings:
    """What :func:`training_job` was told.

    Parameters
    ----------
    load
        Makes of a path what the function is given as its data.
    said
        What is said of every model that it trains.
    """

    load: Callable[[Path], Any] | None
    said: Mapping[str, Any]


def training_job(
    function: Callable[..., Any] | None = None, *, load: Callable[[Path], Any] | None = None, **said: Any
) -> Any:
    """Make a function ``train(config, data) -> model, scores`` a job that is done once.

    ``modelstac train my_package:train --config c.yaml`` runs it, and so does ``modelstac pipeline``, for each
    combination of a grid and on clusters. A job that ran before, with the same source, configuration and data, gives
    its item and trains nothing. The function itself can be called as before.

    Parameters
    ----------
    function
        Gets the configuration (a mapping) and the data; an argument ``checkpoints`` gets a folder that is there again
        when a run that was killed is run again. Returns model and scores, and may return a mapping third: what else is
        said of the model, such as its example; see :class:`~modelstac.registry.publishing.saying.Said`.
    load
        Makes of the path of the data what the function gets; by default the path itself.
    **said
        What is said of every model that it trains.

    Raises
    ------
    SpecError
        If it is no function of two arguments, or what is said makes no sense.
    """
    from modelstac.registry.publishing.saying import check_names

    check_names(said)
    if function is None:
        return functools.partial(training_job, load=load, **said)
    if not inspect.isfunction(function) or len(inspect.signature(function).parameters) < 2:
        raise SpecError(f"{function!r:.60} is no training job: write a function of config and data")
    setattr(function, MARK, Settings(load, said))
    return function


@dataclass(frozen=True)
class FunctionJob:
    """A training by a function.

    Parameters
    ----------
    function
        ``package.module:function``.
    config
        What it is given: JSON values.
    data
        Path of its data; None where it has its own.
    publish
        What is said of the model, beside what the function says.
    folder
        Where its module may lie, beside what is installed.
    """

    function: str
    config: Mapping[str, Any]
    data: str | None
    publish: Mapping[str, Any]
    folder: str

    def find(self) -> tuple[Callable[..., Any], Settings]:
        """Import the function.

        Raises
        ------
        NotFoundError
            If there is none.
        SpecError
            If it is no training job.
        """
        module, colon, name = self.function.partition(":")
        if not colon or not module or not name.isidentifier():
            raise SpecError(f"{self.function!r} is no function: write package.module:function")
        if self.folder not in sys.path:
            sys.path.insert(0, self.folder)
        try:
            found = getattr(importlib.import_module(module), name, None)
        except ModuleNotFoundError as error:
            if error.name is None or not module.startswith(error.name):
                raise
            raise NotFoundError(
                f"no module {module!r}, neither installed nor in {self.folder}: check the name"
            ) from error
        settings = getattr(found, MARK, None)
        if found is None:
            raise NotFoundError(f"{module} has no function {name!r}: check the name")
        if not isinstance(settings, Settings):
            raise SpecError(f"{self.function} is no training job: write @modelstac.training_job above it")
        return found, settings

    def said(self) -> dict[str, Any]:
        """Give what is said of the model, whichever it will be."""
        _, settings = self.find()
        return dict(settings.said) | dict(self.publish)

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Tell an error inside that what it concerns was said of this job, and not by its function."""
        try:
            yield
        except ModelStacError as error:
            if error.place and error.place[0] in self.publish:
                error.place = ("publish", *error.place)
            raise

    def digest(self) -> str:
        """Compute what identifies the result: source, configuration, data and what is said."""
        function, settings = self.find()
        content = {
            "function": self.function,
            "source": hashlib.sha256(inspect.getsource(function).encode()).hexdigest(),
            "config": self.config,
            "data": None if self.data is None else data_digest(Path(self.data)),
            "said": {name: repr(value) for name, value in (dict(settings.said) | dict(self.publish)).items()},
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()

    def published(self, catalog: Catalog, digest: str) -> pystac.Item | None:
        """Find what this job published before.

        Raises
        ------
        ItemExistsError
            If another job published the same version.
        """
        said = self.said()
        name, version = said.get("name"), said.get("version", "1.0.0")
        if not name:
            raise SpecError(
                f"a model of {self.function} has no name: say publish: {{name: …}}, or name it in the decorator"
            )
        for item in catalog.items():
            if item.collection_id != name or item.properties.get("version") != version:
                continue
            job = item.properties.get("interop:job")
            if job == digest:
                return item
            if job is not None and "interop:route" not in item.properties:
                made_by = f"another job ({str(job)[:12]}, not {digest[:12]})"
                raise ItemExistsError(
                    f"item {item.id!r} is there already and was made by {made_by}: published items are immutable, so "
                    "train it as a new version"
                )
        return None


def run(job: FunctionJob, catalog: Catalog, *, checkpoints: Path | None = None, report: Report = ignore) -> pystac.Item:
    """Run a training by a function, and publish its model; one that ran before gives its item.

    Parameters
    ----------
    job
        The training.
    catalog
        Where to publish.
    checkpoints
        Folder for what the function keeps; by default in the user's cache.
    report
        Gets notes.

    Raises
    ------
    DataError
        If there are no such data, or the function gives no model and scores.
    ItemExistsError
        If another job published the same version.
    ModelStacError
        As publishing does.
    """
    import platformdirs

    from modelstac.catalog.items.writing import write_item
    from modelstac.registry.publishing.call import made

    digest = job.digest()
    if (existing := job.published(catalog, digest)) is not None:
        report(Note(f"{existing.id} was published by this job before: nothing to do"))
        return existing
    function, settings = job.find()
    given: Any = None if job.data is None else Path(job.data)
    if given is not None and settings.load is not None:
        given = settings.load(given)
    folder = checkpoints or platformdirs.user_cache_path("modelstac") / "checkpoints" / digest
    keeps = "checkpoints" in inspect.signature(function).parameters
    if keeps:
        folder.mkdir(parents=True, exist_ok=True)
    kept = {"checkpoints": folder} if keeps else {}
    model, more = _trained(_called(function, job, given, kept), job.function)
    source = inspect.getsourcefile(function)
    said = {"hyperparameters": dict(job.config), "code": source} | more | job.said()
    with job.explaining(), made(model, said, folder=Path(job.folder), report=report) as description:
        item = write_item(description.model_copy(update={"job": digest}))
        published = catalog.publish(item, report=report)
    if keeps and checkpoints is None:
        _clear(folder)
    return published


def _called(function: Callable[..., Any], job: FunctionJob, data: Any, kept: Mapping[str, Any]) -> Any:
    try:
        return function(dict(job.config), data, **kept)
    except ModelStacError:
        raise
    except Exception as error:  # whatever somebody's training raises
        reason = " ".join(str(error).split())[:300]
        raise TrainingError(f"{job.function} failed: {type(error).__name__}: {reason}") from error


def _trained(result: Any, name: str) -> tuple[Any, dict[str, Any]]:
    """Take apart what a function returned."""
    if not isinstance(result, tuple) or len(result) not in {2, 3}:
        raise DataError(
            f"{name} returned {type(result).__name__}: return model and scores, and maybe what else is said"
        )
    model, scores, *rest = result
    more = dict(rest[0]) if rest and isinstance(rest[0], Mapping) else {}
    if rest and not isinstance(rest[0], Mapping):
        raise DataError(
            f"{name} returned {type(rest[0]).__name__} third: return a mapping, such as {{'example': array}}"
        )
    return model, ({"metrics": scores} if scores else {}) | more


def data_digest(path: Path) -> str:
    """Compute the SHA-256 of a file, or of all files of a folder by their names.

    Raises
    ------
    DataError
        If there is nothing.
    """
    if not path.exists():
        raise DataError(f"there are no data at {path}: check the path")
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(path).as_posix()}\0".encode())
        with file.open("rb") as stream:
            while block := stream.read(_CHUNK):
                digest.update(block)
    return digest.hexdigest()


def _clear(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def read_job(function: str, config: Path | None) -> tuple[FunctionJob, Document]:
    """Read what a function is given: a YAML file with ``config``, ``data`` and ``publish``.

    Parameters
    ----------
    function
        ``package.module:function``, installed or in the working folder.
    config
        The file; None where the function needs none.

    Returns
    -------
    job, document
        The training, and the file with the lines of what is said.

    Raises
    ------
    NotFoundError, SpecError
        If the file is not there, has other fields, or says of the model what makes no sense.
    """
    from modelstac.catalog.written import Document, read_file
    from modelstac.registry.publishing.saying import unknown
    from modelstac.registry.publishing.values import check_values

    document = Document("", {}, {}) if config is None else read_file(config)
    fields = {} if document.values is None else document.values
    if not isinstance(fields, Mapping):
        raise SpecError(f"{config} is no mapping with {', '.join(_FIELDS)}")
    with document.explaining():
        for name, value in fields.items():
            with at(name):
                if name not in _FIELDS:
                    raise SpecError(f"there is no field {name!r}: {unknown(str(name), _FIELDS)}")
                if name != "data" and not isinstance(value, Mapping):
                    raise SpecError(f"{name} is a mapping, not {value!r:.60}")
        with at("publish"):
            check_values(fields.get("publish", {}), Path.cwd(), later=True)
    beside = Path.cwd() if config is None else config.absolute().parent
    data = None if fields.get("data") is None else str(beside / str(fields["data"]))
    publish = dict(fields.get("publish", {}))
    return FunctionJob(function, dict(fields.get("config", {})), data, publish, os.fspath(Path.cwd())), document
