"""What PostgreSQL lacks to search as SQLite does, as functions in a schema of ours: folding, times, arithmetic.

Folding is Python's own, whatever the database's locale is: its tables are written into the functions.
"""

from __future__ import annotations

import sys
import unicodedata
from functools import cache

from modelstac.catalog.search.sql.functions import DAY, MOMENT
from modelstac.catalog.server.stores.pg import indexed
from modelstac.catalog.server.teams.session import PREFIX, TABLES

MARK = "modelstac.layout_3"
"""The last that is made: where it is, all functions, tables and indexes are. Its number goes up with each addition."""

_MOMENT = r"""
CREATE OR REPLACE FUNCTION modelstac.{end}_moment(said text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF said ~ '^{day}$' THEN
        RETURN (extract(epoch FROM (said || 'T00:00:00Z')::timestamptz) * 1000000)::bigint + {beyond};
    ELSIF said ~ '^{moment}$' THEN
        -- Not rounded: what is below a microsecond is cut off.
        said := regexp_replace(said, '([.]\d{{6}})\d+', '\1');
        RETURN extract(epoch FROM (said || CASE WHEN said ~ '([Zz]|[+-]..:..)$' THEN '' ELSE 'Z' END)::timestamptz)
            * 1000000;
    END IF;
    RETURN NULL;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$"""
_CALCULATED = """
CREATE OR REPLACE FUNCTION modelstac.calculated(operator text, a float8, b float8) RETURNS float8
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    RETURN CASE operator
        WHEN '+' THEN a + b
        WHEN '-' THEN a - b
        WHEN '*' THEN a * b
        WHEN '/' THEN a / b
        WHEN 'div' THEN trunc(a / b)
        WHEN '%' THEN (a::text::numeric % b::text::numeric)::float8
        WHEN '^' THEN power(a, b)
    END;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$"""
_FOLD = """
CREATE OR REPLACE FUNCTION modelstac.casei(said text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF octet_length(said) = char_length(said) THEN
        RETURN lower(said COLLATE "C");
    END IF;
    said := translate(said, {capital}, {small});
    IF said ~ {longer} THEN
        {replaced}
    END IF;
    RETURN said;
END $$"""
_ACCENTS = """
CREATE OR REPLACE FUNCTION modelstac.accenti(said text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN octet_length(said) = char_length(said) THEN said
    ELSE regexp_replace(normalize(said, NFD), {marks}, '', 'g') END
$$"""

# As pgstac's check_partition makes one, which then finds it there: that looks over all queryables for indexes to make,
# in 50 ms; ours come with the table. Where a queryable wants an index, or a collection several tables, pgstac does it.
_PARTITION = """
CREATE OR REPLACE FUNCTION modelstac.add_partition(named text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pgstac, public AS $$
DECLARE
    found text;
BEGIN
    SELECT '_items_' || key INTO found FROM collections WHERE id = named AND partition_trunc IS NULL;
    IF found IS NULL OR to_regclass(format('pgstac.%I', found)) IS NOT NULL OR EXISTS (
        SELECT FROM queryables WHERE property_index_type IS NOT NULL AND queryable_column(name) IS NULL
    ) THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I PARTITION OF items FOR VALUES IN (%L)', found, named);
    EXECUTE format('CREATE UNIQUE INDEX %I ON %I (id)', found || '_pk', found);
    EXECUTE format('GRANT ALL ON %I TO pgstac_ingest', found);
    PERFORM update_partition_stats(found, true);
END $$"""
# Faster both ways than PostgreSQL's own way, which all builds have; what is stored already is read as before.
_COMPRESSED = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)) THEN
        EXECUTE 'ALTER TABLE pgstac.items ALTER COLUMN content SET COMPRESSION lz4';
    END IF;
END $$"""


@cache
def statements() -> list[str]:
    """Return the statements that make functions, tables and indexes, again or anew."""
    day, moment = DAY, MOMENT
    return [
        "CREATE SCHEMA IF NOT EXISTS modelstac",
        "GRANT USAGE ON SCHEMA modelstac TO pgstac_read",
        _MOMENT.format(end="first", day=day, moment=moment, beyond=0),
        _MOMENT.format(end="last", day=day, moment=moment, beyond=86_400_000_000 - 1),
        _folding(),
        _ACCENTS.format(marks=_quoted(f"[{_ranges([c for c in _characters() if unicodedata.combining(c)])}]")),
        _CALCULATED,
        *(table.format(prefix=PREFIX, serial="bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY") for table in TABLES),
        # Of the audit log nobody who serves can change or remove what it says.
        "GRANT SELECT ON ALL TABLES IN SCHEMA modelstac TO pgstac_read",
        "GRANT INSERT ON ALL TABLES IN SCHEMA modelstac TO pgstac_ingest",
        f"GRANT UPDATE (pending) ON {PREFIX}audit TO pgstac_ingest",
        f"GRANT UPDATE, DELETE ON {PREFIX}catalogs, {PREFIX}children, {PREFIX}deliveries TO pgstac_ingest",
        _COMPRESSED,
        *indexed.statements(),
        _PARTITION,
        "REVOKE EXECUTE ON FUNCTION modelstac.add_partition FROM PUBLIC",
        "GRANT EXECUTE ON FUNCTION modelstac.add_partition TO pgstac_ingest",
        "GRANT CREATE, USAGE ON SCHEMA modelstac TO pgstac_admin",
        "ALTER FUNCTION modelstac.add_partition OWNER TO pgstac_admin",
        f"CREATE OR REPLACE FUNCTION {MARK}() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 3'",
    ]


def _characters() -> list[str]:
    return [chr(code) for code in range(1, sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]


def _folding() -> str:
    folded = [(character, character.casefold()) for character in _characters() if character.casefold() != character]
    single = [(character, to) for character, to in folded if len(to) == 1]
    several = [(character, to) for character, to in folded if len(to) > 1]
    replaced = "\n        ".join(f"said := replace(said, {_quoted(c)}, {_quoted(to)});" for c, to in several)
    return _FOLD.format(
        capital=_quoted("".join(c for c, _ in single)),
        small=_quoted("".join(to for _, to in single)),
        longer=_quoted(f"[{_ranges([c for c, _ in several])}]"),
        replaced=replaced,
    )


def _ranges(characters: list[str]) -> str:
    """Return the inside of a bracket expression."""
    runs: list[list[int]] = []
    for code in map(ord, characters):
        if runs and code == runs[-1][1] + 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(chr(a) if a == b else f"{chr(a)}-{chr(b)}" for a, b in runs)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
