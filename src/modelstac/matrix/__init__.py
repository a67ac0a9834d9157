"""Which environments run which items, and how far from what was published: ``modelstac matrix``.

Order, each importing only from those before it: environments, opening, windows · cell, forecast, making, plan, write ·
results · pictures · page.
"""
