"""CQL2 as SQL finds what the ``cql2`` package itself matches, whatever the expression and the items."""

from __future__ import annotations

import contextlib
from typing import Any

import cql2
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from modelstac.catalog.errors import InvalidQueryError
from modelstac.catalog.search.query import Query
from modelstac.catalog.search.sql.derived import scan
from modelstac.catalog.search.sql.expressions import MAX_LENGTH
from modelstac.catalog.search.sql.judging import passes

WORDS = ("torch", "Torch", "to_ch", "50%", "a*b", "[x]", "é", "", "tor")
NUMBERS = (-1, 0, 1, 2.5, 1e9)
TIMES = ("2010-08-26T00:00:00Z", "2010-08-26T07:35:00Z", "2011-01-01T00:00:00Z")
TEXTS = st.sampled_from(
    ("title", "mlm:framework", "interop:framework_version_key", "interop:format", "interop:job", "properties.updated")
)
COUNTS = st.sampled_from(("mlm:total_parameters", "interop:parity.max_absolute_difference", "interop:cases"))
MOMENTS = st.sampled_from(("created", "start_datetime", "end_datetime"))
POINTS = st.tuples(st.integers(-3, 3), st.integers(-3, 3)).map(lambda p: {"type": "Point", "coordinates": list(p)})
BOXES = st.tuples(st.integers(-3, 2), st.integers(-3, 2), st.integers(1, 3)).map(
    lambda b: {
        "type": "Polygon",
        "coordinates": [
            [[b[0], b[1]], [b[0] + b[2], b[1]], [b[0] + b[2], b[1] + b[2]], [b[0], b[1] + b[2]], [b[0], b[1]]]
        ],
    }
)

Json = dict[str, Any]


def prop(name: str) -> Json:
    return {"property": name}


def op(name: str, *arguments: Any) -> Json:
    return {"op": name, "args": list(arguments)}


@st.composite
def documents(draw: st.DrawFn) -> Json:
    optional: Json = {
        "title": st.sampled_from(WORDS),
        "mlm:framework": st.sampled_from(WORDS) | st.sampled_from(NUMBERS),
        "interop:format": st.sampled_from(WORDS),
        "interop:job": st.none() | st.sampled_from(WORDS),
        "mlm:total_parameters": st.sampled_from(NUMBERS),
        "interop:cases": st.sampled_from(NUMBERS) | st.sampled_from(WORDS),
        "interop:parity": st.fixed_dictionaries({"max_absolute_difference": st.sampled_from(NUMBERS)}),
        "mlm:tasks": st.lists(st.sampled_from(("a", "b", "c")), max_size=3),
        "keywords": st.lists(st.sampled_from(("a", "A", "b", 1)), max_size=3) | st.just("a"),
        "interop:framework_version_key": st.sampled_from(WORDS) | st.sampled_from(NUMBERS),
        "mlm:pretrained": st.booleans(),
        "created": st.sampled_from(TIMES),
    }
    properties = draw(st.fixed_dictionaries({}, optional=optional))
    first, last = sorted((draw(st.sampled_from(TIMES)), draw(st.sampled_from(TIMES))))
    geometry = draw(POINTS | BOXES)
    points = [geometry["coordinates"]] if geometry["type"] == "Point" else geometry["coordinates"][0]
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    return {
        "type": "Feature",
        "id": draw(st.sampled_from(("one", "two"))),
        "collection": "c",
        "geometry": geometry,
        "bbox": [min(xs), min(ys), max(xs), max(ys)],
        "properties": properties | {"start_datetime": first, "end_datetime": last},
        "links": [],
        "assets": {},
    }


COMPARISON = st.sampled_from(("=", "<>", "<", "<=", ">", ">="))
TEXT = st.sampled_from(WORDS)
PATTERN = st.lists(st.sampled_from((*"%_to", "rch", "50", "*", "[x]")), max_size=4).map("".join)
NUMBER = st.sampled_from(NUMBERS)
LEAVES = st.one_of(
    st.builds(lambda o, n, v: op(o, prop(n), v), COMPARISON, TEXTS, TEXT),
    st.builds(lambda o, n, v: op(o, v, prop(n)), COMPARISON, TEXTS, TEXT),
    st.builds(lambda o, n, v: op(o, prop(n), v), COMPARISON, COUNTS, NUMBER),
    st.builds(lambda n, p: op("like", prop(n), p), TEXTS, PATTERN),
    st.builds(lambda n, v: op("=", op("casei", prop(n)), op("casei", v)), TEXTS, TEXT),
    st.builds(lambda n: op("isNull", prop(n)), TEXTS | COUNTS),
    st.builds(lambda n, a, b: op("between", prop(n), a, b), COUNTS, NUMBER, NUMBER),
    st.builds(lambda n, v: op("in", prop(n), v), COUNTS, st.lists(NUMBER, min_size=1, max_size=3)),
    st.builds(lambda n, v: op("in", prop(n), v), TEXTS, st.lists(TEXT, min_size=1, max_size=3)),
    st.builds(
        lambda o, a, n, v, w: op(o, op(a, prop(n), v), w),
        COMPARISON,
        st.sampled_from(("+", "-", "*")),
        COUNTS,
        st.integers(-3, 3),
        NUMBER,
    ),
    st.builds(lambda o, n, t: op(o, prop(n), {"timestamp": t}), COMPARISON, MOMENTS, st.sampled_from(TIMES)),
    st.builds(
        lambda o, n, t: op(o, prop(n), {"timestamp": t}),
        st.sampled_from(("t_after", "t_before", "t_equals")),
        MOMENTS,
        st.sampled_from(TIMES),
    ),
    st.builds(
        lambda o, n, v: op(o, prop(n), v),
        st.sampled_from(("a_contains", "a_containedBy", "a_overlaps", "a_equals")),
        st.sampled_from(("mlm:tasks", "keywords")),
        st.lists(st.sampled_from(("a", "b", "c")), min_size=1, max_size=2, unique=True),
    ),
    st.builds(
        lambda o, g: op(o, prop("geometry"), g),
        st.sampled_from(("s_intersects", "s_disjoint", "s_within", "s_contains")),
        POINTS | BOXES,
    ),
    st.just(op("=", prop("mlm:pretrained"), True)),
    st.builds(lambda v: op("=", prop("id"), v), st.sampled_from(("one", "two", "three"))),
)


