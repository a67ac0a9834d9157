"""Teams: sub-catalogs, the models in them, and who may write which.

Order, each importing only from those before it: session · hierarchy · permission.
"""
