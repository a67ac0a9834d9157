"""Commands that look after a catalog.

Order, each importing only from those before it: adopt, alias, cache, deprecate, serve, sign, sync.
"""
