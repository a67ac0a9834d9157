"""The catalog behind a STAC API: talking to it, what it is asked, what is sent to it.

Order, each importing only from those before it: http, queries · writing · catalog.
"""
