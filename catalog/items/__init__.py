"""What an item says: typed descriptions, the STAC documents that they become, and their checks."""
