"""YAML is read as plain data, and what is wrong with it is said with its line."""

import pytest

from modelstac.catalog.errors import SpecError
from modelstac.catalog.written import read


def test_every_value_has_its_line():
    found = read("data: radar\ngrid:\n  variants:\n    - torch\n    - keras-torch\n", "p.yaml")
    assert found.values == {"data": "radar", "grid": {"variants": ["torch", "keras-torch"]}}
    assert found.where(("grid", "variants", 1)) == "p.yaml line 5, grid.variants[1]"
    assert found.where(("grid", "colour")) == "p.yaml line 2, grid.colour"
    assert found.where(()) == "p.yaml line 1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: a\ngrid: {}\ndata: b\n", r"line 3: the field 'data' is there twice"),
        ("a:\n  b: 1\n  b: 2\n", r"line 3: the field 'b' is there twice"),
        ("a: &x [1]\nb: *x\n", r"line 2: \*x is an alias"),
        ("a: !!python/object/apply:os.system ['true']\n", r"line 1 is no YAML: could not determine a constructor"),
        ("a: !mine 1\n", "line 1 is no YAML: could not determine a constructor"),
        ("a: [1\nb: 2\n", "line 2 is no YAML"),
        ("a: 1\n---\nb: 2\n", "line 2 is no YAML: but found another document"),
        ("a:\n\t- 1\n", "line 2 is no YAML"),
        ("? [a]\n: 1\n", "line 1: the name of a field must be a plain word"),
        ("<<: {a: 1}\n", "line 1: the name of a field must be a plain word"),
        ("a: 2010-13-01\n", "cannot be read: month must be in 1..12"),
        ("[" * 3000, "line 1: lists in lists in lists, 21 deep"),
        ("a: " + "x" * 1_000_001, "more than the 1000000"),
        ("a: \x00\n", "p.yaml"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text, message):
    with pytest.raises(SpecError, match=message):
        read(text, "p.yaml")
