"""Tables and indexes of the SQLite file, and the names that may be searched for.

Everything beside ``items.document``, ``collections.document`` and ``aliases`` is derived from them.
"""

from __future__ import annotations

import re
import sqlite3

from modelstac.catalog.errors import CatalogError, InvalidQueryError
from modelstac.catalog.search.ranges import nearest
from modelstac.catalog.search.sql.database import APPLICATION_ID

VERSION = 3

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
SCORES = "interop:scores"
_SCORE = re.compile(r"(?:interop:scores\.)?([A-Za-z0-9_-]+)", re.ASCII)
_WORDS = frozenset(
    """
    acc accuracy ap auc auroc bce bias csi dice f1 f2 far fbeta iou jaccard kappa loss mae map map50 mape mcc miou mse
    nse oa pod precision psnr r2 recall rmse score specificity ssim
    """.split()  # noqa: SIM905 - a list of so many words, one a line, is no easier to read
)
"""Words by which a bare name is taken for that of a score: ``mIoU``, ``IoU_water``, ``val_loss``."""
CLASSES, BANDS = "classes", "bands"
LISTS = frozenset({CLASSES, BANDS})
"""Lists that no item has as such: names of classes of its outputs and of bands of its inputs, folded."""
_LISTED = {
    CLASSES: (
        "mlm:output",
        """(one.path LIKE '%."classification:classes"[%]' AND one.key IN ('name', 'title', 'description'))""",
    ),
    BANDS: (
        "mlm:input",
        "(one.path LIKE '%.bands' OR one.path LIKE '%.\"interop:bands\"' "
        "OR (one.path LIKE '%.bands[%]' AND one.key = 'name'))",
    ),
}
ALIASES_SQL = (
    "(SELECT json_group_array(alias) FROM aliases WHERE aliases.item = items.id "
    "AND aliases.collection = items.collection HAVING count(*))"
)

_TABLES = """
CREATE TABLE collections (id TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    collection TEXT NOT NULL REFERENCES collections (id),
    variant TEXT,
    version_key TEXT,
    first INTEGER,  -- microseconds since 1970
    last INTEGER,
    document TEXT NOT NULL
);
CREATE UNIQUE INDEX items_collection ON items (collection, id);
CREATE INDEX items_id ON items (id, collection);
CREATE INDEX items_family ON items (collection, variant, version_key, id);
CREATE INDEX items_time ON items (first, last, id);
CREATE TABLE aliases (
    collection TEXT NOT NULL REFERENCES collections (id),
    alias TEXT NOT NULL,
    item TEXT NOT NULL,
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
INDEXED_NAMES = FOLDED_NAMES | EXACT_NAMES


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


def score_of(name: str) -> str | None:
    """Return the name of the score that a property is, which is looked for whatever its case; None for any other.

    ``mIoU`` is ``interop:scores.mIoU``, as one of its words is that of a score.
    """
    match = _SCORE.fullmatch(name.removeprefix("properties."))
    if match is None or (match[0] == match[1] and not _WORDS & set(re.split("[_-]", match[1].lower()))):
        return None
    return match[1]


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
    if (score := score_of(plain)) is not None:
        inner = f"json_each(items.document, '$.properties.\"{SCORES}\"')"
        return f"(SELECT one.value FROM {inner} AS one WHERE one.key = '{score}' COLLATE NOCASE LIMIT 1)"
    if plain in LISTS:
        side, condition = _LISTED[plain]
        inner = f"json_tree(items.document, '$.properties.\"{side}\"')"
        condition = f"one.type = 'text' AND {condition}"
        found = f"json_group_array(DISTINCT ms_casei(one.value)) FROM {inner} AS one WHERE {condition}"
        return f"(SELECT {found} HAVING count(*))"
    if not _NAME.fullmatch(plain):
        shown = name if len(name) <= 60 else f"{name[:60]}…"
        known = ("id", "collection", "geometry", *COMMON_NAMES, *(f"{prefix}:…" for prefix in PREFIXES))
        if _SCORE.fullmatch(plain):  # a word alone may be meant as a score
            hint = f"a score of that name is {SCORES}.{shown}{nearest(shown, (*known, *_WORDS))}"
            raise InvalidQueryError(f"property {shown!r} cannot be searched for; {hint}")
        raise InvalidQueryError(f"property {shown!r} cannot be searched for{nearest(shown, known)}")
    if plain == "datetime":
        # As pgstac does: an item of an interval is dated by its beginning.
        return f"coalesce({path_sql('datetime')}, {path_sql('start_datetime')})"
    return path_sql(plain)


def may_be_searched(name: str) -> bool:
    """Tell whether a property has a name that can be searched for."""
    try:
        property_sql(name)
    except InvalidQueryError:
        return False
    return True


def is_current(connection: sqlite3.Connection) -> bool:
    """Tell whether the tables are there as they are made here: then nothing has to be written to read them."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return bool(application == APPLICATION_ID and version == VERSION)


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables, inside the caller's transaction, unless they are there.

    Raises
    ------
    CatalogError
        If the file is another program's, or a newer modelstac's.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if is_current(connection):
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
    """Bring a file of layout 1 or 2 to this one; the documents stay as they are.

    Layout 1 had no keywords, and in both an id was unique among all collections.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (table,) = [statement for statement in _statements() if "TABLE items (" in statement]
    connection.execute(table.replace("TABLE items (", "TABLE items_anew ("))
    columns = "key, id, collection, variant, version_key, first, last, document"
    connection.execute(f"INSERT INTO items_anew ({columns}) SELECT {columns} FROM items")
    connection.execute("DROP TABLE items")
    connection.execute("ALTER TABLE items_anew RENAME TO items")
    for statement in _statements():
        if " ON items (" in statement or ("TABLE keywords" in statement and version == 1):
            connection.execute(statement)
    connection.execute(
        "INSERT OR IGNORE INTO keywords SELECT word.value, items.key "
        "FROM items, json_each(document, '$.properties.keywords') AS word WHERE word.type = 'text'"
    )
    connection.execute(f"PRAGMA user_version = {VERSION}")
