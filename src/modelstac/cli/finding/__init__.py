"""Commands that find, show and compare.

Order, each importing only from those before it: search, show, resolve, diff, pages, report, index.
"""
