"""Tables and indexes of the SQLite file, and the names that may be searched for.

Everything beside ``items.document``, ``collections.document`` and ``aliases`` is derived from them. What has an index
is a column of its own: an index of columns answers alone, where one of expressions has older SQLite read the rows, too.
"""

from __future__ import annotations

import difflib
import re
import sqlite3

from modelstac.catalog.errors import CatalogError, InvalidQueryError
from modelstac.catalog.search.ranges import nearest
from modelstac.catalog.search.sql.database import APPLICATION_ID

VERSION = 4

# STAC common metadata and the version extension; beside these every name of an extension.
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
_OF_MODELS = ("mlm", "interop")
# What is told of the extensions; the last ones are of the scenes that may lie beside models.
_PREFIXES = (
    *(*_OF_MODELS, "cube", "file"),
    *("classification", "eo", "grid", "label", "proj", "processing", "raster", "sar", "sat", "sci", "view"),
)
_NAME = re.compile(
    rf"(?:{'|'.join(COMMON_NAMES)}|[A-Za-z][A-Za-z0-9_-]*:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_:-]+)*)", re.ASCII
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
    # Whatever the publisher calls the list, CLASSES_FIELDS of its outputs or of the item; "_" stands for a colon, too.
    CLASSES: (
        ("mlm:output", "classification:classes"),
        """((one.path LIKE '%"classification_classes"[%]' OR one.path LIKE '%.classes[%]')
        AND one.key IN ('name', 'title', 'description'))
        OR ((one.path LIKE '%"classification_classes"' OR one.path LIKE '%.classes')
        AND typeof(one.key) = 'integer')""",
    ),
    BANDS: (
        ("mlm:input",),
        "one.path LIKE '%.bands' OR one.path LIKE '%.\"interop:bands\"' "
        "OR (one.path LIKE '%.bands[%]' AND one.key = 'name')",
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
    {stored},
    document TEXT NOT NULL
);
CREATE UNIQUE INDEX items_collection ON items (collection, id);
CREATE INDEX items_id ON items (id, collection);
CREATE INDEX items_family ON items (collection, variant, version_key, id);
CREATE INDEX items_version_key ON items (version_key DESC, id, collection);
CREATE INDEX items_time ON items (first DESC, id, collection, last);
CREATE INDEX items_created ON items (created DESC, id, collection);
CREATE INDEX items_updated ON items (updated DESC, id, collection);
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


STORED = {
    "mlm:framework": "framework",
    "mlm:framework_version": "framework_version",
    "interop:framework_version_key": "framework_key",
    "interop:backend": "backend",
    "interop:backend_version": "backend_version",
    "interop:backend_version_key": "backend_key",
    "interop:format": "format",
    "mlm:architecture": "architecture",
    "mlm:name": "name",
    "version": "version",
    "mlm:total_parameters": "parameters",
    "interop:parity.max_absolute_difference": "parity",
    "created": "created",
    "updated": "updated",
}
"""Columns by the property that they hold, without a type: as the document has it, and no lists or objects."""
# What must be equal whatever its case, for a framework together with its version; and what has an order.
_FOLDED = {
    "framework": ("framework COLLATE NOCASE", "framework_version", "version_key"),
    "backend": ("backend COLLATE NOCASE", "backend_version"),
    "format": ("format COLLATE NOCASE",),
    "architecture": ("architecture COLLATE NOCASE",),
    "name": ("name COLLATE NOCASE",),
}
_ORDERED = ("framework_version", "framework_key", "backend_version", "backend_key", "version", "parameters", "parity")
# For filters in CQL2, which heed case and give bounds of the sortable version.
_EXACT = {"framework_bounds": ("framework", "framework_key")}
_OF_FEW = frozenset({"backend", "backend_version", "backend_key", "parameters", "parity"})
"""What many items do not have, and their indexes leave out."""
FOLDED_NAMES = frozenset({"mlm:framework", "interop:backend", "interop:format", "mlm:architecture", "mlm:name"})
ORDERED_NAMES = frozenset(name for name, column in STORED.items() if column in {*_ORDERED, "updated"})
EXACT_NAMES = frozenset({"id", "collection", "mlm:framework", *ORDERED_NAMES})
"""What an index has in the order of SQLite's own comparisons."""
NEWEST_FIRST = frozenset({"items.version_key", "items.first", "items.created", "items.updated"})
"""Columns by whose index all items are read from the last to the first, and by id where they are equal."""


def _indexes() -> str:
    columns = _FOLDED | _EXACT | {name: (name,) for name in _ORDERED}
    return "\n".join(
        f"CREATE INDEX items_{index} ON items ({', '.join((*names, 'id', 'collection'))})"
        f"{f' WHERE {index} IS NOT NULL' if index in _OF_FEW else ''};"
        for index, names in columns.items()
    )


def ordered_sql(name: str) -> str:
    """Return the SQL of a property to sort by, by a name that is known to be harmless."""
    sql = path_sql(name)
    # Lists and objects have no order: they are sorted as what is missing.
    return f"(CASE WHEN {sql.replace('json_extract(', 'json_type(', 1)} NOT IN ('array', 'object') THEN {sql} END)"


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
        sides, condition = _LISTED[plain]
        trees = (f"SELECT * FROM json_tree(items.document, '$.properties.\"{side}\"')" for side in sides)
        inner = f"({' UNION ALL '.join(trees)})"
        found = f"json_group_array(DISTINCT ms_casei(one.value)) FROM {inner} AS one"
        found = f"{found} WHERE one.type = 'text' AND ({condition})"
        return f"(SELECT {found} HAVING count(*))"
    shown = name if len(name) <= 60 else f"{name[:60]}…"
    if not _NAME.fullmatch(plain):
        known = [name for name in ("id", "collection", "geometry", *COMMON_NAMES) if name != plain]
        known += [f"{prefix}:…" for prefix in _PREFIXES]
        if _SCORE.fullmatch(plain):  # a word alone may be meant as a score
            found = nearest(shown, (*known, *_WORDS))
            listed = found if found.startswith(":") else nearest(shown, known)  # the words of scores are many
            hint = f"a score of that name is {SCORES}.{shown}{listed}"
            raise InvalidQueryError(f"property {shown!r} cannot be searched for; {hint}")
        raise InvalidQueryError(f"property {shown!r} cannot be searched for{nearest(shown, known)}")
    prefix, _, rest = plain.partition(":")
    if prefix not in _PREFIXES and (meant := difflib.get_close_matches(prefix.casefold(), _OF_MODELS)):
        # Of models only: that of any other extension is as good as the next.
        raise InvalidQueryError(f"property {shown!r} cannot be searched for: did you mean '{meant[0]}:{rest[:60]}'?")
    if plain == "datetime":
        # As pgstac does: an item of an interval is dated by its beginning.
        return f"coalesce({path_sql('datetime')}, {path_sql('start_datetime')})"
    return path_sql(plain)


def column_sql(name: str) -> str:
    """Return the SQL of a property, which is its column where it has one."""
    column = STORED.get(name.removeprefix("properties."))
    return property_sql(name) if column is None else f"items.{column}"


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
    tables = _TABLES.format(stored=", ".join(STORED.values()))
    return [found for part in (tables + _indexes()).split(";\n") if (found := part.strip().rstrip(";"))]


def _renew(connection: sqlite3.Connection) -> None:
    """Bring a file of layout 1, 2 or 3 to this one; the documents stay as they are.

    Layout 1 had no keywords, in 1 and 2 an id was unique among all collections, and in all three properties had no
    columns of their own.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (table,) = [statement for statement in _statements() if "TABLE items (" in statement]
    connection.execute(table.replace("TABLE items (", "TABLE items_anew ("))
    columns = "key, id, collection, variant, version_key, first, last"
    stored = ", ".join(STORED.values())
    values = ", ".join(map(ordered_sql, STORED))
    connection.execute(
        f"INSERT INTO items_anew ({columns}, {stored}, document) SELECT {columns}, {values}, document FROM items"
    )
    connection.execute("DROP TABLE items")
    connection.execute("ALTER TABLE items_anew RENAME TO items")
    for statement in _statements():
        if " ON items (" in statement or ("TABLE keywords" in statement and version == 1):
            connection.execute(statement)
    if version == 1:
        connection.execute(
            "INSERT OR IGNORE INTO keywords SELECT word.value, items.key "
            "FROM items, json_each(document, '$.properties.keywords') AS word WHERE word.type = 'text'"
        )
    connection.execute(f"PRAGMA user_version = {VERSION}")
