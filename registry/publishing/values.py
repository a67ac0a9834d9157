"""What is said of a model, read as far as the model itself is not needed: before it is loaded, or trained at all."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from modelstac.catalog.errors import NotFoundError, SpecError, at
from modelstac.catalog.items.description import VARIANT_PATTERN, Backend
from modelstac.catalog.items.mlm import ResizeType
from modelstac.catalog.items.provenance import Provider
from modelstac.registry.publishing import beside
from modelstac.registry.publishing.classes import FIELDS, read_classes
from modelstac.registry.publishing.places import read_box, read_geometry, read_period
from modelstac.registry.publishing.saying import (
    check_license,
    check_name,
    check_names,
    check_tasks,
    check_version,
    listed,
    unknown,
    words,
)
from modelstac.registry.publishing.scaling import check_scaling
from modelstac.registry.publishing.seasons import read_months
from modelstac.registry.publishing.written import values_of

_MAIL = re.compile(r"(?P<name>[^<(]+?)\s*[<(](?P<at>[^>)]+)[>)]\s*")
_DOI = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:)?(?P<doi>10\.\d{4,9}/\S+)", re.IGNORECASE)
_AXIS = re.compile(r"[a-z_-]+")
_KEY = re.compile(r"[0-9a-zA-Z_.-]+", re.ASCII)
_BUILDER = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_NORTH = 45.0  # where seasons have months, whichever these are


def check_values(said: Mapping[str, Any], folder: Path, *, later: bool = False) -> None:
    """Refuse what makes no sense whatever the model is, at its field and entry.

    Parameters
    ----------
    said
        By the names of :class:`~modelstac.registry.publishing.saying.Said`.
    folder
        What paths are relative to.
    later
        Whether files may be there later only, as a training makes them.

    Raises
    ------
    ModelStacError
        If a field or a value is none; its ``place`` says where.
    """
    for name, value in said.items():
        with at(name):
            check_names({name: value})
            if value is None or name not in _CHECKS:
                continue
            try:
                _CHECKS[name](value, folder)
            except NotFoundError:
                if not later:
                    raise
    if said.get("bbox") is not None and said.get("geometry") is not None:
        raise SpecError("bbox and geometry both say where: give one of them")


def read_doi(said: str) -> str:
    """Return a DOI without an address before it."""
    match = _DOI.fullmatch(said.strip())
    if match is None:
        raise SpecError(f"doi {said!r} is none: write it as 10.5281/zenodo.1234567")
    return match["doi"]


def read_origin(said: Any) -> dict[str, Any] | None:
    """Return where a model was taken from."""
    if said is None:
        return None
    if not isinstance(said, Mapping) or not isinstance(said.get("registry"), str):
        raise SpecError(f"origin has a registry, such as origin: {{registry: mlflow, name: …}}, not {said!r:.60}")
    return dict(said)


def read_hyperparameters(said: Any, folder: Path) -> dict[str, Any]:
    """Return names and values, as JSON has these; said is a mapping or the file of one."""
    with values_of(said, folder) as stated:
        if not isinstance(stated, Mapping):
            raise SpecError(f"hyperparameters are names with values, such as vars(args), not {stated!r:.60}")
        for name in stated:
            if not _KEY.fullmatch(str(name)):
                with at(name):
                    raise SpecError(f"hyperparameters: name {str(name)!r}: letters, digits, '_', '.' and '-' only")
        return {str(name): _in_json(value) for name, value in stated.items()}


def _in_json(value: Any) -> Any:
    """Write as text what JSON has not: numbers that are none, as ``missing`` of boosted trees is, and objects."""
    if isinstance(value, Mapping):
        return {str(name): _in_json(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_in_json(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    return value if isinstance(value, str | int | float | bool | type(None)) else _text(value)


def _text(value: Any) -> str:
    """Write an object as it writes itself; a class or function, and what tells but its place in memory, by its name."""
    kind = value if hasattr(value, "__qualname__") else type(value)
    text = str(value)
    return f"{kind.__module__}.{kind.__qualname__}" if kind is value or " at 0x" in text else text


def read_authors(said: Any) -> Iterator[Provider]:
    """Yield people as providers."""
    for number, one in enumerate(listed(said)):
        with at(*(number,) if isinstance(said, list | tuple) else ()):
            yield _author(one)


def _author(one: Any) -> Provider:
    if isinstance(one, Mapping):
        for name in one:
            if name not in Provider.model_fields:
                with at(str(name)):
                    raise SpecError(f"author has no field {name!r}: {unknown(str(name), tuple(Provider.model_fields))}")
        return Provider(**{"roles": ("producer",)} | dict(one))
    if (match := _MAIL.fullmatch(str(one))) is not None:
        place = match["at"]
        url = place if "://" in place else f"mailto:{place}" if "@" in place else None
        return Provider(name=match["name"], roles=("producer",), url=url)
    return Provider(name=str(one), roles=("producer",))


def read_units(said: Any, folder: Path) -> Any:
    """Return a unit, or those of bands by name."""
    with values_of(said, folder, texts=True) as stated:
        for name, unit in stated.items() if isinstance(stated, Mapping) else ((None, stated),):
            if isinstance(unit, list | Mapping):
                with at(*(name,) if name is not None else ()):
                    raise SpecError(f"units are texts, one or by band, such as {{B02: '1'}}, not {unit!r:.60}")
        return stated


def _classes(said: Any, folder: Path) -> None:
    with values_of(said, folder) as stated:
        # By output where each of several has a list or mapping of its own; names of outputs only the model has.
        parts = stated.items() if isinstance(stated, Mapping) and _by_output(stated) else [(None, stated)]
        for name, one in parts:
            with at(*(name,) if name is not None else ()):
                read_classes(one)


def _by_output(said: Mapping[Any, Any]) -> bool:
    """Tell whether a mapping is from outputs to their classes, and not from classes to what is said of each."""
    return bool(said) and all(
        (isinstance(one, list | tuple) and not all(isinstance(part, int) for part in one))
        or (isinstance(one, Mapping) and not one.keys() <= FIELDS)
        for one in said.values()
    )


def _scaling(said: Any, folder: Path) -> None:
    with values_of(said, folder, texts=True) as stated:
        check_scaling(stated)


def _dims(name: str) -> Callable[[Any, Path], None]:
    def check(said: Any, _: Path) -> None:
        for place, axes in _parts(words(said, name)):
            for number, axis in enumerate(axes):
                if not _AXIS.fullmatch(axis):
                    with at(*place, number):
                        raise SpecError(f"{name} names the axis {axis!r}: lower-case letters, '-' and '_' only")
                if axis in axes[:number]:
                    with at(*place, number):
                        raise SpecError(f"{name} names the axis {axis!r} twice: give each a name of its own")

    return check


def _bands(name: str) -> Callable[[Any, Path], None]:
    def check(said: Any, _: Path) -> None:
        for place, bands in _parts(words(said, name)):
            for number, band in enumerate(bands):
                if band in bands[:number]:
                    with at(*place, number):
                        raise SpecError(f"{name} names {band!r} twice: give each band a name of its own")

    return check


def _parts(said: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield what is said of the only tensor, or of each by its name, with its place."""
    yield from (((str(name),), one) for name, one in said.items()) if isinstance(said, Mapping) else [((), said)]


