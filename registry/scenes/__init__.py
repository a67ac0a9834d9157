"""From a scene to a map: read onto one grid, run in tiles, merged, masked and written with its place.

The model knows nothing of rasters, and neither reading nor writing knows anything of models: they meet in
:mod:`modelstac.registry.scenes.rasters`.

Order, each importing only from those before it: lettering, rasters, software · reading, running, writing · predicting ·
evaluating.
"""
