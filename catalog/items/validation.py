"""Validation in two layers: typed first, for messages that a person understands, then the JSON schemas, for certainty.

Schemas are looked for in the folder named by ``MODELSTAC_SCHEMAS``, among those that come with modelstac, in the user's
cache, and at last on the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from modelstac.catalog.ahead import batches
from modelstac.catalog.errors import InvalidItemError, ModelStacError
from modelstac.catalog.items.datasets import check_dataset, is_dataset
from modelstac.catalog.items.evidence import check_evidence
from modelstac.catalog.items.geometry import bounding_box, check_bbox, check_geometry, cut, flat
from modelstac.catalog.items.identity import NAME, is_said_here, plain
from modelstac.catalog.items.links import is_image, local_path
from modelstac.catalog.items.reading import read_document
from modelstac.catalog.items.schemas import SHIPPED_URIS, core_uris, find_schema, is_at_hand
from modelstac.catalog.later import needing

if TYPE_CHECKING:
    import pystac
    from jsonschema.protocols import Validator
    from jsonschema_rs import Validator as RustValidator
    from pystac.validation.stac_validator import JsonSchemaSTACValidator
    from referencing import Registry

    from modelstac.catalog.items.description import ModelDescription

MLM_SCHEMAS = (
    "https://stac-extensions.github.io/mlm/",
    "https://crim-ca.github.io/mlm-extension/",  # where versions before 1.3 are
    "https://crim-ca.github.io/dlm-extension/",
)
"""Where the schemas of MLM are and were, version by version."""
Document = dict[str, Any]
SCHEMES = frozenset(
    [
        "abfs",
        "abfss",
        "adl",
        "azure",
        "az",
        "doi",
        "file",
        "ftp",
        "ftps",
        "git",
        "gs",
        "hdfs",
        "hf",
        "http",
        "https",
        "ipfs",
        "mailto",
        "oci",
        "s3",
        "s3a",
        "sftp",
        "ssh",
        "urn",
        "docker",
    ]
)
"""Schemes of places that a link or an asset may name; none of them runs anything where it is clicked."""
_ACTING = frozenset({"blob", "data", "filesystem", "javascript", "vbscript", "view-source"})
_PLACES = ("href", "url")
_PLAIN = frozenset({str, int, float, bool, type(None)})
_IGNORED = re.compile(r"^[\x00-\x20]+|[\t\n\r]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_PLAIN_DATA = re.compile(
    r"data:(image/(png|jpeg|gif|webp)|text/plain|application/(octet-stream|([\w.+-]+\+)?json))[;,]"
)
_CORE = "https://schemas.stacspec.org/v{version}/{kind}-spec/json-schema/{kind}.json"


def validate(stac_object: pystac.STACObject) -> None:
    """Refuse an item, collection or catalog that is invalid.

    Raises
    ------
    InvalidItemError
        With the field and what is wrong with it.
    SchemaUnavailableError
        If a schema that it declares cannot be had.
    """
    import pystac

    document = stac_object.to_dict(include_self_link=False, transform_hrefs=False)
    if isinstance(stac_object, pystac.Item):
        validate_item(document)
    else:
        validate_document(document)


def validate_item(document: Document) -> ModelDescription | None:
    """Refuse the JSON form of an item that is invalid, and return what it says of a model of ours.

    A model that was described by other means than modelstac is held to its own standards.

    Raises
    ------
    InvalidItemError, SchemaUnavailableError
        As :func:`validate` does.
    """
    if is_foreign_model(document):
        _check_foreign(document)
        return None
    description = check_item(document)
    validate_document(document)
    return description


def validate_items(documents: Iterable[Document]) -> None:
    """Refuse items of which one is invalid, as :func:`validate_item` does; the first that is."""
    for some in batches(documents, TOGETHER):
        ours, wrong = until_wrong(_ours(some))
        for document in ours:
            validate_document(document)
        if wrong is not None:
            raise wrong


def _ours(documents: Iterable[Document]) -> Iterator[Document]:
    """Check items, and yield those of this registry, which still are to be held against their schemas."""
    for document in documents:
        if is_foreign_model(document):
            _check_foreign(document)
        else:
            check_item(document)
            yield document


def until_wrong(parts: Iterable[Part]) -> tuple[list[Part], ModelStacError | None]:
    """Return what comes before the first error, and that error: what comes before it is judged to its end first."""
    found: list[Part] = []
    try:
        for part in parts:
            found.append(part)  # noqa: PERF402 - what came before the error is kept
    except ModelStacError as error:
        return found, error
    return found, None


def check_item(document: Document) -> ModelDescription | None:
    """Refuse a model or dataset of ours as :func:`validate_item` does, but for the schemas."""
    try:
        return _check_typed(document)
    except InvalidItemError as error:
        if repr(document["id"]) in str(error):
            raise
        # One of thousands, maybe.
        raise InvalidItemError(f"item {document['id']!r}: {error}") from error
    except ModelStacError:
        raise
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        # Something is not even of the right type: the schemas name it.
        validate_document(document)
        raise InvalidItemError(f"item {document.get('id')!r} cannot be read: {error}") from error


def is_foreign_model(document: Document) -> bool:
    """Tell whether an item is a model that was described by other means than modelstac, in whichever version of MLM."""
    properties = document.get("properties")
    if not isinstance(properties, dict) or is_said_here(properties):
        return False
    if any(str(name).startswith(("mlm:", "dlm:")) for name in properties) and declares_mlm(document):
        return True
    declared = document.get("stac_extensions")
    legacy = isinstance(declared, list) and any(str(uri).startswith(_LEGACY) for uri in declared)
    return legacy and any(str(name).startswith("ml-model:") for name in properties)


def is_other_item(document: Document) -> bool:
    """Tell whether an item is neither a model nor a dataset: a scene, or a map. Some servers take such items too."""
    properties = document.get("properties")
    names = list(map(str, properties)) if isinstance(properties, dict) else []
    return not declares_mlm(document) and not any(name.startswith(("mlm:", "interop:")) for name in names)


def declares_mlm(document: Document) -> bool:
    """Tell whether a document declares the MLM extension, at its first address or at today's."""
    declared = document.get("stac_extensions")
    return isinstance(declared, list) and any(str(uri).startswith(MLM_SCHEMAS) for uri in declared)


