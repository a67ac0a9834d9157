"""What an item says: typed descriptions, the STAC documents that they become, and their checks.

Order, each importing only from those before it: digests, formats, geometry, links, mlm, schemas, sizes · versions,
provenance · description, evidence, identity · writing, reading · documents, datasets · validation · collections.
"""
