"""Validation in two layers: typed first, for messages that a person understands, then the JSON schemas, for certainty.

Schemas are looked for in the folder named by ``MODELSTAC_SCHEMAS``, among those that come with modelstac, in the user's
cache, and at last on the network.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

import pystac

from modelstac.catalog.datasets import check_dataset, is_dataset
from modelstac.catalog.errors import InvalidItemError, ModelStacError
from modelstac.catalog.evidence import check_evidence
from modelstac.catalog.geometry import check_bbox
from modelstac.catalog.identity import plain
from modelstac.catalog.items import ModelDescription
from modelstac.catalog.schemas import SHIPPED_URIS, core_uris, find_schema, is_at_hand

if TYPE_CHECKING:
    from jsonschema.protocols import Validator
    from jsonschema_rs import Validator as RustValidator
    from pystac.validation.stac_validator import JsonSchemaSTACValidator
    from referencing import Registry

MLM_SCHEMAS = "https://stac-extensions.github.io/mlm/"
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
        try:
            _check_typed(stac_object)
        except ModelStacError:
            raise
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            # Something is not even of the right type: the schemas name it.
            validate_document(document)
            raise InvalidItemError(f"item {stac_object.id!r} cannot be read: {error}") from error
    validate_document(document)


def _check_typed(item: pystac.Item) -> None:
    if is_dataset(item):
        check_dataset(item)
        return
    if not any(str(uri).startswith(MLM_SCHEMAS) for uri in item.stac_extensions):
        raise InvalidItemError(f"stac_extensions: a model declares the MLM extension, {MLM_SCHEMAS}…")
    ModelDescription.from_item(item)
    check_evidence(item.properties)


def validate_document(document: dict[str, Any]) -> None:
    """Validate the JSON form of an item, collection or catalog against STAC and the extensions that it declares.

    Raises
    ------
    InvalidItemError, SchemaUnavailableError
        As :func:`validate` does.
    """
    kind = {"Feature": "item", "Collection": "collection", "Catalog": "catalog"}.get(str(document.get("type")))
    if kind is None:
        raise InvalidItemError(f"type {document.get('type')!r} is none of Feature, Collection, Catalog")
    version = document.get("stac_version", pystac.get_stac_version())
    for uri in [_CORE.format(version=version, kind=kind), *document.get("stac_extensions", ())]:
        _check(document, kind, uri)
    if kind == "item" and document.get("bbox"):
        # The schemas take any numbers.
        try:
            check_bbox(document["bbox"])
        except ValueError as error:
            raise InvalidItemError(f"item {document.get('id')!r}: {error}") from error


def _check(document: Any, kind: str, uri: str) -> None:
    if _fast_validator(uri).is_valid(document):
        return
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


@cache
def _fast_validator(uri: str) -> RustValidator:
    # A fiftieth of jsonschema's time; what it refuses is judged, and explained, by the other one.
    import jsonschema_rs

    return jsonschema_rs.validator_for(find_schema(uri), retriever=find_schema, validate_formats=False)


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
