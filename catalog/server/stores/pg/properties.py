"""Properties of pgstac's items as SQL: as JSON, and as the text or number that they are."""

from __future__ import annotations

from modelstac.catalog.items.identity import ALIASES
from modelstac.catalog.items.mlm import CLASSES_FIELD, CLASSES_FIELDS
from modelstac.catalog.search.sql.schema import BANDS, CLASSES, LISTS, SCORES, property_sql, score_of

PROPERTIES = "LATERAL (SELECT items.content->'properties' AS said OFFSET 0) AS item"
"""What the conditions read, so that a large document is unpacked once for all of them."""

_ALIASES = (
    f"(SELECT jsonb_agg(alias) FROM collections c, jsonb_each_text(c.content->'{ALIASES}') AS found (alias, item) "  # noqa: S608
    "WHERE c.id = items.collection AND found.item = items.id)"
)
_CLASSES = " UNION ALL ".join(
    f"SELECT * FROM jsonb_path_query({{said}}, '$.{place}[*]')"  # noqa: S608 - names of ours
    for place in (f'"{CLASSES_FIELD}"', *(f'"mlm:output"[*]."{name}"' for name in CLASSES_FIELDS))
)
# Without their case: names of classes and of bands.
_LISTED = {
    CLASSES: (
        "(SELECT jsonb_agg(DISTINCT modelstac.casei(coalesce(one.found ->> name.said, one.found #>> '{{}}'))) "  # noqa: S608
        f"FROM ({_CLASSES}) AS one (found), unnest(ARRAY['name', 'title', 'description']) AS name (said) "
        "WHERE jsonb_typeof(one.found) = 'string' OR jsonb_typeof(one.found -> name.said) = 'string')"
    ),
    BANDS: (
        "(SELECT jsonb_agg(DISTINCT modelstac.casei(coalesce(one.found ->> 'name', one.found #>> '{{}}'))) "
        "FROM (SELECT * FROM "
        "jsonb_path_query({said}, '$.\"mlm:input\"[*].bands[*]') UNION ALL SELECT * FROM "
        'jsonb_path_query({said}, \'$."mlm:input"[*]."interop:bands"[*]\')) AS one (found) '
        "WHERE jsonb_typeof(one.found) = 'string' OR one.found ? 'name')"
    ),
}


def property_json(name: str, said: str = "item.said") -> str:
    """Return the SQL of a property that may be searched for, as JSON.

    Raises
    ------
    InvalidQueryError
        If there is no such property.
    """
    property_sql(name)  # knows which names are harmless
    plain = name.removeprefix("properties.")
    if plain in {"id", "collection"}:
        return f"to_jsonb(items.{plain})"
    if plain == ALIASES:
        return _ALIASES
    if plain == "datetime":
        # An item of an interval is dated by its beginning.
        first, instead = (f"{said}->'{n}'" for n in ("datetime", "start_datetime"))
        return f"coalesce(nullif({first}, 'null'), {instead})"
    if (score := score_of(plain)) is not None:
        inner = f"jsonb_each(CASE jsonb_typeof({said}->'{SCORES}') WHEN 'object' THEN {said}->'{SCORES}' END)"
        return f"(SELECT one.value FROM {inner} AS one WHERE lower(one.key) = '{score.lower()}' LIMIT 1)"  # noqa: S608
    if plain in LISTS:
        return _LISTED[plain].format(said=said)
    path = "".join(f"->'{part}'" for part in plain.split("."))
    return f"({said}{path})"


def text_of(name: str) -> str:
    """Return the SQL of a property that is a text, else null, in an order of code points."""
    if (plain := name.removeprefix("properties.")) in {"id", "collection"}:
        return f'items.{plain} COLLATE "C"'
    return text_in(property_json(name))


def text_in(found: str) -> str:
    """Return the SQL of the text that some JSON is, else null."""
    return f"(CASE jsonb_typeof({found}) WHEN 'string' THEN {found} #>> '{{}}' END) COLLATE \"C\""


def number_in(found: str) -> str:
    """Return the SQL of the number that some JSON is, else null."""
    return f"(CASE jsonb_typeof({found}) WHEN 'number' THEN ({found} #>> '{{}}')::numeric END)"
