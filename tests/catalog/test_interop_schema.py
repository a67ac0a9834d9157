"""The JSON schema of our fields: it holds for what is published, and has the fields of the classes."""

from __future__ import annotations

import copy
import dataclasses
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from modelstac.catalog import open_catalog
from modelstac.catalog.items.description import Parity, Step, Timing
from modelstac.catalog.items.reading import _PLAIN_FIELDS, read_sizes
from modelstac.catalog.items.sizes import ANY, Size
from modelstac.catalog.items.validation import validate_document
from modelstac.catalog.testing import ONNX, Examples

SCHEMA = json.loads(files("modelstac.catalog.items.schemas").joinpath("interop.json").read_bytes())
ITEM = Path(__file__).resolve().parents[2] / "docs" / "reference" / "item.json"


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    Draft7Validator.check_schema(SCHEMA)
    return Draft7Validator(SCHEMA)


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("interop")
    catalog = open_catalog(folder / "models.sqlite", create=True)
    catalog.publish_many(Examples(folder / "made").various())
    catalog.set_alias("convlstm-knmi", "champion", ONNX)
    return [found.to_dict(transform_hrefs=False) for found in (*catalog.items(), *catalog.collections())]


def test_items_and_collections_of_a_catalog_are_valid(
    validator: Draft7Validator, documents: list[dict[str, Any]]
) -> None:
    for document in documents:
        validator.validate(document)


def test_the_item_of_the_documentation_is_valid(validator: Draft7Validator) -> None:
    item = json.loads(ITEM.read_text("utf-8"))
    validate_document(item)
    validator.validate(item)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("interop:variant", "With Capitals"),
        ("interop:variant", None),
        ("interop:backend", "tensorflow"),
        ("interop:precision", "fp64"),
        ("interop:parity", {"passed": True}),
        ("interop:route", []),
        ("interop:route", [{"tool": "magic"}]),
        ("interop:scores", {"rmse": "good"}),
        ("interop:verified", [{"packages": {"torch": 2.7}}]),
        ("interop:job", "today"),
        ("interop:sizes", {"image": {"height": 16}}),
        ("interop:sizes", {"image": {"height": {"step": 16}}}),
        ("interop:sizes", {"image": {"height": {"at_least": 16, "step": 16, "at_best": 32}}}),
        ("interop:halo", {"image": 23}),
        ("interop:halo", {"image": {"height": -1}}),
        ("interop:halo", {"image": {"height": "local"}}),
        ("interop:halo", {"frames": {"height": {"pixels": 1}}}),
        ("interop:halo", {"frames": {"height": {"pixels": 1, "per": {}}}}),
    ],
)
def test_what_breaks_a_rule_is_refused(
    validator: Draft7Validator, documents: list[dict[str, Any]], name: str, value: object
) -> None:
    document = copy.deepcopy(next(d for d in documents if d["id"] == ONNX))
    document["properties"][name] = value
    assert not validator.is_valid(document)


def test_sizes_and_halo_that_are_written_are_valid(tmp_path: Path, validator: Draft7Validator) -> None:
    sizes = {"batch": ANY, "height": Size(4, 4, 64, "side"), "width": Size(4, 4, 64, "side"), "time": Size.fixed(18)}
    halo = {"frames": {"height": 23, "width": "global"}, "other": {"y": {"pixels": -1, "per": {"time": 2}}}}
    document = Examples(tmp_path).item(sizes={"frames": sizes}, halo=halo).to_dict(transform_hrefs=False)
    validator.validate(document)
    assert read_sizes("it", document["properties"]["interop:sizes"]) == {"frames": sizes}
    assert SCHEMA["definitions"]["size"]["properties"].keys() == {field.name for field in dataclasses.fields(Size)}


def test_it_has_the_fields_of_the_classes() -> None:
    definitions = SCHEMA["definitions"]
    for kind, fragment in (("parity", Parity), ("timing", Timing), ("step", Step)):
        assert definitions[kind]["properties"].keys() == fragment.model_fields.keys()
        required = {name for name, field in fragment.model_fields.items() if field.is_required()}
        assert set(definitions[kind]["required"]) == required
    ours = {name for name in _PLAIN_FIELDS if name.startswith("interop:")}
    assert ours <= definitions["fields"]["properties"].keys()
