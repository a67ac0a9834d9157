"""Which environments run which items, and how far from what was published: ``modelstac matrix``."""
