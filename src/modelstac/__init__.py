"""A STAC catalog and model registry for Earth observation."""
