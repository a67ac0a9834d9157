"""What a model takes and how far it looks, found by running it: sizes of its open axes, and its halo.

Order, each importing only from those before it: axes, changes, grids, relation · trial · growing, layout, reach,
starting · grouping, joining · halo, sizes · proof · measure.
"""
