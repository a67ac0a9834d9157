"""What pgstac keeps and how it is asked: its pool, functions, items, tables and searches.

Order, each importing only from those before it: items, pool, properties · indexed, rows · copy, filters, functions ·
search, tables.
"""
