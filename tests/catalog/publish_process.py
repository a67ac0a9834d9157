"""A process that publishes: ``publish_process.py CATALOG DESCRIPTIONS [LIMIT]``; the tests run, limit and kill it.

DESCRIPTIONS is a JSON list of descriptions. Every id is printed, and flushed, once its publish has returned.

LIMIT is ``file-size=BYTES`` for the largest file that may be written from here on, or ``nobody`` to give up root first.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
from pathlib import Path

from modelstac.catalog import ModelDescription, open_catalog
from modelstac.catalog.errors import ModelStacError
from modelstac.catalog.items.writing import write_item


def main() -> int:
    catalog = open_catalog(sys.argv[1], create=True)
    items = [write_item(ModelDescription(**fields)) for fields in json.loads(Path(sys.argv[2]).read_text())]
    limit = sys.argv[3] if len(sys.argv) > 3 else ""
    if limit:
        # What is imported late is imported now: somebody else may not read this interpreter's packages.
        with tempfile.TemporaryDirectory() as folder:
            open_catalog(folder, create=True).publish(items[0])
    if limit.startswith("file-size="):
        size = int(limit.partition("=")[2])
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    elif limit == "nobody":
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    try:
        for item in items:
            print(catalog.publish(item).id, flush=True)
    except ModelStacError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