Part = TypeVar("Part")
TOGETHER = 50
"""Items that one library checks before the other does: taking turns after each, both take a fifth longer."""
_LEGACY = "https://stac-extensions.github.io/ml-model/"
"""Where the extension is that was before MLM."""
ROUNDED = 0.01
"""Degrees by which a box may differ from that of its geometry."""


def _check_foreign(document: Document) -> None:
    """Validate somebody else's model against STAC and what of its extensions is at hand; it is kept as it is.

    Names become folders and parts of addresses, and a file that lies on this machine is stored by its digest.
    """
    for name, found in (("id", document.get("id")), ("collection", document.get("collection"))):
        if not isinstance(found, str) or not NAME.fullmatch(found):
            raise InvalidItemError(
                f"item {document.get('id')!r}: {name} {found!r} is no name of letters, digits, '.', '-' and '_': adopt "
                "it under another one (modelstac adopt)"
            )
    for key, asset in document.get("assets", {}).items():
        local = not is_image(asset["href"], asset.get("type"), asset.get("roles") or ()) and local_path(asset["href"])
        if local and not isinstance(asset.get("file:checksum"), str):
            raise InvalidItemError(
                f"item {document['id']!r}: asset {key!r} is the file {local} and lacks file:checksum: publish the "
                "item's document (modelstac publish ITEM.json), which computes it, or adopt it"
            )
    validate_document(document, schemas=known_schemas(document.get("stac_extensions", ())))


def _check_typed(document: Document) -> ModelDescription | None:
    if is_dataset(document):
        check_dataset(document)
        return None
    if not declares_mlm(document):
        raise InvalidItemError(
            f"stac_extensions: a model declares the MLM extension, {MLM_SCHEMAS[0]}…; what is neither a model nor a "
            "dataset is kept by a server with MODELSTAC_ITEMS=any"
        )
    description = read_document(document, shared=True)
    check_evidence(document["properties"])
    _check_box(document, description.geometry)
    return description


