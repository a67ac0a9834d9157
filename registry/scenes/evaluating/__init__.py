"""How good maps are: compared with labels pixel by pixel, pooled over scenes, with intervals.

Order, each importing only from those before it: classes, cubes, numbers, pairing · grids · pooling · comparing ·
evaluation · models, picture · writing.
"""
