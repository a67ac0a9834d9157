"""Where catalogs are kept: folders, object stores, one SQLite file, any STAC API."""
