import re
import sys
import tomllib
from pathlib import Path

import pytest

from modelstac.catalog.errors import MissingPackageError
from modelstac.catalog.items.schemas import SHIPPED_URIS
from modelstac.catalog.items.validation import _fast_validator
from modelstac.catalog.later import EXTRAS, at, needing
from modelstac.catalog.search.sql.expressions import geometry_of, parse

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]


def names(requirements):
    return {re.split(r"[<>=\[; ]", one)[0].lower().replace("-", "_") for one in requirements}


def test_what_an_extra_brings_is_in_none_of_what_everybody_installs():
    assert not EXTRAS.keys() & names(PROJECT["dependencies"])
    assert set(EXTRAS.values()) <= PROJECT["optional-dependencies"].keys()
    brought = names(PROJECT["optional-dependencies"]["catalog"]) | names(PROJECT["optional-dependencies"]["publish"])
    modules = {"markdown_it_py": "markdown_it", "pyyaml": "yaml"}
    assert {modules.get(name, name) for name in brought} - {"modelstac", "pystac", "rich"} <= EXTRAS.keys()


@pytest.mark.parametrize("package", sorted(EXTRAS))
def test_a_missing_package_is_named_with_its_extra(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)  # what importing it finds where it is not installed
    with pytest.raises(MissingPackageError) as told, needing("this"):
        __import__(f"{package}.part")
    assert (
        str(told.value) == f"this needs {package}, which is not installed: pip install 'modelstac[{EXTRAS[package]}]'"
    )


def test_what_is_broken_is_not_called_missing():
    with pytest.raises(ModuleNotFoundError, match="no_such_package"), needing("this"):
        __import__("no_such_package")
    with pytest.raises(AttributeError):
        at("modelstac.catalog.later:nothing")


def test_what_a_search_and_a_validation_need_is_named(monkeypatch):
    for package in ("cql2", "jsonschema_rs", "shapely", "shapely.errors"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError, match="a filter needs cql2"):
        parse("eo = 'never asked before'")
    with pytest.raises(MissingPackageError, match="a search by geometry needs shapely"):
        geometry_of({"type": "Point", "coordinates": [0, 0]})
    with pytest.raises(MissingPackageError, match="validating an item needs jsonschema_rs"):
        _fast_validator(tuple(SHIPPED_URIS[:1]))
