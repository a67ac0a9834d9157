"""Commands that look after a catalog.

Order, each importing only from those before it: adopt, alias, audit, cache, check, deprecate, push, settings, sign,
sync · database, keys, serve, webhooks.
"""
