"""What the server answers: reading, searching, counting, writing, uploads and downloads.

Order, each importing only from those before it: bodies, keys, openapi, requests · client, downloads, patches · direct,
facets, incoming, names, pages · bulk, teams · transactions.
"""
