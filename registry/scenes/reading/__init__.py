"""A scene in whatever form, as a model reads it: found, matched by band, brought onto one grid, read by window.

Order, each importing only from those before it: options · finding · fitting · opening.
"""