def joined(leaves: Any, *, max_leaves: int) -> Any:
    """Draw conditions joined by ``and``, ``or`` and ``not``."""
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(lambda a, b: op("and", a, b), inner, inner),
            st.builds(lambda a, b: op("or", a, b), inner, inner),
            st.builds(lambda a: op("not", a), inner),
        ),
        max_leaves=max_leaves,
    )


EXPRESSIONS = joined(LEAVES, max_leaves=5)


def oracle(expression: Json, document: Json) -> bool:
    try:
        return bool(cql2.Expr(expression).matches(document))
    except Exception:  # noqa: BLE001 - the package raises nothing more precise
        # What is neither true nor false (a property that is missing, kinds that cannot be compared) does not match.
        return False


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents(), EXPRESSIONS)
def test_the_sql_agrees_with_the_package(document: Json, expression: Json) -> None:
    found = scan([document], [], Query(filter=expression), count=False)
    assert bool(found.documents) == oracle(expression, document)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents(), EXPRESSIONS)
def test_text_and_json_find_the_same(document: Json, expression: Json) -> None:
    text = cql2.Expr(expression).to_text()
    try:
        cql2.parse_text(text)
    except cql2.ParseError:
        # The package writes some of what it reads in a form that it cannot read (version 0.6.0): nothing to compare.
        assume(False)
    by_text, by_json = (scan([document], [], Query(filter=f), count=False) for f in (text, expression))
    assert by_text == by_json


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=40) | st.sampled_from(("' OR 1=1 --", "id = 'a'; DROP TABLE items", "id LIKE '%' UNION SELECT"))
)
def test_any_text_is_searched_or_refused(text: str) -> None:
    for fields in ({"filter": text}, {"filter": {"op": "=", "args": [{"property": text}, text]}}, {"sortby": text}):
        # Anything else, above all an error of SQLite's, fails the test.
        with contextlib.suppress(InvalidQueryError):
            scan([], [], Query(**fields), count=True)


@pytest.mark.parametrize(
    "wanted",
    [
        "(" * 100 + "id = 'a'" + ")" * 100,
        "NOT " * 100 + "id = 'a'",
        " OR ".join(["id = 'a'"] * 5000),
        "id = '" + "x" * MAX_LENGTH + "'",
        "1 + " * 3000 + "1 = 1",
        {"op": "s_intersects", "args": [{"property": "geometry"}, {"type": "Polygon", "coordinates": [[1]]}]},
        {"op": "t_after", "args": [{"property": "created"}, {"timestamp": "yesterday"}]},
        {"op": "=", "args": [{"property": "id"}]},
        {"op": "like", "args": [{"property": "id"}, 7]},
        {"op": "a_contains", "args": [{"property": "mlm:tasks"}, "a"]},
        {},
    ],
)
def test_what_nobody_means_is_refused(wanted: Any) -> None:
    with pytest.raises(InvalidQueryError):
        scan([], [], Query(filter=wanted), count=False)


def test_a_value_of_what_is_a_list_however_it_is_written() -> None:
    item = {"id": "a", "collection": "c", "properties": {"instruments": ["msi"], "platform": "s2a"}}
    instruments, platform = {"property": "instruments"}, {"property": "platform"}
    for wanted, is_true in (
        ({"op": "in", "args": ["msi", instruments]}, True),
        ({"op": "in", "args": ["msi", [instruments]]}, True),
        ({"op": "in", "args": ["oli", instruments]}, False),
        ({"op": "not", "args": [{"op": "in", "args": ["oli", instruments]}]}, True),
        ({"op": "not", "args": [{"op": "in", "args": ["oli", {"property": "gsd"}]}]}, False),
        ({"op": "in", "args": ["s2a", [platform, "s2b"]]}, True),
    ):
        assert passes(wanted, item) is is_true, wanted
