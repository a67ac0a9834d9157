"""From finished layers to files that open at their place: COG, Zarr, NetCDF, polygons, a STAC item, a picture.

Nothing here knows a model but by its item, and no file is seen under its name before all of it is there.

Order, each importing only from those before it: layers · places, outputs · statements · cog, cubes, polygons ·
vectors, picture, item · write.
"""
