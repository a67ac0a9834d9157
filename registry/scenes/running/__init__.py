"""A model run over a scene: planned in tiles, computed, merged, masked, and kept tile by tile as it goes.

Order, each importing only from those before it: axes, cutting, posting, store, threads · options, scaling, stretching ·
preparing · layers · sides · planning · merging, trial · running.
"""