def _check_box(document: Document, geometry: dict[str, Any]) -> None:
    """Refuse a box that is not that of the geometry: a search by place would find the model elsewhere."""
    bbox = document.get("bbox")
    if not isinstance(bbox, list | tuple) or len(bbox) not in {4, 6}:
        return  # the schemas say what it is
    box, right = flat(bbox), bounding_box(cut(geometry))
    apart = [abs(side - other) for side, other in zip(box, right, strict=True)]
    apart[0::2] = [min(turn, abs(360 - turn)) for turn in apart[0::2]]  # 180 and -180 are one meridian
    whole = (right[2] - right[0]) % 360 == 0 and right[2] > right[0]
    if max(apart) > ROUNDED or (whole and box[0] > box[2]) or (not whole and box[2] - box[0] == 360):
        raise InvalidItemError(f"bbox {list(box)} is not that of the geometry, {list(right)}: correct one of them")


def validate_document(document: Document, *, schemas: Iterable[str] | None = None) -> None:
    """Validate the JSON form of an item, collection or catalog against STAC and the extensions that it declares.

    Parameters
    ----------
    document
        The document.
    schemas
        Those of the extensions to validate against; by default all that it declares.

    Raises
    ------
    InvalidItemError, SchemaUnavailableError
        As :func:`validate` does.
    """
    kind = {"Feature": "item", "Collection": "collection", "Catalog": "catalog"}.get(str(document.get("type")))
    if kind is None:
        raise InvalidItemError(f"type {document.get('type')!r} is none of Feature, Collection, Catalog")
    version = document["stac_version"] if "stac_version" in document else _current_version()
    uris = (
        _CORE.format(version=version, kind=kind),
        *(document.get("stac_extensions", ()) if schemas is None else schemas),
    )
    if not _is_plainly_valid(document, uris):
        if not _fast_validator(uris).is_valid(document):
            for uri in uris:
                _explain(document, kind, uri)
        _check_hrefs(document, kind)
    if kind == "item" and (reason := _misplaced(document)) is not None:  # the schemas take any numbers
        raise InvalidItemError(f"item {document.get('id')!r}: {reason}")


def _misplaced(document: Document) -> str | None:
    """Tell what is wrong with the box and the geometry of an item, as far as they are of the right types."""
    bbox, geometry = document.get("bbox"), document.get("geometry")
    if "geometry" in document and (bbox is None) != (geometry is None):
        return f"{'geometry' if geometry is None else 'bbox'} is missing: give bbox and geometry, or neither"
    try:
        if geometry is not None:
            check_geometry(geometry)
        if bbox is not None:
            check_bbox(bbox)
    except ValueError as error:
        return str(error)
    except (AttributeError, LookupError, TypeError):
        return None  # which the schemas name
    return None


def _is_plainly_valid(document: Document, uris: tuple[str, ...]) -> bool:
    """Tell whether a document fits its schemas, and each of its places is a path or begins with a known scheme."""
    try:
        return _fast_validator(uris, places=True).is_valid(document)
    except ValueError:  # what is no JSON is in it, such as a number as a key
        return False


def _current_version() -> str:
    import pystac

    return pystac.get_stac_version()


def _check_hrefs(document: Document, kind: str) -> None:
    """Refuse places that are none: what acts in the browser of whoever follows it, or is a page by itself.

    Source: WHATWG URL Standard, 4.4: browsers drop tabs and newlines, and control characters and spaces at the ends.
    """
    stack: list[Any] = [document]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            for name in _PLACES:
                if name in value:
                    _check_scheme(document, value, name, kind)
            value = value.values()
        stack += [part for part in value if type(part) not in _PLAIN and isinstance(part, (dict, list, tuple))]


def _check_scheme(document: Document, holder: Document, name: str, kind: str) -> None:
    href = holder[name]
    if not isinstance(href, str) or href.startswith(("https://", "http://")):
        return
    found = _SCHEME.match(_IGNORED.sub("", href))
    if found is None or len(found[1]) == 1 or _PLAIN_DATA.match(href):  # a path, or one of Windows
        return
    scheme = found[1].casefold()
    # The name of a container image has a colon, too: "python:3.11".
    image = scheme not in SCHEMES and is_image(href, holder.get("type"), holder.get("roles") or ())
    if scheme in _ACTING or (scheme not in SCHEMES and not image):
        place = ".".join(filter(None, (_place_of(holder, document), name)))
        raise InvalidItemError(
            f"{kind} {document.get('id')!r}: {place} is {href[:60]!r}, and {scheme!r} is no place of a file or page: "
            "give one of http, https, s3, gs, az, file, or a path"
        )


