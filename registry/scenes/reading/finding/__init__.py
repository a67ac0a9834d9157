"""Scenes wherever they lie: files, arrays, STAC items and searches, as bands on offer that open on demand.

Order, each importing only from those before it: sentinel · parts · axes, checksums, handles, landsat, names · masks ·
arrays, files, searching · items · sources.
"""
