"""Radar frames: readers, download, windows."""
