"""What the server keeps documents in: the embedded file and pgstac.

Order, each importing only from those before it: collections, filters, links, queryables, spliced · store · writes ·
embedded, pg · migrate · pgstac.
"""
