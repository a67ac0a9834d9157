"""Packages of bioimage.io: a model, its description (``rdf.yaml``) and arrays to test it by.

Order, each importing only from those before it: naming · package, processing · tensors · taking.
"""
