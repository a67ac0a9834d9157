"""Bands on offer made into what a model reads: matched, in its numbers, on one grid, window by window.

Order, each importing only from those before it: along, grids, meaning, selecting, telling · choosing, resampling ·
scene · feeding.
"""
