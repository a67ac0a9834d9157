"""Validation in two layers: typed first, for messages that a person understands, then the JSON schemas, for certainty.

Schemas are looked for in the folder named by ``MODELSTAC_SCHEMAS``, among those that come with modelstac, in the user's
cache, and at last on the network.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import pystac

from modelstac.catalog.errors import InvalidItemError, ModelStacError
from modelstac.catalog.items.datasets import check_dataset, is_dataset
from modelstac.catalog.items.evidence import check_evidence
from modelstac.catalog.items.geometry import check_bbox
from modelstac.catalog.items.identity import plain
from modelstac.catalog.items.reading import read_document
from modelstac.catalog.items.schemas import SHIPPED_URIS, core_uris, find_schema, is_at_hand

if TYPE_CHECKING:
    from jsonschema.protocols import Validator
    from jsonschema_rs import Validator as RustValidator
    from pystac.validation.stac_validator import JsonSchemaSTACValidator
    from referencing import Registry

MLM_SCHEMAS = "https://stac-extensions.github.io/mlm/"
Document = dict[str, Any]
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
    document = stac_object.to_dict(include_self_link=False, transform_hrefs=False)
    if isinstance(stac_object, pystac.Item):
        validate_item(document)
    else:
        validate_document(document)


def validate_item(document: Document) -> None:
    """Refuse the JSON form of an item that is invalid.

    Raises
    ------
    InvalidItemError, SchemaUnavailableError
        As :func:`validate` does.
    """
    try:
        _check_typed(document)
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
    validate_document(document)


def _check_typed(document: Document) -> None:
    if is_dataset(document):
        check_dataset(document)
        return
    if not any(str(uri).startswith(MLM_SCHEMAS) for uri in document.get("stac_extensions", ())):
        raise InvalidItemError(f"stac_extensions: a model declares the MLM extension, {MLM_SCHEMAS}…")
    read_document(document)
    check_evidence(document["properties"])


def validate_document(document: Document) -> None:
    """Validate the JSON form of an item, collection or catalog against STAC and the extensions that it declares.

    Raises
    ------
    InvalidItemError, SchemaUnavailableError
        As :func:`validate` does.
    """
    kind = {"Feature": "item", "Collection": "collection", "Catalog": "catalog"}.get(str(document.get("type")))
    if kind is None:
        raise InvalidItemError(f"type {document.get('type')!r} is none of Feature, Collection, Catalog")
    version = document["stac_version"] if "stac_version" in document else pystac.get_stac_version()
    uris = (_CORE.format(version=version, kind=kind), *document.get("stac_extensions", ()))
    if not _fast_validator(uris).is_valid(document):
        for uri in uris:
            _explain(document, kind, uri)
    if kind == "item" and document.get("bbox"):
        # The schemas take any numbers.
        try:
            check_bbox(document["bbox"])
        except ValueError as error:
            raise InvalidItemError(f"item {document.get('id')!r}: {error}") from error


def _explain(document: Document, kind: str, uri: str) -> None:
    from jsonschema.exceptions import best_match

    # JSON knows lists only, and to this one a tuple is no "array".
    error = best_match(_validator(uri).iter_errors(plain(document)))
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
def _fast_validator(uris: tuple[str, ...]) -> RustValidator:
    # A fiftieth of jsonschema's time; what it refuses is judged, and explained, by the other one.
    import jsonschema_rs

    for uri in uris:
        find_schema(uri)  # whose error says what to do
    # All in one, or the document would be handed over once for each.
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "allOf": [{"$ref": uri} for uri in uris]}
    return jsonschema_rs.validator_for(schema, retriever=find_schema, validate_formats=False)


@cache
def _validator(uri: str) -> Validator:
    # Imported here: only publishing validates, and the import costs more than half of pystac's.
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
