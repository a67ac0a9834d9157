"""One index of items in SQLite: the embedded catalog itself, and the derived search index of static ones.

Order, each importing only from those before it: own_sqlite, fields, functions · database · schema · rows,
indexed, paging, expressions · filters · dialect · judging, search · derived.
"""
