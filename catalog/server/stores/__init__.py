"""What the server keeps documents in: the embedded file and pgstac.

Order, each importing only from those before it: store, collections, filters, links, queryables · writes · embedded,
pg · migrate · pgstac.
"""
