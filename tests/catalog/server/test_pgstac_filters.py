"""A filter means in PostgreSQL what it means in SQLite, whatever the expression and the items."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.catalog.server import postgres
from tests.catalog.test_cql2 import (
    BOXES,
    COMPARISON,
    EXPRESSIONS,
    NUMBERS,
    POINTS,
    TIMES,
    WORDS,
    documents,
    joined,
    op,
    prop,
)

from modelstac.catalog.search.facts import moments
from modelstac.catalog.search.query import Query
from modelstac.catalog.search.sql.functions import FOLDS
from modelstac.catalog.search.sql.judging import passes
from modelstac.catalog.server.stores.pg.filters import PgFilter
from modelstac.catalog.server.stores.pg.properties import PROPERTIES
from modelstac.catalog.server.stores.pg.search import PgSearch

Json = dict[str, Any]
_ITEM = """FROM (SELECT %(id)s::text AS id, %(collection)s::text AS collection, %(document)s::text::jsonb AS content,
    ST_SetSRID(ST_GeomFromGeoJSON(%(geometry)s::text), 4326) AS geometry,
    %(first)s::timestamptz AS datetime, %(last)s::timestamptz AS end_datetime) AS items CROSS JOIN """

NAMES = st.sampled_from(
    (
        "title",
        "mlm:framework",
        "interop:job",
        "mlm:total_parameters",
        "interop:cases",
        "mlm:tasks",
        "keywords",
        "created",
        "interop:framework_version_key",
        "mlm:pretrained",
        "datetime",
        "id",
        "collection",
        "interop:parity",
    )
).map(prop)
DATES = st.sampled_from(("2010-08-26", "2010-08-25", "2011-01-01"))
LITERALS = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(NUMBERS),
    st.booleans(),
    DATES.map(lambda date: {"date": date}),
    st.sampled_from(TIMES).map(lambda time: {"timestamp": time}),
)
INTERVALS = st.tuples(DATES | st.just(".."), st.sampled_from(TIMES) | st.just("..")).map(lambda i: {"interval": [*i]})
TEMPORAL = ("after", "before", "contains", "disjoint", "during", "equals", "finishedby", "finishes", "intersects")
TEMPORAL = (*TEMPORAL, "meets", "metby", "overlappedby", "overlaps", "startedby", "starts")
SPATIAL = ("contains", "crosses", "disjoint", "equals", "intersects", "overlaps", "touches", "within")
FOLDED = st.sampled_from(sorted(FOLDS))
OTHER_LEAVES = st.one_of(
    NAMES,
    st.builds(op, COMPARISON, NAMES | LITERALS, NAMES),
    st.builds(op, COMPARISON, NAMES, LITERALS),
    st.builds(lambda n, values: op("in", n, values), NAMES, st.lists(LITERALS, max_size=3)),
    st.builds(lambda n, a, b: op("between", n, a, b), NAMES, LITERALS, LITERALS),
    st.builds(lambda n: op("isNull", n), NAMES),
    st.builds(lambda f, n, word: op("=", op(f, n), op(f, word)), FOLDED, NAMES, st.sampled_from(WORDS)),
    st.builds(
        lambda n, pattern: op("like", op("casei", n), op("casei", pattern)), NAMES, st.text("tT%_\\é*[", max_size=4)
    ),
    st.builds(lambda t, n, i: op(f"t_{t}", n, i), st.sampled_from(TEMPORAL), NAMES, INTERVALS),
    st.builds(lambda s, g: op(f"s_{s}", prop("geometry"), g), st.sampled_from(SPATIAL), POINTS | BOXES),
    st.builds(
        lambda o, n, v, w: op("=", op(o, n, v), w),
        st.sampled_from(("+", "-", "*", "/", "div", "^")),
        NAMES,
        st.integers(-3, 3),
        st.sampled_from(NUMBERS),
    ),
    st.builds(
        op,
        st.sampled_from(("a_contains", "a_containedBy", "a_overlaps", "a_equals")),
        NAMES,
        st.lists(st.sampled_from(("a", "b", 1, 2.5)), max_size=2),
    ),
)
# What an index answers: some texts that a name is one of, and bounds beside it.
_WORD, _FRAMEWORK = st.sampled_from(WORDS), prop("mlm:framework")
NAMED = st.one_of(
    st.builds(lambda word: op("=", _FRAMEWORK, word), _WORD),
    st.builds(lambda word: op("=", op("casei", word), op("casei", _FRAMEWORK)), _WORD),
    st.builds(lambda word: op("=", op("casei", _FRAMEWORK), word), _WORD),
    st.builds(lambda words: op("in", _FRAMEWORK, words), st.lists(_WORD, min_size=1, max_size=3)),
    st.builds(
        lambda words: op("or", *(op("=", op("casei", _FRAMEWORK), op("casei", word)) for word in words)),
        st.lists(_WORD, min_size=1, max_size=3),
    ),
)
BOUNDED = st.builds(
    lambda named, sign, word, more: op("and", op(sign, prop("interop:framework_version_key"), word), named, *more),
    NAMED,
    COMPARISON,
    _WORD,
    st.lists(OTHER_LEAVES | NAMED, max_size=2),
)
ALL = BOUNDED | EXPRESSIONS | joined(OTHER_LEAVES, max_leaves=4)


@pytest.fixture(scope="module")
def connection(cluster: postgres.Cluster) -> Iterator[psycopg.Connection[Any]]:
    with cluster.database() as url, psycopg.connect(url, autocommit=True) as found:
        found.execute("SET search_path = pgstac, public")
        yield found


def passes_there(connection: psycopg.Connection[Any], wanted: Json, document: Json) -> bool:
    first, last = moments(document) or (None, None)
    values: Json = {"id": document["id"], "collection": document["collection"], "first": first, "last": last}
    values |= {"document": json.dumps(document), "geometry": json.dumps(document["geometry"])}

    def bind(value: Any) -> str:
        if isinstance(value, int):
            return f"({value})::bigint"
        name = f"p{len(values)}"
        values[name] = value
        return f"%({name})s::{'text[]' if isinstance(value, list) else 'text'}"

    made = PgFilter(wanted, bind)
    statement = f"SELECT {made.condition()}, {' AND '.join(made.conditions())} {_ITEM}{PROPERTIES}"
    row = connection.execute(statement.encode(), values).fetchone()
    assert row is not None
    assert bool(row[0]) == bool(row[1]), "what an index answers is what is asked"
    return bool(row[0])


@settings(max_examples=400, deadline=None, suppress_health_check=[*HealthCheck])
@given(document=documents(), wanted=ALL)
def test_postgresql_agrees_with_sqlite(connection: psycopg.Connection[Any], document: Json, wanted: Json) -> None:
    assert passes_there(connection, wanted, document) == passes(wanted, document)


def test_both_fold_every_character_alike(connection: psycopg.Connection[Any]) -> None:
    characters = [chr(code) for code in range(1, 0x30000) if not 0xD800 <= code <= 0xDFFF]
    for name, fold in FOLDS.items():
        statement = f"SELECT c, modelstac.{name}(c) FROM unnest(%s::text[]) AS c"
        rows = connection.execute(statement.encode(), [characters]).fetchall()
        assert [c for c, folded in rows if folded != fold(c)] == []


def test_both_read_the_same_times(connection: psycopg.Connection[Any]) -> None:
    said = ["2020-02-29", "2020-02-30", "2020", "20200101", "2020-01-01T12:00:00Z", "2020-01-01t12:00:00.1234569+02:00"]
    said += ["2020-01-01 23:59:60Z", "2020-01-01T24:00:00Z", "0000-01-01", "9999-12-31", "2020-01-01T12:00:00", "", "x"]
    for text in said:
        document: Json = {"id": "a", "collection": "c", "geometry": None, "properties": {"created": text}}
        for sign in "<", "=", ">":
            wanted = op(sign, prop("created"), {"timestamp": "2020-01-01T10:00:00.123456Z"})
            assert passes_there(connection, wanted, document) == passes(wanted, document), (text, sign)


def test_an_index_answers_a_framework_with_its_versions_alone(connection: psycopg.Connection[Any]) -> None:
    collection = {"id": "c", "type": "Collection"}
    item = {"id": "a", "collection": "c", "geometry": {"type": "Point", "coordinates": [0, 0]}}
    item |= {"properties": {"datetime": TIMES[0], "mlm:framework": "PyTorch"}}
    for statement, document in (("create_collection", collection), ("create_item", item)):
        connection.execute(f"SELECT {statement}(%s)".encode(), [json.dumps(document)])
    orphans = connection.execute("SELECT maintain_partition_queries('items', true)").fetchall()
    assert not orphans, "pgstac would drop what it does not know"

    framework, key = prop("mlm:framework"), prop("interop:framework_version_key")
    spelled = [op("=", op("casei", framework), op("casei", word)) for word in ("PyTorch", "torch")]
    for named in op("=", framework, "PyTorch"), op("or", *spelled):
        wanted = op("and", named, op(">=", key, "0002"), op("<", key, "0003"))
        search = PgSearch(Query(filter=wanted, sortby=("id",)), by_code_point=True)
        statement, parameters = search.page(10)
        connection.execute("SET enable_seqscan = off")
        with psycopg.RawCursor(connection) as cursor:
            plan = "\n".join(line for (line,) in cursor.execute(f"EXPLAIN {statement}".encode(), parameters))
        assert "Index Cond: ((modelstac.casei(" in plan
        assert "Filter:" not in plan.partition("SubPlan")[0], plan
