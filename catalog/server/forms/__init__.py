"""A page to make and change models and items in a browser: what the links ``create-form`` and ``edit-form`` lead to.

Order, each importing only from those before it: pages.
"""
