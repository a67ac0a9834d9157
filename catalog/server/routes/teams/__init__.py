"""Routes for teams: sub-catalogs, and the audit log.

Order, each importing only from those before it: audit, catalogs · arranging.
"""
