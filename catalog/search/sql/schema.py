"""Tables and indexes of the SQLite file, and the names that may be searched for.

Everything beside ``items.document``, ``collections.document`` and ``aliases`` is derived from them.
"""

from __future__ import annotations

import re
import sqlite3

from modelstac.catalog.errors import CatalogError, InvalidQueryError
from modelstac.catalog.search.ranges import nearest
from modelstac.catalog.search.sql.database import APPLICATION_ID

VERSION = 2

# STAC common metadata and the version extension; beside these every name of ours and of the extensions in use.
COMMON_NAMES = (
    "constellation",
    "created",
    "datetime",
    "deprecated",
    "description",
    "end_datetime",
    "expires",
    "experimental",
    "gsd",
    "instruments",
    "keywords",
    "license",
    "mission",
    "platform",
    "start_datetime",
    "title",
    "updated",
    "version",
)
# The first four are of models; the others of the scenes that may lie beside them.
PREFIXES = (
    *("mlm", "interop", "cube", "file"),
    *("classification", "eo", "grid", "label", "proj", "processing", "raster", "sar", "sat", "sci", "view"),
)
_NAME = re.compile(
    rf"(?:{'|'.join(COMMON_NAMES)}|(?:{'|'.join(PREFIXES)}):[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_:-]+)*)", re.ASCII
)
ALIASES_SQL = (
    "(SELECT json_group_array(alias) FROM aliases WHERE aliases.item = items.id "
    "AND aliases.collection = items.collection HAVING count(*))"
)

_TABLES = """
CREATE TABLE collections (id TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    collection TEXT NOT NULL REFERENCES collections (id),
    variant TEXT,
    version_key TEXT,
    first INTEGER,  -- microseconds since 1970
    last INTEGER,
    document TEXT NOT NULL
);
CREATE INDEX items_collection ON items (collection, id);
CREATE INDEX items_family ON items (collection, variant, version_key, id);
CREATE INDEX items_time ON items (first, last, id);
CREATE TABLE aliases (
    collection TEXT NOT NULL REFERENCES collections (id),
    alias TEXT NOT NULL,
    item TEXT NOT NULL REFERENCES items (id),
    PRIMARY KEY (collection, alias)
) WITHOUT ROWID;
CREATE INDEX aliases_item ON aliases (item);
CREATE TABLE keywords (keyword TEXT NOT NULL, item INTEGER NOT NULL, PRIMARY KEY (keyword, item)) WITHOUT ROWID;
CREATE TABLE tasks (task TEXT NOT NULL COLLATE NOCASE, item INTEGER NOT NULL, PRIMARY KEY (task, item)) WITHOUT ROWID;
-- Bounds in a tree are rounded outwards to 32 bits; the exact ones decide. "bbox" tells the item's own box.
CREATE VIRTUAL TABLE boxes USING rtree (
    key, west, east, south, north, +item INTEGER, +bbox INTEGER, +w REAL, +e REAL, +s REAL, +n REAL
);
CREATE VIRTUAL TABLE texts USING fts5 (body, tokenize = "trigram case_sensitive 1");
"""


def path_sql(name: str) -> str:
    """Return the SQL of a property, by a name that is known to be harmless."""
    return "json_extract(items.document, '$.properties." + ".".join(f'"{part}"' for part in name.split(".")) + "')"


# Expression indexes: what must be equal whatever its case, together with its version; and what has an order.
_FOLDED = {
    "framework": ("mlm:framework", "mlm:framework_version"),
    "backend": ("interop:backend", "interop:backend_version"),
    "format": ("interop:format",),
    "architecture": ("mlm:architecture",),
    "name": ("mlm:name",),
}
_ORDERED = {
    "framework_version": "mlm:framework_version",
    "framework_key": "interop:framework_version_key",
    "backend_version": "interop:backend_version",
    "backend_key": "interop:backend_version_key",
    "version": "version",
    "parameters": "mlm:total_parameters",
    "parity": "interop:parity.max_absolute_difference",
    "updated": "updated",
}
# For filters in CQL2, which heed case and give bounds of the sortable version.
_EXACT = {"framework_bounds": ("mlm:framework", "interop:framework_version_key")}
FOLDED_NAMES = frozenset(names[0] for names in _FOLDED.values())
ORDERED_NAMES = frozenset(_ORDERED.values())
EXACT_NAMES = frozenset({"id", "collection", *ORDERED_NAMES, *(names[0] for names in _EXACT.values())})
"""What an index has in the order of SQLite's own comparisons."""


def _indexes() -> str:
    statements = []
    for index, (name, *more) in _FOLDED.items():
        columns = [f"{path_sql(name)} COLLATE NOCASE", *map(path_sql, more), "id"]
        statements.append(f"CREATE INDEX items_{index} ON items ({', '.join(columns)});")
    for index, names in _EXACT.items():
        statements.append(f"CREATE INDEX items_{index} ON items ({', '.join([*map(path_sql, names), 'id'])});")
    for index, name in _ORDERED.items():
        statements.append(f"CREATE INDEX items_{index} ON items ({path_sql(name)}, id);")
    return "\n".join(statements).replace("items.document", "document")


def property_sql(name: str) -> str:
    """Return the SQL of a property that may be searched for; only such names ever become part of a statement.

    Raises
    ------
    InvalidQueryError
        If there is no such property.
    """
    plain = name.removeprefix("properties.")
    if plain in {"id", "collection"}:
        return f"items.{plain}"
    if plain == "interop:aliases":
        return ALIASES_SQL
    if not _NAME.fullmatch(plain):
        shown = name if len(name) <= 60 else f"{name[:60]}…"
        known = ("id", "collection", "geometry", *COMMON_NAMES, *(f"{prefix}:…" for prefix in PREFIXES))
        raise InvalidQueryError(f"property {shown!r} cannot be searched for{nearest(shown, known)}")
    if plain == "datetime":
        # As pgstac does: an item of an interval is dated by its beginning.
        return f"coalesce({path_sql('datetime')}, {path_sql('start_datetime')})"
    return path_sql(plain)


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables, inside the caller's transaction, unless they are there.

    Raises
    ------
    CatalogError
        If the file is another program's, or a newer modelstac's.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application == APPLICATION_ID and version == VERSION:
        return
    if application == APPLICATION_ID and version < VERSION:
        _renew(connection)
        return
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application == APPLICATION_ID and version > VERSION:
        raise CatalogError(f"the catalog was written by a newer modelstac (layout {version}): update modelstac")
    if tables:
        raise CatalogError("the file is an SQLite database, but no catalog: name another file")
    for statement in _statements():
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _statements() -> list[str]:
    return [found for part in (_TABLES + _indexes()).split(";\n") if (found := part.strip().rstrip(";"))]


def _renew(connection: sqlite3.Connection) -> None:
    """Bring a file of layout 1 to this one; the documents stay as they are."""
    connection.execute("DROP INDEX IF EXISTS items_framework_bounds")
    for statement in _statements():
        if "INDEX items_framework_bounds" in statement or "TABLE keywords" in statement:
            connection.execute(statement)
    connection.execute(
        "INSERT OR IGNORE INTO keywords SELECT word.value, items.key "
        "FROM items, json_each(document, '$.properties.keywords') AS word WHERE word.type = 'text'"
    )
    connection.execute(f"PRAGMA user_version = {VERSION}")