def _place_of(wanted: Document, document: Document) -> str | None:
    """Return where a part of a document is in it, as ``assets.model``, or ``links[2]``."""
    stack: list[tuple[str, Any]] = [("", document)]
    while stack:
        place, value = stack.pop()
        if value is wanted:
            return place
        if isinstance(value, dict):
            stack.extend((f"{place}.{name}" if place else str(name), part) for name, part in value.items())
        elif isinstance(value, (list, tuple)):
            stack.extend((f"{place}[{number}]", part) for number, part in enumerate(value))
    return None


def _explain(document: Document, kind: str, uri: str) -> None:
    from jsonschema.exceptions import best_match

    # JSON knows lists only, and to this one a tuple is no "array".
    error = best_match(_validator(uri).iter_errors(plain(document)))
    if error is not None and kind == "item" and "/item-spec/" in uri and (reason := _misplaced(document)) is not None:
        # The schema tells whoever gives a wrong geometry that without one there is no box.
        raise InvalidItemError(f"{kind} {document.get('id')!r} breaks {uri}: {reason}")
    if error is not None:
        message = error.message if len(error.message) <= 200 else f"{error.message[:100]} … {error.message[-100:]}"
        place = error.json_path.removeprefix("$").removeprefix(".") or "it"
        raise InvalidItemError(f"{kind} {document.get('id')!r} breaks {uri}: {place}: {message}")


def known_schemas(uris: Iterable[str]) -> list[str]:
    """Return those URIs whose schemas are here: shipped, or in the folder that ``MODELSTAC_SCHEMAS`` names."""
    return [uri for uri in uris if is_at_hand(uri)]


def offline_validator() -> JsonSchemaSTACValidator:
    """Return a validator of pystac's that knows the schemas that come with modelstac.

    For ``item.validate(validator=offline_validator())`` and ``catalog.validate_all``, where pystac itself should judge.
    """
    from pystac.validation.stac_validator import JsonSchemaSTACValidator

    validator = JsonSchemaSTACValidator()
    # By URI and not by $id, which one of the extensions' schemas has wrong.
    validator.schema_cache |= {uri: find_schema(uri) for uri in SHIPPED_URIS}
    return validator


@lru_cache(maxsize=64)
def _fast_validator(uris: tuple[str, ...], *, places: bool = False) -> RustValidator:
    """Return what judges a document by schemas in a fiftieth of jsonschema's time.

    Parameters
    ----------
    uris
        The schemas; who breaks one is told so by the other library.
    places
        Whether each place must be a path without a colon, or begin with a known scheme, too; others may be right.
    """
    with needing("validating an item"):
        import jsonschema_rs

    for uri in uris:
        find_schema(uri)  # whose error says what to do
    place = {"type": "string", "pattern": f"^(?:(?:{'|'.join(sorted(SCHEMES))}):|[^:]*$)"}
    part = {"$ref": "#/definitions/part"}
    checked = {"properties": dict.fromkeys(_PLACES, place), "additionalProperties": part, "items": part}
    # All in one, or the document would be handed over once for each.
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "definitions": {"part": checked},
        "allOf": [{"$ref": uri} for uri in uris] + ([part] if places else []),
    }
    return jsonschema_rs.validator_for(schema, retriever=find_schema, validate_formats=False)


@cache
def _validator(uri: str) -> Validator:
    # Imported here: only publishing validates, and the import costs more than half of pystac's.
    with needing("validating an item"):
        from jsonschema.validators import validator_for

    schema = find_schema(uri)
    return validator_for(schema)(schema, registry=_registry())


@cache
def _registry() -> Registry[Any]:
    from referencing import Registry, Resource

    def retrieve(uri: str) -> Resource[Any]:
        return Resource.from_contents(find_schema(uri))

    # Crawled once, or every reference would be resolved by searching all schemas anew.
    known = ((uri, retrieve(uri)) for uri in (*core_uris(), *SHIPPED_URIS))
    return Registry(retrieve=retrieve).with_resources(known).crawl()  # type: ignore[call-arg]