def _resize(said: Any, folder: Path) -> None:
    with values_of(said, folder, texts=True) as stated:
        for place, kind in _parts(stated):
            with at(*place):
                check_resize(kind)


def check_resize(kind: Any) -> None:
    """Refuse what is none of MLM's ways to bring images to a size."""
    if kind not in get_args(ResizeType):
        raise SpecError(f"resize {kind!r} is none of MLM's: {unknown(str(kind), get_args(ResizeType))}")


def _truth(said: Any, _: Path) -> None:
    if not isinstance(said, bool):
        raise SpecError(f"this is true or false, not {said!r:.40}")


def _keywords(said: Any, _: Path) -> None:
    words(said, "keywords")


def _sources(said: Any, _: Path) -> None:
    for number, one in enumerate(listed(said)):
        if not isinstance(one, str | Path) or not str(one).strip():
            with at(*(number,) if isinstance(said, list | tuple) else ()):
                raise SpecError(f"this is an id, a URL or a file, not {one!r:.60}")


def _picture(said: Any, folder: Path) -> None:
    if not hasattr(said, "savefig"):
        beside.check_picture(said, folder)


def _file(said: Any, folder: Path) -> None:
    if isinstance(said, str | Path) and not (folder / said).is_file():
        raise NotFoundError(f"there is no file {folder / said}")


def _variant(said: str, _: Path) -> None:
    if not re.fullmatch(VARIANT_PATTERN, said):
        raise SpecError(f"variant {said!r} is none: lower-case letters, digits and '-', such as onnx")


def _backend(said: str, _: Path) -> None:
    if said not in get_args(Backend):
        raise SpecError(f"backend {said!r} is none of Keras: {unknown(said, get_args(Backend))}")


def _entrypoint(said: str, _: Path) -> None:
    if not _BUILDER.fullmatch(said):
        raise SpecError(f"entrypoint {said!r} is no function: write package.module:function")


_CHECKS: Mapping[str, Callable[[Any, Path], Any]] = MappingProxyType(
    {
        "name": lambda said, _: check_name(said),
        "license": lambda said, _: check_license(said),
        "version": lambda said, _: check_version(said),
        "task": lambda said, _: check_tasks(words(said, "task")),
        "bbox": lambda said, _: read_box(said),
        "geometry": read_geometry,
        "datetime": lambda said, _: read_period(said),
        "season": lambda said, _: read_months(said, latitude=_NORTH),
        "keywords": _keywords,
        "input_dims": _dims("input_dims"),
        "output_dims": _dims("output_dims"),
        "bands": _bands("bands"),
        "output_bands": _bands("output_bands"),
        "example_scaled": _truth,
        "gaps": _truth,
        "classes": _classes,
        "scaling": _scaling,
        "units": read_units,
        "resize": _resize,
        "metrics": beside.read_scores,
        "metrics_table": _file,
        "metrics_picture": _picture,
        "thumbnail": _picture,
        "hyperparameters": read_hyperparameters,
        "entrypoint": _entrypoint,
        "requirements": _file,
        "training_data": _sources,
        "derived_from": _sources,
        "author": lambda said, _: list(read_authors(said)),
        "doi": lambda said, _: read_doi(said),
        "card": beside.read_card,
        "variant": _variant,
        "backend": _backend,
        "pretrained": _truth,
        "origin": lambda said, _: read_origin(said),
    }
)
