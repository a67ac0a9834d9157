"""What the server keeps documents and files in: the embedded file, pgstac, and a store of artifacts.

Order, each importing only from those before it: store, artifacts, collections, filters, links, queryables, pgstac_items
· writes, embedded, migrate, pgstac_copy · pgstac.
"""
