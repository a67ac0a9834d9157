from __future__ import annotations

import copy
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pystac.validation.local_validator import get_local_schema_cache

from modelstac.catalog.errors import InvalidItemError, SchemaUnavailableError
from modelstac.catalog.items import schemas
from modelstac.catalog.items.description import ModelDescription
from modelstac.catalog.items.schemas import SHIPPED_URIS, file_name, find_schema
from modelstac.catalog.items.validation import offline_validator, validate, validate_document, validate_item
from modelstac.catalog.items.writing import write_item

Describe = Callable[..., ModelDescription]
Document = dict[str, Any]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No network, and a cache of its own: whatever passes here passes on an island."""

    def refuse(*arguments: Any, **keywords: Any) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(schemas.FOLDER_VARIABLE, raising=False)
    find_schema.cache_clear()
    yield
    find_schema.cache_clear()


@pytest.fixture
def document(describe: Describe) -> Document:
    return write_item(describe()).to_dict(transform_hrefs=False)


def test_an_item_is_valid_for_us_and_for_pystac(describe: Describe) -> None:
    item = write_item(describe())
    validate(item)
    checked = item.validate(validator=offline_validator())
    assert [uri for uri in checked if "/mlm/v1.5.2/" in uri]
    assert len(checked) == 5


def test_the_core_schemas_are_those_that_pystac_carries() -> None:
    carried = get_local_schema_cache()
    assert {uri: find_schema(uri) for uri in schemas.core_uris()} == carried


def test_the_minimum_is_valid(describe: Describe) -> None:
    axes = {"shape": (-1, 3), "dim_order": ("batch", "channel"), "data_type": "float32"}
    item = write_item(
        describe(
            inputs=({"name": "x", "input": axes},),
            outputs=({"name": "y", "tasks": ("regression",), "result": axes},),
            cube_dimensions={},
            cube_variables={},
            hyperparameters={},
            scores=None,
            entrypoint=None,
            assets={},
            license="other",
        )
    )
    validate(item)
    item.validate(validator=offline_validator())


def remove(*path: str) -> Callable[[Document], None]:
    def mutate(document: Document) -> None:
        for name in path[:-1]:
            document = document[name]
        del document[path[-1]]

    return mutate


def put(value: Any, *path: str) -> Callable[[Document], None]:
    def mutate(document: Document) -> None:
        for name in path[:-1]:
            document = document[name]
        document[path[-1]] = value

    return mutate


MUTATIONS = {
    "no geometry": remove("geometry"),
    "no bbox": remove("bbox"),
    "no id": remove("id"),
    "no links": remove("links"),
    "no datetime": remove("properties", "datetime"),
    "no start": remove("properties", "start_datetime"),
    "no name": remove("properties", "mlm:name"),
    "name with a slash": put("a/b", "properties", "mlm:name"),
    "no architecture": remove("properties", "mlm:architecture"),
    "no input": remove("properties", "mlm:input"),
    "no output": remove("properties", "mlm:output"),
    "no tasks": remove("properties", "mlm:tasks"),
    "another task": put(["nowcasting"], "properties", "mlm:tasks"),
    "cpu as accelerator": put("cpu", "properties", "mlm:accelerator"),
    "two-part version": put("2.19", "properties", "mlm:framework_version"),
    "unknown mlm field": put(1, "properties", "mlm:rmse"),
    "no hyperparameters in them": put({}, "properties", "mlm:hyperparameters"),
    "negative memory": put(-1, "properties", "mlm:memory_size"),
    "artifact type in properties": put("onnx", "properties", "mlm:artifact_type"),
    "variables without a datacube": remove("properties", "cube:variables"),
    "no cube dimensions": remove("properties", "cube:dimensions"),
    "version is a number": put(1, "properties", "version"),
    "no artifact type": remove("assets", "model", "mlm:artifact_type"),
    "no model role": put(["data"], "assets", "model", "roles"),
    "entry point without the role code": put(["mlm:model"], "assets", "model", "roles"),
    "checksum in capitals": put("1220" + "A" * 64, "assets", "model", "file:checksum"),
    "size as text": put("7", "assets", "model", "file:size"),
    "unknown file field": put(1, "assets", "model", "file:crc"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutated_copy_fails_the_schemas(document: Document, name: str) -> None:
    validate_document(document)
    mutated = copy.deepcopy(document)
    MUTATIONS[name](mutated)
    with pytest.raises(InvalidItemError) as caught:
        validate_document(mutated)
    assert "breaks https://" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [None, "FeatureCollection", 3])
def test_other_documents_are_refused(document: Document, kind: Any) -> None:
    with pytest.raises(InvalidItemError, match="none of Feature, Collection, Catalog"):
        validate_document(document | {"type": kind})


def test_the_message_names_the_field_and_the_schema(document: Document) -> None:
    document["properties"]["mlm:tasks"] = ["nowcasting"]
    with pytest.raises(InvalidItemError, match=r"mlm/v1\.5\.2.*mlm:tasks.*'nowcasting' is not one of"):
        validate_document(document)


def test_a_schema_that_cannot_be_had_says_where_to_put_it(document: Document) -> None:
    uri = "https://stac-extensions.github.io/eo/v2.0.0/schema.json"
    document["stac_extensions"].append(uri)
    with pytest.raises(SchemaUnavailableError) as caught:
        validate_document(document)
    message = str(caught.value)
    assert uri in message
    assert "eo-v2.0.0.json" in message
    assert "MODELSTAC_SCHEMAS" in message


def test_a_folder_of_schemas_is_looked_at_first(
    document: Document, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uri = "https://example.org/extensions/tested.json"
    folder = tmp_path / "schemas"
    folder.mkdir()
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "required": ["tested"]}
    (folder / file_name(uri)).write_text(json.dumps(schema))
    monkeypatch.setenv(schemas.FOLDER_VARIABLE, str(folder))
    document["stac_extensions"].append(uri)
    with pytest.raises(InvalidItemError, match="'tested' is a required property"):
        validate_document(document)


def test_a_cached_schema_needs_no_network(document: Document, tmp_path: Path) -> None:
    uri = "https://stac-extensions.github.io/eo/v2.0.1/schema.json"
    cached = tmp_path / "cache" / "modelstac" / "schemas" / "eo-v2.0.1.json"
    cached.parent.mkdir(parents=True)
    cached.write_text('{"$schema": "http://json-schema.org/draft-07/schema#", "required": ["eo:bands"]}')
    document["stac_extensions"].append(uri)
    with pytest.raises(InvalidItemError, match="'eo:bands' is a required property"):
        validate_document(document)


def test_a_damaged_schema_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mlm-v1.5.2.json").write_text("{")
    monkeypatch.setenv(schemas.FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(SchemaUnavailableError, match=r"mlm-v1\.5\.2\.json is not a JSON schema"):
        find_schema("https://stac-extensions.github.io/mlm/v1.5.2/schema.json")


def test_the_schemas_that_come_along_are_the_published_ones(shared: Path) -> None:
    compared = 0
    for uri in SHIPPED_URIS:
        reference = shared / "schemas" / file_name(uri)
        if reference.exists():
            assert find_schema(uri) == json.loads(reference.read_text())
            compared += 1
    assert compared == 8


@pytest.mark.parametrize(
    "href",
    [
        "javascript:alert(1)",
        " java\nscript:alert(1)",
        "JavaScript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "data:image/svg+xml,<svg onload='alert(1)'/>",
        "vbscript:x",
        "search-ms:query=x",
    ],
)
@pytest.mark.parametrize("place", ["links", "assets", "providers", "deep", "beside what is no JSON"])
def test_a_link_that_acts_is_refused(document: Document, href: str, place: str) -> None:
    if place == "links":
        document["links"].append({"rel": "about", "href": href})
    elif place == "assets":
        document["assets"]["more"] = {"href": href}
    elif place == "deep":
        document["properties"]["x:deep"] = {"href": ({"url": href},)}
    elif place == "beside what is no JSON":
        document["properties"]["x:numbered"] = {1: "one", 2: {"href": href}}
    else:
        document["properties"]["providers"] = [{"name": "one", "url": href}]
    with pytest.raises(InvalidItemError, match="is no place of a file or page") as raised:
        validate_document(document)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "href",
    [
        *("./a b.tif", "../x?y=a:b", "/abs/path", "C:\\models\\a.onnx", "S2A_20200101T10:00.tif", "#part"),
        *("https://example.org/x", "s3://bucket/key", "gs://b/k", "az://c/b", "file:///tmp/x", "ftp://host/x"),
        *("doi:10.1000/182", "mailto:a@example.org", "data:image/png;base64,iVBORw0KGgo="),
    ],
)
def test_places_of_files_and_pages_are_kept(document: Document, href: str) -> None:
    document["links"].append({"rel": "about", "href": href})
    validate_document(document)
    document["properties"]["x:numbered"] = {1: "one", "href": None}
    validate_document(document)


FIJI = {
    "type": "MultiPolygon",
    "coordinates": [
        [[[177, -20], [180, -20], [180, -12], [177, -12], [177, -20]]],
        [[[-180, -20], [-178, -20], [-178, -12], [-180, -12], [-180, -20]]],
    ],
}
WORLD = {"type": "Polygon", "coordinates": [[[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]]}
POINT = {"type": "Point", "coordinates": [180, 0, 7]}


@pytest.mark.parametrize(
    ("geometry", "right", "wrong"),
    [
        (FIJI, [177, -20, -178, -12], [-180, -20, 180, -12]),  # what the least and the largest longitudes give
        (WORLD, [-180, -90, 180, 90], [180, -90, -180, 90]),
        (POINT, [-180, 0, 7, -180, 0, 7], [-180, 0, 180, 0]),
        (POINT, [180, 0, 180, 0], [0, 0, 0, 0]),
    ],
)
def test_a_box_that_is_not_that_of_the_geometry_is_refused(
    document: Document, geometry: Any, right: list[float], wrong: list[float]
) -> None:
    validate_item(document | {"geometry": geometry, "bbox": right})
    with pytest.raises(InvalidItemError, match="is not that of the geometry") as caught:
        validate_item(document | {"geometry": geometry, "bbox": wrong})
    assert "\n" not in str(caught.value)


def test_an_item_with_a_leap_second_is_refused(document: Document) -> None:
    document["properties"]["end_datetime"] = "2016-12-31T23:59:60Z"
    with pytest.raises(InvalidItemError, match="is a leap second"):
        validate_item(document)
