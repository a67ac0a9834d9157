"""Where catalogs are kept: folders, object stores, one SQLite file, any STAC API.

Order, each importing only from those before it: storage, published, branches, oddities · tree_search · bucket,
artifacts, tree, api · static, objects, embedded_writing · embedded.
"""
